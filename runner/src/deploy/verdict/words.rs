//! Problems in words: what it is, what it means, what usually helps.

use std::time::Duration;

use super::history::History;
use super::problem::{Kind, Patience, Problem};
use super::pull::PullFault;
use super::seconds_text;
use crate::deploy::snapshot::{ContainerState, ContainerView, PodView, Termination};
use pipelines::timestamp::Timestamp;

/// Longest message of the cluster in a sentence, in characters.
const MESSAGE_CHARS_MAX: usize = 240;

/// Equal problems of several pods.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// One of them.
    pub(crate) problem: Problem,
    /// The objects it was seen on.
    pub(crate) objects: Vec<String>,
    /// When it was first seen.
    pub(crate) since: Timestamp,
}

/// Groups problems by cause: the most certain first, and of those the first seen.
pub(crate) fn group(problems: &[Problem], history: &History, now: Timestamp) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for problem in problems {
        let since = history.since(problem).unwrap_or(now);
        let same = |group: &&mut Group| {
            group.problem.kind == problem.kind && group.problem.container == problem.container
        };
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.objects.push(problem.object.clone());
                if since < group.since {
                    group.since = since;
                    group.problem = problem.clone();
                }
            }
            None => groups.push(Group {
                problem: problem.clone(),
                objects: vec![problem.object.clone()],
                since,
            }),
        }
    }
    let certain = |group: &Group| match group.problem.patience() {
        Patience::For(_) => 0,
        Patience::UntilDeadline => 1,
    };
    groups.sort_by_key(|group| (certain(group), group.since));
    groups
}

/// Puts the cause that decided first, whether or not the last picture still shows it.
pub(crate) fn lead(groups: &mut Vec<Group>, problem: &Problem, now: Timestamp) {
    let same = |group: &Group| {
        group.problem.kind == problem.kind && group.problem.container == problem.container
    };
    let group = match groups.iter().position(same) {
        Some(place) => groups.remove(place),
        None => Group {
            problem: problem.clone(),
            objects: vec![problem.object.clone()],
            since: now,
        },
    };
    groups.insert(0, group);
}

impl Group {
    /// `container shop exits with code 3 on 2 pods`.
    pub(crate) fn title(&self) -> String {
        let (what, seen_on) = (what(&self.problem), self.objects.len());
        match seen_on {
            1 => format!("{what} on {}", self.objects[0]),
            _ => format!("{what} on {seen_on} pods"),
        }
    }
    /// `1 cannot pull its image`.
    pub(crate) fn short(&self) -> String {
        format!("{} {}", self.objects.len(), short(&self.problem.kind))
    }
    /// What it means, and what usually helps.
    pub(crate) fn meaning(&self) -> &'static str {
        meaning(&self.problem)
    }
}

/// The first cause, as the reason of a failed deploy.
pub(super) fn cause(problem: &Problem) -> String {
    let what = what(problem);
    let on = match problem.kind {
        Kind::Refused => String::new(),
        _ => format!(" (pod {})", problem.object),
    };
    let message = match problem.kind {
        // What is missing has been said, and the kernel's kill has no message worth reading.
        Kind::Config | Kind::MountMissing | Kind::OutOfMemory => String::new(),
        _ => brief(&problem.message),
    };
    if message.is_empty() {
        format!("{what}{on}")
    } else {
        format!("{what}{on}: {message}")
    }
}

/// A death in the bake.
pub(super) fn died_in_bake(problem: &Problem, bake: Duration) -> String {
    let how = match &problem.kind {
        Kind::OutOfMemory => "killed for using more memory than its limit".to_owned(),
        Kind::Liveness => format!("killed because a probe failed: {}", brief(&problem.message)),
        Kind::Crash { exit_code, .. } => format!("exit code {exit_code}"),
        _ => brief(&problem.message),
    };
    format!(
        "all pods were ready, but container {} of pod {} ended within the {} of the bake ({how})",
        problem.container.as_deref().unwrap_or(""),
        problem.object,
        seconds_text(bake.as_secs()),
    )
}

