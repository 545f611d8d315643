//! An engine without containers: it plays a few words of shell. For measurements and tests.
//!
//! It understands `echo WORDS` (with `$NAME`, `>&2`, `> FILE`), `cat FILE`, `sleep SECONDS`, and
//! `exit CODE`, one a line; any other line passes and does nothing. An image that begins with
//! `missing` does not exist; one that begins with `broken` cannot be reached. A service plays its
//! `ready` command until that passes; one whose image begins with `ends` ends at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pipelines::ids::{Attempt, JobId};
use pipelines::log::Voice;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::archive::{self, Rights};
use crate::engine::{
    Engine, EngineError, Files, JobKey, Keep, ServiceSpec, ServiceStart, StepEnd, StepSpec, exit,
};
use crate::logs::StepLog;
use crate::stop::limit_words;

/// Between two looks at a service that is not ready.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module's text.
pub struct ScriptedEngine {
    root: PathBuf,
}

impl ScriptedEngine {
    /// An engine that keeps its workspaces under `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// What would be `/` in a container.
    fn files(&self, job: &JobKey) -> PathBuf {
        self.root.join(job.resource())
    }

    fn workspace(&self, job: &JobKey) -> PathBuf {
        self.files(job).join("workspace")
    }
}

fn broken(error: &std::io::Error) -> EngineError {
    EngineError::Infrastructure(format!("cannot keep a workspace: {error}"))
}

fn check_image(image: &str) -> Result<(), EngineError> {
    if image.starts_with("missing") {
        let text = format!("image {image} does not exist");
        return Err(EngineError::Work(text));
    }
    if image.starts_with("broken") {
        let text = format!("cannot pull image {image}: connection refused");
        return Err(EngineError::Infrastructure(text));
    }
    Ok(())
}

impl Engine for ScriptedEngine {
    async fn prepare(&self, job: &JobKey) -> Result<(), EngineError> {
        let made = tokio::fs::create_dir_all(self.workspace(job)).await;
        made.map_err(|error| broken(&error))
    }

    async fn fill(
        &self,
        job: &JobKey,
        _image: &str,
        folder: &Path,
        _log: &StepLog,
    ) -> Result<(), EngineError> {
        // Only the files at the top: enough for what can be played.
        let mut entries = tokio::fs::read_dir(folder)
            .await
            .map_err(|error| broken(&error))?;
        while let Some(entry) = entries.next_entry().await.map_err(|error| broken(&error))? {
            if entry.file_type().await.is_ok_and(|kind| kind.is_file()) {
                let to = self.workspace(job).join(entry.file_name());
                let copied = tokio::fs::copy(entry.path(), to).await;
                copied.map_err(|error| broken(&error))?;
            }
        }
        Ok(())
    }

    async fn read_files(&self, job: &JobKey, path: &str) -> Result<Option<Files>, EngineError> {
        let from = self.files(job).join(path.trim_start_matches('/'));
        if tokio::fs::symlink_metadata(&from).await.is_err() {
            return Ok(None);
        }
        let name = from.file_name().unwrap_or_default().to_owned();
        Ok(Some(Box::pin(archive::stream(move |builder| {
            archive::append_tree(builder, &from, Path::new(&name), Rights::Usual)
        }))))
    }

    async fn write_files(&self, job: &JobKey, files: Files) -> Result<(), EngineError> {
        let to = self.files(job);
        let unpack = move |reader| {
            let mut archive = tar::Archive::new(reader);
            for entry in archive.entries()? {
                entry?.unpack_in(&to)?;
            }
            Ok(())
        };
        let unpacked = archive::consume(files, unpack).await;
        unpacked.map_err(|error| broken(&error))
    }

