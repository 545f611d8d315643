//! A plan: which jobs a run has, in what order, with every choice already made.
//!
//! A plan is data. It is the same for the same files and event, it can be printed, stored and
//! compared, and the executor only carries it out. What can only be known once the run goes on (its
//! number, what earlier jobs made) stands in it as a gap: see [`Text`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{CommitSha, EnvironmentName, JobName, PipelineName};

mod deploy;
mod describe;
mod text;
mod work;

pub use deploy::{DeployWork, OnFailure, ReleaseSource, Strategy, Verify};
pub use text::{Late, MissingOutput, Part, Text};
pub use work::{BuildWork, Cache, Service, Step, StepsWork};

/// What a pipeline does for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The pipeline it was made from.
    pub pipeline: PipelineName,
    /// Which runs it does not want beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The files of other repositories it was made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<UsedTemplate>,
    /// Every job of the file, in the file's order, a job with a matrix once for each cell; those
    /// that do not apply carry the reason.
    pub jobs: Vec<PlannedJob>,
}

/// Runs of one repository with the same group are not at work at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// What they have in common.
    pub group: String,
    /// What becomes of the others when a newer one comes.
    pub newest: Newest,
}

/// What a newer run of a concurrency group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newest {
    /// It supersedes the older ones, but for deploys that are running.
    Wins,
    /// Its jobs wait until the older ones have ended.
    Waits,
}

impl Newest {
    /// The word used in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wins => "wins",
            Self::Waits => "waits",
        }
    }
}

/// A file of templates of another repository, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedTemplate {
    /// What the pipeline file names: `acme/pipelines@v3:rust.yml`.
    pub source: String,
    /// The commit that reference meant.
    pub commit: CommitSha,
}

/// One job of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Its name, unique in the plan: the file's, and for a cell of a matrix its values behind it.
    pub name: JobName,
    /// The job of the file it was made from.
    pub group: JobName,
    /// Its cell of the matrix, by axis; empty without a matrix.
    pub matrix: BTreeMap<String, String>,
    /// The jobs that must end before it starts.
    pub needs: Vec<JobName>,
    /// How they must have ended.
    pub condition: Condition,
    /// Why it does not run, if it does not.
    pub skip: Option<String>,
    /// The whole job must end within this many seconds of its start.
    pub timeout_seconds: u32,
    /// Which failures get another attempt.
    pub retry: Retry,
    /// What is done.
    pub work: Work,
}

/// How what came before must have ended for a job or step to run (`when: { status: … }`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All of it has passed. For a job: what it needs, and nothing further behind has gone wrong.
    #[default]
    Success,
    /// Something of it has failed. For a job: a job that it needs, or one that one needs, and so on.
    Failure,
    /// It has ended, in whatever way.
    Always,
}

impl Condition {
    fn is_success(&self) -> bool {
        *self == Self::Success
    }

    /// The word used in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Always => "always",
        }
    }
}

/// Which failures get another attempt, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// How many more attempts there may be. Infrastructure failures always use them.
    pub attempts: u32,
    /// Which other ends use them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryOn>,
}

/// An end that is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// Any failure of the work.
    Failure,
    /// The job's time ran out.
    Timeout,
    /// The step that failed ended with this code (`exit:75`).
    Exit(i64),
}

/// The three kinds of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Commands in containers over a checkout.
    Steps(StepsWork),
    /// An image, built and pushed.
    Build(BuildWork),
    /// A release, rolled out and verified.
    Deploy(DeployWork),
}

/// Which kind of work a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// [`Work::Steps`].
    Steps,
    /// [`Work::Build`].
    Build,
    /// [`Work::Deploy`].
    Deploy,
}

impl JobKind {
    /// The word used in tables, pages and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Build => "build",
            Self::Deploy => "deploy",
        }
    }
}

impl Work {
    /// Which kind of work it is.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Steps(_) => JobKind::Steps,
            Self::Build(_) => JobKind::Build,
            Self::Deploy(_) => JobKind::Deploy,
        }
    }

    /// The environment it changes: only runners that serve it may have the job.
    pub fn environment(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Deploy(deploy) => Some(&deploy.environment),
            Self::Steps(_) | Self::Build(_) => None,
        }
    }

    /// The same work with its late gaps filled. `value` knows what each means; an output that was
    /// never made is an error only where a text cannot do without it, which `value` decides.
    pub fn fill(
        &self,
        value: &dyn Fn(&Late) -> Result<String, MissingOutput>,
    ) -> Result<Work, MissingOutput> {
        match self {
            Self::Steps(work) => work.fill(value).map(Self::Steps),
            Self::Build(work) => work.fill(value).map(Self::Build),
            Self::Deploy(work) => Ok(Self::Deploy(work.clone())),
        }
    }
}

/// The output of a build job that holds the pushed digest (`sha256:…`).
pub const OUTPUT_DIGEST: &str = "digest";
/// The output of a build job that holds the pinned image (`repository@sha256:…`).
pub const OUTPUT_IMAGE: &str = "image";
