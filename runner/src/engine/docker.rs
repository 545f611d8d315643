//! Steps in Docker containers, over a named volume: nothing of the host is mounted, so a remote
//! engine does as well as a local one.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptionsBuilder;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::archive::{self, Rights};
use crate::config::RunnerConfig;
use crate::engine::{
    Engine, EngineError, Files, JobKey, Keep, ServiceSpec, ServiceStart, StepEnd, StepSpec,
};
use crate::image::registry::Credentials;
use crate::logs::StepLog;

mod container;
mod files;
mod output;
mod prologue;
mod pull;
mod service;
mod sweep;
mod watch;

/// Where Docker listens unless told otherwise.
pub const HOST_DEFAULT: &str = "unix:///var/run/docker.sock";
/// The folder of the workspace in every container.
pub const WORKSPACE: &str = "/workspace";
/// How long an engine that has gone away (restarting, upgrading) is waited for: within a minute a
/// job says that it does not come back.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long one call may take that sends or moves a lot: a workspace, an image.
const LONG_CALL: Duration = Duration::from_secs(60 * 60);

/// The label that carries [`JobKey::instance`].
const LABEL_INSTANCE: &str = "seaworthy.dev/instance";
/// The label that carries the job's id; the public ones carry what people know it by.
const LABEL_JOB_ID: &str = "seaworthy.dev/job-id";
/// The label that carries the attempt.
const LABEL_ATTEMPT: &str = "seaworthy.dev/attempt";

/// A Docker engine that has answered.
#[derive(Clone)]
pub struct DockerEngine {
    docker: Docker,
    host: String,
    version: String,
    credentials: Credentials,
}

impl DockerEngine {
    /// Reaches the engine that `config` names and agrees on a version of its API.
    pub async fn connect(config: &RunnerConfig) -> Result<Self, EngineError> {
        let host = config.docker_host.as_deref().unwrap_or(HOST_DEFAULT);
        let absent = |error: DockerError| {
            EngineError::Infrastructure(format!(
                "no Docker engine answers at {host}: start it or set DOCKER_HOST ({error})"
            ))
        };
        let docker = Docker::connect_with_host(host).map_err(absent)?;
        let docker = docker.negotiate_version().await.map_err(absent)?;
        let version = docker.version().await.map_err(absent)?;
        Ok(Self {
            docker,
            host: host.to_owned(),
            version: version.version.unwrap_or_else(|| "unknown".into()),
            credentials: Credentials::new(config),
        })
    }

    /// The engine in words.
    pub fn describe(&self) -> String {
        format!("docker {}", self.version)
    }

    /// The client, for builds.
    pub fn docker(&self) -> Docker {
        self.docker.clone().with_timeout(LONG_CALL)
    }

    /// Where the engine is, as a URL.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The registry credentials of this runner.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Removes a container that has no result to tell.
    async fn tidy(&self, name: &str, end: &Result<StepEnd, EngineError>) {
        if let Ok(StepEnd::Exited { .. }) = end {
            return;
        }
        // What is told counts more than the broom: what stays is swept later.
        if let Err(error) = self.remove_container(name).await {
            tracing::warn!(container = name, %error, "a container could not be removed");
        }
    }

    async fn make_volume(&self, job: &JobKey, name: String) -> Result<(), EngineError> {
        let volume = || {
            self.docker.create_volume(VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(labels(job)),
                ..Default::default()
            })
        };
        let made = patiently(volume).await;
        made.map(|_| ()).map_err(failed("make a volume"))
    }
}

