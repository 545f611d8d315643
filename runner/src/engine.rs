//! Where steps run: the lifecycle contract. Every engine passes the same `contract_tests`.
//!
//! For one job, in this order, each call awaited before the next:
//!
//! 1. [`Engine::prepare`] makes what the steps share: an empty workspace and a network of their own.
//! 2. [`Engine::fill`] copies a folder of this machine into the workspace.
//! 3. [`Engine::serve`], once per service and for all of them at the same time, starts what runs
//!    beside the steps and waits until it is ready. It runs until it is removed with the job;
//!    [`Engine::attend`] tells if it ends before. It may be dropped at any time.
//!
//!    From here on [`Engine::read_files`] and [`Engine::write_files`] reach the files of the job.
//! 4. [`Engine::run`], once per step, makes a container, streams its output to the log as it comes
//!    and waits for its end. A container that has ended by itself stays: until its result is safe,
//!    it alone knows it, and [`Engine::adopt`] asks it. The files of one step are there for the next;
//!    nothing else is.
//! 5. [`Engine::remove`] removes all of it. It is called on every path, also when `prepare` failed,
//!    and may be called again.
//!
//! **Cancellation.** Calls are not dropped halfway: `run` watches `stop`. Once it is cancelled the
//! process gets TERM, after [`pipelines::limits::STOP_GRACE`] KILL, and `run` answers
//! [`StepEnd::Stopped`]. **Errors** say whose fault it is: [`EngineError::Work`] is the
//! pipeline's (an image that does not exist), [`EngineError::Infrastructure`] is ours; the words
//! are for people. **Repeats.** `run` is never repeated by its caller: a step runs at most once.
//! **Orphans.** What a killed runner left behind is found by its labels and removed by
//! [`Engine::sweep`], at start and then every few minutes.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use pipelines::ids::{Attempt, JobId};
use pipelines::names::{SecretName, ServiceName};
use pipelines::wire::{AssignedWork, Assignment};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::config::{EngineChoice, RunnerConfig};
use crate::keep::paths;
use crate::logs::StepLog;

pub mod docker;
pub mod exit;
pub mod scripted;

/// Names one attempt of one job on this machine: its containers, network and volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKey {
    /// The runner's state folder: two runners on one Docker engine never meet.
    pub instance: Ulid,
    /// Which job.
    pub job: JobId,
    /// Which attempt.
    pub attempt: Attempt,
    /// `owner/name`, for people.
    pub repository: String,
    /// The run's number, for people.
    pub run: String,
    /// The job's name, for people.
    pub name: String,
    /// Folders of the steps' containers, besides the workspace, that all steps share: absolute
    /// paths, none within another. What the image has there is in them at first.
    pub volumes: Vec<String>,
}

/// Files as a tar stream, in pieces.
pub type Files = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

impl JobKey {
    /// The key of an assignment.
    pub fn of(assignment: &Assignment, instance: Ulid) -> Self {
        Self {
            instance,
            job: assignment.job,
            attempt: assignment.lease.attempt,
            repository: assignment.run.repository.to_string(),
            run: assignment.run.number.to_string(),
            name: assignment.name.to_string(),
            volumes: match &assignment.work {
                AssignedWork::Steps(work) => paths::volumes(&work.caches),
                AssignedWork::Build(_) | AssignedWork::Deploy(_) => Vec::new(),
            },
        }
    }

    /// What its network and volume are called, and how the names of its containers begin.
    pub fn resource(&self) -> String {
        let instance = self.instance.to_string().to_lowercase();
        format!("seaworthy-{instance}-{}-{}", self.job, self.attempt)
    }
}

/// One step, with every choice made.
#[derive(Debug, Clone)]
pub struct StepSpec {
    /// Its place in the job, from 0; the checkout is 0.
    pub step: u32,
    /// The image.
    pub image: String,
    /// The script, for `sh -e`.
    pub script: String,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Its secrets: each is a file `/run/secrets/NAME` in memory and a variable, in no other step,
    /// and nowhere else.
    pub secrets: Vec<StepSecret>,
}

/// A secret of a step.
#[derive(Debug, Clone)]
pub struct StepSecret {
    /// Its name.
    pub name: SecretName,
    /// What nobody may see.
    pub value: SecretString,
}

impl StepSecret {
    /// The variable that holds it.
    pub fn variable(&self) -> String {
        self.name.as_str().to_uppercase()
    }
}

/// Something that runs beside the steps, under its name on their network.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// The image; its own command is run.
    pub image: String,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// A command that exits 0 inside it once it is ready. Without one it is ready when its image's
    /// own health check says so, or, without that, when it runs.
    pub ready: Option<String>,
    /// It must be ready within this time.
    pub limit: Duration,
}

