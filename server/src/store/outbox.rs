//! What GitHub must still be told, and the checks it shows.

use pipelines::ids::RunId;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx};

/// Notes that GitHub should hear the state of a run. Call it in the transaction that changed the
/// run, and wake `app.wake.outbox` once that has committed.
///
/// What is sent is read from the run's row at the time of sending, so two notes are one message.
pub(crate) async fn enqueue_check(tx: &mut Tx, run: RunId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (subject, payload, created_at, next_at) values (?1, '{}', ?2, ?2)",
    )
    .bind(format!("check:{run}"))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// All that is open about one subject, as one message.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Due {
    pub(crate) subject: String,
    last_id: i64,
    created_at: i64,
    /// How often it has been tried.
    pub(crate) attempts: i64,
}

impl Due {
    /// The run it is about.
    pub(crate) fn run(&self) -> Option<RunId> {
        let id = self.subject.strip_prefix("check:")?;
        id.parse().ok().map(RunId)
    }

    /// Since when the oldest part of it has been waiting.
    pub(crate) fn created_at(&self) -> Timestamp {
        Timestamp(self.created_at)
    }
}

/// The subjects that have waited longest, one of each installation, of those whose pause is over. A
/// new note does not end the pause that an earlier one is in.
pub(crate) async fn next_due(db: &Reader, now: Timestamp, limit: u32) -> sqlx::Result<Vec<Due>> {
    // SQLite gives the columns of that row which has the least.
    sqlx::query_as(
        "select subject, last_id, open.created_at, attempts, min(first_id) from \
         (select subject, min(id) as first_id, max(id) as last_id, \
         min(created_at) as created_at, max(attempts) as attempts from outbox \
         where done_at is null group by subject having max(next_at) <= ?) as open \
         left join runs on runs.id = cast(substr(subject, 7) as integer) \
         left join repos on repos.id = runs.repo_id \
         group by installation_id order by min(first_id) limit ?",
    )
    .bind(now.0)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Notes that it is being tried.
pub(crate) async fn note_attempt(tx: &mut Tx, due: &Due) -> sqlx::Result<()> {
    sqlx::query(
        "update outbox set attempts = attempts + 1 \
         where subject = ? and id <= ? and done_at is null",
    )
    .bind(&due.subject)
    .bind(due.last_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It has been said, or never will be; what was noted meanwhile stays open.
pub(crate) async fn finish(
    tx: &mut Tx,
    due: &Due,
    error: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "update outbox set done_at = ?, error = ? \
         where subject = ? and id <= ? and done_at is null",
    )
    .bind(now.0)
    .bind(error)
    .bind(&due.subject)
    .bind(due.last_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It could not be said now.
pub(crate) async fn postpone(
    tx: &mut Tx,
    due: &Due,
    (error, next): (&str, Timestamp),
) -> sqlx::Result<()> {
    sqlx::query(
        "update outbox set error = ?, next_at = ? \
         where subject = ? and id <= ? and done_at is null",
    )
    .bind(error)
    .bind(next.0)
    .bind(&due.subject)
    .bind(due.last_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets what was said before that moment.
pub(crate) async fn forget(tx: &mut Tx, before: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "delete from outbox where id in \
         (select id from outbox where done_at < ? order by id limit 100)",
    )
    .bind(before.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// GitHub's id of a run's check.
pub(crate) async fn find_check(db: &Reader, run: RunId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("select github_id from checks where run_id = ?")
        .bind(run.0)
        .fetch_optional(db)
        .await
}

/// Remembers a run's check and what it shows.
pub(crate) async fn store_check(
    tx: &mut Tx,
    run: RunId,
    (github_id, state): (i64, &str),
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into checks (run_id, github_id, sent_state) values (?1, ?2, ?3) \
         on conflict (run_id) do update set github_id = ?2, sent_state = ?3",
    )
    .bind(run.0)
    .bind(github_id)
    .bind(state)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How much GitHub must still be told.
pub(crate) async fn count_open(db: &Reader) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from outbox where done_at is null")
        .fetch_one(db)
        .await
}
