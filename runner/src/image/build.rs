//! One BuildKit build through the Docker engine.

use std::collections::HashMap;

use bollard::errors::Error as DockerError;
use bollard::models::BuildInfoAux;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt as _;
use pipelines::plan::BuildWork;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::archive;
use crate::engine::docker::{DockerEngine, words};
use crate::engine::{EngineError, StepSecret};
use crate::image::context::Context;
use crate::image::progress::Progress;
use crate::image::session::Session;
use crate::logs::StepLog;

/// What BuildKit says when a `RUN` ended badly, before the exit code.
const EXIT_CODE: &str = "did not complete successfully: exit code: ";

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// The engine has the image under the tag that was asked for.
    Tagged,
    /// The build failed.
    Failed {
        /// Why, in words.
        reason: String,
        /// The exit code of the `RUN` that failed, if it was one.
        exit_code: Option<i64>,
    },
    /// It was stopped.
    Stopped,
}

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The pipeline's words.
    pub work: &'a BuildWork,
    /// For which platform; none: the engine's own.
    pub platform: Option<&'a str>,
    /// What the Dockerfile may mount.
    pub secrets: &'a [StepSecret],
    /// What the image is called on the engine: `repository:tag`.
    pub name: &'a str,
}

/// Builds what is ordered from `context`.
pub async fn build(
    engine: &DockerEngine,
    order: Order<'_>,
    context: Context,
    (log, stop): (&StepLog, &CancellationToken),
) -> Result<Built, EngineError> {
    let Order { work, name, .. } = order;
    let credentials = engine.credentials().all_for(log).await;
    let (mut docker, mut session) = (engine.docker(), Ulid::generate().to_string());
    let mut _own_session = None;
    if !order.secrets.is_empty() {
        let own = Session::open(engine.host(), order.secrets, credentials.clone()).await?;
        docker = Session::step_aside(docker);
        session = own.name().to_owned();
        _own_session = Some(own);
    }
    let args: HashMap<String, String> = {
        let args = work.args.iter();
        args.map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    };
    let mut options = BuildImageOptionsBuilder::default()
        .version(BuilderVersion::BuilderBuildKit)
        .session(&session)
        .dockerfile(context.dockerfile())
        .buildargs(&args)
        .rm(true)
        .forcerm(true)
        .t(name);
    if let Some(target) = &work.target {
        options = options.target(&target.to_string());
    }
    if let Some(platform) = order.platform {
        options = options.platform(platform);
    }
    let tar = archive::stream(move |builder| context.write(builder));
    let body = bollard::body_try_stream(tar);
    let mut messages = docker.build_image(options.build(), Some(credentials), Some(body));
    let mut progress = Progress::new(log.clone());
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            // Dropping the stream closes the call, and the engine ends the build.
            () = stop.cancelled() => return Ok(Built::Stopped),
        };
        match message {
            None => return Ok(Built::Tagged),
            Some(Ok(info)) => {
                if let Some(BuildInfoAux::BuildKit(status)) = info.aux {
                    progress.take(status).await;
                }
            }
            Some(Err(error)) => {
                let built = judge(&error, progress.failed());
                return match order.platform {
                    Some(platform) if progress.is_foreign() => {
                        built.map(|built| foreign(built, platform))
                    }
                    Some(_) | None => built,
                };
            }
        }
    }
}

/// What to say of a build whose programs this machine cannot run.
fn foreign(built: Built, platform: &str) -> Built {
    match built {
        Built::Failed { reason, .. } => Built::Failed {
            reason: format!(
                "{reason}: this runner's engine cannot run programs for {platform}. Install an \
                 emulator on it (binfmt with QEMU), build on a runner of that platform, or let \
                 the Dockerfile cross-compile without RUN in the final stage"
            ),
            exit_code: None,
        },
        Built::Tagged | Built::Stopped => built,
    }
}

/// Whose fault a failed build is.
fn judge(error: &DockerError, step: Option<&str>) -> Result<Built, EngineError> {
    let text = words(error);
    let DockerError::DockerStreamError { .. } = error else {
        // An answer of 4xx is about the request, which is made of the pipeline's words.
        return match error {
            DockerError::DockerResponseServerError {
                status_code: 400..=499,
                ..
            } => Ok(Built::Failed {
                reason: format!("the build is refused: {text}"),
                exit_code: None,
            }),
            // No answer, or one that is not understood: the engine's fault.
            _ => Err(EngineError::Infrastructure(format!(
                "the build broke off: {text}"
            ))),
        };
    };
    if let Some(code) = exit_code(&text) {
        let step = step.unwrap_or("a RUN instruction");
        return Ok(Built::Failed {
            reason: format!("{step} ended with exit code {code}"),
            exit_code: Some(code),
        });
    }
    if is_ours(&text) {
        return Err(EngineError::Infrastructure(format!(
            "the build cannot reach what it needs: {text}"
        )));
    }
    Ok(Built::Failed {
        reason: format!("the build failed: {text}"),
        exit_code: None,
    })
}

fn exit_code(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(EXIT_CODE)?;
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The words of networks, registries and full disks.
fn is_ours(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "connection refused",
        "connection reset",
        "no such host",
        "i/o timeout",
        "TLS handshake",
        "no route to host",
        "network is unreachable",
        "context deadline exceeded",
        "toomanyrequests",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway",
        "no space left on device",
        "unexpected EOF",
    ];
    WORDS.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = DockerError::DockerStreamError { error: text.into() };
        let said = match judge(&error, Some("[2/3] RUN make")) {
            Ok(Built::Failed { reason, exit_code }) => format!("failed {exit_code:?}: {reason}"),
            Ok(Built::Tagged | Built::Stopped) => "built".into(),
            Err(error) => format!("infrastructure: {error}"),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn a_failed_build_blames_the_right_side() {
        check(
            "process \"/bin/sh -c make\" did not complete successfully: exit code: 3",
            "failed Some(3): [2/3] RUN make ended with exit code 3",
        );
        check(
            "dockerfile parse error on line 2: unknown instruction: RAN",
            "failed None: the build failed: dockerfile parse error on line 2: unknown instruction: RAN",
        );
        check(
            "failed to do request: Head \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            "infrastructure: the build cannot reach what it needs: failed to do request: Head \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
        );
    }
}
