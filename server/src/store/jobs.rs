//! Jobs, their attempts' outputs and their steps. Only `progress` moves a job.

use std::collections::BTreeMap;

use pipelines::ids::{Attempt, Fence, JobId, RepoId, RunId, RunnerId};
use pipelines::job::{Job, Lease, Outcome, State, Status, Stop};
use pipelines::names::JobName;
use pipelines::plan::Work;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::cell;
use super::{Reader, Tx};

/// A job as the write path sees it, and its row.
#[derive(Debug, Clone)]
pub(crate) struct StoredJob {
    pub(crate) id: JobId,
    pub(crate) job: Job,
}

#[derive(Debug, FromRow)]
struct JobRow {
    id: i64,
    name: String,
    kind: String,
    needs: String,
    condition: String,
    state: String,
    reason: Option<String>,
    attempt: i64,
    retries_left: i64,
    retry_on: String,
    runner_id: Option<i64>,
    fence: Option<i64>,
    stop: Option<String>,
    stop_outcome: Option<String>,
}

impl JobRow {
    fn into_stored(self) -> sqlx::Result<StoredJob> {
        let attempt = cell::count(self.attempt)?;
        let state: State = cell::word(&self.state)?;
        let status = match state {
            State::Waiting => Status::Waiting,
            State::Queued => Status::Queued,
            State::Running => Status::Running {
                lease: Lease {
                    runner: RunnerId(self.runner_id.ok_or(sqlx::Error::RowNotFound)?),
                    attempt: Attempt(attempt),
                    fence: Fence(self.fence.ok_or(sqlx::Error::RowNotFound)?),
                },
                stop: stop_of(self.stop, self.stop_outcome.as_deref())?,
            },
            State::Passed
            | State::Failed
            | State::Cancelled
            | State::Skipped
            | State::TimedOut
            | State::InfrastructureError
            | State::Superseded => Status::Finished {
                outcome: cell::word::<Outcome>(&self.state)?,
            },
        };
        Ok(StoredJob {
            id: JobId(self.id),
            job: Job {
                name: cell::parse(&self.name)?,
                kind: cell::word(&self.kind)?,
                needs: cell::json(&self.needs)?,
                condition: cell::word(&self.condition)?,
                status,
                attempt,
                retries_left: cell::count(self.retries_left)?,
                retry_on: cell::json(&self.retry_on)?,
                reason: self.reason,
            },
        })
    }
}

/// That a job has been asked to stop. A row of old knows no end but the first.
fn stop_of(reason: Option<String>, outcome: Option<&str>) -> sqlx::Result<Option<Stop>> {
    let Some(reason) = reason else {
        return Ok(None);
    };
    let outcome = match outcome {
        Some(word) => cell::word(word)?,
        None => Outcome::Cancelled,
    };
    Ok(Some(Stop { outcome, reason }))
}

/// All jobs of a run, in the plan's order.
pub(crate) async fn of_run(tx: &mut Tx, run: RunId) -> sqlx::Result<Vec<StoredJob>> {
    let rows: Vec<JobRow> = sqlx::query_as(
        "select id, name, kind, needs, condition, state, reason, attempt, retries_left, retry_on,
                runner_id, fence, stop, stop_outcome
         from jobs where run_id = ? order by position",
    )
    .bind(run.0)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(JobRow::into_stored).collect()
}

