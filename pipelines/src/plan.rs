//! A plan: which jobs a run has, in what order, with every choice already made.
//!
//! A plan is data. It is the same for the same files and event, it can be printed, stored and
//! compared, and the executor only carries it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{EnvironmentName, ImageRepository, JobName, Namespace, PipelineName};

/// What a pipeline does for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The pipeline it was made from.
    pub pipeline: PipelineName,
    /// Every job of the file, in the file's order; those that do not apply carry the reason.
    pub jobs: Vec<PlannedJob>,
}

/// One job of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Its name, unique in the plan.
    pub name: JobName,
    /// The jobs that must pass before it starts.
    pub needs: Vec<JobName>,
    /// Why it does not run, if it does not.
    pub skip: Option<String>,
    /// The whole job must end within this many seconds of its start.
    pub timeout_seconds: u32,
    /// How many more attempts an infrastructure failure gets.
    pub retries: u32,
    /// What is done.
    pub work: Work,
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
}

/// Commands, one container each, over one workspace with the commit checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepsWork {
    /// The steps, in order; the first that fails ends the job.
    pub steps: Vec<Step>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What people call it: its `name`, or the first line of its command.
    pub name: String,
    /// The image its container is made from.
    pub image: String,
    /// The script, run by the image's `sh -e`.
    pub run: String,
    /// Its environment, besides the `SEAWORTHY_…` variables.
    pub env: BTreeMap<String, String>,
    /// The step must end within this many seconds; the job's limit holds as well.
    pub timeout_seconds: Option<u32>,
}

/// An image to build and push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWork {
    /// Where it is pushed.
    pub image: ImageRepository,
    /// The build context, relative to the repository's root.
    pub context: String,
    /// The Dockerfile, relative to the repository's root.
    pub dockerfile: String,
    /// The stage to build, if not the last.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Tags that are moved to the pushed image, for people; nothing of ours reads them.
    pub tags: Vec<String>,
}

/// The output of a build job that holds the pushed digest (`sha256:…`).
pub const OUTPUT_DIGEST: &str = "digest";
/// The output of a build job that holds the pinned image (`repository@sha256:…`).
pub const OUTPUT_IMAGE: &str = "image";

/// A release to roll out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployWork {
    /// Where to.
    pub environment: EnvironmentName,
    /// The namespace that environment means.
    pub namespace: Namespace,
    /// What.
    pub source: ReleaseSource,
    /// How.
    pub strategy: Strategy,
    /// What must hold before it counts as good.
    pub verify: Verify,
}

/// Where a release comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseSource {
    /// Made from the repository's manifests at the run's commit.
    Manifests {
        /// A file or a folder of YAML, relative to the repository's root.
        path: String,
        /// Image name in the manifests → the build job whose digest takes its place.
        images: BTreeMap<String, JobName>,
    },
    /// The very release that another environment has verified in this run: nothing is rebuilt.
    Promote {
        /// That environment.
        environment: EnvironmentName,
        /// The job of this plan that deployed it there.
        job: JobName,
    },
}

/// How new pods take the place of old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The Deployment's own rolling update.
    Rolling,
}

/// What a rollout must show, once the counts are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// Seconds without a restart.
    pub bake_seconds: u32,
    /// Seconds without progress after which the rollout has failed.
    pub deadline_seconds: u32,
}
