//! A pipeline file, read and checked: what a repository says to Seaworthy.
//!
//! [`Definition::parse`] reports every problem of a file at once, each with its place. It knows
//! nothing of events or environments: [`crate::planner`] does. A file goes from text to a tree
//! (`tree`), from the tree to the types below (`syntax`, `jobs`, `work`), and is then checked as a
//! whole (`rules`).

mod borrowed;
mod build;
mod deploy;
mod extends;
mod jobs;
mod keep;
pub(crate) mod keys;
mod problem;
mod reader;
mod rules;
mod scope;
mod syntax;
mod tree;
mod triggers;
mod when;
mod yaml;

pub use problem::Problem;

pub(crate) use keep::is_cache_path;
pub(crate) use keys::ENVIRONMENT as ENVIRONMENT_KEYS;
pub(crate) use problem::{At, Place, nearest, tidy};
pub(crate) use reader::Reader;
pub(crate) use scope::outputs as made_outputs;
pub(crate) use tree::{Entry, read as read_tree};

use crate::event::EventKind;
use crate::expression::Template;
use crate::graph::Graph;
use crate::names::{EnvironmentName, JobName, SecretName, ServiceName};
use crate::pattern::Patterns;
use crate::plan::{Condition, Newest, Retry, Strategy, UsedTemplate, Verify};
use crate::template::{TemplateSource, Templates};

/// A valid pipeline file. It can only be made by [`Definition::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub(crate) triggers: Triggers,
    pub(crate) env: Env,
    pub(crate) concurrency: Option<ConcurrencyDefinition>,
    /// The files of other repositories it was read with.
    pub(crate) templates: Vec<UsedTemplate>,
    /// What of it stands in them.
    pub(crate) borrowed: borrowed::Borrowed,
    /// In the file's order; needs exist and have no cycles.
    pub(crate) jobs: Vec<JobDefinition>,
}

impl Definition {
    /// Reads a pipeline file that takes nothing from other repositories, or says everything that
    /// is wrong with it, in the file's order.
    pub fn parse(text: &str) -> Result<Definition, Vec<Problem>> {
        Self::parse_with(text, &Templates::new())
    }

    /// Reads a pipeline file with the files of other repositories that it takes templates from.
    pub fn parse_with(text: &str, templates: &Templates) -> Result<Definition, Vec<Problem>> {
        let (tree, problems) = tree::read(text).map_err(tidy)?;
        let mut reader = Reader { problems };
        let file = syntax::file(&mut reader, &tree, templates);
        if let Some(file) = &file {
            rules::check(&mut reader, file);
        }
        match file {
            Some(file) if reader.problems.is_empty() => Ok(file.definition),
            Some(file) => Err(file.definition.settle(reader.problems)),
            None => Err(tidy(reader.problems)),
        }
    }

    /// The files of other repositories that a pipeline file wants beside `fetched`; also those that
    /// the fetched ones want. To be asked again until nothing is wanted.
    pub fn wanted(text: &str, fetched: &Templates) -> Vec<TemplateSource> {
        extends::wanted(text, fetched)
    }

    /// When it starts by itself: the fields of cron and the zone.
    pub fn schedules(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.triggers.schedule.iter();
        all.map(|schedule| (schedule.cron.as_str(), schedule.zone.as_str()))
    }

    /// What a person who starts it may say; none if no person may start it.
    pub fn inputs(&self) -> Option<&[Input]> {
        let manual = self.triggers.manual.as_ref();
        manual.map(|manual| manual.inputs.as_slice())
    }

    /// What is read and planned, but not carried out by any runner of this version, each with its
    /// place. A run must not begin with it; looking at the plan, and rehearsing it, does no harm.
    pub fn later(&self) -> Vec<Problem> {
        let deploys = self.deploys();
        let later = deploys.flat_map(|(_, deploy)| deploy.later.iter().cloned());
        self.settle(later.collect())
    }

