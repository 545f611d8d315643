//! Where a rollout stands, in the words that runner, record, page and API share.

use serde::{Deserialize, Serialize};

use crate::ids::ReleaseNumber;
use crate::names::CommitSha;
use crate::timestamp::Timestamp;

/// A picture of a rollout at one moment. The newest one is kept with the deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployProgress {
    /// How far along the plan it is.
    pub phase: Phase,
    /// One sentence: what is reached, or what exactly is still missing.
    pub verdict: String,
    /// When it has failed if nothing moves until then.
    pub deadline: Option<Timestamp>,
    /// The workloads of the release.
    pub workloads: Vec<Workload>,
    /// Pods, new and old, by creation.
    pub pods: Vec<Pod>,
    /// What is wrong, grouped by cause, the first cause first.
    pub causes: Vec<Cause>,
    /// Events of these objects, newest first, equal ones counted; at most 100.
    pub events: Vec<ClusterEvent>,
    /// The way back, once the release has failed. Workloads and pods are those of the release that
    /// is returned to then; the causes stay those of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// The way back from a release that has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The release that is returned to.
    pub release: ReleaseNumber,
    /// The commit it was made from.
    pub commit: CommitSha,
    /// How far it is.
    pub state: RollbackState,
    /// Why the release before it is left: the first cause.
    pub cause: String,
}

/// How far a rollback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackState {
    /// On its way.
    Running,
    /// The former release serves again, verified by the rules of every rollout.
    Verified,
    /// It did not get there: a person must look.
    Failed,
}

/// The stages of a rollout, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The release is being rendered and checked; nothing is written.
    Preparing,
    /// The objects are being written.
    Applying,
    /// Pods are being replaced.
    Rolling,
    /// The counts are right; watched for restarts.
    Verifying,
    /// It has failed; the last verified release is being applied again.
    RollingBack,
    /// At its end.
    Done,
}

impl Phase {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Applying => "applying",
            Self::Rolling => "rolling",
            Self::Verifying => "verifying",
            Self::RollingBack => "rolling back",
            Self::Done => "done",
        }
    }
}

/// One workload's counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Replicas it should have.
    pub wanted: u32,
    /// Replicas of the new template.
    pub updated: u32,
    /// Of those, ready.
    pub ready: u32,
    /// Of those, available (ready for long enough).
    pub available: u32,
    /// Pods of former templates still there, ending ones included.
    pub old: u32,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The workload it belongs to.
    pub workload: String,
    /// Whether it is of the new release.
    pub new: bool,
    /// How it is.
    pub state: PodState,
    /// A few words about the state: `CrashLoopBackOff, exit code 3`.
    pub reason: Option<String>,
    /// The node it is on.
    pub node: Option<String>,
    /// Restarts of its containers, summed.
    pub restarts: u32,
    /// The image of its first container, as the cluster reports it.
    pub image: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last lines of the failing container, if one fails.
    pub log: Vec<String>,
}

/// How a pod is. Judged by readiness, not by the word `Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodState {
    /// Serving.
    Ready,
    /// On its way.
    Starting,
    /// Runs, but is not ready.
    NotReady,
    /// Cannot start, or keeps dying.
    Failing,
    /// Ending.
    Terminating,
}

impl PodState {
    /// The words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::NotReady => "not ready",
            Self::Failing => "failing",
            Self::Terminating => "terminating",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// A sentence: `container shop exits with code 3 on 2 pods`.
    pub title: String,
    /// What it means and what usually helps.
    pub meaning: String,
    /// The pods, or other objects, it was seen on.
    pub objects: Vec<String>,
    /// Last lines of the failing container, or the cluster's own message.
    pub lines: Vec<String>,
    /// When it was first seen.
    pub since: Timestamp,
}

/// An event of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// When it was last seen.
    pub at: Timestamp,
    /// Whether the cluster calls it a warning.
    pub warning: bool,
    /// The object: `Pod/shop-7d…`.
    pub object: String,
    /// The cluster's word: `BackOff`.
    pub reason: String,
    /// The cluster's sentence.
    pub message: String,
    /// How often.
    pub count: u32,
}