/// Stores where a job now is. A job that is queued again keeps its place in the queue.
pub(crate) async fn update(tx: &mut Tx, id: JobId, job: &Job, now: Timestamp) -> sqlx::Result<()> {
    let (lease, stop) = match &job.status {
        Status::Running { lease, stop } => (Some(lease), stop.as_ref()),
        Status::Waiting | Status::Queued | Status::Finished { .. } => (None, None),
    };
    let state = job.status.state();
    sqlx::query(
        "update jobs set
             queued_at = case when ?1 = 'queued' then coalesce(queued_at, ?2) else queued_at end,
             started_at = case
                 when ?1 = 'queued' then null
                 when ?1 = 'running' and state <> 'running' then ?2
                 else started_at end,
             finished_at = case when ?3 then coalesce(finished_at, ?2) end,
             state = ?1, reason = ?4, attempt = ?5, retries_left = ?6, runner_id = ?7,
             fence = ?8, stop = ?9, stop_outcome = ?10
         where id = ?11",
    )
    .bind(state.as_str())
    .bind(now.0)
    .bind(state.is_final())
    .bind(job.reason.as_deref())
    .bind(i64::from(job.attempt))
    .bind(i64::from(job.retries_left))
    .bind(lease.map(|lease| lease.runner.0))
    .bind(lease.map(|lease| lease.fence.0))
    .bind(stop.map(|stop| stop.reason.as_str()))
    .bind(stop.map(|stop| stop.outcome.state().as_str()))
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps what a job made, for later jobs.
pub(crate) async fn set_outputs(
    tx: &mut Tx,
    id: JobId,
    outputs: &BTreeMap<String, String>,
) -> sqlx::Result<()> {
    sqlx::query("update jobs set outputs = ? where id = ?")
        .bind(cell::to_json(outputs)?)
        .bind(id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Who may speak for a job, and whether it should stop.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) run: RunId,
    pub(crate) repo: RepoId,
    pub(crate) name: JobName,
    /// The present lease; none unless the job is running.
    pub(crate) lease: Option<Lease>,
    pub(crate) stop: Option<String>,
}

#[derive(Debug, FromRow)]
struct HoldingRow {
    run_id: i64,
    repo_id: i64,
    name: String,
    attempt: i64,
    runner_id: Option<i64>,
    fence: Option<i64>,
    stop: Option<String>,
}

/// Who holds this job.
pub(crate) async fn find_holding<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    job: JobId,
) -> sqlx::Result<Option<Holding>> {
    let row: Option<HoldingRow> = sqlx::query_as(
        "select jobs.run_id, runs.repo_id, jobs.name, jobs.attempt, jobs.runner_id, jobs.fence,
                jobs.stop
         from jobs join runs on runs.id = jobs.run_id where jobs.id = ?",
    )
    .bind(job.0)
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let attempt = Attempt(cell::count(row.attempt)?);
    let lease = row.runner_id.zip(row.fence).map(|(runner, fence)| Lease {
        runner: RunnerId(runner),
        attempt,
        fence: Fence(fence),
    });
    Ok(Some(Holding {
        run: RunId(row.run_id),
        repo: RepoId(row.repo_id),
        name: cell::parse(&row.name)?,
        lease,
        stop: row.stop,
    }))
}

/// A job that runs, and under which lease.
#[derive(Debug, Clone)]
pub(crate) struct Leased {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
    pub(crate) name: JobName,
    pub(crate) lease: Lease,
    /// The runner's name.
    pub(crate) runner: String,
}

#[derive(Debug, FromRow)]
struct LeasedRow {
    id: i64,
    run_id: i64,
    name: String,
    attempt: i64,
    runner_id: i64,
    fence: i64,
    runner: String,
}

/// Every running job, or those of one runner. Bounded by the slots of all runners.
pub(crate) async fn running(
    reader: &Reader,
    runner: Option<RunnerId>,
) -> sqlx::Result<Vec<Leased>> {
    let rows: Vec<LeasedRow> = sqlx::query_as(
        "select jobs.id, jobs.run_id, jobs.name, jobs.attempt, jobs.runner_id, jobs.fence,
                runners.name as runner
         from jobs join runners on runners.id = jobs.runner_id
         where jobs.state = 'running' and (?1 is null or jobs.runner_id = ?1)
         order by jobs.id",
    )
    .bind(runner.map(|runner| runner.0))
    .fetch_all(reader)
    .await?;
    let leased = |row: LeasedRow| {
        Ok(Leased {
            job: JobId(row.id),
            run: RunId(row.run_id),
            name: cell::parse(&row.name)?,
            lease: Lease {
                runner: RunnerId(row.runner_id),
                attempt: Attempt(cell::count(row.attempt)?),
                fence: Fence(row.fence),
            },
            runner: row.runner,
        })
    };
    rows.into_iter().map(leased).collect()
}

/// What a job of a run does and, once it has passed, what it made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) id: JobId,
    pub(crate) work: Work,
    pub(crate) timeout_seconds: u32,
    pub(crate) retries_left: u32,
    pub(crate) outputs: BTreeMap<String, String>,
}

#[derive(Debug, FromRow)]
struct MadeRow {
    id: i64,
    work: String,
    timeout_seconds: i64,
    retries_left: i64,
    outputs: String,
}

/// The work and the outputs of one job of a run.
pub(crate) async fn find_made(
    tx: &mut Tx,
    run: RunId,
    name: &JobName,
) -> sqlx::Result<Option<Made>> {
    let row: Option<MadeRow> = sqlx::query_as(
        "select id, work, timeout_seconds, retries_left, outputs
         from jobs where run_id = ? and name = ?",
    )
    .bind(run.0)
    .bind(name.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Made {
            id: JobId(row.id),
            work: cell::json(&row.work)?,
            timeout_seconds: cell::count(row.timeout_seconds)?,
            retries_left: cell::count(row.retries_left)?,
            outputs: cell::json(&row.outputs)?,
        })
    })
    .transpose()
}
