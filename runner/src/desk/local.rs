//! The desk of a job that runs without a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipelines::ids::JobId;
use pipelines::wire::{HeartbeatReply, LogAck, Report, Secrets};
use tokio::sync::{mpsc, watch};

use super::LocalStore;

/// What a job tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something happened.
    Report(Report),
    /// More of its log: whole records ([`pipelines::log`]), in order, none twice.
    Log(Vec<u8>),
    /// It keeps a file.
    Artifact {
        /// Its path in the workspace.
        path: String,
        /// Its size.
        bytes: u64,
    },
}

/// A desk in this process: what a job tells arrives at a channel.
#[derive(Clone)]
pub struct LocalDesk {
    job: JobId,
    tree: Arc<Path>,
    secrets: Arc<Secrets>,
    store: LocalStore,
    told: mpsc::UnboundedSender<(JobId, Told)>,
    stop: watch::Receiver<Option<String>>,
}

impl LocalDesk {
    /// A desk for `job`, whose files are those of the folder `tree`, and which may have `secrets`. It
    /// is told to stop once `stop` holds a reason.
    pub fn new(
        job: JobId,
        (tree, secrets, store): (PathBuf, Secrets, LocalStore),
        told: mpsc::UnboundedSender<(JobId, Told)>,
        stop: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            job,
            tree: tree.into(),
            secrets: secrets.into(),
            store,
            told,
            stop,
        }
    }

    pub(super) fn job(&self) -> JobId {
        self.job
    }

    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Where its caches and artifacts are kept.
    pub fn store(&self) -> &LocalStore {
        &self.store
    }

    pub(super) fn secrets(&self) -> Secrets {
        Secrets::clone(&self.secrets)
    }

    pub(super) async fn heartbeat(&self, wait_seconds: u32) -> HeartbeatReply {
        let mut stop = self.stop.clone();
        let limit = Duration::from_secs(wait_seconds.into());
        let asked = tokio::time::timeout(limit, stop.wait_for(Option::is_some)).await;
        let stop = match asked {
            Ok(Ok(reason)) => reason.clone(),
            Ok(Err(_)) => Some("nobody waits for it any more".to_owned()),
            Err(_) => None,
        };
        HeartbeatReply { stop }
    }

    pub(super) fn log(&self, offset: u64, bytes: Vec<u8>) -> LogAck {
        let offset = offset + bytes.len() as u64;
        self.tell(Told::Log(bytes));
        LogAck { offset }
    }

    pub(super) fn report(&self, report: &Report) {
        self.tell(Told::Report(report.clone()));
    }

    /// Tells that a file is kept.
    pub(super) fn kept(&self, path: String, bytes: u64) {
        self.tell(Told::Artifact { path, bytes });
    }

    fn tell(&self, told: Told) {
        // Whoever does not listen any more stops the job by the heartbeat.
        let _ = self.told.send((self.job, told));
    }
}
