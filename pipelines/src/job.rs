//! One job of a run: its states and the one function that moves it between them.

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Fence, RunnerId};
use crate::limits::DEPLOY_TAKEOVERS_MAX;
use crate::names::JobName;
use crate::plan::{Condition, JobKind, RetryOn};

mod state;

pub use state::{Outcome, State, UnknownState};

/// The right to work on a job: one runner, one attempt, one fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub runner: RunnerId,
    /// Which attempt it is for.
    pub attempt: Attempt,
    /// Its fencing token.
    pub fence: Fence,
}

/// Where a job is, with the data that is valid there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its needs are not met yet.
    Waiting,
    /// Ready for a runner.
    Queued,
    /// Leased.
    Running {
        /// To whom.
        lease: Lease,
        /// That it has been asked to stop, if it has.
        stop: Option<Stop>,
    },
    /// At its end.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
}

/// A job has been asked to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The end it gets for it: [`Outcome::Cancelled`] or [`Outcome::Superseded`].
    pub outcome: Outcome,
    /// A sentence about it.
    pub reason: String,
}

impl Status {
    /// The word for it.
    pub fn state(&self) -> State {
        match self {
            Self::Waiting => State::Waiting,
            Self::Queued => State::Queued,
            Self::Running { .. } => State::Running,
            Self::Finished { outcome } => outcome.state(),
        }
    }
}

/// A job as the state machine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name in the plan.
    pub name: JobName,
    /// What kind of work it does.
    pub kind: JobKind,
    /// The jobs that must end first.
    pub needs: Vec<JobName>,
    /// How they must have ended.
    pub condition: Condition,
    /// Where it is.
    pub status: Status,
    /// The attempt now running, or the last one; 0 before the first claim.
    pub attempt: u32,
    /// How many failures may still be retried.
    pub retries_left: u32,
    /// Which ends are retried, besides infrastructure failures.
    pub retry_on: Vec<RetryOn>,
    /// A sentence about the present state.
    pub reason: Option<String>,
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// Its needs have ended as it wants them to.
    Ready,
    /// It does not apply, or a need did not pass.
    Skip(String),
    /// A runner took it, under this lease.
    Claim(Lease),
    /// The runner says how it ended.
    Finish {
        /// Under which lease the runner worked.
        lease: Lease,
        /// How it ended.
        outcome: Outcome,
        /// The exit code of the step that failed, where it was one.
        exit_code: Option<i64>,
        /// A sentence about it.
        reason: Option<String>,
    },
    /// The lease ran out, or was given back by a runner that cannot go on.
    Lose {
        /// The lease that ended.
        lease: Lease,
        /// A sentence about it.
        reason: String,
    },
    /// A person, or a newer run, wants it to end.
    Stop {
        /// Which end it gets: [`Outcome::Cancelled`] or [`Outcome::Superseded`]. If a runner has
        /// it, the runner is asked to stop first.
        outcome: Outcome,
        /// A sentence about it.
        reason: String,
    },
}

/// Why an event was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lease is not the job's present one: the writer must stop.
    #[error("the lease for this job has been taken away")]
    StaleLease,
    /// The event makes no sense in this state.
    #[error("the job is not in a state where this can happen")]
    Illegal,
}

/// What an applied event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// The job is in a new state, or has a new reason.
    Yes,
    /// The event had been applied before, or changes nothing.
    No,
}

impl Job {
    /// Moves the job. Total: every event in every state has an answer, and a repeat is harmless:
    /// it changes nothing. A repeated report of an end is answered like a stale one, because an
    /// ended job keeps no lease to know its runner by; in both cases nothing is left to do for it.
    pub fn apply(&mut self, event: JobEvent) -> Result<Changed, Refused> {
        match event {
            JobEvent::Ready => self.ready(),
            JobEvent::Skip(reason) => self.skip(reason),
            JobEvent::Claim(lease) => self.claim(lease),
            JobEvent::Finish {
                lease,
                outcome,
                exit_code,
                reason,
            } => self.finish(lease, (outcome, exit_code), reason),
            JobEvent::Lose { lease, reason } => self.lose(lease, reason),
            JobEvent::Stop { outcome, reason } => self.stop(outcome, reason),
        }
    }

    fn end(&mut self, outcome: Outcome, reason: Option<String>) -> Changed {
        self.status = Status::Finished { outcome };
        self.reason = reason;
        Changed::Yes
    }

    fn ready(&mut self) -> Result<Changed, Refused> {
        match self.status {
            Status::Waiting => {
                self.status = Status::Queued;
                self.reason = None;
                Ok(Changed::Yes)
            }
            Status::Queued => Ok(Changed::No),
            Status::Running { .. } | Status::Finished { .. } => Err(Refused::Illegal),
        }
    }

    fn skip(&mut self, reason: String) -> Result<Changed, Refused> {
        match self.status {
            Status::Waiting => Ok(self.end(Outcome::Skipped, Some(reason))),
            Status::Finished {
                outcome: Outcome::Skipped,
            } => Ok(Changed::No),
            Status::Queued | Status::Running { .. } | Status::Finished { .. } => {
                Err(Refused::Illegal)
            }
        }
    }