/// The container that has died most often.
pub(super) fn deadest(pod: &PodView) -> Option<&ContainerView> {
    let lasting = pod.containers.iter().filter(|container| !container.init);
    lasting.max_by_key(|container| container.deaths())
}

/// How a container ended the last time.
pub(super) fn last_end(container: &ContainerView) -> Option<Termination> {
    match &container.state {
        ContainerState::Terminated(now) => Some(now.clone()),
        ContainerState::Unknown | ContainerState::Waiting { .. } | ContainerState::Running => {
            container.last.clone()
        }
    }
}

fn what(problem: &Problem) -> String {
    let container = problem.container.as_deref().unwrap_or("");
    let image = &problem.image;
    match &problem.kind {
        Kind::Pull(PullFault::Absent) => format!("image {image} is not in its registry"),
        Kind::Pull(PullFault::Denied) => {
            format!("the registry does not give image {image} to this cluster")
        }
        Kind::Pull(PullFault::Unavailable) => {
            format!("image {image} cannot be pulled at the moment")
        }
        Kind::Pull(PullFault::Unknown) => format!("image {image} cannot be pulled"),
        Kind::ImageName => format!("`{image}` is not a valid image name"),
        Kind::NeverPull => format!(
            "image {image} is not on the node, and imagePullPolicy Never forbids to pull it"
        ),
        Kind::WrongImage => {
            format!("container {container} runs another image than the one deployed")
        }
        Kind::Config => format!(
            "container {container} cannot be made: {}",
            missing_object(&problem.message)
        ),
        Kind::MountMissing => format!(
            "a volume cannot be mounted: {}",
            missing_object(&problem.message)
        ),
        Kind::Mount => "a volume cannot be mounted".to_owned(),
        Kind::StartUnclear => format!("container {container} cannot be started"),
        Kind::Start => format!("the command of container {container} cannot be started"),
        Kind::Crash { exit_code, init } => {
            let init = if *init { "init container" } else { "container" };
            format!(
                "{init} {container} exits with code {exit_code}, {} so far",
                times(problem.deaths)
            )
        }
        Kind::OutOfMemory => format!(
            "container {container} is killed for using more memory than its limit, {} so far",
            times(problem.deaths)
        ),
        Kind::Liveness => {
            format!("container {container} is killed because its liveness probe fails")
        }
        Kind::Died { exit_code } => {
            format!("container {container} ended once with code {exit_code}")
        }
        Kind::Readiness => format!("container {container} runs, but its readiness probe fails"),
        Kind::Unschedulable { .. } => "no node takes the pod".to_owned(),
        Kind::Refused => format!("the cluster refuses to make pods for {}", problem.object),
        Kind::Sandbox => "the network of the pod cannot be made".to_owned(),
    }
}

fn short(kind: &Kind) -> &'static str {
    match kind {
        Kind::Pull(_) | Kind::ImageName | Kind::NeverPull => "cannot pull its image",
        Kind::WrongImage => "runs another image",
        Kind::Config | Kind::MountMissing => "lacks a Secret, ConfigMap or volume",
        Kind::Mount => "cannot mount a volume",
        Kind::Start => "cannot start its command",
        Kind::StartUnclear => "cannot be started",
        Kind::Crash { .. } => "keeps crashing",
        Kind::OutOfMemory => "runs out of memory",
        Kind::Liveness => "fails its liveness probe",
        Kind::Died { .. } => "crashed once",
        Kind::Readiness => "fails its readiness probe",
        Kind::Unschedulable { .. } => "finds no node",
        Kind::Refused => "cannot make its pods",
        Kind::Sandbox => "has no network yet",
    }
}

