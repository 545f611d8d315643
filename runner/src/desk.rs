//! Whom a job speaks to: the server that gave it, or the `seaworthy exec` that runs it here.
//!
//! The work is the same for both ([`crate::execute`]); all that a job asks of the outside but its
//! engine, registry and cluster goes over its desk.

use std::path::PathBuf;

use pipelines::ids::JobId;
use pipelines::wire::{Checkout, HeartbeatReply, LogAck, Report, Secrets};

use crate::client::{CallError, JobClient};

mod files;
mod local;
mod store;

pub use local::{LocalDesk, Told};
pub use store::LocalStore;

/// Whoever gave a job. Clones speak for the same job.
#[derive(Clone)]
pub enum Desk {
    /// A server, under a lease.
    Server(JobClient),
    /// This very process; its calls always succeed at once.
    Local(LocalDesk),
}

/// Where a job's files come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A repository, from which the run's commit is fetched.
    Repository(Checkout),
    /// A folder of this machine, to be read and never changed.
    Folder(PathBuf),
}

impl Desk {
    /// Which job.
    pub fn job(&self) -> JobId {
        match self {
            Self::Server(client) => client.job(),
            Self::Local(local) => local.job(),
        }
    }

    /// Says that the job is alive, then waits up to `wait_seconds` for a reason to stop it.
    pub async fn heartbeat(&self, wait_seconds: u32) -> Result<HeartbeatReply, CallError> {
        match self {
            Self::Server(client) => client.heartbeat(wait_seconds).await,
            Self::Local(local) => Ok(local.heartbeat(wait_seconds).await),
        }
    }

    /// Hands over a part of the log that begins at `offset`.
    pub async fn log(&self, offset: u64, bytes: Vec<u8>) -> Result<LogAck, CallError> {
        match self {
            Self::Server(client) => client.log(offset, bytes).await,
            Self::Local(local) => Ok(local.log(offset, bytes)),
        }
    }

    /// Tells what happened.
    pub async fn report(&self, report: &Report) -> Result<(), CallError> {
        match self {
            Self::Server(client) => client.report(report).await,
            Self::Local(local) => {
                local.report(report);
                Ok(())
            }
        }
    }

    /// Asks where the job's files come from.
    pub async fn checkout(&self) -> Result<Source, CallError> {
        match self {
            Self::Server(client) => client.checkout().await.map(Source::Repository),
            Self::Local(local) => Ok(Source::Folder(local.tree().to_owned())),
        }
    }

    /// Asks for the secrets that the job's work names.
    pub async fn secrets(&self) -> Result<Secrets, CallError> {
        match self {
            Self::Server(client) => client.secrets().await,
            Self::Local(local) => Ok(local.secrets()),
        }
    }
}
