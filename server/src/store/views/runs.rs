//! Runs and the repositories they belong to.

use pipelines::ids::{RepoId, RunId};

use super::StateCell;
use crate::store::Reader;

/// A repository.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RepoRow {
    pub(crate) id: i64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) default_branch: String,
}

/// The repository of that name, in whatever case it was typed.
pub(crate) async fn find_repo(
    reader: &Reader,
    owner: &str,
    name: &str,
) -> sqlx::Result<Option<RepoRow>> {
    sqlx::query_as(
        "select id, owner, name, default_branch from repos
         where owner = ?1 collate nocase and name = ?2 collate nocase",
    )
    .bind(owner)
    .bind(name)
    .fetch_optional(reader)
    .await
}

/// Repositories, those with the newest id last among equals of name.
pub(crate) async fn repos(reader: &Reader, limit: i64) -> sqlx::Result<Vec<RepoRow>> {
    sqlx::query_as(
        "select id, owner, name, default_branch from repos
         order by owner collate nocase, name collate nocase limit ?1",
    )
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// A run as lists show it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunRow {
    pub(crate) id: i64,
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) number: i64,
    pub(crate) pipeline: String,
    pub(crate) event: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) pull_request: Option<i64>,
    pub(crate) commit_sha: String,
    pub(crate) title: String,
    pub(crate) author: String,
    pub(crate) state: StateCell,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    /// The job that failed first, if one did.
    pub(crate) failed_job: Option<String>,
}

macro_rules! run_row {
    ($rest:literal) => {
        concat!(
            "select runs.id, repos.owner, repos.name as repo, runs.number, runs.pipeline, runs.event,
                    runs.branch, runs.tag, runs.pull_request, runs.commit_sha, runs.title, runs.author,
                    runs.state, runs.reason, runs.created_at, runs.started_at, runs.finished_at,
                    (select name from jobs where run_id = runs.id
                        and jobs.state in ('failed', 'timed_out', 'infrastructure_error')
                        order by finished_at, position limit 1) as failed_job
             from runs join repos on repos.id = runs.repo_id ",
            $rest
        )
    };
}

/// Which runs of a repository are wanted; what is empty does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunFilter {
    pub(crate) branch: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) author: Option<String>,
    /// Only runs with a smaller number: the cursor.
    pub(crate) before: Option<i64>,
}

/// Runs of a repository, newest first.
pub(crate) async fn of_repo(
    reader: &Reader,
    repo: RepoId,
    filter: &RunFilter,
    limit: i64,
) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(run_row!(
        "where runs.repo_id = ?1
           and (?2 is null or runs.branch = ?2 or runs.tag = ?2)
           and (?3 is null or runs.state = ?3)
           and (?4 is null or runs.event = ?4)
           and (?5 is null or runs.author = ?5 collate nocase)
           and runs.number < coalesce(?6, 9223372036854775807)
         order by runs.number desc limit ?7"
    ))
    .bind(repo.0)
    .bind(filter.branch.as_deref())
    .bind(filter.state.as_deref())
    .bind(filter.event.as_deref())
    .bind(filter.author.as_deref())
    .bind(filter.before)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// The newest runs that say how a branch is: those that were decided by the work, newest first.
pub(crate) async fn decided_on_branch(
    reader: &Reader,
    repo: RepoId,
    branch: &str,
    limit: i64,
) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(run_row!(
        "where runs.repo_id = ?1 and runs.branch = ?2 and runs.event <> 'pull_request'
           and runs.state in ('passed', 'failed', 'timed_out', 'infrastructure_error')
         order by runs.number desc limit ?3"
    ))
    .bind(repo.0)
    .bind(branch)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// Runs that have not ended, oldest first.
pub(crate) async fn open(reader: &Reader, limit: i64) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(run_row!(
        "where runs.state in ('waiting', 'queued', 'running') order by runs.id limit ?1"
    ))
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// Runs that have ended, newest first.
pub(crate) async fn recent(reader: &Reader, limit: i64) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(run_row!(
        "where runs.state not in ('waiting', 'queued', 'running') order by runs.id desc limit ?1"
    ))
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// The run of that number.
pub(crate) async fn find(
    reader: &Reader,
    repo: RepoId,
    number: i64,
) -> sqlx::Result<Option<RunRow>> {
    sqlx::query_as(run_row!("where runs.repo_id = ?1 and runs.number = ?2"))
        .bind(repo.0)
        .bind(number)
        .fetch_optional(reader)
        .await
}

/// What only a run's own page shows.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunDetail {
    pub(crate) trust: String,
    /// Whether no webhook told of its event.
    pub(crate) is_found: bool,
    pub(crate) problems: String,
    pub(crate) file: Option<String>,
    /// JSON object of texts: what a person gave along.
    pub(crate) inputs: String,
    /// JSON: the files of other repositories it was made with.
    pub(crate) templates: String,
    /// The number of the run this one repeats.
    pub(crate) rerun_of: Option<i64>,
    /// The number of the newest run that repeats this one.
    pub(crate) rerun_as: Option<i64>,
    /// When a person said that its logs and artifacts stay.
    pub(crate) kept_at: Option<i64>,
}

/// The rest of a run.
pub(crate) async fn detail(reader: &Reader, run: RunId) -> sqlx::Result<RunDetail> {
    sqlx::query_as(
        "select trust, problems, file, inputs, templates, kept_at,
                exists (select 1 from deliveries where deliveries.id = runs.delivery_id
                    and found_by = 'reconciliation') as is_found,
                (select number from runs former where former.id = runs.rerun_of) as rerun_of,
                (select max(number) from runs later
                    where later.repo_id = runs.repo_id and later.number > runs.number
                      and later.number < runs.number + 1000 and later.rerun_of = runs.id) as rerun_as
         from runs where id = ?1",
    )
    .bind(run.0)
    .fetch_one(reader)
    .await
}

/// An event of a run.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EventRow {
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) detail: String,
    pub(crate) job: Option<String>,
}

/// What happened to a run, newest first.
pub(crate) async fn events(reader: &Reader, run: RunId, limit: i64) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as(
        "select events.at, events.kind, events.detail, jobs.name as job
         from events left join jobs on jobs.id = events.job_id
         where events.run_id = ?1 order by events.id desc limit ?2",
    )
    .bind(run.0)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// How long the newest passed runs of a pipeline took, in milliseconds.
pub(crate) async fn durations(
    reader: &Reader,
    repo: RepoId,
    pipeline: &str,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "select finished_at - started_at from runs
         where repo_id = ?1 and pipeline = ?2 and state = 'passed'
           and started_at is not null and finished_at is not null
         order by number desc limit ?3",
    )
    .bind(repo.0)
    .bind(pipeline)
    .bind(limit)
    .fetch_all(reader)
    .await
}
