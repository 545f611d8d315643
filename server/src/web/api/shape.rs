//! The JSON of the API, field by field.

use std::collections::{BTreeMap, HashMap};

use pipelines::deploy::{Cause, DeployProgress, Pod, Rollback};
use pipelines::ids::JobId;
use pipelines::job::State;
use pipelines::timestamp::Timestamp;
use serde::Serialize;

use crate::store::api::{DeployRow, EnvironmentRow, JobRow, RunRow, RunnerRow, StepRow};

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    number: i64,
    pipeline: String,
    state: String,
    event: String,
    branch: Option<String>,
    tag: Option<String>,
    pull_request: Option<i64>,
    commit: String,
    title: String,
    author: String,
    reason: Option<String>,
    /// What a person gave along, by input.
    inputs: BTreeMap<String, String>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<Job>>,
}

impl Run {
    pub(super) fn new(row: RunRow, jobs: Option<Vec<Job>>) -> Self {
        Self {
            number: row.number,
            pipeline: row.pipeline,
            state: row.state,
            event: row.event,
            branch: row.branch,
            tag: row.tag,
            pull_request: row.pull_request,
            commit: row.commit_sha,
            title: row.title,
            author: row.author,
            reason: row.reason,
            // Written by `intake`; a row that cannot be read has none to tell.
            inputs: serde_json::from_str(&row.inputs).unwrap_or_default(),
            created_at: Timestamp(row.created_at),
            started_at: row.started_at.map(Timestamp),
            finished_at: row.finished_at.map(Timestamp),
            jobs,
        }
    }
}

/// A job of a run.
#[derive(Debug, Serialize)]
pub(super) struct Job {
    name: String,
    /// The job of the file; cells of a matrix share it.
    group: String,
    /// Its cell of the matrix, by axis.
    matrix: BTreeMap<String, String>,
    kind: String,
    state: String,
    attempt: i64,
    needs: Vec<String>,
    reason: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    outputs: BTreeMap<String, String>,
    steps: Vec<Step>,
}

/// A step of the last attempt of a job.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    state: String,
    exit_code: Option<i64>,
    /// Why it was skipped.
    reason: Option<String>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// Jobs with their steps. A queued job's reason is why it waits.
pub(super) fn jobs(
    rows: Vec<JobRow>,
    steps: Vec<StepRow>,
    waiting: &BTreeMap<JobId, String>,
) -> serde_json::Result<Vec<Job>> {
    let mut steps_of: HashMap<i64, Vec<Step>> = HashMap::new();
    for step in steps {
        steps_of.entry(step.job_id).or_default().push(Step {
            name: step.name,
            state: step.state,
            exit_code: step.exit_code,
            reason: step.reason,
            started_at: Timestamp(step.started_at),
            finished_at: step.finished_at.map(Timestamp),
        });
    }
    let job = |row: JobRow| {
        Ok(Job {
            reason: waiting.get(&JobId(row.id)).cloned().or(row.reason),
            name: row.name,
            group: row.group_name,
            matrix: serde_json::from_str(&row.matrix)?,
            kind: row.kind,
            state: row.state,
            attempt: row.attempt,
            needs: serde_json::from_str(&row.needs)?,
            started_at: row.started_at.map(Timestamp),
            finished_at: row.finished_at.map(Timestamp),
            outputs: serde_json::from_str(&row.outputs)?,
            steps: steps_of.remove(&row.id).unwrap_or_default(),
        })
    };
    rows.into_iter().map(job).collect()
}

/// A deploy.
#[derive(Debug, Serialize)]
pub(super) struct Deploy {
    number: i64,
    environment: String,
    state: String,
    release: i64,
    commit: String,
    images: BTreeMap<String, String>,
    verdict: Option<String>,
    reason: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    pods: Vec<Pod>,
    causes: Vec<Cause>,
    /// The way back, once the release has failed.
    rollback: Option<Rollback>,
    requests_probed: Option<i64>,
    requests_failed: Option<i64>,
}

impl Deploy {
    pub(super) fn new(row: DeployRow) -> serde_json::Result<Self> {
        let progress = row
            .progress
            .as_deref()
            .map(serde_json::from_str::<DeployProgress>);
        let told = progress.transpose()?;
        let (pods, causes, rollback) = told.map_or_else(Default::default, |told| {
            (told.pods, told.causes, told.rollback)
        });
        Ok(Self {
            number: row.number,
            environment: row.environment,
            state: row.state,
            release: row.release,
            commit: row.commit_sha,
            images: serde_json::from_str(&row.images)?,
            verdict: row.verdict,
            reason: row.reason,
            started_at: row.started_at.map(Timestamp),
            finished_at: row.finished_at.map(Timestamp),
            pods,
            causes,
            rollback,
            requests_probed: row.requests_probed,
            requests_failed: row.requests_failed,
        })
    }
}

/// An environment.
#[derive(Debug, Serialize)]
pub(super) struct Environment {
    name: String,
    live_release: Option<i64>,
    live_commit: Option<String>,
    health: &'static str,
    locked: bool,
}

impl Environment {
    pub(super) fn new(row: EnvironmentRow) -> Self {
        let newest = row.newest_state.and_then(|state| state.parse().ok());
        Self {
            health: health(newest),
            name: row.name,
            live_release: row.live_release,
            live_commit: row.live_commit,
            locked: row.locked,
        }
    }
}

/// How an environment is, judged by its newest deploy.
fn health(newest: Option<State>) -> &'static str {
    match newest {
        None => "empty",
        Some(State::Waiting | State::Queued | State::Running) => "deploying",
        Some(State::Passed) => "healthy",
        Some(State::Failed | State::TimedOut | State::InfrastructureError) => "failed",
        // What was there before may be there still, or half of it.
        Some(State::Cancelled | State::Skipped | State::Superseded) => "unknown",
    }
}

/// A runner.
#[derive(Debug, Serialize)]
pub(super) struct Runner {
    name: String,
    connected: bool,
    labels: Vec<String>,
    environments: Vec<String>,
    slots: i64,
    version: String,
    engine: String,
    last_seen_at: Option<Timestamp>,
}

impl Runner {
    pub(super) fn new(row: RunnerRow, connected_since: Timestamp) -> serde_json::Result<Self> {
        Ok(Self {
            name: row.name,
            connected: row.last_seen_at.is_some_and(|at| at >= connected_since.0),
            labels: serde_json::from_str(&row.labels)?,
            environments: serde_json::from_str(&row.environments)?,
            slots: row.slots,
            version: row.version,
            engine: row.engine,
            last_seen_at: row.last_seen_at.map(Timestamp),
        })
    }
}
