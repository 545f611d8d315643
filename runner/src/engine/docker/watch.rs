//! One container from its start to its end: its output, its exit code, its stop.

use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, LogsOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use pipelines::limits::STOP_GRACE;
use pipelines::log::Voice;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::output::{End, Output, Seen, Sink};
use super::{DockerEngine, failed, gone, is_away, patiently, prologue, words};
use crate::clock;
use crate::engine::{EngineError, StepEnd, StepSpec, exit};
use crate::logs::StepLog;

/// How often output is picked up again after the connection to the engine broke.
const RECONNECTS_MAX: u32 = 100;

/// An end of output this soon before the end of the process is the process's own.
const END_SOON: Duration = Duration::from_millis(200);
/// After an end of output, the end of the process is waited for this long before the engine's copy
/// of the output is asked. A process may close its output and live on: then nothing new is in it.
const END_LATE: Duration = Duration::from_secs(2);
/// How long a look whether a container has ended may take.
const LOOK: Duration = Duration::from_secs(10);
/// How often in a row the output of a container that has ended may not come.
const STALLS_MAX: u32 = 3;
/// The exit code of a shell, and of our process 1, for a program that is not there.
const NOT_FOUND: i64 = 127;

/// The exit code of a container of which the engine does not know how it ended.
const UNKNOWN: i64 = 255;
/// Exit codes of containers that an engine ends when it is stopped.
const BY_ENGINE: [i64; 3] = [137, 143, UNKNOWN];

