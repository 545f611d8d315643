//! Who wants to know what changed: browsers on `/live`, waiting claims, heartbeats.
//!
//! A message names a topic and nothing more. Receivers read the database again, so a lost message
//! costs a moment and never the truth.

use tokio::sync::broadcast;

use pipelines::ids::{DeployId, JobId, RepoId, RunId};

/// Something that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The queue: a job became ready, or an environment free.
    Queue,
    /// A run, or one of its jobs or steps.
    Run(RunId),
    /// A repository's list of runs.
    Repo(RepoId),
    /// A job: its state, or that it should stop.
    Job(JobId),
    /// A job's log grew.
    Log(JobId),
    /// A deploy.
    Deploy(DeployId),
    /// Any environment's cell of the board.
    Environments,
    /// Runners came, went or changed their work.
    Runners,
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Queue => f.write_str("queue"),
            Self::Run(id) => write!(f, "run:{id}"),
            Self::Repo(id) => write!(f, "repo:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Log(id) => write!(f, "log:{id}"),
            Self::Deploy(id) => write!(f, "deploy:{id}"),
            Self::Environments => f.write_str("environments"),
            Self::Runners => f.write_str("runners"),
        }
    }
}

/// Hands topics to whoever listens.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Topic>,
}

impl Default for Live {
    fn default() -> Self {
        // A receiver that falls this far behind is told so and reads everything again.
        Self {
            sender: broadcast::channel(4096).0,
        }
    }
}

impl Live {
    /// Says that `topic` changed. Call after the transaction has committed.
    pub fn publish(&self, topic: Topic) {
        // An error means that nobody listens, which is fine.
        let _ = self.sender.send(topic);
    }

    /// Everything published from now on. Subscribe before you query.
    pub fn subscribe(&self) -> broadcast::Receiver<Topic> {
        self.sender.subscribe()
    }
}
