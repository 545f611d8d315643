//! What was seen of a rollout at one moment, in plain values.
//!
//! The types carry what a decision needs and nothing of the cluster's own types, so that
//! [`super::verdict`] can be tested from hand-made values. Times are the cluster's, for display;
//! decisions use the follower's own clock, because the two may disagree.

use std::collections::BTreeMap;

use pipelines::timestamp::Timestamp;
use serde_json::Value;

/// A workload that this deploy applied, as the cluster answered: the fence of every decision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    /// What kind it is.
    pub(crate) kind: WorkloadKind,
    /// Its name.
    pub(crate) name: String,
    /// Its identity: a workload made anew under the same name is another one.
    pub(crate) uid: String,
    /// The generation that carries our change.
    pub(crate) generation: i64,
    /// Its spec without `replicas`, which an autoscaler may change without taking it over.
    pub(crate) spec: Value,
    /// Container → digest it must run, for the containers that are pinned.
    pub(crate) digests: BTreeMap<String, String>,
    /// Whether applying changed anything.
    pub(crate) change: Change,
}

/// Whether applying changed a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new, or has a new spec; or an earlier attempt of this deploy applied it.
    Changed,
    /// The spec was the same already.
    Unchanged,
}

/// The kinds that are followed. StatefulSets and DaemonSets are to be added here: the compiler
/// then shows every place that has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
}

impl WorkloadKind {
    /// The cluster's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
        }
    }
}

/// Everything seen, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// One for each target, in the same order.
    pub(crate) workloads: Vec<WorkloadView>,
    /// Events of these objects, newest first.
    pub(crate) events: Vec<EventView>,
}

/// One workload with its pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WorkloadView {
    /// The object; none if it has been deleted, or another one took its name.
    pub(crate) live: Option<Live>,
    /// Its pods, new and old, by creation.
    pub(crate) pods: Vec<PodView>,
}

/// The workload's own words about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Live {
    /// The generation of its spec.
    pub(crate) generation: i64,
    /// The generation that its controller has acted on.
    pub(crate) observed: i64,
    /// Whether its spec is still ours, `replicas` apart.
    pub(crate) ours: bool,
    /// Who wrote it last, besides us, by field manager.
    pub(crate) last_writer: Option<String>,
    /// The deploy that claims it, by annotation.
    pub(crate) deploy: Option<i64>,
    /// Whether its rollout is paused.
    pub(crate) paused: bool,
    /// Replicas it should have.
    pub(crate) wanted: u32,
    /// Replicas in all, old ones included, ending ones not.
    pub(crate) replicas: u32,
    /// Replicas of the new template.
    pub(crate) updated: u32,
    /// Replicas available, old ones included.
    pub(crate) available: u32,
    /// The condition `Progressing`, if it says that the deadline has passed.
    pub(crate) late: Option<String>,
    /// The condition `ReplicaFailure`, if true: the cluster's message.
    pub(crate) replica_failure: Option<String>,
}

/// One pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PodView {
    /// Its identity.
    pub(crate) uid: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is of the new template.
    pub(crate) new: bool,
    /// When it was made.
    pub(crate) created_at: Option<Timestamp>,
    /// Whether it is ending.
    pub(crate) ending: bool,
    /// Whether it is at its end: evicted, or completed. Such a pod holds no place any more.
    pub(crate) ended: bool,
    /// Whether it serves.
    pub(crate) ready: bool,
    /// Why no node takes it, if none does.
    pub(crate) unschedulable: Option<String>,
    /// The node it is on.
    pub(crate) node: Option<String>,
    /// Its containers, init containers first.
    pub(crate) containers: Vec<ContainerView>,
}

/// One container of a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ContainerView {
    /// Its name.
    pub(crate) name: String,
    /// Whether it must end before the others begin.
    pub(crate) init: bool,
    /// The image its spec names.
    pub(crate) image: String,
    /// The image it runs, as the node reports it; empty until it runs.
    pub(crate) image_id: String,
    /// Whether its probes pass.
    pub(crate) ready: bool,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How it is now.
    pub(crate) state: ContainerState,
    /// How it ended the last time.
    pub(crate) last: Option<Termination>,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum ContainerState {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// Not started.
    Waiting {
        /// The cluster's word.
        reason: String,
        /// The cluster's sentence, often empty.
        message: String,
    },
    /// Its process runs.
    Running,
    /// Its process has ended.
    Terminated(Termination),
}

/// How a container's process ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Termination {
    /// Its exit code.
    pub(crate) exit_code: i32,
    /// The cluster's word: `Error`, `OOMKilled`, `Completed`, `StartError`.
    pub(crate) reason: String,
    /// The cluster's sentence, often empty.
    pub(crate) message: String,
}

/// An event of one of the objects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventView {
    /// When it was last seen.
    pub(crate) at: Timestamp,
    /// Whether the cluster calls it a warning.
    pub(crate) warning: bool,
    /// The kind of the object it is about.
    pub(crate) kind: String,
    /// The name of that object.
    pub(crate) name: String,
    /// The identity of that object.
    pub(crate) uid: String,
    /// The container it is about, if it is about one.
    pub(crate) container: Option<String>,
    /// The cluster's word.
    pub(crate) reason: String,
    /// The cluster's sentence.
    pub(crate) message: String,
    /// How often.
    pub(crate) count: u32,
}

impl Snapshot {
    /// Events about the object with this identity, newest first.
    pub(crate) fn events_of<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a EventView> {
        self.events.iter().filter(move |event| event.uid == uid)
    }
}

impl WorkloadView {
    /// Pods of the new template that hold a place.
    pub(crate) fn new_pods(&self) -> impl Iterator<Item = &PodView> {
        self.pods
            .iter()
            .filter(|pod| pod.new && !pod.ending && !pod.ended)
    }
    /// Pods of former templates that are still there, ending ones included.
    pub(crate) fn old_pods(&self) -> impl Iterator<Item = &PodView> {
        self.pods.iter().filter(|pod| !pod.new && !pod.ended)
    }
    /// How many pods of the new template serve.
    pub(crate) fn new_ready(&self) -> u32 {
        count(self.new_pods().filter(|pod| pod.ready))
    }
}

impl PodView {
    /// Restarts of its containers, summed.
    pub(crate) fn restarts(&self) -> u32 {
        self.containers
            .iter()
            .map(|container| container.restarts)
            .sum()
    }
    /// How often its containers have died, those apart that are meant to end.
    pub(crate) fn deaths(&self) -> u32 {
        let lasting = self.containers.iter().filter(|container| !container.init);
        lasting.map(ContainerView::deaths).sum()
    }
}

impl ContainerView {
    /// How often it has died: its restarts, and once more if it is dead now.
    pub(crate) fn deaths(&self) -> u32 {
        let dead = match &self.state {
            ContainerState::Terminated(_) => true,
            ContainerState::Waiting { reason, .. } => reason == "CrashLoopBackOff",
            ContainerState::Unknown | ContainerState::Running => false,
        };
        self.restarts + u32::from(dead)
    }
}

/// How many there are, in the width of the record.
pub(crate) fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
