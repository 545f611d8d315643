//! Runs that a person asks for.

use std::collections::BTreeMap;

use pipelines::definition::Input;
use pipelines::event::{EventKind, GitEvent};
use pipelines::ids::{DeliveryId, RunId, RunNumber};
use pipelines::names::{BranchName, PipelineName, RepoName};

use super::decide::{Decided, Verdict, decide};
use super::material::{self, Material};
use super::record::{Batch, record};
use crate::app::App;
use crate::github::payload::{Incoming, one_line};
use crate::github::{GitHub, GitHubError};
use crate::store::repos::{self, Repo};
use crate::store::{redeploys, runs};

/// Why no run was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such thing here.
    #[error("there is no {0}")]
    NotFound(String),
    /// The pipeline cannot or may not be started so.
    #[error("{0}")]
    Refused(String),
    /// What was given along is not what the pipeline asks for: sentences.
    #[error("{}", .0.join("; "))]
    Inputs(Vec<String>),
    /// GitHub did not give the files.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// A fault of ours.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

impl From<sqlx::Error> for StartError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes a run again: the same commit, pipeline and event, planned afresh. It keeps the event that
/// made the first one, so that the same jobs apply and a fork stays a fork.
pub async fn rerun(app: &App, run: RunId) -> Result<RunNumber, StartError> {
    rerun_for(app, run, None).await
}

/// The same, as the end of a delivery.
pub(super) async fn rerun_for(
    app: &App,
    run: RunId,
    delivery: Option<DeliveryId>,
) -> Result<RunNumber, StartError> {
    let db = app.store.reader();
    let origin = runs::find_origin(db, run).await?;
    let origin = origin.ok_or_else(|| StartError::NotFound(format!("run {run}")))?;
    if let Some((release, environment)) = redeploys::chosen(db, run).await? {
        let words = format!(
            "this run deployed release #{release} by hand: do it again on the page of {environment}"
        );
        return Err(StartError::Refused(words));
    }
    let repo = repos::find(db, origin.repo).await?;
    let repo = repo.ok_or_else(|| StartError::NotFound("such repository".into()))?;
    // The row of a run does not hold all of its event; the delivery that made the first one does.
    let event = match runs::find_first_delivery(db, run).await? {
        Some((kind, body)) => match Incoming::parse(&kind, &body) {
            Ok(Incoming::Git(_, event, _)) => *event,
            Ok(
                Incoming::Repository(_)
                | Incoming::Gone(..)
                | Incoming::Rerun(..)
                | Incoming::Lost(_)
                | Incoming::Ignored(_),
            )
            | Err(_) => origin.event,
        },
        None => origin.event,
    };
    let decided = read(app, &repo, &event).await?;
    let decided = only(decided, &origin.pipeline)?;
    let batch = Batch {
        delivery,
        moved: None,
        rerun_of: Some(run),
        repo: &repo,
        event: &event,
        schedule: None,
        decided: &decided,
    };
    first(record(app, batch).await?)
}

/// What a person wants to be started.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The default branch, if none is named.
    pub branch: Option<&'a BranchName>,
    /// Which pipeline.
    pub pipeline: &'a PipelineName,
    /// What is given along, by input.
    pub inputs: &'a BTreeMap<String, String>,
}

/// Starts a pipeline at the head of a branch, for `by`.
pub async fn start(
    app: &App,
    name: &RepoName,
    wanted: Wanted<'_>,
    by: &str,
) -> Result<RunNumber, StartError> {
    let Wanted {
        branch,
        pipeline,
        inputs,
    } = wanted;
    let repo = repos::find_by_name(app.store.reader(), name).await?;
    let repo = repo.ok_or_else(|| StartError::NotFound(format!("repository {name} here")))?;
    let branch = branch.unwrap_or(&repo.default_branch);
    let github = connected(app)?;
    let head = github.head(&repo, branch).await?;
    let commit = head.ok_or_else(|| StartError::NotFound(format!("branch `{branch}`")))?;
    let (title, _) = github.commit(&repo, &commit).await?;
    let event = GitEvent {
        kind: EventKind::Manual,
        commit,
        before: None,
        branch: Some(branch.clone()),
        tag: None,
        pull_request: None,
        title: one_line(&title),
        author: by.to_owned(),
        inputs: inputs.clone(),
    };
    let material = material::fetch(connected(app)?, &repo, &event).await?;
    check_inputs(&material, pipeline, inputs)?;
    let decided = only(decide(&material, &repo, &event), pipeline)?;
    let batch = Batch {
        delivery: None,
        moved: None,
        rerun_of: None,
        repo: &repo,
        event: &event,
        schedule: None,
        decided: &decided,
    };
    first(record(app, batch).await?)
}

/// A pipeline that a person can start, and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Startable {
    pub(crate) pipeline: PipelineName,
    pub(crate) inputs: Vec<Input>,
}

/// The pipelines at the head of a branch that a person can start. Files that cannot be read are left
/// out; starting them would say why.
pub(crate) async fn startable(
    app: &App,
    repo: &Repo,
    branch: &BranchName,
) -> Result<Vec<Startable>, StartError> {
    let github = connected(app)?;
    let head = github.head(repo, branch).await?;
    let commit = head.ok_or_else(|| StartError::NotFound(format!("branch `{branch}`")))?;
    let files = material::files(github, repo, &commit).await?;
    let startable = files.iter().filter_map(|(pipeline, definition)| {
        Some(Startable {
            pipeline: pipeline.clone(),
            inputs: definition.as_ref()?.inputs()?.to_vec(),
        })
    });
    Ok(startable.collect())
}

fn check_inputs(
    material: &Material,
    pipeline: &PipelineName,
    inputs: &BTreeMap<String, String>,
) -> Result<(), StartError> {
    let mut files = material.definitions();
    match files.find(|(name, _)| name == pipeline) {
        Some((_, Some(definition))) if definition.inputs().is_some() => {
            let checked = pipelines::planner::inputs(&definition, inputs);
            checked.map(|_| ()).map_err(StartError::Inputs)
        }
        // What is wrong with it is told where it is decided about.
        Some(_) | None => Ok(()),
    }
}

pub(super) fn connected(app: &App) -> Result<&GitHub, StartError> {
    let words = || StartError::Refused("GitHub is not connected to this server".into());
    app.github.as_ref().ok_or_else(words)
}

async fn read(app: &App, repo: &Repo, event: &GitEvent) -> Result<Decided, StartError> {
    let material = material::fetch(connected(app)?, repo, event).await?;
    Ok(decide(&material, repo, event))
}

/// What was decided about that one pipeline.
fn only(mut decided: Decided, pipeline: &PipelineName) -> Result<Decided, StartError> {
    decided
        .decisions
        .retain(|decision| decision.pipeline == *pipeline);
    match decided.decisions.first().map(|decision| &decision.verdict) {
        None => Err(StartError::NotFound(format!(
            "pipeline `{pipeline}` at this commit"
        ))),
        Some(Verdict::NotTriggered(reason)) => Err(StartError::Refused(format!(
            "`{pipeline}` does not start: {reason}"
        ))),
        Some(Verdict::Run(_) | Verdict::Broken(..)) => Ok(decided),
    }
}

fn first(numbers: Vec<RunNumber>) -> Result<RunNumber, StartError> {
    let made_before = || StartError::Refused("this has been started before".into());
    numbers.into_iter().next().ok_or_else(made_before)
}
