//! A rollout as people see it: a snapshot, and what was concluded from it, in the words of the
//! record.

use std::collections::BTreeMap;

use pipelines::deploy::{Cause, ClusterEvent, DeployProgress, Phase, Pod, PodState, Workload};
use pipelines::timestamp::Timestamp;

use super::snapshot::{ContainerState, EventView, PodView, Snapshot, Target, WorkloadView, count};
use super::verdict::{Group, Problem, observed};

/// Most events that are kept: more are no help, and the record says so.
const EVENTS_MAX: usize = 100;
/// Most pods that are shown one by one; the counts speak of all.
const PODS_MAX: usize = 500;

/// The last lines of containers that fail: pod and container → lines.
pub(crate) type Tails = BTreeMap<(String, String), Vec<String>>;

/// Everything a picture is made of.
pub(crate) struct Scene<'a> {
    /// What was applied.
    pub(crate) targets: &'a [Target],
    /// What was seen.
    pub(crate) snapshot: &'a Snapshot,
    /// What is wrong.
    pub(crate) groups: &'a [Group],
    /// Last lines of what is wrong.
    pub(crate) tails: &'a Tails,
}

/// A picture with nothing in it but a sentence: before anything has been applied.
pub(crate) fn sentence(phase: Phase, verdict: impl Into<String>) -> DeployProgress {
    DeployProgress {
        phase,
        verdict: verdict.into(),
        deadline: None,
        workloads: Vec::new(),
        pods: Vec::new(),
        causes: Vec::new(),
        events: Vec::new(),
        rollback: None,
    }
}

/// The picture of a moment.
pub(crate) fn picture(
    scene: &Scene<'_>,
    phase: Phase,
    verdict: String,
    deadline: Option<Timestamp>,
) -> DeployProgress {
    let pairs = || scene.targets.iter().zip(&scene.snapshot.workloads);
    let pods = pairs().flat_map(|(target, view)| {
        let shown = view.pods.iter().filter(|pod| !pod.ended);
        shown.map(move |pod| self::pod(scene, target, pod))
    });
    let mut pods: Vec<Pod> = pods.take(PODS_MAX).collect();
    pods.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    DeployProgress {
        phase,
        verdict,
        deadline,
        workloads: pairs()
            .map(|(target, view)| workload(target, view))
            .collect(),
        pods,
        causes: scene
            .groups
            .iter()
            .map(|group| cause(scene, group))
            .collect(),
        events: events(&scene.snapshot.events),
        rollback: None,
    }
}

fn workload(target: &Target, view: &WorkloadView) -> Workload {
    let live = view.live.clone().unwrap_or_default();
    // Before the change is observed, "updated" speaks of the former template.
    let current = observed(target, &live);
    let updated = if current { live.updated } else { 0 };
    let ready = view.new_ready().min(updated);
    let old_serving = count(view.old_pods().filter(|pod| pod.ready && !pod.ending));
    Workload {
        kind: target.kind.as_str().to_owned(),
        name: target.name.clone(),
        wanted: live.wanted,
        updated,
        ready,
        // The Deployment counts available pods of every template together.
        available: live.available.saturating_sub(old_serving).min(ready),
        old: count(view.old_pods()),
    }
}

fn pod(scene: &Scene<'_>, target: &Target, pod: &PodView) -> Pod {
    let first = pod.containers.iter().find(|container| !container.init);
    let image = first.map(|container| match container.image_id.as_str() {
        "" => container.image.clone(),
        id => id.trim_start_matches("docker-pullable://").to_owned(),
    });
    let mut logs = scene
        .tails
        .iter()
        .filter(|((name, _), _)| *name == pod.name);
    let state = state(scene, pod);
    Pod {
        name: pod.name.clone(),
        workload: target.name.clone(),
        new: pod.new,
        reason: reason(pod, state),
        state,
        node: pod.node.clone(),
        restarts: pod.restarts(),
        image,
        created_at: pod.created_at.unwrap_or(Timestamp(0)),
        log: logs
            .next()
            .map(|(_, lines)| lines.clone())
            .unwrap_or_default(),
    }
}