    async fn serve(
        &self,
        job: &JobKey,
        service: &ServiceSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<ServiceStart, EngineError> {
        check_image(&service.image)?;
        let name = &service.name;
        if service.image.starts_with("ends") {
            let text = format!("service `{name}` ended with exit code 1 before it was ready");
            return Err(EngineError::Work(text));
        }
        let Some(command) = &service.ready else {
            return Ok(ServiceStart::Ready);
        };
        let step = StepSpec {
            step: 0,
            image: service.image.clone(),
            script: command.clone(),
            env: service.env.clone(),
            secrets: Vec::new(),
        };
        let ready = async {
            loop {
                match self.run(job, &step, log, stop).await? {
                    StepEnd::Exited { code: 0, .. } => return Ok(ServiceStart::Ready),
                    StepEnd::Exited { .. } => tokio::time::sleep(PAUSE).await,
                    StepEnd::Stopped => return Ok(ServiceStart::Stopped),
                }
            }
        };
        let waited = tokio::time::timeout(service.limit, ready).await;
        waited.unwrap_or_else(|_| {
            let limit = limit_words(service.limit);
            let text = format!("service `{name}` was not ready within its {limit}");
            Err(EngineError::Work(text))
        })
    }

    async fn attend(
        &self,
        _job: &JobKey,
        _service: &ServiceSpec,
        _log: &StepLog,
    ) -> Result<String, EngineError> {
        std::future::pending().await
    }

    async fn run(
        &self,
        job: &JobKey,
        step: &StepSpec,
        log: &StepLog,
        stop: &CancellationToken,
    ) -> Result<StepEnd, EngineError> {
        check_image(&step.image)?;
        let workspace = self.workspace(job);
        for line in step.script.lines() {
            if stop.is_cancelled() {
                return Ok(StepEnd::Stopped);
            }
            match play(line.trim(), step, &workspace, log, stop).await {
                Ok(0) => {}
                Ok(_) if stop.is_cancelled() => return Ok(StepEnd::Stopped),
                Ok(code) => {
                    let reason = exit::words(code, false);
                    return Ok(StepEnd::Exited { code, reason });
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(StepEnd::Exited {
            code: 0,
            reason: None,
        })
    }

    async fn adopt(
        &self,
        _job: &JobKey,
        _step: &StepSpec,
        _log: &StepLog,
        _stop: &CancellationToken,
    ) -> Result<Option<StepEnd>, EngineError> {
        let text = "the runner was restarted, and with it ended what it was playing";
        Err(EngineError::Infrastructure(text.into()))
    }

    async fn remove(&self, job: &JobKey) -> Result<(), EngineError> {
        match tokio::fs::remove_dir_all(self.files(job)).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(broken(&error)),
        }
    }

    async fn sweep(&self, instance: Ulid, keep: Keep<'_>) -> Result<usize, EngineError> {
        let prefix = format!("seaworthy-{}-", instance.to_string().to_lowercase());
        let Ok(mut entries) = tokio::fs::read_dir(&self.root).await else {
            return Ok(0);
        };
        let mut removed = 0;
        while let Some(entry) = entries.next_entry().await.map_err(|error| broken(&error))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(owner) = name.strip_prefix(&prefix) else {
                continue;
            };
            let kept = owner.split_once('-').is_some_and(|(job, attempt)| {
                let numbers = job.parse().ok().zip(attempt.parse().ok());
                numbers.is_some_and(|(job, attempt)| keep(JobId(job), Attempt(attempt)))
            });
            if !kept {
                let gone = tokio::fs::remove_dir_all(entry.path()).await;
                gone.map_err(|error| broken(&error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

async fn play(
    line: &str,
    step: &StepSpec,
    workspace: &Path,
    log: &StepLog,
    stop: &CancellationToken,
) -> std::io::Result<i64> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "echo" => {
            let (text, target) = match rest.split_once('>') {
                Some((text, target)) => (text.trim_end(), target.trim()),
                None => (rest, ""),
            };
            let text = expand(text, step);
            match target {
                "" => log.line(Voice::Out, text.as_bytes()).await,
                "&2" => log.line(Voice::Err, text.as_bytes()).await,
                file => tokio::fs::write(workspace.join(file), text + "\n").await?,
            }
            Ok(0)
        }
        "cat" => match read(rest, step, workspace).await {
            Ok(content) => {
                log.line(Voice::Out, &content).await;
                Ok(0)
            }
            Err(error) => {
                let text = format!("cat: {rest}: {error}");
                log.line(Voice::Err, text.as_bytes()).await;
                Ok(1)
            }
        },
        "sleep" => {
            let seconds = rest.parse().unwrap_or(0.0);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => Ok(0),
                () = stop.cancelled() => Ok(143),
            }
        }
        "exit" => Ok(rest.trim().parse().unwrap_or(2)),
        // What cannot be played passes: a benchmark's pipelines are real ones.
        _ => Ok(0),
    }
}

async fn read(path: &str, step: &StepSpec, workspace: &Path) -> std::io::Result<Vec<u8>> {
    let Some(name) = path.strip_prefix("/run/secrets/") else {
        return tokio::fs::read(workspace.join(path)).await;
    };
    let secret = step
        .secrets
        .iter()
        .find(|secret| secret.name.as_str() == name);
    let secret = secret.map(|secret| secret.value.expose_secret().as_bytes().to_vec());
    secret.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn expand(text: &str, step: &StepSpec) -> String {
    let word = |word: &str| match word.strip_prefix('$') {
        Some(name) => {
            let secret = step.secrets.iter().find(|secret| secret.variable() == name);
            let secret = secret.map(|secret| secret.value.expose_secret().to_owned());
            let plain = || step.env.get(name).cloned();
            secret.or_else(plain).unwrap_or_default()
        }
        None => word.to_owned(),
    };
    let words: Vec<String> = text
        .split(' ')
        .map(|part| word(part.trim_matches('"')))
        .collect();
    words.join(" ")
}
