//! Which queued job a runner gets, and why a job waits. Pure: the queue and the runners are values.
//!
//! A runner that may deploy anywhere holds a cluster's credentials: it is protected, and meets no
//! work of a fork, whatever its kind. Such work needs a runner that serves no environment.

use crate::event::Trust;
use crate::ids::{JobId, RunNumber};
use crate::names::EnvironmentName;
use crate::plan::JobKind;

/// A job that could start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedJob {
    /// Which.
    pub id: JobId,
    /// What kind of work.
    pub kind: JobKind,
    /// How far its code is trusted.
    pub trust: Trust,
    /// The environment it changes, for a deploy.
    pub environment: Option<EnvironmentName>,
    /// Whether another deploy of this repository to that environment is running.
    pub environment_busy: bool,
    /// Who stopped deploys to that environment, and why; what a person has chosen to be deployed
    /// comes without.
    pub locked: Option<String>,
    /// The oldest run of the same concurrency group that must end first.
    pub group_busy: Option<RunNumber>,
}

/// What a runner offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerOffer {
    /// The environments it may deploy to.
    pub environments: Vec<EnvironmentName>,
}

/// The first job of the queue (oldest first) that this runner may have.
pub fn pick<'a>(queue: &'a [QueuedJob], runner: &RunnerOffer) -> Option<&'a QueuedJob> {
    queue.iter().find(|job| obstacle(job, runner).is_none())
}

/// Why a queued job has not started, in words; `runners` are those now connected.
pub fn why_waiting(job: &QueuedJob, runners: &[RunnerOffer]) -> String {
    if runners.is_empty() {
        return "no runner is connected".into();
    }
    let obstacles: Vec<_> = runners.iter().map(|runner| obstacle(job, runner)).collect();
    match obstacles.into_iter().min() {
        Some(Some(Obstacle::Environment)) => {
            let name = job
                .environment
                .as_ref()
                .map_or("?", EnvironmentName::as_str);
            format!("no connected runner serves environment `{name}`")
        }
        Some(Some(Obstacle::Group(number))) => {
            format!("waits for run #{number} of the same concurrency group")
        }
        Some(Some(Obstacle::Locked)) => job.locked.clone().unwrap_or_default(),
        Some(Some(Obstacle::Busy)) => "another deploy to this environment is running".into(),
        Some(Some(Obstacle::Protected)) => {
            "work of a fork needs a runner that serves no environment, and none is connected".into()
        }
        Some(Some(Obstacle::Fork)) => "work of a fork may not deploy".into(),
        Some(None) | None => "every runner that could take it is busy".into(),
    }
}

/// In the order in which they are told: the one nearest to being overcome comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Group(RunNumber),
    Locked,
    Busy,
    Environment,
    Protected,
    Fork,
}

fn obstacle(job: &QueuedJob, runner: &RunnerOffer) -> Option<Obstacle> {
    if let Some(number) = job.group_busy {
        return Some(Obstacle::Group(number));
    }
    let is_fork = job.trust == Trust::Fork;
    let Some(environment) = &job.environment else {
        let is_kept_apart = is_fork && !runner.environments.is_empty();
        return is_kept_apart.then_some(Obstacle::Protected);
    };
    if is_fork {
        return Some(Obstacle::Fork);
    }
    if !runner.environments.contains(environment) {
        return Some(Obstacle::Environment);
    }
    if job.locked.is_some() {
        return Some(Obstacle::Locked);
    }
    job.environment_busy.then_some(Obstacle::Busy)
}

#[cfg(test)]
mod tests;
