//! The words for where a job or run is, and for how it ended.

use serde::{Deserialize, Serialize};

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
