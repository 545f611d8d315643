//! What steps and builds do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Condition, Late, MissingOutput, Text};
use crate::names::{ImageRepository, SecretName, ServiceName};

/// Commands, one container each, over one workspace with the commit checked out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepsWork {
    /// What runs beside the steps, in the file's order; ready before the first of them starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What is kept from run to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// The steps, in order; after one that fails only those run that want a failure, or always do.
    pub steps: Vec<Step>,
    /// Which files of the workspace are kept: patterns of [`crate::pattern`], relative to its root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Where JUnit reports are: patterns as above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub junit: Vec<String>,
    /// What later jobs may ask for: the name → the file of the workspace that holds the text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
}

/// A container beside the steps of a job, reached under its name on the job's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name, and its name on the network.
    pub name: ServiceName,
    /// The image.
    pub image: Text,
    /// Its environment.
    pub env: BTreeMap<String, Text>,
    /// A command that exits 0 inside the container once it is ready; without one it is ready when
    /// its image's own health check says so, or, without that, when it runs.
    pub ready: Option<String>,
    /// It must be ready within this many seconds.
    pub ready_seconds: u32,
}

/// Files that are kept from run to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Caches of one repository with the same prefix may stand in for one another: the newest is
    /// taken when none has the very key.
    pub prefix: String,
    /// The key is the prefix and the hash of these files of the checkout (patterns).
    pub files: Vec<String>,
    /// What is kept: paths relative to the workspace, or absolute ones of the steps' containers.
    pub paths: Vec<String>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What people call it: its `name`, or the first line of its command.
    pub name: String,
    /// The image its container is made from.
    pub image: Text,
    /// The script, run by the image's `sh -e`.
    pub run: String,
    /// Its environment, besides the `SEAWORTHY_…` variables that every step has.
    pub env: BTreeMap<String, Text>,
    /// The secrets it gets, each as a file `/run/secrets/NAME` and as a variable in upper case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// The step must end within this many seconds; the job's limit holds as well.
    pub timeout_seconds: Option<u32>,
    /// How the steps before it must have ended.
    #[serde(default, skip_serializing_if = "Condition::is_success")]
    pub condition: Condition,
    /// Why it does not run, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
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
    pub target: Option<Text>,
    /// For which platforms (`linux/arm64`); without any, the engine's own. More than one are pushed
    /// as an index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Build arguments.
    pub args: BTreeMap<String, Text>,
    /// The secrets the Dockerfile may mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// Tags that are moved to the pushed image, for people; nothing of ours reads them.
    pub tags: Vec<Text>,
}

type Value<'v> = &'v dyn Fn(&Late) -> Result<String, MissingOutput>;

impl StepsWork {
    pub(super) fn fill(&self, value: Value<'_>) -> Result<StepsWork, MissingOutput> {
        let mut filled = self.clone();
        for service in &mut filled.services {
            service.image = service.image.fill(value)?;
            fill_all(service.env.values_mut(), value)?;
        }
        for step in &mut filled.steps {
            step.image = step.image.fill(value)?;
            fill_all(step.env.values_mut(), value)?;
        }
        Ok(filled)
    }
}

impl BuildWork {
    pub(super) fn fill(&self, value: Value<'_>) -> Result<BuildWork, MissingOutput> {
        let mut filled = self.clone();
        let texts = filled.args.values_mut().chain(&mut filled.tags);
        fill_all(texts.chain(&mut filled.target), value)?;
        Ok(filled)
    }
}

fn fill_all<'t>(
    texts: impl Iterator<Item = &'t mut Text>,
    value: Value<'_>,
) -> Result<(), MissingOutput> {
    for text in texts {
        *text = text.fill(value)?;
    }
    Ok(())
}
