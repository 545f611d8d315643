//! What a container of ours is made of, and how it is made, listed and removed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use pipelines::limits::{LOG_BYTES_MAX, STEP_MEMORY_BYTES, STEP_PIDS};

use super::{DockerEngine, WORKSPACE, failed, gone, labels, patiently};
use crate::engine::{EngineError, JobKey, ServiceSpec, StepSpec};

/// Longest script: the kernel gives one argument of a program 128 KB.
const SCRIPT_BYTES_MAX: usize = 128 * 1024 - 1;
/// Tenths of a log's size that the engine's copy of it may take: an empty line is 18 bytes in a
/// record of ours, and about 30 in the engine's.
const ENGINE_LOG_TENTHS: u64 = 18;

/// What the images of databases need when they start: they begin as root, take their data folder
/// into their own hands and become another user. It is a part of what Docker gives by default.
const SERVICE_CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/// A container, network or volume as the engine lists it.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) labels: HashMap<String, String>,
}

/// Refuses what cannot be handed to a process.
pub(super) fn check(step: &StepSpec) -> Result<(), EngineError> {
    if step.script.len() > SCRIPT_BYTES_MAX {
        return Err(EngineError::Work(format!(
            "the script is longer than {} KB: put it into a file of the repository",
            SCRIPT_BYTES_MAX / 1024
        )));
    }
    if step.script.contains('\0') {
        return Err(EngineError::Work("the script contains a NUL byte".into()));
    }
    check_env(&step.env)
}

/// Refuses variables that cannot be handed to a process.
pub(super) fn check_env(env: &BTreeMap<String, String>) -> Result<(), EngineError> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(EngineError::Work(format!(
                "the environment variable `{}` cannot be set: names have no `=`, nothing has a NUL byte",
                name.escape_default()
            )));
        }
    }
    Ok(())
}

/// What a step's container is called.
pub(super) fn step_name(job: &JobKey, step: &StepSpec) -> String {
    format!("{}-{}", job.resource(), step.step)
}

/// The container of a step.
pub(super) fn step(job: &JobKey, step: &StepSpec) -> ContainerCreateBody {
    let mut labels = labels(job);
    labels.insert("seaworthy.dev/step".into(), step.step.to_string());
    ContainerCreateBody {
        image: Some(step.image.clone()),
        entrypoint: Some(vec!["/bin/sh".into(), "-e".into(), "-c".into()]),
        cmd: Some(vec![step.script.clone()]),
        env: Some(variables(&step.env)),
        labels: Some(labels),
        working_dir: Some(WORKSPACE.into()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host(job)),
        ..Default::default()
    }
}

fn variables(env: &BTreeMap<String, String>) -> Vec<String> {
    let env = env.iter();
    env.map(|(name, value)| format!("{name}={value}")).collect()
}

/// What a service's container is called.
pub(super) fn service_name(job: &JobKey, service: &ServiceSpec) -> String {
    format!("{}-service-{}", job.resource(), service.name)
}

/// The container of a service: its image's own command, reached under the service's name. The
/// workspace is the steps' alone.
pub(super) fn service(job: &JobKey, service: &ServiceSpec) -> ContainerCreateBody {
    let mut labels = labels(job);
    labels.insert("seaworthy.dev/service".into(), service.name.to_string());
    let endpoint = EndpointSettings {
        aliases: Some(vec![service.name.to_string()]),
        ..Default::default()
    };
    let host = HostConfig {
        mounts: None,
        cap_add: Some(SERVICE_CAPABILITIES.map(str::to_owned).into()),
        // The image's own process 1: some are made to be that, and none is asked to end in order.
        init: None,
        ..host(job)
    };
    ContainerCreateBody {
        image: Some(service.image.clone()),
        env: Some(variables(&service.env)),
        labels: Some(labels),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(job.resource(), endpoint)])),
        }),
        ..Default::default()
    }
}

/// A container that is never started: the way into the workspace.
pub(super) fn carrier(job: &JobKey, image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/bin/sh".into()]),
        labels: Some(labels(job)),
        host_config: Some(host(job)),
        ..Default::default()
    }
}

/// The volumes of a job, and where they are mounted; the workspace is the first.
pub(super) fn volumes(job: &JobKey) -> impl Iterator<Item = (String, &str)> {
    let workspace = (job.resource(), WORKSPACE);
    let others = job.volumes.iter().enumerate();
    let others = others.map(|(place, path)| {
        let name = format!("{}-{place}", job.resource());
        (name, path.as_str())
    });
    std::iter::once(workspace).chain(others)
}

fn mount((volume, path): (String, &str)) -> Mount {
    Mount {
        target: Some(path.to_owned()),
        source: Some(volume),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            // What an image has at this place must not get mixed into the checkout; elsewhere it
            // belongs to what the image can do.
            no_copy: Some(path == WORKSPACE),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What every container of ours may and may not do.
fn host(job: &JobKey) -> HostConfig {
    HostConfig {
        network_mode: Some(job.resource()),
        mounts: Some(volumes(job).map(mount).collect()),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        privileged: Some(false),
        pids_limit: Some(STEP_PIDS),
        memory: Some(STEP_MEMORY_BYTES),
        // The same figure again: no swap on top.
        memory_swap: Some(STEP_MEMORY_BYTES),
        // A process 1 that passes signals on and reaps: a shell as process 1 would ignore TERM.
        init: Some(true),
        // Keeps bytes as they are, and is read again when the connection to the engine broke.
        log_config: Some(HostConfigLogConfig {
            typ: Some("local".into()),
            config: Some(log_options()),
        }),
        ..Default::default()
    }
}

/// One file that holds whatever a job's log can hold: the driver's own bound is 100 MB, and what it
/// has dropped is missing when the output is read again. The engine refuses to compress a lone file.
fn log_options() -> HashMap<String, String> {
    let size = LOG_BYTES_MAX.saturating_mul(ENGINE_LOG_TENTHS) / 10;
    [
        ("max-size", format!("{}m", size / 1024 / 1024)),
        ("max-file", "1".into()),
        ("compress", "false".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

impl DockerEngine {
    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<(), EngineError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let create = || {
            self.docker
                .create_container(Some(options.clone()), body.clone())
        };
        match patiently(create).await {
            // The name is this step's alone: made by a call whose answer was lost.
            Ok(_)
            | Err(DockerError::DockerResponseServerError {
                status_code: 409, ..
            }) => Ok(()),
            Err(error) => Err(failed("make a container")(error)),
        }
    }

    pub(super) async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let remove = || {
            let options = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            self.docker.remove_container(name, Some(options))
        };
        match patiently(remove).await {
            // 409: another removal is under way; whoever needs the name or volume asks again.
            Err(DockerError::DockerResponseServerError {
                status_code: 409, ..
            }) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                gone(patiently(remove).await).map_err(failed("remove a container"))
            }
            other => gone(other).map_err(failed("remove a container")),
        }
    }

    pub(super) async fn containers(&self, filter: &[String]) -> Result<Vec<Listed>, EngineError> {
        let filters = HashMap::from([("label", filter.to_vec())]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let list = || self.docker.list_containers(Some(options.clone()));
        let found = patiently(list).await.map_err(failed("list containers"))?;
        let listed = found.into_iter().filter_map(|container| {
            Some(Listed {
                id: container.id?,
                labels: container.labels.unwrap_or_default(),
            })
        });
        Ok(listed.collect())
    }
}
