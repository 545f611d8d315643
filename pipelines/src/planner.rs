//! From a definition and an event to a plan: which jobs run, which do not, and why.
//!
//! Pure and deterministic: the same files and event give the same plan. A job that needs a skipped
//! one keeps `skip: None`; [`crate::run`] skips it in its turn.

mod applies;
mod targets;
mod work;

use std::collections::BTreeMap;

use crate::definition::{Definition, JobDefinition, Problem, tidy};
use crate::environment::Environments;
use crate::event::{ChangedPaths, GitEvent};
use crate::names::{PipelineName, RepoName};
use crate::plan::{Plan, PlannedJob};

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
    let mut problems = targets::problems(definition, context.environments);
    let mut jobs = Vec::new();
    for job in &definition.jobs {
        match planned_job(definition, job, context) {
            Ok(planned) => jobs.extend(planned),
            Err(more) => problems.extend(more),
        }
    }
    match problems.is_empty() {
        true => Ok(Planned::Run(Plan {
            pipeline: context.pipeline.clone(),
            concurrency: None,
            templates: definition.templates.clone(),
            jobs,
        })),
        false => Err(tidy(problems)),
    }
}

/// Checks a definition against the environments, without an event. Without environments (they are
/// on another branch, and not at hand) nothing is left to check: `parse` has done the rest.
pub fn check(definition: &Definition, environments: Option<&Environments>) -> Vec<Problem> {
    match environments {
        Some(environments) => tidy(targets::problems(definition, environments)),
        None => Vec::new(),
    }
}

/// `None` for a deploy to an environment that is not there, which has been reported.
fn planned_job(
    definition: &Definition,
    job: &JobDefinition,
    context: &Context<'_>,
) -> Result<Option<PlannedJob>, Vec<Problem>> {
    let Some(work) = work::work(definition, job, context)? else {
        return Ok(None);
    };
    Ok(Some(PlannedJob {
        name: job.name.value.clone(),
        group: job.name.value.clone(),
        matrix: BTreeMap::new(),
        needs: job.needs.iter().map(|need| need.value.clone()).collect(),
        condition: job.when.status,
        skip: applies::why_skipped(job, context),
        timeout_seconds: job.timeout_seconds,
        retry: job.retry.clone(),
        work,
    }))
}

#[cfg(test)]
mod tests;