impl Engine for DockerEngine {
    async fn prepare(&self, job: &JobKey) -> Result<(), EngineError> {
        let name = job.resource();
        for (volume, _) in container::volumes(job) {
            self.make_volume(job, volume).await?;
        }
        let network = || {
            self.docker.create_network(NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".into()),
                labels: Some(labels(job)),
                ..Default::default()
            })
        };
        match patiently(network).await {
            // Made by a call whose answer was lost.
            Ok(_)
            | Err(DockerError::DockerResponseServerError {
                status_code: 409, ..
            }) => Ok(()),
            Err(error) => Err(failed("make a network")(error)),
        }
    }

    async fn fill(
        &self,
        job: &JobKey,
        image: &str,
        folder: &Path,
        log: &StepLog,
    ) -> Result<(), EngineError> {
        self.ensure_image(image, log).await?;
        self.create(&files::carrier(job), container::carrier(job, image))
            .await?;
        let folder = folder.to_owned();
        let tar =
            archive::stream(move |builder| archive::append_folder(builder, &folder, Rights::Open));
        let uploaded = self.upload(job, WORKSPACE, Box::pin(tar)).await;
        uploaded.map_err(failed("copy the checkout into the workspace"))
    }

    async fn read_files(&self, job: &JobKey, path: &str) -> Result<Option<Files>, EngineError> {
        self.download(job, path).await
    }

    async fn write_files(&self, job: &JobKey, files: Files) -> Result<(), EngineError> {
        let uploaded = self.upload(job, "/", files).await;
        uploaded.map_err(failed("put files into the job's volumes"))
    }

    async fn serve(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<ServiceStart, EngineError> {
        self.start_service(job, service, log, stop).await
    }

    async fn attend(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
    ) -> Result<String, EngineError> {
        self.follow_service(job, service, log).await
    }

    async fn run(
        &self,
        job: &JobKey,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<StepEnd, EngineError> {
        container::check(step)?;
        tokio::select! {
            present = self.ensure_image(&step.image, log) => present?,
            () = stop.cancelled() => return Ok(StepEnd::Stopped),
        }
        let name = container::step_name(job, step);
        let mut body = container::step(job, step);
        let mut message = None;
        if !step.secrets.is_empty() {
            message = Some(prologue::message(&step.secrets)?);
            prologue::prepare(&mut body);
        }
        self.create(&name, body).await?;
        tracing::trace!(target: "failpoint", "runner.created");
        let end = self.watch(&name, (step, message), log, stop).await;
        self.tidy(&name, &end).await;
        end
    }

    async fn adopt(
        &self,
        job: &JobKey,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<Option<StepEnd>, EngineError> {
        let name = container::step_name(job, step);
        if !self.was_started(&name).await? {
            self.remove_container(&name).await?;
            return Ok(None);
        }
        let end = self.watch_again(&name, step, log, stop).await;
        self.tidy(&name, &end).await;
        end.map(Some)
    }

    async fn remove(&self, job: &JobKey) -> Result<(), EngineError> {
        let name = job.resource();
        for container in self.containers(&job_filter(job)).await? {
            self.remove_container(&container.id).await?;
        }
        let network = || self.docker.remove_network(&name);
        gone(patiently(network).await).map_err(failed("remove a network"))?;
        for (volume, _) in container::volumes(job) {
            let remove = || {
                let force = RemoveVolumeOptionsBuilder::default().force(true).build();
                self.docker.remove_volume(&volume, Some(force))
            };
            gone(patiently(remove).await).map_err(failed("remove a volume"))?;
        }
        Ok(())
    }

    async fn sweep(&self, instance: Ulid, keep: Keep<'_>) -> Result<usize, EngineError> {
        self.sweep_leftovers(instance, keep).await
    }
}

/// The labels of everything that belongs to a job.
fn labels(job: &JobKey) -> HashMap<String, String> {
    let labels = [
        (LABEL_INSTANCE, job.instance.to_string()),
        (LABEL_JOB_ID, job.job.to_string()),
        (LABEL_ATTEMPT, job.attempt.to_string()),
        ("seaworthy.dev/repository", job.repository.clone()),
        ("seaworthy.dev/run", job.run.clone()),
        ("seaworthy.dev/job", job.name.clone()),
    ];
    labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn job_filter(job: &JobKey) -> Vec<String> {
    vec![
        format!("{LABEL_INSTANCE}={}", job.instance),
        format!("{LABEL_JOB_ID}={}", job.job),
        format!("{LABEL_ATTEMPT}={}", job.attempt),
    ]
}

/// Makes an error of the engine one of ours: "cannot make a network: …".
fn failed(what: &'static str) -> impl Fn(DockerError) -> EngineError {
    move |error| EngineError::Infrastructure(format!("cannot {what}: {}", words(&error)))
}

/// The engine's own sentence, without bollard's wrapping.
pub fn words(error: &DockerError) -> String {
    match error {
        DockerError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        DockerError::DockerStreamError { error } => error.trim().to_owned(),
        // Transport and decoding errors: many kinds, all of them shown as they are.
        other => other.to_string(),
    }
}

/// Whether the engine did not answer at all, so that asking again may help.
pub fn is_away(error: &DockerError) -> bool {
    match error {
        DockerError::HyperResponseError { .. }
        | DockerError::HyperLegacyError { .. }
        | DockerError::IOError { .. }
        | DockerError::RequestTimeoutError
        | DockerError::SocketNotFoundError(_) => true,
        // Everything else is an answer, or our own mistake.
        _ => false,
    }
}

/// Asks again while the engine is away, for [`PATIENCE`].
async fn patiently<T, F, Fut>(call: F) -> Result<T, DockerError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, DockerError>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times()
        .with_total_delay(Some(PATIENCE));
    call.retry(pauses).when(is_away).await
}

/// Takes "there is no such thing" for done.
fn gone(result: Result<(), DockerError>) -> Result<(), DockerError> {
    match result {
        Err(DockerError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(()),
        other => other,
    }
}