fn meaning(problem: &Problem) -> &'static str {
    match &problem.kind {
        Kind::Pull(PullFault::Absent) => {
            "The registry answers that it does not have this image. Was it pushed, and to this repository? Was it deleted by a clean-up? Does it have this node's architecture?"
        }
        Kind::Pull(PullFault::Denied) => {
            "The registry wants credentials the cluster does not give. Check the imagePullSecrets of the pod or its service account."
        }
        Kind::Pull(PullFault::Unavailable) => {
            "The registry is busy or cannot be reached from the node. The cluster goes on trying; nothing is wrong with the release."
        }
        Kind::Pull(PullFault::Unknown) => "The node could not fetch the image and goes on trying.",
        Kind::ImageName => "The image's name cannot be read. Correct it in the manifest.",
        Kind::NeverPull => {
            "imagePullPolicy is Never, so the image has to be on every node already."
        }
        Kind::WrongImage => {
            "Something between the manifest and the node changed the image, for example an admission webhook."
        }
        Kind::Config => {
            "The pod needs a Secret or ConfigMap, or a key of one, that the namespace does not have. Make it, or correct the name."
        }
        Kind::MountMissing => {
            "The pod mounts a Secret, ConfigMap or claim that the namespace does not have. Make it, or correct the name."
        }
        Kind::Mount => "The node could not mount a volume and goes on trying.",
        Kind::StartUnclear => "The node could not start the container and goes on trying.",
        Kind::Start => {
            "The image has no such command, or it may not be executed. Check `command`, the image's entry point and its architecture."
        }
        Kind::Crash { exit_code: 0, .. } => {
            "The process ends by itself, though it should keep running. Check the command."
        }
        Kind::Crash { init: true, .. } => {
            "An init container has to end well before the others begin. Its last lines say why it did not."
        }
        Kind::Crash { .. } => "The process ends soon after its start. Its last lines say why.",
        Kind::OutOfMemory => {
            "The container used more memory than `resources.limits.memory`. Raise the limit, or lower the use."
        }
        Kind::Liveness => {
            "The cluster kills a container whose liveness probe fails. Check the probe's path, port and delays."
        }
        Kind::Died { .. } => {
            "It ended once and is being restarted. That may be a dependency that was a moment late."
        }
        Kind::Readiness => {
            "The process runs but does not say that it can serve. It gets no traffic, and the rollout waits for it."
        }
        Kind::Unschedulable { scaling: true } => "No node has room; an autoscaler is adding one.",
        Kind::Unschedulable { scaling: false } => {
            "No node has the room, labels or tolerations that the pod asks for."
        }
        Kind::Refused => refused(&problem.message),
        Kind::Sandbox => {
            "The node's network plugin could not make the pod's network and goes on trying."
        }
    }
}

fn refused(message: &str) -> &'static str {
    if message.contains("exceeded quota") {
        "The namespace's quota leaves no room for another pod. Raise the quota, lower the requests, or let the rollout take an old pod away first (maxUnavailable: 1, maxSurge: 0)."
    } else if message.contains("serviceaccount") {
        "The pod's service account does not exist. Make it, or correct `serviceAccountName`."
    } else {
        "A rule of the cluster (admission, pod security, a limit range) forbids this pod."
    }
}

/// `secret "shop-env" not found` out of a longer message; the message itself if there is none.
fn missing_object(message: &str) -> String {
    let end = message.find(" not found").map(|at| at + " not found".len());
    let cut = &message[..end.unwrap_or(message.len())];
    let start = ["secret \"", "configmap \"", "persistentvolumeclaim \""]
        .iter()
        .filter_map(|word| cut.rfind(word))
        .max();
    brief(&cut[start.unwrap_or(0)..])
}

/// One line of bounded length.
pub(crate) fn brief(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches(['.', ':', ' ']).to_owned();
    if line.chars().count() <= MESSAGE_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
    format!("{cut}…")
}

fn times(count: u32) -> String {
    match count {
        0 | 1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// `1 old pod`, `2 old pods`.
pub(crate) fn plural(count: u32, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        more => format!("{more} {thing}s"),
    }
}