/// How the start of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceStart {
    /// It is ready.
    Ready,
    /// `stop` was cancelled before.
    Stopped,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    /// By itself.
    Exited {
        /// The exit code of its process.
        code: i64,
        /// What the code means, in words; none for 0.
        reason: Option<String>,
    },
    /// Because `stop` was cancelled.
    Stopped,
}

/// Why an engine could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The pipeline asks for what cannot be.
    #[error("{0}")]
    Work(String),
    /// The engine, the network or a registry failed.
    #[error("{0}")]
    Infrastructure(String),
}

/// See the module's text.
pub trait Engine: Send + Sync {
    /// Makes an empty workspace and a network.
    fn prepare(&self, job: &JobKey) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Copies the content of `folder` into the workspace. `image` is one that the job uses: an
    /// engine may need a container to reach the workspace.
    fn fill(
        &self,
        job: &JobKey,
        image: &str,
        folder: &Path,
        log: &StepLog,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Starts a service and waits until it is ready. If it is not in time, or ends, that is the
    /// pipeline's fault; its last lines are in the log.
    fn serve(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> impl Future<Output = Result<ServiceStart, EngineError>> + Send;

    /// Waits for the end of a service that was ready; writes to the log that it ended, and its last
    /// lines, and answers the sentence.
    fn attend(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// The file or folder at `path`, as the steps see it (absolute), with all that is in it; the
    /// names begin with the last part of `path`, and symlinks are symlinks. `None`: nothing is
    /// there. Only the workspace and the job's volumes hold what steps have made.
    fn read_files(
        &self,
        job: &JobKey,
        path: &str,
    ) -> impl Future<Output = Result<Option<Files>, EngineError>> + Send;

    /// Puts files where the steps see them; their names are their whole paths, without the first `/`.
    fn write_files(
        &self,
        job: &JobKey,
        files: Files,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Runs one step.
    fn run(
        &self,
        job: &JobKey,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> impl Future<Output = Result<StepEnd, EngineError>> + Send;

    /// Goes on with a step that a former life of this runner has begun, running or ended, and writes
    /// of its output what the log does not have. `None`: its process was never started, and nothing
    /// of it is left.
    fn adopt(
        &self,
        job: &JobKey,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> impl Future<Output = Result<Option<StepEnd>, EngineError>> + Send;

    /// Removes everything of the job.
    fn remove(&self, job: &JobKey) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes everything of this runner but of the jobs that `keep` names; answers how many things.
    fn sweep(
        &self,
        instance: Ulid,
        keep: Keep<'_>,
    ) -> impl Future<Output = Result<usize, EngineError>> + Send;
}

/// Whether a job is at work in this process. It is asked right before each removal, after the thing
/// was listed: a job is at work before anything of it exists, so what belongs to one that was taken
/// during a sweep is never removed.
pub type Keep<'a> = &'a (dyn Fn(JobId, Attempt) -> bool + Send + Sync);

/// The engine a runner was told to use, as far as it answers.
pub enum Connected {
    /// Docker.
    Docker(docker::DockerEngine),
    /// None: steps are played.
    Scripted(scripted::ScriptedEngine),
}

impl Connected {
    /// The engine in words: `docker 26.1.5`.
    pub fn describe(&self) -> String {
        match self {
            Self::Docker(engine) => engine.describe(),
            Self::Scripted(_) => "scripted".into(),
        }
    }

    /// Removes what a former life left behind; see [`Engine::sweep`].
    pub async fn sweep(&self, instance: Ulid, keep: Keep<'_>) -> Result<usize, EngineError> {
        match self {
            Self::Docker(engine) => engine.sweep(instance, keep).await,
            Self::Scripted(engine) => engine.sweep(instance, keep).await,
        }
    }
}

/// Reaches the engine. Asked anew for every job, so that an engine that was started later, or
/// restarted, is found.
pub async fn connect(config: &RunnerConfig) -> Result<Connected, EngineError> {
    match config.engine {
        EngineChoice::Auto | EngineChoice::Docker => docker::DockerEngine::connect(config)
            .await
            .map(Connected::Docker),
        EngineChoice::Kubernetes => Err(EngineError::Infrastructure(
            "this version cannot run steps in Kubernetes: use --engine docker".into(),
        )),
        EngineChoice::Scripted => Ok(Connected::Scripted(scripted::ScriptedEngine::new(
            config.state_dir.join("scripted"),
        ))),
    }
}

#[cfg(test)]
pub(crate) mod contract_tests;
