//! One thing that is wrong, and how long one may wait for it to cure itself.

use std::time::Duration;

use super::pull::PullFault;
use super::{CONFIRM, MISSING_GRACE, PULL_GRACE, REFUSED_GRACE, UNSCHEDULABLE_GRACE};
use crate::deploy::snapshot::{ContainerView, PodView, Target};

/// One thing that is wrong on one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// The pod, or the workload.
    pub(crate) object: String,
    /// The container, if it is about one.
    pub(crate) container: Option<String>,
    /// The image that container names.
    pub(crate) image: String,
    /// The cluster's message.
    pub(crate) message: String,
    /// How often the container has died.
    pub(crate) deaths: u32,
}

/// Kinds of problems. Equal kinds of one container are one cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The image cannot be pulled.
    Pull(PullFault),
    /// The image's name is not one.
    ImageName,
    /// The image is not on the node and must not be pulled.
    NeverPull,
    /// Another image runs than was deployed.
    WrongImage,
    /// A Secret or ConfigMap that the container needs is not there.
    Config,
    /// A volume cannot be mounted because its source is not there.
    MountMissing,
    /// A volume cannot be mounted for another reason.
    Mount,
    /// The process cannot be started, and the message blames the image or its command.
    Start,
    /// The process cannot be started, for a reason that may be the node's.
    StartUnclear,
    /// The process keeps ending.
    Crash {
        /// With this exit code.
        exit_code: i32,
        /// It is an init container.
        init: bool,
    },
    /// The process is killed for its memory.
    OutOfMemory,
    /// The liveness or start-up probe fails, and the container is killed for it.
    Liveness,
    /// The process ended once.
    Died {
        /// With this exit code.
        exit_code: i32,
    },
    /// It runs, and its readiness probe fails.
    Readiness,
    /// No node takes the pod.
    Unschedulable {
        /// An autoscaler says that it adds a node.
        scaling: bool,
    },
    /// The cluster refuses to make pods.
    Refused,
    /// The pod's sandbox (its network) cannot be made.
    Sandbox,
}

/// How long a problem may last before the rollout has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Patience {
    /// This long: it cannot cure itself, or hardly.
    For(Duration),
    /// As long as anything may: it often cures itself.
    UntilDeadline,
}

impl Problem {
    /// How long it may last.
    pub(crate) fn patience(&self) -> Patience {
        match &self.kind {
            Kind::Pull(PullFault::Absent | PullFault::Denied) => Patience::For(PULL_GRACE),
            Kind::ImageName | Kind::NeverPull | Kind::WrongImage | Kind::Start => {
                Patience::For(CONFIRM)
            }
            Kind::Crash { .. } | Kind::OutOfMemory | Kind::Liveness => Patience::For(CONFIRM),
            Kind::Config | Kind::MountMissing => Patience::For(MISSING_GRACE),
            Kind::Refused => Patience::For(REFUSED_GRACE),
            Kind::Unschedulable { scaling: false } => Patience::For(UNSCHEDULABLE_GRACE),
            Kind::Pull(PullFault::Unavailable | PullFault::Unknown)
            | Kind::Unschedulable { scaling: true }
            | Kind::Mount
            | Kind::StartUnclear
            | Kind::Died { .. }
            | Kind::Readiness
            | Kind::Sandbox => Patience::UntilDeadline,
        }
    }
}

impl Problem {
    /// Whether the pod counts as failing, rather than as on its way.
    pub(crate) fn is_failing(&self) -> bool {
        match self.kind {
            Kind::Readiness | Kind::Unschedulable { scaling: true } => false,
            Kind::Pull(_)
            | Kind::ImageName
            | Kind::NeverPull
            | Kind::WrongImage
            | Kind::Config
            | Kind::MountMissing
            | Kind::Mount
            | Kind::Start
            | Kind::StartUnclear
            | Kind::Crash { .. }
            | Kind::OutOfMemory
            | Kind::Liveness
            | Kind::Died { .. }
            | Kind::Unschedulable { scaling: false }
            | Kind::Refused
            | Kind::Sandbox => true,
        }
    }
    /// Whether the container has said something that may explain it.
    pub(crate) fn has_log(&self) -> bool {
        matches!(
            self.kind,
            Kind::Crash { .. }
                | Kind::Died { .. }
                | Kind::OutOfMemory
                | Kind::Liveness
                | Kind::Readiness
        )
    }
}

impl Problem {
    pub(super) fn of_workload(target: &Target, message: &str) -> Self {
        Self {
            kind: Kind::Refused,
            object: super::title(target),
            container: None,
            image: String::new(),
            message: message.to_owned(),
            deaths: 0,
        }
    }
    pub(super) fn of_pod(pod: &PodView, kind: Kind, message: &str) -> Self {
        Self {
            kind,
            object: pod.name.clone(),
            container: None,
            image: String::new(),
            message: message.to_owned(),
            deaths: 0,
        }
    }
    pub(super) fn of_container(
        pod: &PodView,
        container: &ContainerView,
        kind: Kind,
        message: &str,
    ) -> Self {
        Self {
            kind,
            object: pod.name.clone(),
            container: Some(container.name.clone()),
            image: container.image.clone(),
            message: message.to_owned(),
            deaths: container.deaths(),
        }
    }
}
