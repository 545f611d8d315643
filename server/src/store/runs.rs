//! Runs: making them, and what the rest of the server asks about them. Only `progress` moves one.

use pipelines::event::{EventKind, GitEvent, PullRequest, Trust};
use pipelines::ids::{DeliveryId, RepoId, RunId, RunNumber};
use pipelines::job::{Job, State};
use pipelines::names::PipelineName;
use pipelines::plan::{Concurrency, PlannedJob};
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx, cell};

/// A run to store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRun<'a> {
    pub(crate) repo: RepoId,
    pub(crate) pipeline: &'a PipelineName,
    /// The delivery that started it; none for one that a person started.
    pub(crate) delivery: Option<DeliveryId>,
    pub(crate) event: &'a GitEvent,
    pub(crate) state: State,
    /// The first cause, for a run that has failed before it began.
    pub(crate) reason: Option<&'a str>,
    /// JSON: what is wrong in the file.
    pub(crate) problems: &'a str,
    /// The pipeline file as it was read.
    pub(crate) file: &'a str,
    pub(crate) rerun_of: Option<RunId>,
    pub(crate) concurrency: Option<&'a Concurrency>,
    /// JSON: the files of other repositories it was made with.
    pub(crate) templates: &'a str,
    /// The moment of the schedule that started it.
    pub(crate) schedule_at: Option<Timestamp>,
    /// When its event happened, by GitHub's clock.
    pub(crate) event_at: Option<Timestamp>,
}

/// Stores a run under the next number of its repository. None if this delivery has made a run of
/// this pipeline before.
pub(crate) async fn insert(
    tx: &mut Tx,
    new: NewRun<'_>,
    now: Timestamp,
) -> sqlx::Result<Option<(RunId, RunNumber)>> {
    if let Some(delivery) = new.delivery
        && is_stored(tx, delivery, new.pipeline).await?
    {
        return Ok(None);
    }
    let number: i64 = sqlx::query_scalar(
        "update repos set last_run_number = last_run_number + 1 where id = ? \
         returning last_run_number",
    )
    .bind(new.repo.0)
    .fetch_one(&mut **tx)
    .await?;
    let event = new.event;
    let pull_request = event.pull_request.as_ref();
    let id: i64 = sqlx::query_scalar(
        "insert into runs (repo_id, number, pipeline, delivery_id, event, trust, branch, tag, \
         pull_request, commit_sha, title, author, state, reason, problems, file, rerun_of, \
         inputs, templates, concurrency_group, concurrency_newest, schedule_at, \
         event_at, created_at, finished_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         returning id",
    )
    .bind(new.repo.0)
    .bind(number)
    .bind(new.pipeline.as_str())
    .bind(new.delivery.map(|delivery| delivery.0))
    .bind(event.kind.as_str())
    .bind(event.trust().as_str())
    .bind(event.branch.as_ref().map(AsRef::<str>::as_ref))
    .bind(event.tag.as_ref().map(AsRef::<str>::as_ref))
    .bind(pull_request.and_then(|pull| i64::try_from(pull.number).ok()))
    .bind(event.commit.as_str())
    .bind(&event.title)
    .bind(&event.author)
    .bind(new.state.as_str())
    .bind(new.reason)
    .bind(new.problems)
    .bind(new.file)
    .bind(new.rerun_of.map(|run| run.0))
    .bind(cell::to_json(&event.inputs)?)
    .bind(new.templates)
    .bind(
        new.concurrency
            .map(|concurrency| concurrency.group.as_str()),
    )
    .bind(
        new.concurrency
            .map(|concurrency| concurrency.newest.as_str()),
    )
    .bind(new.schedule_at.map(|at| at.0))
    .bind(new.event_at.map(|at| at.0))
    .bind(now.0)
    .bind(new.state.is_final().then_some(now.0))
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some((RunId(id), RunNumber(number))))
}

async fn is_stored(
    tx: &mut Tx,
    delivery: DeliveryId,
    pipeline: &PipelineName,
) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from runs where delivery_id = ? and pipeline = ?)")
        .bind(delivery.0)
        .bind(pipeline.as_str())
        .fetch_one(&mut **tx)
        .await
}

