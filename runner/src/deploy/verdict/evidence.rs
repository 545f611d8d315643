//! What is wrong in one snapshot: each problem with the object it was seen on.

use super::observed;
use super::problem::{Kind, Problem};
use super::pull::{self, PullFault};
use crate::deploy::snapshot::{
    ContainerState, ContainerView, PodView, Snapshot, Target, Termination, WorkloadView, count,
};

/// A container that died this often in a new pod keeps dying: the cluster restarts it once at once,
/// and then only after ever longer waits. One death may be a dependency that was a second late.
const DEATHS_MAX: u32 = 2;
/// A container that is ready at this moment is believed, until it has died once more than that.
const DEATHS_READY_MAX: u32 = 3;

/// Every problem of a snapshot.
pub(crate) fn diagnose(targets: &[Target], snapshot: &Snapshot) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (target, view) in targets.iter().zip(&snapshot.workloads) {
        let Some(live) = view.live.as_ref().filter(|live| observed(target, live)) else {
            continue;
        };
        if let Some(message) = live
            .replica_failure
            .as_ref()
            .filter(|_| lacks_pods(view, live.wanted))
        {
            problems.push(Problem::of_workload(target, message));
        }
        for pod in view.new_pods() {
            problems.extend(of_pod(target, snapshot, pod));
        }
    }
    problems
}

/// The condition may be a stale one, so it counts only while pods are missing. While a pod is
/// still ending, its place may be what is waited for.
fn lacks_pods(view: &WorkloadView, wanted: u32) -> bool {
    count(view.new_pods()) < wanted && !view.pods.iter().any(|pod| pod.ending)
}

fn of_pod(target: &Target, snapshot: &Snapshot, pod: &PodView) -> Vec<Problem> {
    if let Some(message) = &pod.unschedulable {
        let scaling = snapshot
            .events_of(&pod.uid)
            .any(|event| event.reason == "TriggeredScaleUp");
        return vec![Problem::of_pod(
            pod,
            Kind::Unschedulable { scaling },
            message,
        )];
    }
    let mut problems: Vec<_> = pod
        .containers
        .iter()
        .filter_map(|container| of_container(snapshot, pod, container))
        .collect();
    problems.extend(
        pod.containers
            .iter()
            .filter_map(|container| wrong_image(target, pod, container)),
    );
    if problems.is_empty() && waits_to_start(pod) {
        problems.extend(of_events(snapshot, pod));
    }
    problems
}

fn of_container(snapshot: &Snapshot, pod: &PodView, container: &ContainerView) -> Option<Problem> {
    let problem = |kind, message: &str| Some(Problem::of_container(pod, container, kind, message));
    if let ContainerState::Waiting { reason, message } = &container.state {
        match reason.as_str() {
            "InvalidImageName" => return problem(Kind::ImageName, message),
            "ErrImageNeverPull" => return problem(Kind::NeverPull, message),
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError" => {
                let message = pull_message(snapshot, pod, container, message);
                return problem(Kind::Pull(pull::read(&message)), &message);
            }
            "CreateContainerConfigError" if message.contains("failed to sync") => {
                // The node has not read its Secrets yet: nothing is known to be missing.
                return None;
            }
            "CreateContainerConfigError" => return problem(Kind::Config, message),
            "CreateContainerError" | "RunContainerError" => {
                return problem(start(message), message);
            }
            // ContainerCreating, PodInitializing: normal; CrashLoopBackOff: its history tells more.
            _ => {}
        }
    }
    let last = match &container.state {
        ContainerState::Terminated(now) => Some(now),
        ContainerState::Unknown | ContainerState::Waiting { .. } | ContainerState::Running => {
            container.last.as_ref()
        }
    };
    last.and_then(|last| of_death(snapshot, pod, container, last))
        .or_else(|| of_probe(snapshot, pod, container))
}

fn of_death(
    snapshot: &Snapshot,
    pod: &PodView,
    container: &ContainerView,
    last: &Termination,
) -> Option<Problem> {
    // An init container that has ended well is done.
    if container.init && last.exit_code == 0 {
        return None;
    }
    let deaths = container.deaths();
    let problem = |kind| Some(Problem::of_container(pod, container, kind, &last.message));
    if matches!(last.reason.as_str(), "StartError" | "ContainerCannotRun") {
        return problem(start(&last.message));
    }
    // Readiness beats a death: one that has recovered is not failed for its first seconds.
    let limit = if container.ready {
        DEATHS_READY_MAX
    } else {
        DEATHS_MAX
    };
    if deaths < limit {
        let exit_code = last.exit_code;
        return if container.ready {
            None
        } else {
            problem(Kind::Died { exit_code })
        };
    }
    if last.reason == "OOMKilled" {
        return problem(Kind::OutOfMemory);
    }
    if let Some(message) = killed_by_probe(snapshot, pod, container) {
        return Some(Problem::of_container(
            pod,
            container,
            Kind::Liveness,
            &message,
        ));
    }
    problem(Kind::Crash {
        exit_code: last.exit_code,
        init: container.init,
    })
}