    fn claim(&mut self, lease: Lease) -> Result<Changed, Refused> {
        match &self.status {
            Status::Queued if lease.attempt.0 == self.attempt + 1 => {
                self.attempt = lease.attempt.0;
                self.status = Status::Running { lease, stop: None };
                self.reason = None;
                Ok(Changed::Yes)
            }
            Status::Running { lease: held, .. } if *held == lease => Ok(Changed::No),
            Status::Waiting | Status::Queued | Status::Running { .. } | Status::Finished { .. } => {
                Err(Refused::Illegal)
            }
        }
    }

    fn finish(
        &mut self,
        lease: Lease,
        (outcome, exit_code): (Outcome, Option<i64>),
        reason: Option<String>,
    ) -> Result<Changed, Refused> {
        match &self.status {
            Status::Running { lease: held, stop } if *held == lease => {
                let outcome = match outcome {
                    // Only we skip a job, and that is before it runs.
                    Outcome::Skipped => return Err(Refused::Illegal),
                    // A runner that gives up though nobody asked it to has failed us.
                    Outcome::Cancelled if stop.is_none() => Outcome::InfrastructureError,
                    Outcome::Passed
                    | Outcome::Failed
                    | Outcome::Cancelled
                    | Outcome::TimedOut
                    | Outcome::InfrastructureError
                    | Outcome::Superseded => outcome,
                };
                if let Some(stop) = stop.clone().filter(|_| self.is_stopped(outcome)) {
                    return Ok(self.end(stop.outcome, Some(stop.reason)));
                }
                if self.retries_left > 0 && stop.is_none() && self.is_retried(outcome, exit_code) {
                    self.retries_left -= 1;
                    let words = || outcome.state().as_str().replace('_', " ");
                    return Ok(self.requeue(reason.unwrap_or_else(words)));
                }
                Ok(self.end(outcome, reason))
            }
            Status::Waiting | Status::Queued | Status::Running { .. } | Status::Finished { .. } => {
                Err(Refused::StaleLease)
            }
        }
    }

    /// Whether a job that was asked to stop, and ended like this, ended because of it. Work that had
    /// passed before the request reached it has passed. Of a step that died nobody knows why; the
    /// verdict on a rollout is read from the cluster, and stays true.
    fn is_stopped(&self, outcome: Outcome) -> bool {
        match (outcome, self.kind) {
            (Outcome::Passed, _) => false,
            (Outcome::Failed | Outcome::Superseded, JobKind::Deploy) => false,
            (Outcome::Failed | Outcome::Superseded, JobKind::Steps | JobKind::Build) => true,
            (Outcome::Cancelled | Outcome::Skipped, _) => true,
            (Outcome::TimedOut | Outcome::InfrastructureError, _) => true,
        }
    }

    /// Whether the pipeline wants another attempt after this end.
    fn is_retried(&self, outcome: Outcome, exit_code: Option<i64>) -> bool {
        let on = |end: RetryOn| self.retry_on.contains(&end);
        match outcome {
            Outcome::InfrastructureError => true,
            Outcome::TimedOut => on(RetryOn::Timeout),
            Outcome::Failed => {
                on(RetryOn::Failure) || exit_code.is_some_and(|code| on(RetryOn::Exit(code)))
            }
            Outcome::Passed | Outcome::Cancelled | Outcome::Skipped | Outcome::Superseded => false,
        }
    }

    fn lose(&mut self, lease: Lease, reason: String) -> Result<Changed, Refused> {
        match &self.status {
            Status::Running { lease: held, stop } if *held == lease => {
                if let Some(stop) = stop.clone() {
                    return Ok(self.end(stop.outcome, Some(stop.reason)));
                }
                // A deploy is adopted by the next runner, which reads the cluster first; other
                // work is repeated only if the pipeline allows it.
                if self.kind == JobKind::Deploy && self.attempt <= DEPLOY_TAKEOVERS_MAX {
                    return Ok(self.requeue(reason));
                }
                if self.retries_left > 0 {
                    self.retries_left -= 1;
                    return Ok(self.requeue(reason));
                }
                Ok(self.end(Outcome::InfrastructureError, Some(reason)))
            }
            Status::Waiting | Status::Queued | Status::Running { .. } | Status::Finished { .. } => {
                Err(Refused::StaleLease)
            }
        }
    }

    fn stop(&mut self, outcome: Outcome, reason: String) -> Result<Changed, Refused> {
        match outcome {
            Outcome::Cancelled | Outcome::Superseded => {}
            // Nobody can make a job pass, or fail, by asking.
            Outcome::Passed
            | Outcome::Failed
            | Outcome::Skipped
            | Outcome::TimedOut
            | Outcome::InfrastructureError => return Err(Refused::Illegal),
        }
        match &mut self.status {
            Status::Waiting | Status::Queued => Ok(self.end(outcome, Some(reason))),
            Status::Running {
                stop: stop @ None, ..
            } => {
                *stop = Some(Stop { outcome, reason });
                Ok(Changed::Yes)
            }
            Status::Running { stop: Some(_), .. } | Status::Finished { .. } => Ok(Changed::No),
        }
    }

    fn requeue(&mut self, reason: String) -> Changed {
        self.status = Status::Queued;
        self.reason = Some(reason);
        Changed::Yes
    }
}

#[cfg(test)]
mod tests;
