//! A pipeline file, read and checked: what a repository says to Seaworthy.
//!
//! [`Definition::parse`] reports every problem of a file at once, each with its place. It knows
//! nothing of events or environments: [`crate::planner`] does. A file goes from text to a tree
//! (`tree`), from the tree to the types below (`syntax`, `jobs`, `work`), and is then checked as a
//! whole (`rules`).

mod jobs;
mod keys;
mod problem;
mod reader;
mod rules;
mod syntax;
mod tree;
mod work;
mod yaml;

pub use problem::Problem;

pub(crate) use keys::ENVIRONMENT as ENVIRONMENT_KEYS;
pub(crate) use problem::{At, Place, nearest, tidy};
pub(crate) use reader::Reader;
pub(crate) use tree::{Entry, read as read_tree};

use crate::event::EventKind;
use crate::expression::Template;
use crate::graph::Graph;
use crate::names::{EnvironmentName, JobName};
use crate::pattern::Patterns;
use crate::plan::{Strategy, Verify};

/// A valid pipeline file. It can only be made by [`Definition::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub(crate) triggers: Triggers,
    pub(crate) env: Env,
    /// In the file's order; needs exist and have no cycles.
    pub(crate) jobs: Vec<JobDefinition>,
}

impl Definition {
    /// Reads a pipeline file, or says everything that is wrong with it, in the file's order.
    pub fn parse(text: &str) -> Result<Definition, Vec<Problem>> {
        let (tree, problems) = tree::read(text).map_err(tidy)?;
        let mut reader = Reader { problems };
        let file = syntax::file(&mut reader, &tree);
        if let Some(file) = &file {
            rules::check(&mut reader, file);
        }
        match file {
            Some(file) if reader.problems.is_empty() => Ok(file.definition),
            Some(_) | None => Err(tidy(reader.problems)),
        }
    }

    /// The jobs' names, in the file's order.
    pub fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.jobs.iter().map(|job| &job.name.value)
    }

    /// The environments its jobs deploy to, each once, in the file's order.
    pub fn environments(&self) -> Vec<&EnvironmentName> {
        let mut names: Vec<&EnvironmentName> = Vec::new();
        for (_, deploy) in self.deploys() {
            if !names.contains(&&deploy.environment.value) {
                names.push(&deploy.environment.value);
            }
        }
        names
    }

    /// The deploy jobs, with their places in the list.
    pub(crate) fn deploys(&self) -> impl Iterator<Item = (usize, &DeployDefinition)> {
        let jobs = self.jobs.iter().enumerate();
        jobs.filter_map(|(at, job)| match &job.work {
            WorkDefinition::Deploy(deploy) => Some((at, deploy)),
            WorkDefinition::Steps(_) | WorkDefinition::Build(_) => None,
        })
    }

    /// Who needs whom, by places in the list. A need that does not exist is left out.
    pub(crate) fn graph(&self) -> Graph {
        let mut places = std::collections::HashMap::new();
        for (place, job) in self.jobs.iter().enumerate() {
            places.insert(&job.name.value, place);
        }
        let needs = |job: &JobDefinition| {
            let needs = job.needs.iter();
            needs
                .filter_map(|need| places.get(&need.value).copied())
                .collect()
        };
        Graph::new(self.jobs.iter().map(needs).collect())
    }
}

/// What starts a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Triggers {
    pub(crate) push: Option<PushTrigger>,
    pub(crate) pull_request: Option<PullRequestTrigger>,
    pub(crate) manual: bool,
}

/// Which pushes. Branches and tags: if only one of them is filtered, the other starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PushTrigger {
    pub(crate) branches: Option<Patterns>,
    pub(crate) tags: Option<Patterns>,
    pub(crate) paths: Option<Patterns>,
}

/// Which pull requests; `branches` are those they want to go into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PullRequestTrigger {
    pub(crate) branches: Option<Patterns>,
    pub(crate) paths: Option<Patterns>,
}

/// Variables, in the file's order.
pub(crate) type Env = Vec<(String, At<Template>)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobDefinition {
    pub(crate) name: At<JobName>,
    pub(crate) needs: Vec<At<JobName>>,
    pub(crate) when: When,
    pub(crate) timeout_seconds: u32,
    pub(crate) retries: u32,
    pub(crate) work: WorkDefinition,
}

/// What must hold for a job to run: all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct When {
    pub(crate) branch: Option<Patterns>,
    pub(crate) event: Option<EventFilter>,
}

/// A list of events: any of the wanted (or all, if none is), none of the unwanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EventFilter {
    pub(crate) wanted: Vec<EventKind>,
    pub(crate) unwanted: Vec<EventKind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkDefinition {
    Steps(StepsDefinition),
    Build(BuildDefinition),
    Deploy(DeployDefinition),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepsDefinition {
    pub(crate) env: Env,
    pub(crate) steps: Vec<StepDefinition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepDefinition {
    pub(crate) name: String,
    pub(crate) run: String,
    /// Its own image, or the job's.
    pub(crate) image: At<Template>,
    pub(crate) env: Env,
    pub(crate) timeout_seconds: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildDefinition {
    pub(crate) image: At<Template>,
    pub(crate) context: String,
    pub(crate) dockerfile: String,
    pub(crate) target: Option<String>,
    pub(crate) args: Env,
    pub(crate) tags: Vec<At<Template>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeployDefinition {
    pub(crate) environment: At<EnvironmentName>,
    pub(crate) source: SourceDefinition,
    pub(crate) strategy: Strategy,
    pub(crate) verify: Verify,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceDefinition {
    Manifests {
        path: String,
        images: Vec<(String, At<JobName>)>,
    },
    Promote(At<EnvironmentName>),
}

#[cfg(test)]
mod tests;