    /// Problems with places of the file, in its order, each once, and no more than help.
    pub(crate) fn settle(&self, problems: Vec<Problem>) -> Vec<Problem> {
        tidy(self.borrowed.settle(problems))
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
    pub(crate) schedule: Vec<ScheduleTrigger>,
    pub(crate) manual: Option<ManualTrigger>,
}

/// When, without anybody asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduleTrigger {
    /// Five fields, as cron has them.
    pub(crate) cron: String,
    /// A name of the time zone database.
    pub(crate) zone: String,
}

/// What a person who starts the pipeline may say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ManualTrigger {
    /// In the file's order.
    pub(crate) inputs: Vec<Input>,
}

/// One thing that a person who starts a pipeline may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What may be said.
    pub kind: InputKind,
    /// Whether something must be said.
    pub required: bool,
    /// What holds if nothing is said.
    pub default: Option<String>,
    /// For the person, if the file says anything.
    pub description: Option<String>,
}

/// What may be said for an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// Any line of text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(Vec<String>),
}

/// Which runs do not go on beside one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConcurrencyDefinition {
    pub(crate) group: At<Template>,
    pub(crate) newest: Newest,
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
    pub(crate) retry: Retry,
    pub(crate) matrix: Option<MatrixDefinition>,
    pub(crate) work: WorkDefinition,
}

/// A job made many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MatrixDefinition {
    /// Every combination of their values is a cell; the first axis changes slowest.
    pub(crate) axes: Vec<(String, Vec<String>)>,
    /// Added to the cells that they agree with on all axes, or cells of their own.
    pub(crate) include: Vec<Vec<(String, String)>>,
    /// Cells that agree with one of these are left out.
    pub(crate) exclude: Vec<Vec<(String, String)>>,
}

/// What must hold for a job to run: all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct When {
    pub(crate) branch: Option<Patterns>,
    pub(crate) tag: Option<Patterns>,
    pub(crate) event: Option<EventFilter>,
    pub(crate) path: Option<Patterns>,
    pub(crate) status: Condition,
    /// By axis.
    pub(crate) matrix: Vec<(At<String>, Patterns)>,
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
    pub(crate) services: Vec<ServiceDefinition>,
    pub(crate) caches: Vec<CacheDefinition>,
    /// For every step.
    pub(crate) secrets: Vec<SecretName>,
    pub(crate) steps: Vec<StepDefinition>,
    pub(crate) artifacts: Vec<At<Template>>,
    pub(crate) junit: Vec<At<Template>>,
    /// The name → the file that holds the text.
    pub(crate) outputs: Vec<(String, At<Template>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceDefinition {
    pub(crate) name: ServiceName,
    pub(crate) image: At<Template>,
    pub(crate) env: Env,
    pub(crate) ready: Option<String>,
    pub(crate) ready_seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheDefinition {
    /// Patterns of files, by whose content a cache is known.
    pub(crate) key: Vec<At<Template>>,
    pub(crate) paths: Vec<At<Template>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepDefinition {
    pub(crate) name: String,
    pub(crate) run: String,
    /// Its own image, or the job's.
    pub(crate) image: At<Template>,
    pub(crate) env: Env,
    pub(crate) secrets: Vec<SecretName>,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) when: When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildDefinition {
    pub(crate) image: At<Template>,
    pub(crate) context: String,
    pub(crate) dockerfile: String,
    pub(crate) target: Option<At<Template>>,
    pub(crate) platforms: Vec<String>,
    pub(crate) args: Env,
    pub(crate) secrets: Vec<SecretName>,
    pub(crate) tags: Vec<At<Template>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeployDefinition {
    pub(crate) environment: At<EnvironmentName>,
    pub(crate) source: SourceDefinition,
    pub(crate) strategy: Strategy,
    pub(crate) verify: Verify,
    /// What of it no runner of this version carries out.
    pub(crate) later: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceDefinition {
    Manifests {
        path: String,
        images: Vec<(String, At<JobName>)>,
        before: Vec<String>,
    },
    Promote(At<EnvironmentName>),
}

#[cfg(test)]
mod tests;
