//! What the API tells programs: runs, jobs, deploys, environments and runners, one row type each.

use pipelines::ids::{RepoId, RunId};
use pipelines::job::State;
use sqlx::FromRow;

use super::Reader;

/// A run.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RunRow {
    pub(crate) id: i64,
    pub(crate) number: i64,
    pub(crate) pipeline: String,
    pub(crate) state: String,
    pub(crate) event: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) pull_request: Option<i64>,
    pub(crate) commit_sha: String,
    pub(crate) title: String,
    pub(crate) author: String,
    pub(crate) reason: Option<String>,
    pub(crate) inputs: String,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
}

/// Which runs of a repository are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RunFilter<'a> {
    pub(crate) branch: Option<&'a str>,
    pub(crate) state: Option<State>,
    /// Only this one.
    pub(crate) number: Option<i64>,
    /// Only those below this number.
    pub(crate) below: Option<i64>,
}

/// Runs of a repository, the newest first.
pub(crate) async fn runs(
    reader: &Reader,
    repo: RepoId,
    filter: RunFilter<'_>,
    limit: u32,
) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(
        "select id, number, pipeline, state, event, branch, tag, pull_request, commit_sha, title,
                author, reason, inputs, created_at, started_at, finished_at
         from runs
         where repo_id = ?1 and (?2 is null or branch = ?2) and (?3 is null or state = ?3)
           and (?4 is null or number = ?4) and (?5 is null or number < ?5)
         order by number desc limit ?6",
    )
    .bind(repo.0)
    .bind(filter.branch)
    .bind(filter.state.map(State::as_str))
    .bind(filter.number)
    .bind(filter.below)
    .bind(i64::from(limit))
    .fetch_all(reader)
    .await
}

/// A job of a run.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct JobRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) group_name: String,
    pub(crate) matrix: String,
    pub(crate) state: String,
    pub(crate) attempt: i64,
    pub(crate) needs: String,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) outputs: String,
}

/// The jobs of a run, in the plan's order. A plan bounds their number.
pub(crate) async fn jobs(reader: &Reader, run: RunId) -> sqlx::Result<Vec<JobRow>> {
    sqlx::query_as(
        "select id, name, kind, group_name, matrix, state, attempt, needs, reason, started_at,
                finished_at, outputs
         from jobs where run_id = ? order by position",
    )
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// A step of the last attempt of a job.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StepRow {
    pub(crate) job_id: i64,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) exit_code: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: i64,
    pub(crate) finished_at: Option<i64>,
}

/// The steps of the last attempt of every job of a run. A plan bounds their number.
pub(crate) async fn steps(reader: &Reader, run: RunId) -> sqlx::Result<Vec<StepRow>> {
    sqlx::query_as(
        "select steps.job_id, steps.name, steps.state, steps.exit_code, steps.reason,
                steps.started_at, steps.finished_at
         from jobs join steps on steps.job_id = jobs.id and steps.attempt = jobs.attempt
         where jobs.run_id = ? order by jobs.position, steps.position",
    )
    .bind(run.0)
    .fetch_all(reader)
    .await
}

/// A deploy and its release.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct DeployRow {
    pub(crate) number: i64,
    pub(crate) environment: String,
    pub(crate) state: String,
    pub(crate) release: i64,
    pub(crate) images: String,
    pub(crate) commit_sha: String,
    pub(crate) verdict: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) progress: Option<String>,
    pub(crate) requests_probed: Option<i64>,
    pub(crate) requests_failed: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
}

/// The deploy with this number.
pub(crate) async fn find_deploy(
    reader: &Reader,
    repo: RepoId,
    number: i64,
) -> sqlx::Result<Option<DeployRow>> {
    sqlx::query_as(
        "select deploys.number, deploys.environment, deploys.state, releases.number as release,
                releases.images, releases.commit_sha, deploys.verdict, deploys.reason,
                deploys.progress, deploys.requests_probed, deploys.requests_failed,
                deploys.started_at, deploys.finished_at
         from deploys join releases on releases.id = deploys.release_id
         where deploys.repo_id = ? and deploys.number = ?",
    )
    .bind(repo.0)
    .bind(number)
    .fetch_optional(reader)
    .await
}

/// An environment, what was last verified there, and how its newest deploy stands.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct EnvironmentRow {
    pub(crate) name: String,
    pub(crate) live_release: Option<i64>,
    pub(crate) live_commit: Option<String>,
    pub(crate) newest_state: Option<String>,
    pub(crate) locked: bool,
}

/// The environments of a repository, in promotion order.
pub(crate) async fn environments(
    reader: &Reader,
    repo: RepoId,
) -> sqlx::Result<Vec<EnvironmentRow>> {
    sqlx::query_as(
        "select environments.name, releases.number as live_release,
                releases.commit_sha as live_commit,
                (select newest.state from deploys as newest
                 where newest.repo_id = environments.repo_id
                   and newest.environment = environments.name
                 order by newest.id desc limit 1) as newest_state,
                environments.locked_by is not null as locked
         from environments
         left join deploys on deploys.id = environments.live_deploy_id
         left join releases on releases.id = deploys.release_id
         where environments.repo_id = ? order by environments.position limit 1000",
    )
    .bind(repo.0)
    .fetch_all(reader)
    .await
}

/// A runner as it last introduced itself.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RunnerRow {
    pub(crate) name: String,
    pub(crate) labels: String,
    pub(crate) environments: String,
    pub(crate) slots: i64,
    pub(crate) version: String,
    pub(crate) engine: String,
    pub(crate) last_seen_at: Option<i64>,
}

/// The runners whose token holds, by name.
pub(crate) async fn runners(reader: &Reader) -> sqlx::Result<Vec<RunnerRow>> {
    sqlx::query_as(
        "select name, labels, environments, slots, version, engine, last_seen_at
         from runners where revoked_at is null order by name limit 10000",
    )
    .fetch_all(reader)
    .await
}
