//! The cluster's types → our views.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{
    Container, ContainerState as KubeState, ContainerStateTerminated, ContainerStatus, Event, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use kube::ResourceExt as _;
use pipelines::timestamp::Timestamp;
use serde_json::Value;

use crate::deploy::cluster::{ANNOTATION_DEPLOY, FIELD_MANAGER};
use crate::deploy::snapshot::{
    ContainerState, ContainerView, EventView, Live, PodView, Target, Termination,
};

/// What is kept of a ReplicaSet.
pub(super) struct SetView {
    /// The identity of its Deployment.
    pub(super) owner: String,
    /// Its place in the Deployment's history.
    pub(super) revision: Option<i64>,
}

/// A pod and the identity of its ReplicaSet.
pub(super) struct Owned {
    pub(super) owner: String,
    pub(super) pod: PodView,
}

/// A moment of the cluster's.
pub(super) fn time(time: &Time) -> Timestamp {
    Timestamp(time.0.as_millisecond())
}

fn controller(metadata: &ObjectMeta) -> Option<String> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(owner.uid.clone())
}

fn number(count: Option<i32>) -> u32 {
    count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// The place in its history that the controller gave to a Deployment or ReplicaSet.
pub(super) fn revision(annotations: &BTreeMap<String, String>) -> Option<i64> {
    annotations
        .get("deployment.kubernetes.io/revision")?
        .parse()
        .ok()
}

/// A ReplicaSet, if a Deployment owns it.
pub(super) fn set(set: &ReplicaSet) -> Option<SetView> {
    Some(SetView {
        owner: controller(&set.metadata)?,
        revision: revision(set.annotations()),
    })
}

/// The spec without what others may change.
pub(crate) fn comparable(mut spec: Value) -> Value {
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("replicas");
        // Paused is judged by its own words.
        fields.remove("paused");
    }
    spec
}

/// A Deployment, as seen by the deploy that applied `target`.
pub(super) fn live(deployment: &Deployment, target: &Target) -> Live {
    let spec = deployment.spec.as_ref();
    let status = deployment.status.clone().unwrap_or_default();
    let condition = |kind: &str, state: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == kind && condition.status == state)
    };
    let late = condition("Progressing", "False")
        .filter(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    let message = |message: &Option<String>| message.clone().unwrap_or_default();
    let ours = serde_json::to_value(spec)
        .map(comparable)
        .is_ok_and(|spec| spec == target.spec);
    Live {
        generation: deployment.metadata.generation.unwrap_or(0),
        observed: status.observed_generation.unwrap_or(0),
        ours,
        last_writer: last_writer(deployment.metadata.managed_fields.iter().flatten()),
        deploy: deployment
            .annotations()
            .get(ANNOTATION_DEPLOY)
            .and_then(|text| text.parse().ok()),
        paused: spec.and_then(|spec| spec.paused).unwrap_or(false),
        // The cluster fills in 1.
        wanted: spec
            .and_then(|spec| spec.replicas)
            .map_or(1, |count| number(Some(count))),
        replicas: number(status.replicas),
        updated: number(status.updated_replicas),
        available: number(status.available_replicas),
        late: late.map(|condition| message(&condition.message)),
        replica_failure: condition("ReplicaFailure", "True")
            .map(|condition| message(&condition.message)),
    }
}

/// The field manager, besides us and the controllers that write a status, that wrote last.
pub(crate) fn last_writer<'a>(
    entries: impl Iterator<Item = &'a ManagedFieldsEntry>,
) -> Option<String> {
    let others = entries.filter(|entry| {
        entry.subresource.as_deref().unwrap_or("") != "status"
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
    });
    // The controller manager writes annotations too; it never changes a spec by itself.
    let changers =
        others.filter(|entry| entry.manager.as_deref() != Some("kube-controller-manager"));
    let last = changers.max_by_key(|entry| entry.time.as_ref().map(time))?;
    last.manager.clone()
}

