//! What the first page needs to know besides runs and deploys: how far the installation has come.

use crate::store::Reader;

/// How far a new installation has come.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Progress {
    /// When the last delivery came.
    pub(crate) last_delivery: Option<i64>,
    /// Its event.
    pub(crate) last_event: Option<String>,
    /// What became of it.
    pub(crate) last_outcome: Option<String>,
    /// Runners that have been heard.
    pub(crate) runners: i64,
    /// Whether any run was made.
    pub(crate) any_run: bool,
    /// Whether any run passed.
    pub(crate) any_passed: bool,
}

/// How far this installation has come.
pub(crate) async fn progress(reader: &Reader) -> sqlx::Result<Progress> {
    sqlx::query_as(
        "select (select received_at from deliveries order by id desc limit 1) as last_delivery,
                (select event from deliveries order by id desc limit 1) as last_event,
                (select outcome from deliveries order by id desc limit 1) as last_outcome,
                (select count(*) from runners
                    where last_seen_at is not null and revoked_at is null) as runners,
                exists (select 1 from runs) as any_run,
                exists (select 1 from runs where state = 'passed') as any_passed",
    )
    .fetch_one(reader)
    .await
}

/// Whether there is any run at all: without one, the first page is a welcome.
pub(crate) async fn any_run(reader: &Reader) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from runs)")
        .fetch_one(reader)
        .await
}
