//! What a deploy does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ReleaseNumber;
use crate::names::{EnvironmentName, JobName, Namespace};

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
    /// What follows if it does not hold.
    #[serde(default, skip_serializing_if = "OnFailure::is_rollback")]
    pub on_failure: OnFailure,
}

/// What follows a rollout that has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The last verified release of the environment is applied again and verified, once.
    #[default]
    Rollback,
    /// It is left as it is, for a person to look at.
    Hold,
}

impl OnFailure {
    fn is_rollback(&self) -> bool {
        *self == Self::Rollback
    }
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
        /// Files with Jobs that must succeed before anything else is applied, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<String>,
    },
    /// The very release that another environment has verified in this run: nothing is rebuilt.
    Promote {
        /// That environment.
        environment: EnvironmentName,
        /// The job of this plan that deployed it there.
        job: JobName,
    },
    /// A release that was verified before, chosen by a person.
    Stored {
        /// Which.
        release: ReleaseNumber,
    },
}

/// How new pods take the place of old ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The Deployment's own rolling update.
    Rolling,
    /// All old pods end before the first new one starts.
    Recreate,
    /// The new pods stand beside the old ones until they are good; then the Service is switched.
    BlueGreen {
        /// How long the old pods stay for an instant return.
        keep_seconds: u32,
    },
    /// A part of the pods is new, in steps, before all are.
    Canary {
        /// How many of a hundred are new, step by step; 100 follows by itself.
        steps: Vec<u32>,
        /// How long each step is watched.
        hold_seconds: u32,
    },
}

/// What a rollout must show, once the counts are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// Seconds without a restart.
    pub bake_seconds: u32,
    /// Seconds without progress after which the rollout has failed.
    pub deadline_seconds: u32,
    /// An address that must answer with success while it bakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}
