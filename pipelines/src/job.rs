//! One job of a run: its states and the one function that moves it between them.

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Fence, RunnerId};
use crate::limits::DEPLOY_TAKEOVERS_MAX;
use crate::names::JobName;
use crate::plan::JobKind;

/// The words for the state of a run or a job, the same everywhere: file, table, wire, page, API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its needs are not met yet.
    Waiting,
    /// Ready; no runner has it yet.
    Queued,
    /// A runner works on it.
    Running,
    /// Done, and well.
    Passed,
    /// The work itself failed.
    Failed,
    /// Stopped by a person.
    Cancelled,
    /// Did not apply; the reason says why.
    Skipped,
    /// Took longer than it may.
    TimedOut,
    /// Our side failed: engine, registry, cluster or runner. Not the work's fault.
    InfrastructureError,
    /// A newer one took its place.
    Superseded,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 10] = [
        Self::Waiting,
        Self::Queued,
        Self::Running,
        Self::Passed,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
        Self::TimedOut,
        Self::InfrastructureError,
        Self::Superseded,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::InfrastructureError => "infrastructure_error",
            Self::Superseded => "superseded",
        }
    }

    /// Whether it is an end, never left again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Queued | Self::Running)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for State {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// A text that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state of a run or job")]
pub struct UnknownState(pub String);

/// How a finished job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// See [`State::Passed`].
    Passed,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Cancelled`].
    Cancelled,
    /// See [`State::Skipped`].
    Skipped,
    /// See [`State::TimedOut`].
    TimedOut,
    /// See [`State::InfrastructureError`].
    InfrastructureError,
    /// See [`State::Superseded`].
    Superseded,
}

impl Outcome {
    /// The state a job with this outcome is in.
    pub fn state(self) -> State {
        match self {
            Self::Passed => State::Passed,
            Self::Failed => State::Failed,
            Self::Cancelled => State::Cancelled,
            Self::Skipped => State::Skipped,
            Self::TimedOut => State::TimedOut,
            Self::InfrastructureError => State::InfrastructureError,
            Self::Superseded => State::Superseded,
        }
    }
}

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
        /// Why it has been asked to stop, if it has.
        stop: Option<String>,
    },
    /// At its end.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
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
    /// The jobs that must pass first.
    pub needs: Vec<JobName>,
    /// Where it is.
    pub status: Status,
    /// The attempt now running, or the last one; 0 before the first claim.
    pub attempt: u32,
    /// How many infrastructure failures may still be retried.
    pub retries_left: u32,
    /// A sentence about the present state.
    pub reason: Option<String>,
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// Its needs have passed.
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
        /// Which end it gets.
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
    /// Moves the job. Total: every event in every state has an answer, and a repeat is harmless.
    pub fn apply(&mut self, event: JobEvent) -> Result<Changed, Refused> {
        match event {
            JobEvent::Ready => self.ready(),
            JobEvent::Skip(reason) => self.skip(reason),
            JobEvent::Claim(lease) => self.claim(lease),
            JobEvent::Finish {
                lease,
                outcome,
                reason,
            } => self.finish(lease, outcome, reason),
            JobEvent::Lose { lease, reason } => self.lose(lease, reason),
            JobEvent::Stop { outcome, reason } => Ok(self.stop(outcome, reason)),
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
        outcome: Outcome,
        reason: Option<String>,
    ) -> Result<Changed, Refused> {
        match &self.status {
            Status::Running { lease: held, stop } if *held == lease => {
                // A runner that was asked to stop and did so reports what we asked for, whatever
                // it saw die; but work that had passed before the request reached it has passed.
                let stopped = stop.is_some() && outcome != Outcome::Passed;
                let stop = stop.clone();
                if stopped {
                    return Ok(self.end(Outcome::Cancelled, stop));
                }
                if outcome == Outcome::InfrastructureError && self.retries_left > 0 {
                    self.retries_left -= 1;
                    return Ok(
                        self.requeue(reason.unwrap_or_else(|| "infrastructure error".into()))
                    );
                }
                Ok(self.end(outcome, reason))
            }
            Status::Waiting | Status::Queued | Status::Running { .. } | Status::Finished { .. } => {
                Err(Refused::StaleLease)
            }
        }
    }

    fn lose(&mut self, lease: Lease, reason: String) -> Result<Changed, Refused> {
        match &self.status {
            Status::Running { lease: held, stop } if *held == lease => {
                if let Some(stop) = stop.clone() {
                    return Ok(self.end(Outcome::Cancelled, Some(stop)));
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

    fn stop(&mut self, outcome: Outcome, reason: String) -> Changed {
        match &mut self.status {
            Status::Waiting | Status::Queued => self.end(outcome, Some(reason)),
            Status::Running {
                stop: stop @ None, ..
            } => {
                *stop = Some(reason);
                Changed::Yes
            }
            Status::Running { stop: Some(_), .. } | Status::Finished { .. } => Changed::No,
        }
    }

    fn requeue(&mut self, reason: String) -> Changed {
        self.status = Status::Queued;
        self.reason = Some(reason);
        Changed::Yes
    }
}