/// A pod, if something controls it.
pub(super) fn pod(pod: &Pod) -> Option<Owned> {
    let owner = controller(&pod.metadata)?;
    let spec = pod.spec.as_ref();
    let status = pod.status.clone().unwrap_or_default();
    let condition = |kind: &str, state: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == kind && condition.status == state)
    };
    let unschedulable = condition("PodScheduled", "False")
        .filter(|condition| condition.reason.as_deref() == Some("Unschedulable"));
    let mut containers = Vec::new();
    for spec in spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten()
    {
        // One that is always restarted is a side-car: it lasts as long as the pod.
        let init = spec.restart_policy.as_deref() != Some("Always");
        containers.push(container(
            spec,
            status.init_container_statuses.as_deref(),
            init,
        ));
    }
    for spec in spec.map(|spec| &spec.containers).into_iter().flatten() {
        containers.push(container(spec, status.container_statuses.as_deref(), false));
    }
    Some(Owned {
        owner,
        pod: PodView {
            uid: pod.uid().unwrap_or_default(),
            name: pod.name_any(),
            new: false,
            created_at: pod.metadata.creation_timestamp.as_ref().map(time),
            ending: pod.metadata.deletion_timestamp.is_some(),
            ended: matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")),
            ready: condition("Ready", "True").is_some(),
            unschedulable: unschedulable
                .map(|condition| condition.message.clone().unwrap_or_default()),
            node: spec.and_then(|spec| spec.node_name.clone()),
            containers,
        },
    })
}

fn container(spec: &Container, statuses: Option<&[ContainerStatus]>, init: bool) -> ContainerView {
    let status = statuses
        .into_iter()
        .flatten()
        .find(|status| status.name == spec.name);
    let ended = |state: Option<&KubeState>| {
        state
            .and_then(|state| state.terminated.as_ref())
            .map(termination)
    };
    ContainerView {
        name: spec.name.clone(),
        init,
        image: spec.image.clone().unwrap_or_default(),
        image_id: status
            .map(|status| status.image_id.clone())
            .unwrap_or_default(),
        ready: status.is_some_and(|status| status.ready),
        restarts: number(status.map(|status| status.restart_count)),
        state: state(status.and_then(|status| status.state.as_ref())),
        last: ended(status.and_then(|status| status.last_state.as_ref())),
    }
}

fn state(state: Option<&KubeState>) -> ContainerState {
    let Some(state) = state else {
        return ContainerState::Unknown;
    };
    match (&state.waiting, &state.running, &state.terminated) {
        (Some(waiting), _, _) => ContainerState::Waiting {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        },
        (None, Some(_), _) => ContainerState::Running,
        (None, None, Some(ended)) => ContainerState::Terminated(termination(ended)),
        (None, None, None) => ContainerState::Unknown,
    }
}

fn termination(ended: &ContainerStateTerminated) -> Termination {
    Termination {
        exit_code: ended.exit_code,
        reason: ended.reason.clone().unwrap_or_default(),
        message: ended.message.clone().unwrap_or_default(),
    }
}

/// An event about something that can belong to a Deployment.
pub(super) fn event(event: &Event) -> Option<EventView> {
    let object = &event.involved_object;
    let kind = object.kind.clone()?;
    if !matches!(kind.as_str(), "Pod" | "ReplicaSet" | "Deployment") {
        return None;
    }
    // Three places for one moment, by the age of the component that wrote it.
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let micro = series
        .or(event.event_time.as_ref())
        .map(|at| Timestamp(at.0.as_millisecond()));
    let at = event
        .last_timestamp
        .as_ref()
        .map(time)
        .or(micro)
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(time))?;
    let count = event
        .series
        .as_ref()
        .and_then(|series| series.count)
        .or(event.count);
    Some(EventView {
        at,
        warning: event.type_.as_deref() == Some("Warning"),
        kind,
        name: object.name.clone().unwrap_or_default(),
        uid: object.uid.clone().unwrap_or_default(),
        container: object.field_path.as_deref().and_then(container_of),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
        count: number(count).max(1),
    })
}

/// `spec.containers{shop}` → `shop`.
fn container_of(path: &str) -> Option<String> {
    let (_, rest) = path.split_once('{')?;
    Some(rest.trim_end_matches('}').to_owned())
}
