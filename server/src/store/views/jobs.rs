//! Jobs of a run, their attempts and steps; and the queue.

use pipelines::ids::{Attempt, JobId, RepoId, RunId};

use super::StateCell;
use crate::store::Reader;

/// A job as a run's page shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: String,
    /// The job of the file it was made from, and its cell of the matrix as JSON.
    pub(crate) group_name: String,
    pub(crate) matrix: String,
    pub(crate) needs: String,
    pub(crate) environment: Option<String>,
    pub(crate) state: StateCell,
    pub(crate) reason: Option<String>,
    pub(crate) attempt: i64,
    pub(crate) stop: Option<String>,
    pub(crate) outputs: String,
    pub(crate) queued_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) runner: Option<String>,
    /// The number of the deploy it makes, once there is one.
    pub(crate) deploy: Option<i64>,
}

macro_rules! job_row {
    ($rest:literal) => {
        concat!(
            "select jobs.id, jobs.name, jobs.kind, jobs.group_name, jobs.matrix, jobs.needs,
                    jobs.environment, jobs.state, jobs.reason, jobs.attempt, jobs.stop, jobs.outputs,
                    jobs.queued_at, jobs.started_at, jobs.finished_at, runners.name as runner,
                    (select number from deploys where job_id = jobs.id) as deploy
             from jobs left join runners on runners.id = jobs.runner_id ",
            $rest
        )
    };
}

/// The jobs of a run, in the plan's order.
pub(crate) async fn of_run(reader: &Reader, run: RunId) -> sqlx::Result<Vec<JobRow>> {
    // The limit is that of a plan.
    sqlx::query_as(job_row!(
        "where jobs.run_id = ?1 order by jobs.position limit 500"
    ))
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// The job of that name.
pub(crate) async fn find(reader: &Reader, run: RunId, name: &str) -> sqlx::Result<Option<JobRow>> {
    sqlx::query_as(job_row!("where jobs.run_id = ?1 and jobs.name = ?2"))
        .bind(run.0)
        .bind(name)
        .fetch_optional(reader)
        .await
}

/// One try of a job.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) attempt: i64,
    pub(crate) state: StateCell,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: i64,
    pub(crate) finished_at: Option<i64>,
    pub(crate) runner: String,
    pub(crate) log_bytes: Option<i64>,
    /// When retention deleted its log.
    pub(crate) log_deleted_at: Option<i64>,
}

/// The attempts of a job, first one first.
pub(crate) async fn attempts(reader: &Reader, job: JobId) -> sqlx::Result<Vec<AttemptRow>> {
    sqlx::query_as(
        "select attempts.attempt, attempts.state, attempts.reason, attempts.started_at,
                attempts.finished_at, runners.name as runner, attempts.log_bytes,
                attempts.log_deleted_at
         from attempts join runners on runners.id = attempts.runner_id
         where attempts.job_id = ?1 order by attempts.attempt limit 100",
    )
    .bind(job.0)
    .fetch_all(reader)
    .await
}

/// A step of an attempt.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct StepRow {
    pub(crate) position: i64,
    pub(crate) name: String,
    pub(crate) state: StateCell,
    pub(crate) exit_code: Option<i64>,
    pub(crate) started_at: i64,
    pub(crate) finished_at: Option<i64>,
}

/// The steps of an attempt that have begun.
pub(crate) async fn steps(
    reader: &Reader,
    job: JobId,
    attempt: Attempt,
) -> sqlx::Result<Vec<StepRow>> {
    sqlx::query_as(
        "select position, name, state, exit_code, started_at, finished_at from steps
         where job_id = ?1 and attempt = ?2 order by position limit 200",
    )
    .bind(job.0)
    .bind(i64::from(attempt.0))
    .fetch_all(reader)
    .await
}

/// A job as it was planned.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PlannedRow {
    pub(crate) name: String,
    pub(crate) group_name: String,
    pub(crate) matrix: String,
    pub(crate) needs: String,
    pub(crate) condition: String,
    /// Why it never ran, if it never did.
    pub(crate) skip: Option<String>,
    pub(crate) timeout_seconds: i64,
    /// Attempts there may be behind the first.
    pub(crate) retries: i64,
    pub(crate) retry_on: String,
    pub(crate) work: String,
}

/// The jobs of a run as they were planned, in order.
pub(crate) async fn planned(reader: &Reader, run: RunId) -> sqlx::Result<Vec<PlannedRow>> {
    sqlx::query_as(
        "select name, group_name, matrix, needs, condition, timeout_seconds, retry_on, work,
                case when state = 'skipped' then reason end as skip,
                retries_left + max(attempt - 1, 0) as retries
         from jobs where run_id = ?1 order by position limit 500",
    )
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// When the own work of each job of a run began, behind the checkout: job and moment.
pub(crate) async fn work_begun(reader: &Reader, run: RunId) -> sqlx::Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "select jobs.id, min(steps.started_at) from jobs
            join steps on steps.job_id = jobs.id and steps.attempt = jobs.attempt
                and steps.position > 0
         where jobs.run_id = ?1 group by jobs.id limit 500",
    )
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// How long jobs took in the newest passed runs of a pipeline: name and milliseconds.
pub(crate) async fn durations(
    reader: &Reader,
    repo: RepoId,
    pipeline: &str,
    runs: i64,
) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as(
        "select name, finished_at - started_at from jobs
         where run_id in (select id from runs where repo_id = ?1 and pipeline = ?2
                          and state = 'passed' order by number desc limit ?3)
           and state = 'passed' and started_at is not null and finished_at is not null
         limit 10000",
    )
    .bind(repo.0)
    .bind(pipeline)
    .bind(runs)
    .fetch_all(reader)
    .await
}

/// A job that waits for a runner.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct QueueRow {
    pub(crate) id: i64,
    pub(crate) run_id: i64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) environment: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) queued_at: Option<i64>,
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) trust: String,
}

/// The queue, in order.
pub(crate) async fn queued(reader: &Reader, limit: i64) -> sqlx::Result<Vec<QueueRow>> {
    sqlx::query_as(
        "select jobs.id, jobs.run_id, jobs.name, jobs.kind, jobs.environment, jobs.reason,
                jobs.queued_at, repos.owner, repos.name as repo, runs.number, runs.title, runs.trust
         from jobs join runs on runs.id = jobs.run_id join repos on repos.id = runs.repo_id
         where jobs.state = 'queued' order by jobs.queued_at, jobs.id limit ?1",
    )
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// How many jobs wait for a runner.
pub(crate) async fn queue_length(reader: &Reader) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from jobs where state = 'queued'")
        .fetch_one(reader)
        .await
}

/// A job that runs.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunningRow {
    pub(crate) runner_id: i64,
    pub(crate) name: String,
    pub(crate) started_at: Option<i64>,
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) number: i64,
}

/// The jobs that run, oldest first.
pub(crate) async fn running(reader: &Reader, limit: i64) -> sqlx::Result<Vec<RunningRow>> {
    sqlx::query_as(
        "select jobs.runner_id, jobs.name, jobs.started_at, repos.owner,
                repos.name as repo, runs.number
         from jobs join runs on runs.id = jobs.run_id join repos on repos.id = runs.repo_id
         where jobs.state = 'running' and jobs.runner_id is not null
         order by jobs.id limit ?1",
    )
    .bind(limit)
    .fetch_all(reader)
    .await
}
