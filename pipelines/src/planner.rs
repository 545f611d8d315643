//! From a definition and an event to a plan: which jobs run, which do not, and why.
//!
//! Pure and deterministic: the same files and event give the same plan. A job that needs a skipped
//! one keeps `skip: None`; [`crate::run`] skips it in its turn.

mod applies;
mod inputs;
mod matrix;
mod size;
mod targets;
mod work;

use std::collections::BTreeMap;

use self::matrix::Cell;
use crate::definition::{Definition, JobDefinition, Place, Problem};
use crate::environment::Environments;
use crate::event::{ChangedPaths, EventKind, GitEvent};
use crate::expression::Values;
use crate::names::{JobName, PipelineName, RepoName};
use crate::plan::{Concurrency, Plan, PlannedJob};

pub use self::inputs::inputs;
pub use self::work::fit_tag;

/// What a plan is made for, besides the definition.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The name of the pipeline: the stem of its file.
    pub pipeline: &'a PipelineName,
    /// The repository's environments, from its default branch.
    pub environments: &'a Environments,
    /// What happened.
    pub event: &'a GitEvent,
    /// Where.
    pub repository: &'a RepoName,
    /// Which paths it changed.
    pub changed: &'a ChangedPaths,
}

/// What an event means for a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// A run with this plan.
    Run(Plan),
    /// Nothing, for this reason.
    NotTriggered(String),
}

/// Plans what a pipeline does for an event. The problems are those that only show together with
/// the environments and the event: an unknown environment, an image name that is none once filled.
pub fn plan(definition: &Definition, context: &Context<'_>) -> Result<Planned, Vec<Problem>> {
    if let Some(reason) = applies::why_not_triggered(definition, context) {
        return Ok(Planned::NotTriggered(reason));
    }
    let inputs = inputs_of(definition, context.event)?;
    let mut problems = targets::problems(definition, context.environments);
    let cells = matrix::cells(definition);
    let graph = definition.graph();
    let mut budget = size::Budget::new();
    let mut jobs = Vec::new();
    for (place, (job, of_job)) in definition.jobs.iter().zip(&cells).enumerate() {
        let behind = graph.behind(place);
        for cell in of_job {
            let made = Made {
                definition,
                context,
                job,
                cell,
                inputs: &inputs,
                behind: &behind,
            };
            let needs = needs(&made, &cells);
            if let Err(problem) = budget.take(&made, &needs) {
                problems.push(problem);
                return Err(definition.settle(problems));
            }
            match planned_job(&made, needs) {
                Ok(planned) => jobs.extend(planned),
                Err(more) => problems.extend(more),
            }
        }
    }
    if !problems.is_empty() {
        return Err(definition.settle(problems));
    }
    Ok(Planned::Run(Plan {
        pipeline: context.pipeline.clone(),
        concurrency: concurrency(definition, context, &inputs),
        templates: definition.templates.clone(),
        jobs,
    }))
}

/// A person is asked for inputs; no other event is.
fn inputs_of(
    definition: &Definition,
    event: &GitEvent,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    match event.kind {
        EventKind::Manual => {
            let problem = |words: String| Problem::new(Place::START, "", words);
            let checked = inputs(definition, &event.inputs);
            checked.map_err(|wrong| wrong.into_iter().map(problem).collect())
        }
        EventKind::Push | EventKind::PullRequest | EventKind::Schedule => {
            Ok(inputs::defaults(definition))
        }
    }
}

/// The group of a fork's run is its own, whatever its branch is called.
fn concurrency(
    definition: &Definition,
    context: &Context<'_>,
    inputs: &BTreeMap<String, String>,
) -> Option<Concurrency> {
    let concurrency = definition.concurrency.as_ref()?;
    let values = Values {
        event: context.event,
        repository: context.repository,
        matrix: &BTreeMap::new(),
        inputs,
    };
    let group = concurrency.group.value.fill(&values).to_string();
    let request = context.event.pull_request.as_ref();
    let fork = request.and_then(|request| request.fork.as_ref());
    Some(Concurrency {
        group: match fork {
            Some(fork) => format!("fork {fork}: {group}"),
            None => group,
        },
        newest: concurrency.newest,
    })
}

/// How many jobs each job of the file becomes.
pub(crate) fn cell_counts(definition: &Definition) -> Vec<usize> {
    matrix::cells(definition).iter().map(Vec::len).collect()
}

/// Checks a definition against the environments, without an event. Without environments (they are
/// on another branch, and not at hand) nothing is left to check: `parse` has done the rest.
pub fn check(definition: &Definition, environments: Option<&Environments>) -> Vec<Problem> {
    match environments {
        Some(environments) => definition.settle(targets::problems(definition, environments)),
        None => Vec::new(),
    }
}

/// A job about to be planned, and all that its texts may speak of.
struct Made<'a> {
    definition: &'a Definition,
    context: &'a Context<'a>,
    job: &'a JobDefinition,
    cell: &'a Cell,
    inputs: &'a BTreeMap<String, String>,
    /// Which jobs of the file are behind it.
    behind: &'a [bool],
}

impl Made<'_> {
    fn values(&self) -> Values<'_> {
        Values {
            event: self.context.event,
            repository: self.context.repository,
            matrix: &self.cell.values,
            inputs: self.inputs,
        }
    }
}

/// `None` for a deploy to an environment that is not there, which has been reported.
fn planned_job(made: &Made<'_>, needs: Vec<JobName>) -> Result<Option<PlannedJob>, Vec<Problem>> {
    let Some(work) = work::work(made)? else {
        return Ok(None);
    };
    let job = made.job;
    Ok(Some(PlannedJob {
        name: made.cell.name.clone(),
        group: job.name.value.clone(),
        matrix: made.cell.values.clone(),
        needs,
        condition: job.when.status,
        skip: applies::why_skipped(job, &made.cell.values, made.context),
        timeout_seconds: job.timeout_seconds,
        retry: job.retry.clone(),
        work,
    }))
}

/// Every cell of every job it needs.
fn needs(made: &Made<'_>, cells: &[Vec<Cell>]) -> Vec<JobName> {
    let mut names = Vec::new();
    for need in &made.job.needs {
        let mut jobs = made.definition.jobs.iter().zip(cells);
        if let Some((_, of_job)) = jobs.find(|(job, _)| job.name.value == need.value) {
            names.extend(of_job.iter().map(|cell| cell.name.clone()));
        }
    }
    names
}

#[cfg(test)]
mod tests;
