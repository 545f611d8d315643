//! Containers beside the steps of a job.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerState, HealthStatusEnum};
use bollard::query_parameters::{LogsOptionsBuilder, StartContainerOptions};
use futures_util::StreamExt as _;
use pipelines::log::Voice;
use tokio_util::sync::CancellationToken;

use super::{DockerEngine, container, failed, is_away, patiently, words};
use crate::engine::{EngineError, JobKey, ServiceSpec, ServiceStart, exit};
use crate::logs::StepLog;
use crate::stop::limit_words;

/// The first pause between two looks at a service.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How many of its last lines are shown when a service fails.
const LAST_LINES: &str = "30";
/// Bytes kept of what a `ready` command says: its last line is shown.
const WORDS_BYTES_MAX: usize = 64 * 1024;

/// What a look at a service shows.
enum Look {
    /// It is ready.
    Ready,
    /// It is not, and why that is thought.
    NotYet(String),
    /// Its process has ended, with this exit code; whether it ran out of memory.
    Ended(i64, bool),
}

impl DockerEngine {
    pub(super) async fn start_service(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<ServiceStart, EngineError> {
        container::check_env(&service.env)?;
        tokio::select! {
            present = self.ensure_image(&service.image, log) => present?,
            () = stop.cancelled() => return Ok(ServiceStart::Stopped),
        }
        let name = container::service_name(job, service);
        self.create(&name, container::service(job, service)).await?;
        let started = patiently(|| {
            self.docker
                .start_container(&name, None::<StartContainerOptions>)
        });
        started
            .await
            .map_err(|error| not_started(service, &error))?;
        tokio::select! {
            ready = self.wait_ready(&name, service, log) => ready.map(|()| ServiceStart::Ready),
            () = stop.cancelled() => Ok(ServiceStart::Stopped),
        }
    }

    /// Waits for the end of a service; answers what to say about it.
    pub(super) async fn follow_service(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
    ) -> Result<String, EngineError> {
        let name = container::service_name(job, service);
        let code = loop {
            match self.wait(&name).await {
                Ok(code) => break code,
                // An engine that restarts is waited for.
                Err(error) if is_away(&error) => {
                    patiently(|| self.docker.inspect_container(&name, None))
                        .await
                        .map_err(failed("find a service again"))?;
                }
                Err(error) => return Err(failed("wait for a service")(error)),
            }
        };
        let memory = code != 0 && self.out_of_memory(&name).await;
        let text = format!("service `{}` {}", service.name, end_words(code, memory));
        log.note(&text).await;
        self.last_lines(&name, service, log).await;
        Ok(text)
    }

    async fn wait_ready(
        &self,
        name: &str,
        service: &ServiceSpec,
        log: &StepLog,
    ) -> Result<(), EngineError> {
        let mut why = "it was not asked yet".to_owned();
        let waited = tokio::time::timeout(service.limit, async {
            let mut pause = PAUSE_MIN;
            loop {
                match self.look(name, service).await? {
                    Look::Ready => return Ok(None),
                    Look::Ended(code, memory) => return Ok(Some(end_words(code, memory))),
                    Look::NotYet(reason) => why = reason,
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
        let text = match waited.await {
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Some(ended))) => {
                format!("service `{}` {ended} before it was ready", service.name)
            }
            Err(_) => format!(
                "service `{}` was not ready within its {}: {why}",
                service.name,
                limit_words(service.limit)
            ),
        };
        let last = self.last_lines(name, service, log).await;
        Err(EngineError::Work(match last {
            Some(line) => format!("{text}: {line}"),
            None => text,
        }))
    }

    async fn look(&self, name: &str, service: &ServiceSpec) -> Result<Look, EngineError> {
        let found = patiently(|| self.docker.inspect_container(name, None)).await;
        let found = found.map_err(failed("look at a service"))?;
        let state = found.state.unwrap_or_default();
        if state.running != Some(true) {
            let memory = state.oom_killed.unwrap_or(false);
            return Ok(Look::Ended(state.exit_code.unwrap_or(0), memory));
        }
        match &service.ready {
            Some(command) => self.ask(name, command).await,
            None => Ok(health(&state)),
        }
    }

    /// Runs the `ready` command inside the service.
    async fn ask(&self, name: &str, command: &str) -> Result<Look, EngineError> {
        let not_yet = |error: &DockerError| {
            // Among others: it has ended meanwhile, which the next look shows.
            Ok(Look::NotYet(format!("`{command}`: {}", words(error))))
        };
        let options = CreateExecOptions {
            cmd: Some(vec!["/bin/sh", "-c", command]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let made = match self.docker.create_exec(name, options).await {
            Ok(made) => made,
            Err(error) => return not_yet(&error),
        };
        let mut said = Vec::new();
        match self.docker.start_exec(&made.id, None).await {
            Ok(StartExecResults::Attached { mut output, .. }) => {
                while let Some(Ok(chunk)) = output.next().await {
                    let bytes = chunk.into_bytes();
                    if said.len() < WORDS_BYTES_MAX {
                        said.extend_from_slice(&bytes);
                    }
                }
            }
            Ok(StartExecResults::Detached) => {}
            Err(error) => return not_yet(&error),
        }
        match self.docker.inspect_exec(&made.id).await {
            Ok(ended) if ended.exit_code == Some(0) => Ok(Look::Ready),
            Ok(ended) => {
                let code = ended.exit_code.unwrap_or(-1);
                let mut why = format!("`{command}` ended with exit code {code}");
                if let Some(line) = last_line(&said) {
                    why = format!("{why}: {line}");
                }
                Ok(Look::NotYet(why))
            }
            Err(error) => not_yet(&error),
        }
    }

    /// Shows the last lines of a service; answers the very last.
    async fn last_lines(&self, name: &str, service: &ServiceSpec, log: &StepLog) -> Option<String> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(LAST_LINES)
            .build();
        let mut lines = self.docker.logs(name, Some(options));
        let (mut out, mut err) = (log.stream(Voice::Out), log.stream(Voice::Err));
        let mut said = Vec::new();
        while let Some(Ok(chunk)) = lines.next().await {
            if said.is_empty() {
                let note = format!("the last lines of service `{}`:", service.name);
                log.note(&note).await;
            }
            match &chunk {
                LogOutput::StdErr { message } => err.write(message).await,
                LogOutput::StdOut { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message } => out.write(message).await,
            }
            said.extend_from_slice(&chunk.into_bytes());
        }
        out.end().await;
        err.end().await;
        last_line(&said)
    }
}

fn health(state: &ContainerState) -> Look {
    let Some(health) = &state.health else {
        return Look::Ready;
    };
    match health.status {
        None
        | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE | HealthStatusEnum::HEALTHY) => {
            Look::Ready
        }
        Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => {
            let last = health.log.as_ref().and_then(|log| log.last());
            let said = last.and_then(|last| last.output.as_deref()).unwrap_or("");
            let line = last_line(said.as_bytes()).unwrap_or_else(|| "nothing yet".into());
            Look::NotYet(format!("its image's health check says: {line}"))
        }
    }
}

fn end_words(code: i64, memory: bool) -> String {
    match exit::words(code, memory) {
        Some(words) if memory => words,
        Some(_) | None => format!("ended with exit code {code}"),
    }
}

fn last_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.chars().take(500).collect())
}

fn not_started(service: &ServiceSpec, error: &DockerError) -> EngineError {
    let text = format!("service `{}` cannot start: {}", service.name, words(error));
    match error {
        // Its image names a program that is not there, or that may not run.
        DockerError::DockerResponseServerError {
            status_code: 400..=499,
            ..
        } => EngineError::Work(text),
        // No answer, or one about the engine itself.
        _ => EngineError::Infrastructure(text),
    }
}
