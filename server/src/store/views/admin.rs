//! Runners and the audit log.

use crate::store::Reader;

/// A runner.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunnerRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) labels: String,
    pub(crate) environments: String,
    pub(crate) slots: i64,
    pub(crate) version: String,
    pub(crate) engine: String,
    pub(crate) created_at: i64,
    pub(crate) last_seen_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

/// Runners by name, those that may not work any more last.
pub(crate) async fn runners(reader: &Reader, limit: i64) -> sqlx::Result<Vec<RunnerRow>> {
    sqlx::query_as(
        "select id, name, labels, environments, slots, version, engine, created_at, last_seen_at,
                revoked_at
         from runners order by revoked_at is not null, name limit ?1",
    )
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// An entry of the audit log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) detail: String,
}

/// The audit log, newest first, from the cursor on.
pub(crate) async fn audit(
    reader: &Reader,
    actor: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as(
        "select id, at, actor, action, subject, detail from audit
         where (?1 is null or actor = ?1) and id < coalesce(?2, 9223372036854775807)
         order by id desc limit ?3",
    )
    .bind(actor)
    .bind(before)
    .bind(limit)
    .fetch_all(reader)
    .await
}
