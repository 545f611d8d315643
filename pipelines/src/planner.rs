//! From a definition and an event to a plan: which jobs run, which do not, and why.
//!
//! Pure and deterministic: the same files and event give the same plan.

use crate::definition::{Definition, Problem};
use crate::environment::Environments;
use crate::event::{ChangedPaths, GitEvent};
use crate::names::{PipelineName, RepoName};
use crate::plan::Plan;

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

/// Plans what a pipeline does for an event.
pub fn plan(definition: &Definition, context: &Context<'_>) -> Result<Planned, Vec<Problem>> {
    let _ = (definition, context);
    Ok(Planned::NotTriggered("plans cannot be made yet".into()))
}

/// Checks a definition against the environments, without an event. Without environments (they are
/// on another branch, and not at hand) only what the file says itself has been checked, by `parse`.
pub fn check(definition: &Definition, environments: Option<&Environments>) -> Vec<Problem> {
    let _ = (definition, environments);
    Vec::new()
}
