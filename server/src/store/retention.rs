//! Which logs are to be packed, and which logs and artifacts are old enough to go. Which runs are
//! spared says the view `disposable_runs`.

use pipelines::ids::{Attempt, JobId, RunId};
use pipelines::timestamp::Timestamp;

use super::{Reader, Tx, cell};
use crate::objects::Size;

/// Attempts, as the database names them.
fn attempts(rows: Vec<(i64, i64)>) -> sqlx::Result<Vec<(JobId, Attempt)>> {
    rows.into_iter()
        .map(|(job, attempt)| Ok((JobId(job), Attempt(cell::count(attempt)?))))
        .collect()
}

/// Attempts that ended before a moment and whose logs are not packed, oldest first.
pub(crate) async fn unpacked(
    db: &Reader,
    before: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<(JobId, Attempt)>> {
    let rows = sqlx::query_as(
        "select job_id, attempt from attempts
         where finished_at <= ? and log_stored_bytes is null order by finished_at limit ?",
    )
    .bind(before.0)
    .bind(limit)
    .fetch_all(db)
    .await?;
    attempts(rows)
}

/// Stores that the log of an attempt is packed.
pub(crate) async fn packed(
    tx: &mut Tx,
    (job, attempt): (JobId, Attempt),
    size: Size,
) -> sqlx::Result<()> {
    sqlx::query(
        "update attempts set log_bytes = ?, log_stored_bytes = ? where job_id = ? and attempt = ?",
    )
    .bind(i64::try_from(size.bytes).map_err(sqlx::Error::decode)?)
    .bind(i64::try_from(size.stored).map_err(sqlx::Error::decode)?)
    .bind(job.0)
    .bind(i64::from(attempt.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Says of logs whose attempts ended before a moment that they are deleted; returns how many.
pub(crate) async fn delete_logs(
    tx: &mut Tx,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "update attempts set log_deleted_at = ?2 where (job_id, attempt) in (
             select attempts.job_id, attempts.attempt
             from attempts join jobs on jobs.id = attempts.job_id
             where attempts.finished_at < ?1 and attempts.log_stored_bytes > 0
               and attempts.log_deleted_at is null
               and exists (select 1 from disposable_runs where id = jobs.run_id)
             order by attempts.finished_at limit ?3)",
    )
    .bind(before.0)
    .bind(now.0)
    .bind(limit)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Attempts whose logs are deleted, but whose bytes may still be there.
pub(crate) async fn deleting(db: &Reader, limit: u32) -> sqlx::Result<Vec<(JobId, Attempt)>> {
    let rows = sqlx::query_as(
        "select job_id, attempt from attempts
         where log_stored_bytes > 0 and log_deleted_at is not null
         order by log_deleted_at limit ?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    attempts(rows)
}

/// Stores that the bytes of a deleted log are gone.
pub(crate) async fn gone(tx: &mut Tx, (job, attempt): (JobId, Attempt)) -> sqlx::Result<()> {
    sqlx::query("update attempts set log_stored_bytes = 0 where job_id = ? and attempt = ?")
        .bind(job.0)
        .bind(i64::from(attempt.0))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Says of artifacts from before a moment that they are deleted; returns where their bytes are.
pub(crate) async fn delete_artifacts(
    tx: &mut Tx,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "update artifacts set deleted_at = ?2 where id in (
             select artifacts.id from artifacts join jobs on jobs.id = artifacts.job_id
             where artifacts.created_at < ?1 and artifacts.deleted_at is null
               and exists (select 1 from disposable_runs where id = jobs.run_id)
             order by artifacts.created_at limit ?3)
         returning object",
    )
    .bind(before.0)
    .bind(now.0)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
}

/// Says that everything of a run stays, or that it goes when it is old enough; false if that was so
/// already.
pub(crate) async fn keep(tx: &mut Tx, run: RunId, at: Option<Timestamp>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update runs set kept_at = ?2 where id = ?1 and (kept_at is null) <> (?2 is null)",
    )
    .bind(run.0)
    .bind(at.map(|at| at.0))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How much is stored.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(crate) struct Stored {
    /// Packed logs: how many, their bytes, and those on the disk.
    pub(crate) logs: i64,
    pub(crate) log_bytes: i64,
    pub(crate) log_stored_bytes: i64,
    /// Logs that have ended and are not packed yet.
    pub(crate) unpacked: i64,
    pub(crate) artifacts: i64,
    pub(crate) artifact_bytes: i64,
    pub(crate) caches: i64,
    pub(crate) cache_bytes: i64,
    /// Runs that a person keeps.
    pub(crate) kept_runs: i64,
}

/// How much is stored of everything.
pub(crate) async fn stored(db: &Reader) -> sqlx::Result<Stored> {
    sqlx::query_as(
        "select * from
            (select count(*) as logs, coalesce(sum(log_bytes), 0) as log_bytes,
                    coalesce(sum(log_stored_bytes), 0) as log_stored_bytes
             from attempts where log_stored_bytes > 0 and log_deleted_at is null),
            (select count(*) as unpacked from attempts
             where log_stored_bytes is null and finished_at is not null),
            (select count(*) as artifacts, coalesce(sum(bytes), 0) as artifact_bytes
             from artifacts where deleted_at is null),
            (select count(*) as caches, coalesce(sum(bytes), 0) as cache_bytes from caches),
            (select count(*) as kept_runs from runs where kept_at is not null)",
    )
    .fetch_one(db)
    .await
}