/// The runtime's exit code for this is 128, but a fault of the node has the same: only the words
/// tell whether the image or its command is to blame.
fn start(message: &str) -> Kind {
    let message = message.to_lowercase();
    let blame = [
        "no such file",
        "not found in $path",
        "executable file not found",
        "permission denied",
        "exec format error",
        "is a directory",
        "no command specified",
        "not a directory",
    ];
    if blame.iter().any(|word| message.contains(word)) {
        Kind::Start
    } else {
        Kind::StartUnclear
    }
}

/// The message of the probe that a container is killed for, if it is.
fn killed_by_probe(
    snapshot: &Snapshot,
    pod: &PodView,
    container: &ContainerView,
) -> Option<String> {
    let of = |text: &str| {
        let mut events = events_of(snapshot, pod, container);
        events
            .find(|event| event.message.contains(text))
            .map(|event| event.message.clone())
    };
    let killing = of("failed liveness probe").or_else(|| of("failed startup probe"))?;
    Some(
        of("Liveness probe")
            .or_else(|| of("Startup probe"))
            .unwrap_or(killing),
    )
}

fn of_probe(snapshot: &Snapshot, pod: &PodView, container: &ContainerView) -> Option<Problem> {
    if container.init || container.ready || container.state != ContainerState::Running {
        return None;
    }
    let mut events = events_of(snapshot, pod, container);
    let event = events.find(|event| {
        event.reason == "Unhealthy"
            && (event.message.starts_with("Readiness") || event.message.starts_with("Startup"))
    })?;
    Some(Problem::of_container(
        pod,
        container,
        Kind::Readiness,
        &event.message,
    ))
}

fn events_of<'a>(
    snapshot: &'a Snapshot,
    pod: &'a PodView,
    container: &'a ContainerView,
) -> impl Iterator<Item = &'a crate::deploy::snapshot::EventView> {
    let events = snapshot.events_of(&pod.uid);
    events.filter(|event| {
        event
            .container
            .as_ref()
            .is_none_or(|name| *name == container.name)
    })
}

/// Older kubelets say in `ImagePullBackOff` only that they wait; the event before it says why.
fn pull_message(
    snapshot: &Snapshot,
    pod: &PodView,
    container: &ContainerView,
    message: &str,
) -> String {
    if pull::read(message) != PullFault::Unknown {
        return message.to_owned();
    }
    let mut events = events_of(snapshot, pod, container);
    let event = events.find(|event| event.message.starts_with("Failed to pull image"));
    event
        .map_or(message, |event| event.message.as_str())
        .to_owned()
}

/// A running container whose image is another digest than the one deployed. A node that reports a
/// bare id (an image that was never in a registry) says nothing about digests.
fn wrong_image(target: &Target, pod: &PodView, container: &ContainerView) -> Option<Problem> {
    let digest = target.digests.get(&container.name)?;
    let (_, running) = container.image_id.split_once('@')?;
    if running == digest {
        return None;
    }
    let message = format!("it runs {}, deployed was {digest}", container.image_id);
    Some(Problem::of_container(
        pod,
        container,
        Kind::WrongImage,
        &message,
    ))
}

fn waits_to_start(pod: &PodView) -> bool {
    let waits = |container: &ContainerView| {
        matches!(&container.state, ContainerState::Waiting { reason, .. }
            if reason == "ContainerCreating" || reason == "PodInitializing")
    };
    pod.containers.iter().any(waits)
}

/// Problems that no status shows, only events: volumes and the pod's network.
fn of_events(snapshot: &Snapshot, pod: &PodView) -> Option<Problem> {
    snapshot
        .events_of(&pod.uid)
        .find_map(|event| match event.reason.as_str() {
            "FailedMount" | "FailedAttachVolume" if event.message.contains("not found") => {
                Some(Problem::of_pod(pod, Kind::MountMissing, &event.message))
            }
            "FailedMount" | "FailedAttachVolume" if !event.message.contains("failed to sync") => {
                Some(Problem::of_pod(pod, Kind::Mount, &event.message))
            }
            "FailedCreatePodSandBox" => Some(Problem::of_pod(pod, Kind::Sandbox, &event.message)),
            _ => None,
        })
}

/// The evidence of a container that died after everything had been well.
pub(super) fn last_death(snapshot: &Snapshot, pod: &PodView) -> Option<Problem> {
    let container = super::words::deadest(pod)?;
    let last = super::words::last_end(container).unwrap_or_default();
    let probe = killed_by_probe(snapshot, pod, container);
    let kind = match (&probe, last.reason.as_str()) {
        (Some(_), _) => Kind::Liveness,
        (None, "OOMKilled") => Kind::OutOfMemory,
        (None, _) => Kind::Crash {
            exit_code: last.exit_code,
            init: false,
        },
    };
    let message = probe.unwrap_or(last.message);
    Some(Problem::of_container(pod, container, kind, &message))
}