/// Judged by readiness and by what is known to be wrong, never by the word `Running`.
fn state(scene: &Scene<'_>, pod: &PodView) -> PodState {
    let mut groups = scene
        .groups
        .iter()
        .filter(|group| group.objects.contains(&pod.name));
    let runs = |pod: &PodView| {
        let mut lasting = pod.containers.iter().filter(|container| !container.init);
        lasting.all(|container| container.state == ContainerState::Running)
    };
    if pod.ending {
        PodState::Terminating
    } else if pod.ready {
        PodState::Ready
    } else if groups.any(|group| group.problem.is_failing()) {
        PodState::Failing
    } else if runs(pod) {
        PodState::NotReady
    } else {
        PodState::Starting
    }
}

/// A few words: `CrashLoopBackOff, exit code 3`.
fn reason(pod: &PodView, state: PodState) -> Option<String> {
    match state {
        PodState::Ready | PodState::Terminating => return None,
        PodState::Starting | PodState::NotReady | PodState::Failing => {}
    }
    if pod.unschedulable.is_some() {
        return Some("no node takes it".to_owned());
    }
    let reasons = pod.containers.iter().filter_map(|container| {
        let word = match &container.state {
            ContainerState::Waiting { reason, .. } => Some(reason.clone()),
            ContainerState::Terminated(_) if container.init => None,
            ContainerState::Terminated(now) => Some(now.reason.clone()),
            ContainerState::Running if !container.ready && !container.init => {
                Some("running, not ready".to_owned())
            }
            ContainerState::Running | ContainerState::Unknown => None,
        }?;
        let ended = match &container.state {
            ContainerState::Terminated(now) => Some(now.exit_code),
            ContainerState::Waiting { .. } | ContainerState::Running | ContainerState::Unknown => {
                container.last.as_ref().map(|last| last.exit_code)
            }
        };
        Some(match ended {
            Some(code) => format!("{word}, exit code {code}"),
            None => word,
        })
    });
    // What fails says more than what only waits for it.
    reasons.min_by_key(|word| word == "PodInitializing" || word == "ContainerCreating")
}

fn cause(scene: &Scene<'_>, group: &Group) -> Cause {
    let Problem {
        object,
        container,
        message,
        ..
    } = &group.problem;
    let key = (object.clone(), container.clone().unwrap_or_default());
    let mut lines: Vec<String> = message
        .lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect();
    lines.extend(scene.tails.get(&key).into_iter().flatten().cloned());
    Cause {
        title: group.title(),
        meaning: group.meaning().to_owned(),
        objects: group.objects.clone(),
        lines,
        since: group.since,
    }
}

/// Equal events become one with their count; they come newest first.
fn events(events: &[EventView]) -> Vec<ClusterEvent> {
    let mut shown: Vec<ClusterEvent> = Vec::new();
    for event in events {
        let object = format!("{}/{}", event.kind, event.name);
        let same = shown.iter().position(|other| {
            other.object == object && other.reason == event.reason && other.message == event.message
        });
        match same {
            Some(place) => shown[place].count += event.count,
            None if shown.len() == EVENTS_MAX => break,
            None => shown.push(ClusterEvent {
                at: event.at,
                warning: event.warning,
                object,
                reason: event.reason.clone(),
                message: event.message.clone(),
                count: event.count,
            }),
        }
    }
    shown
}

/// What goes on serving after a rollout has ended badly, by the counts alone.
pub(crate) fn serving(snapshot: &Snapshot) -> String {
    let pods = || snapshot.workloads.iter().flat_map(|view| &view.pods);
    let old = count(pods().filter(|pod| !pod.new && pod.ready && !pod.ending));
    let new = count(pods().filter(|pod| pod.new && pod.ready && !pod.ending));
    let pods = |number| super::verdict::plural(number, "ready pod");
    match (old, new) {
        (0, 0) => "no pod serves".to_owned(),
        (0, new) => format!("what serves is the new release, with {}", pods(new)),
        (old, 0) => format!("the former release keeps serving with {}", pods(old)),
        (old, new) => format!(
            "the former release keeps serving with {}, beside {} of the new one",
            pods(old),
            pods(new)
        ),
    }
}

/// `3 of 3 pods ready`, over all workloads.
pub(crate) fn ready(picture: &DeployProgress) -> String {
    let sum = |part: fn(&Workload) -> u32| picture.workloads.iter().map(part).sum::<u32>();
    let (ready, wanted) = (
        sum(|workload| workload.ready),
        sum(|workload| workload.wanted),
    );
    format!("{ready} of {}", super::verdict::plural(wanted, "pod"))
}

#[cfg(test)]
mod tests;