impl DockerEngine {
    /// Starts a container that was made and sees it to its end. `message`: what it reads.
    pub(super) async fn watch(
        &self,
        name: &str,
        (step, message): (&StepSpec, Option<SecretString>),
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<StepEnd, EngineError> {
        let options = AttachContainerOptionsBuilder::default()
            .stdin(message.is_some())
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        // Attached before it starts: no output comes too early to be seen.
        let attached = self.docker.attach_container(name, Some(options)).await;
        let attached = attached.map_err(failed("attach to a container"))?;
        let started = patiently(|| {
            self.docker
                .start_container(name, None::<StartContainerOptions>)
        });
        if let Err(error) = started.await {
            return Err(not_started(step, &error));
        }
        tracing::trace!(target: "failpoint", "runner.started");
        let mut sink = Sink::new(log.stream(Voice::Out), log.stream(Voice::Err));
        let (handed, code) = tokio::join!(
            hand_over(attached.input, message),
            self.follow_or_stop(name, &mut sink, Some(attached.output), stop)
        );
        sink.end().await;
        let Some(code) = code else {
            return Ok(StepEnd::Stopped);
        };
        let code = code?;
        if code != 0 {
            handed?;
        }
        self.ended(name, step, code).await
    }

    /// Sees a container to its end that a former life of the runner has started. All of its output
    /// comes again from the engine's copy, and the log leaves out what it has.
    pub(super) async fn watch_again(
        &self,
        name: &str,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<StepEnd, EngineError> {
        let mut sink = Sink::new(log.stream_again(Voice::Out), log.stream_again(Voice::Err));
        let code = self.follow_or_stop(name, &mut sink, None, stop).await;
        sink.end().await;
        match code {
            None => Ok(StepEnd::Stopped),
            Some(Ok(prologue::NOT_HANDED_OVER)) if !step.secrets.is_empty() => {
                let text = "the runner was restarted while it handed over the secrets of this step";
                Err(EngineError::Infrastructure(text.into()))
            }
            Some(code) => self.ended(name, step, code?).await,
        }
    }

    /// Whether the process of a container runs, or has run.
    pub(super) async fn was_started(&self, name: &str) -> Result<bool, EngineError> {
        let found = patiently(|| self.docker.inspect_container(name, None)).await;
        let state = match found {
            Ok(container) => container.state.unwrap_or_default(),
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(false),
            Err(error) => return Err(failed("find a container again")(error)),
        };
        Ok(state.status != Some(ContainerStateStatusEnum::CREATED))
    }

    async fn ended(&self, name: &str, step: &StepSpec, code: i64) -> Result<StepEnd, EngineError> {
        if code == NOT_FOUND && !self.has_shell(name).await {
            return Err(no_shell(step));
        }
        let memory = code != 0 && self.out_of_memory(name).await;
        Ok(StepEnd::Exited {
            code,
            reason: exit::words(code, memory),
        })
    }

    /// Answers nothing when the container was stopped.
    async fn follow_or_stop(
        &self,
        name: &str,
        sink: &mut Sink,
        attached: Option<Output>,
        stop: &CancellationToken,
    ) -> Option<Result<i64, EngineError>> {
        let mut following = std::pin::pin!(self.follow(name, sink, attached));
        tokio::select! {
            code = &mut following => return Some(code),
            () = stop.cancelled() => {}
        }
        // Its output is still taken: a process that cannot write cannot end in good order.
        let stopped = async { tokio::join!(self.stop(name), following) };
        if tokio::time::timeout(STOP_GRACE * 2, stopped).await.is_err() {
            tracing::warn!(
                container = name,
                "a container does not stop: it is removed by force"
            );
        }
        None
    }

    /// Takes the output until the container has ended; answers its exit code. A connection that
    /// was cut looks like an end of output: only the process's own end, soon after, tells them apart.
    async fn follow(
        &self,
        name: &str,
        sink: &mut Sink,
        attached: Option<Output>,
    ) -> Result<i64, EngineError> {
        let is_known = attached.is_some();
        let mut was_away = false;
        let over = || self.is_over(name);
        let mut end = match attached {
            Some(output) => sink.take(output, Seen::default(), over).await,
            None => self.take_logs(name, sink).await?,
        };
        let mut stalls = 0;
        for _ in 0..RECONNECTS_MAX {
            let since = clock::monotonic();
            if end == End::Whole {
                match tokio::time::timeout(END_LATE, self.wait(name)).await {
                    Ok(Ok(code)) => {
                        if since.elapsed() > END_SOON {
                            self.take_logs(name, sink).await?;
                        }
                        let doubtful = !is_known && BY_ENGINE.contains(&code);
                        return self.believe(code, was_away || doubtful).await;
                    }
                    Ok(Err(error)) if !is_away(&error) => {
                        return Err(failed("wait for a container")(error));
                    }
                    Ok(Err(_)) => was_away = true,
                    Err(_) => {}
                }
            }
            // An engine that told that the container has ended is not away.
            if end == End::Stalled {
                stalls += 1;
                if stalls == STALLS_MAX {
                    break;
                }
            } else {
                was_away = was_away || self.docker.ping().await.is_err();
            }
            end = self.take_logs(name, sink).await?;
        }
        let text = "cannot follow a container: the connection to the engine keeps breaking";
        Err(EngineError::Infrastructure(text.into()))
    }

    /// The exit code, unless it may be the engine's doing: without live-restore an engine that is
    /// stopped ends its containers, and with it one may forget how they ended (255).
    async fn believe(&self, code: i64, was_away: bool) -> Result<i64, EngineError> {
        if !was_away {
            return Ok(code);
        }
        let info = patiently(|| self.docker.info()).await;
        let info = info.map_err(failed("ask the engine about itself"))?;
        if info.live_restore_enabled == Some(true) && code != UNKNOWN {
            return Ok(code);
        }
        Err(EngineError::Infrastructure(format!(
            "the Docker engine was restarted while this step ran, and the step ended with it \
             (exit code {code}): set `live-restore` in the engine's configuration"
        )))
    }

    /// Reads the engine's own copy of the output, from where the live one broke off, to its end.
    async fn take_logs(&self, name: &str, sink: &mut Sink) -> Result<End, EngineError> {
        // An engine that restarts is waited for here.
        patiently(|| self.docker.inspect_container(name, None))
            .await
            .map_err(failed("find a container again"))?;
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .build();
        let known = sink.seen;
        let rest = Box::pin(self.docker.logs(name, Some(options)));
        let over = || self.is_over(name);
        Ok(sink.take(rest, known, over).await)
    }

    /// Whether the engine says, soon, that the process of a container has ended.
    async fn is_over(&self, name: &str) -> bool {
        let look = self.docker.inspect_container(name, None);
        let state = match tokio::time::timeout(LOOK, look).await {
            Ok(Ok(container)) => container.state,
            // Whoever cannot say it now is asked again.
            Ok(Err(_)) | Err(_) => None,
        };
        state.is_some_and(|state| state.running == Some(false))
    }

    /// TERM, grace, KILL.
    async fn stop(&self, name: &str) {
        let grace = i32::try_from(STOP_GRACE.as_secs()).unwrap_or(i32::MAX);
        let call = || {
            let options = StopContainerOptionsBuilder::default().t(grace).build();
            self.docker.stop_container(name, Some(options))
        };
        if let Err(error) = gone(patiently(call).await) {
            // It is removed by force in any case.
            tracing::warn!(container = name, %error, "cannot stop a container");
        }
    }

    pub(super) async fn wait(&self, name: &str) -> Result<i64, DockerError> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut answers = Box::pin(self.docker.wait_container(name, Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(DockerError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error),
            None => Err(DockerError::RequestTimeoutError),
        }
    }

    pub(super) async fn out_of_memory(&self, name: &str) -> bool {
        let found = patiently(|| self.docker.inspect_container(name, None)).await;
        let state = found.ok().and_then(|container| container.state);
        state.and_then(|state| state.oom_killed).unwrap_or(false)
    }

    /// The process 1 that we ask for starts the shell, so a missing one looks like any other
    /// command that was not found. Unsure is yes: then the exit code speaks.
    async fn has_shell(&self, name: &str) -> bool {
        let look = || {
            let options = ContainerArchiveInfoOptionsBuilder::default()
                .path("/bin/sh")
                .build();
            self.docker.get_container_archive_info(name, Some(options))
        };
        !matches!(
            patiently(look).await,
            Err(DockerError::DockerResponseServerError {
                status_code: 404,
                ..
            })
        )
    }
}

/// Writes what the container reads from its standard input, and ends that.
async fn hand_over(
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    message: Option<SecretString>,
) -> Result<(), EngineError> {
    let Some(message) = message else {
        return Ok(());
    };
    let written = async {
        input.write_all(message.expose_secret().as_bytes()).await?;
        input.shutdown().await
    };
    written.await.map_err(|error| {
        EngineError::Infrastructure(format!("cannot hand the secrets over: {error}"))
    })
}

fn not_started(step: &StepSpec, error: &DockerError) -> EngineError {
    let text = words(error);
    if text.contains("docker-init") {
        return EngineError::Infrastructure(format!(
            "the Docker engine has no docker-init: install it beside the engine ({text})"
        ));
    }
    // The engine's words for a program that is not in the image.
    if text.contains("/bin/sh") && (text.contains("no such file") || text.contains("not found")) {
        return no_shell(step);
    }
    EngineError::Infrastructure(format!("cannot start a container: {text}"))
}

fn no_shell(step: &StepSpec) -> EngineError {
    EngineError::Work(format!(
        "image {} has no /bin/sh: steps need an image with a shell",
        step.image
    ))
}
