//! Attempts of jobs, one row for each claim, and the steps of each attempt.

use pipelines::ids::{Attempt, Fence, JobId, RunnerId};
use pipelines::job::{Lease, Outcome, State};
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;
use ulid::Ulid;

use super::Tx;
use super::cell;

/// Stores that a claim was answered with this lease.
pub(crate) async fn insert(
    tx: &mut Tx,
    job: JobId,
    lease: Lease,
    claim_key: Ulid,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into attempts (job_id, attempt, runner_id, fence, claim_key, state, started_at)
         values (?, ?, ?, ?, ?, 'running', ?)",
    )
    .bind(job.0)
    .bind(i64::from(lease.attempt.0))
    .bind(lease.runner.0)
    .bind(lease.fence.0)
    .bind(claim_key.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(Debug, FromRow)]
struct ClaimedRow {
    job_id: i64,
    attempt: i64,
    runner_id: i64,
    fence: i64,
}

/// The lease that a claim of this key was answered with.
pub(crate) async fn find_claimed<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    claim_key: Ulid,
) -> sqlx::Result<Option<(JobId, Lease)>> {
    let row: Option<ClaimedRow> = sqlx::query_as(
        "select job_id, attempt, runner_id, fence from attempts where claim_key = ?",
    )
    .bind(claim_key.to_string())
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        let lease = Lease {
            runner: RunnerId(row.runner_id),
            attempt: Attempt(cell::count(row.attempt)?),
            fence: Fence(row.fence),
        };
        Ok((JobId(row.job_id), lease))
    })
    .transpose()
}

/// Frees the key of a claim whose job was ended before the runner heard of it.
pub(crate) async fn release_key(tx: &mut Tx, job: JobId, attempt: Attempt) -> sqlx::Result<()> {
    sqlx::query(
        "update attempts set claim_key = claim_key || '/' || fence where job_id = ? and attempt = ?",
    )
    .bind(job.0)
    .bind(i64::from(attempt.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) state: State,
    pub(crate) reason: Option<&'a str>,
    pub(crate) at: Timestamp,
}

/// Stores the end of an attempt.
pub(crate) async fn finish(
    tx: &mut Tx,
    job: JobId,
    attempt: Attempt,
    ended: Ended<'_>,
) -> sqlx::Result<()> {
    sqlx::query(
        "update attempts set state = ?, reason = ?, finished_at = ?
         where job_id = ? and attempt = ?",
    )
    .bind(ended.state.as_str())
    .bind(ended.reason)
    .bind(ended.at.0)
    .bind(job.0)
    .bind(i64::from(attempt.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends the steps that were still running when their attempt ended.
pub(crate) async fn finish_steps(
    tx: &mut Tx,
    job: JobId,
    attempt: Attempt,
    ended: Ended<'_>,
) -> sqlx::Result<()> {
    sqlx::query(
        "update steps set state = ?, finished_at = ?
         where job_id = ? and attempt = ? and state = 'running'",
    )
    .bind(ended.state.as_str())
    .bind(ended.at.0)
    .bind(job.0)
    .bind(i64::from(attempt.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One step of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepKey {
    pub(crate) job: JobId,
    pub(crate) attempt: Attempt,
    pub(crate) position: u32,
}

/// Stores that a step began. A repeat, or one that comes after its end, changes nothing.
pub(crate) async fn start_step(
    tx: &mut Tx,
    key: StepKey,
    name: &str,
    at: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into steps (job_id, attempt, position, name, state, started_at)
         values (?, ?, ?, ?, 'running', ?)
         on conflict (job_id, attempt, position) do nothing",
    )
    .bind(key.job.0)
    .bind(i64::from(key.attempt.0))
    .bind(i64::from(key.position))
    .bind(name)
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores that a step does not run, and why. A repeat, or one that comes after its start, changes
/// nothing.
pub(crate) async fn skip_step(
    tx: &mut Tx,
    key: StepKey,
    (name, reason): (&str, &str),
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into steps
             (job_id, attempt, position, name, state, reason, started_at, finished_at)
         values (?1, ?2, ?3, ?4, 'skipped', ?5, ?6, ?6)
         on conflict (job_id, attempt, position) do nothing",
    )
    .bind(key.job.0)
    .bind(i64::from(key.attempt.0))
    .bind(i64::from(key.position))
    .bind(name)
    .bind(reason)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores how a step ended. A repeat changes nothing.
pub(crate) async fn finish_step(
    tx: &mut Tx,
    key: StepKey,
    (outcome, exit_code): (Outcome, Option<i64>),
    at: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "update steps set state = ?, exit_code = ?, finished_at = ?
         where job_id = ? and attempt = ? and position = ? and state = 'running'",
    )
    .bind(outcome.state().as_str())
    .bind(exit_code)
    .bind(at.0)
    .bind(key.job.0)
    .bind(i64::from(key.attempt.0))
    .bind(i64::from(key.position))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