/// A run that has just joined its concurrency group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer<'a> {
    pub(crate) repo: RepoId,
    pub(crate) group: &'a str,
    pub(crate) trust: Trust,
    pub(crate) number: RunNumber,
    pub(crate) delivery: Option<DeliveryId>,
}

/// The unfinished runs of a concurrency group whose place a new one takes, oldest first. What one
/// delivery makes is equally new, and what an older one makes late takes nobody's place.
pub(crate) async fn older_of_group(tx: &mut Tx, new: Newcomer<'_>) -> sqlx::Result<Vec<RunId>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "select id from runs where repo_id = ?1 and concurrency_group = ?2 and number < ?3 \
         and trust = ?4 and (delivery_id is null or ?5 is null or delivery_id < ?5) \
         and state in ('waiting', 'queued', 'running') order by number limit 1000",
    )
    .bind(new.repo.0)
    .bind(new.group)
    .bind(new.number.0)
    .bind(new.trust.as_str())
    .bind(new.delivery.map(|delivery| delivery.0))
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Whether a schedule has started a run of this pipeline for this moment.
pub(crate) async fn is_scheduled(
    tx: &mut Tx,
    repo: RepoId,
    pipeline: &PipelineName,
    at: Timestamp,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from runs \
         where repo_id = ? and pipeline = ? and schedule_at = ?)",
    )
    .bind(repo.0)
    .bind(pipeline.as_str())
    .bind(at.0)
    .fetch_one(&mut **tx)
    .await
}

/// Stores a job of a new run, at its place in the plan.
pub(crate) async fn insert_job(
    tx: &mut Tx,
    (run, position): (RunId, usize),
    (planned, job): (&PlannedJob, &Job),
    now: Timestamp,
) -> sqlx::Result<()> {
    let state = job.status.state();
    sqlx::query(
        "insert into jobs (run_id, position, name, group_name, matrix, kind, needs, condition, \
         environment, work, timeout_seconds, state, reason, retries_left, retry_on, finished_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(run.0)
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(planned.name.as_str())
    .bind(planned.group.as_str())
    .bind(cell::to_json(&planned.matrix)?)
    .bind(planned.work.kind().as_str())
    .bind(cell::to_json(&planned.needs)?)
    .bind(planned.condition.as_str())
    .bind(planned.work.environment().map(AsRef::<str>::as_ref))
    .bind(cell::to_json(&planned.work)?)
    .bind(i64::from(planned.timeout_seconds))
    .bind(state.as_str())
    .bind(job.reason.as_deref())
    .bind(i64::from(job.retries_left))
    .bind(cell::to_json(&planned.retry.on)?)
    .bind(state.is_final().then_some(now.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a run was made from, to make it again.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) repo: RepoId,
    pub(crate) pipeline: PipelineName,
    pub(crate) event: GitEvent,
}

#[derive(Debug, FromRow)]
struct OriginRow {
    repo_id: i64,
    pipeline: String,
    trust: String,
    branch: Option<String>,
    tag: Option<String>,
    pull_request: Option<i64>,
    commit_sha: String,
    title: String,
    author: String,
    owner: String,
    name: String,
    default_branch: String,
    inputs: String,
}

impl OriginRow {
    /// The row has no base branch and no name of the fork: a run made again is of kind `manual`,
    /// which asks for neither, but it must stay as little trusted as the first one was.
    fn into_origin(self) -> sqlx::Result<Origin> {
        let here = format!("{}/{}", self.owner, self.name);
        let fork = match self.trust.as_str() {
            "fork" => Some(cell::parse(&here)?),
            _ => None,
        };
        let pull_request = match self.pull_request {
            Some(number) => Some(PullRequest {
                number: u64::try_from(number).map_err(sqlx::Error::decode)?,
                base: cell::parse(&self.default_branch)?,
                fork,
            }),
            None => None,
        };
        Ok(Origin {
            repo: RepoId(self.repo_id),
            pipeline: cell::parse(&self.pipeline)?,
            event: GitEvent {
                kind: EventKind::Manual,
                commit: cell::parse(&self.commit_sha)?,
                before: None,
                branch: cell::parse_option(self.branch.as_deref())?,
                tag: cell::parse_option(self.tag.as_deref())?,
                pull_request,
                title: self.title,
                author: self.author,
                inputs: cell::json(&self.inputs)?,
            },
        })
    }
}

/// What that run was made from.
pub(crate) async fn find_origin(db: &Reader, run: RunId) -> sqlx::Result<Option<Origin>> {
    let row: Option<OriginRow> = sqlx::query_as(
        "select repo_id, pipeline, trust, branch, tag, pull_request, commit_sha, title, author, \
         owner, name, default_branch, inputs \
         from runs join repos on repos.id = runs.repo_id where runs.id = ?",
    )
    .bind(run.0)
    .fetch_optional(db)
    .await?;
    row.map(OriginRow::into_origin).transpose()
}

/// Event and body of the delivery from which a run, or the first run of which it is a rerun, was
/// made.
pub(crate) async fn find_first_delivery(
    db: &Reader,
    run: RunId,
) -> sqlx::Result<Option<(String, Vec<u8>)>> {
    sqlx::query_as(
        "with recursive chain (id, rerun_of) as ( \
           select id, rerun_of from runs where id = ? \
           union select runs.id, runs.rerun_of from runs join chain on runs.id = chain.rerun_of) \
         select deliveries.event, deliveries.body from runs \
         join deliveries on deliveries.id = runs.delivery_id \
         where runs.id = (select min(id) from chain)",
    )
    .bind(run.0)
    .fetch_optional(db)
    .await
}

/// Runs of these repositories that have not ended; `repos` is a JSON list of ids.
pub(crate) async fn open_of_repos(db: &Reader, repos: &str) -> sqlx::Result<Vec<RunId>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "select id from runs where state in ('waiting', 'queued', 'running') \
         and repo_id in (select value from json_each(?)) order by id limit 10000",
    )
    .bind(repos)
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// A run as GitHub is told about it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct CheckFacts {
    pub(crate) repo_id: i64,
    pub(crate) number: i64,
    pub(crate) pipeline: String,
    pub(crate) commit_sha: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) problems: String,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
}

/// What GitHub is to know of that run.
pub(crate) async fn find_check_facts(db: &Reader, run: RunId) -> sqlx::Result<Option<CheckFacts>> {
    sqlx::query_as(
        "select repo_id, number, pipeline, commit_sha, state, reason, problems, started_at, \
         finished_at from runs where id = ?",
    )
    .bind(run.0)
    .fetch_optional(db)
    .await
}

/// A job as a check's summary lists it: name, state, reason.
pub(crate) type JobLine = (String, String, Option<String>);

/// The jobs of a run, in the plan's order.
pub(crate) async fn job_lines(db: &Reader, run: RunId) -> sqlx::Result<Vec<JobLine>> {
    sqlx::query_as("select name, state, reason from jobs where run_id = ? order by position")
        .bind(run.0)
        .fetch_all(db)
        .await
}

/// How many runs are in each state.
pub(crate) async fn count_by_state(db: &Reader) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as("select state, count(*) from runs group by state order by state")
        .fetch_all(db)
        .await
}

/// How many jobs wait for a runner.
pub(crate) async fn count_queued_jobs(db: &Reader) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from jobs where state = 'queued'")
        .fetch_one(db)
        .await
}

/// How many runners have been heard from since that moment.
pub(crate) async fn count_runners_since(db: &Reader, since: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from runners where last_seen_at >= ? and revoked_at is null",
    )
    .bind(since)
    .fetch_one(db)
    .await
}

/// The state of the newest run on a repository's default branch.
pub(crate) async fn last_on_default_branch(
    db: &Reader,
    repo: RepoId,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select state from runs join repos on repos.id = runs.repo_id \
         where repo_id = ? and branch = default_branch and pull_request is null \
         order by number desc limit 1",
    )
    .bind(repo.0)
    .fetch_optional(db)
    .await
}
