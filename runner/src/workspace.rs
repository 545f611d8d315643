//! The checkout: one commit, fetched by the `git` program on this machine, into a folder of its own.
//!
//! The repository is hostile until proven otherwise, and so is its address: no configuration of the
//! machine or the user is read, only http and https are spoken, redirects are refused (they would
//! carry the credential elsewhere), hooks and filters have nothing to run, submodules are not
//! followed. The credential travels in git's environment, never in its arguments, the address or
//! the repository's own configuration, so nothing of it stays in the workspace.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipelines::log::Voice;
use pipelines::names::CommitSha;
use pipelines::wire::Checkout;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::logs::StepLog;

/// How often a fetch that fails for no fault of the commit is tried.
const FETCH_TRIES: u32 = 3;
/// Between two tries.
const FETCH_PAUSE: Duration = Duration::from_secs(2);
/// Lines of git's own words kept for the reason.
const WORDS_MAX: usize = 50;

/// Settings that hold for every call of git.
const HARDENING: [&str; 10] = [
    "protocol.allow=never",
    "protocol.http.allow=always",
    "protocol.https.allow=always",
    "http.followRedirects=false",
    // A transfer slower than 1 KB/s for a minute is a dead one.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
];

/// Why there is no checkout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutError {
    /// The commit cannot be had any more: no fault of ours.
    #[error("{0}")]
    Gone(String),
    /// The forge, the network or this machine failed.
    #[error("{0}")]
    Infrastructure(String),
    /// `stop` was cancelled.
    #[error("stopped before its end")]
    Stopped,
}

/// A fetch to be done.
pub struct Fetch<'a> {
    /// From where, and with what credential.
    pub from: &'a Checkout,
    /// Which commit.
    pub commit: &'a CommitSha,
    /// Into which folder; it must not exist yet.
    pub folder: &'a Path,
    /// The environment that git may see.
    pub env: &'a [(String, String)],
}

impl Fetch<'_> {
    /// Fetches the commit alone, without history, and checks it out.
    pub async fn run(&self, log: &StepLog, stop: &CancellationToken) -> Result<(), CheckoutError> {
        check_address(&self.from.url)?;
        tokio::select! {
            done = self.steps(log) => done,
            // Dropping the call kills git.
            () = stop.cancelled() => Err(CheckoutError::Stopped),
        }
    }

    async fn steps(&self, log: &StepLog) -> Result<(), CheckoutError> {
        let made = tokio::fs::create_dir_all(self.folder).await;
        made.map_err(|error| {
            let folder = self.folder.display();
            CheckoutError::Infrastructure(format!("cannot make a checkout at {folder}: {error}"))
        })?;
        let commit = self.commit.as_str();
        log.note(&format!("fetching {commit} from {}", self.from.url))
            .await;
        let format = if commit.len() == 64 { "sha256" } else { "sha1" };
        let format = format!("--object-format={format}");
        self.git(
            &[
                "init",
                "--quiet",
                "--template=",
                "--initial-branch=seaworthy",
                &format,
            ],
            log,
        )
        .await
        .map_err(|said| self.infrastructure(&said))?;
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--end-of-options",
            &self.from.url,
            commit,
        ];
        for remaining in (0..FETCH_TRIES).rev() {
            match self.git(&fetch, log).await {
                Ok(()) => break,
                Err(said) if is_gone(&said) => return Err(CheckoutError::Gone(self.gone())),
                Err(said) if remaining == 0 => return Err(self.infrastructure(&said)),
                Err(_) => {
                    log.note("the fetch failed: trying again").await;
                    tokio::time::sleep(FETCH_PAUSE).await;
                }
            }
        }
        self.git(&["checkout", "--quiet", "--detach", "--force", commit], log)
            .await
            .map_err(|said| self.infrastructure(&said))?;
        log.note(&format!("checked out {commit}")).await;
        Ok(())
    }

    /// Runs git; its words go to the log, and come back when it fails.
    async fn git(&self, args: &[&str], log: &StepLog) -> Result<(), Vec<String>> {
        let mut command = tokio::process::Command::new("git");
        command.env_clear().envs(self.env.iter().cloned());
        command.envs(self.environment());
        for setting in HARDENING {
            command.args(["-c", setting]);
        }
        command
            .args(args)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let spawned = command.spawn();
        let mut child = spawned.map_err(|error| {
            vec![format!(
                "cannot start git: {error}; install git on the runner"
            )]
        })?;
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                log.line(Voice::Err, &line).await;
                if said.len() < WORDS_MAX {
                    said.push(String::from_utf8_lossy(&line).into_owned());
                }
            }
        }
        match child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                if said.is_empty() {
                    said.push(format!("git ended with {status}"));
                }
                Err(said)
            }
            Err(error) => Err(vec![format!("cannot wait for git: {error}")]),
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = [
            ("LC_ALL", "C"),
            // A home without a configuration; git wants to know one for some paths.
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("GIT_OPTIONAL_LOCKS", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(token) = &self.from.token {
            let pair = STANDARD.encode(format!("x-access-token:{token}"));
            env.extend([
                ("GIT_CONFIG_COUNT".into(), "1".into()),
                // Bound to this address: git sends it to no other.
                (
                    "GIT_CONFIG_KEY_0".into(),
                    format!("http.{}.extraHeader", self.from.url),
                ),
                (
                    "GIT_CONFIG_VALUE_0".into(),
                    format!("Authorization: Basic {pair}"),
                ),
            ]);
        }
        env
    }

    fn gone(&self) -> String {
        format!(
            "commit {} is gone from {}: was the branch force-pushed or deleted?",
            self.commit.short(),
            self.from.url
        )
    }

    fn infrastructure(&self, said: &[String]) -> CheckoutError {
        let fatal = said.iter().rev().find(|line| line.starts_with("fatal:"));
        let words = fatal
            .or(said.last())
            .map_or("git said nothing", String::as_str);
        let words = words.trim_start_matches("fatal:").trim();
        let moved = if words.contains("error: 30") {
            " (the repository has moved)"
        } else {
            ""
        };
        CheckoutError::Infrastructure(format!(
            "cannot fetch {} from {}: {words}{moved}",
            self.commit.short(),
            self.from.url
        ))
    }
}

fn check_address(address: &str) -> Result<(), CheckoutError> {
    let refuse = |why: &str| {
        let text = format!("cannot fetch from the address the server gave: {why}");
        Err(CheckoutError::Infrastructure(text))
    };
    match Url::parse(address) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => refuse("it is not http or https"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            refuse("it has credentials in it")
        }
        Ok(_) => Ok(()),
        Err(_) => refuse("it is no address"),
    }
}

/// The words of a server that does not have a commit, or does not give it.
fn is_gone(said: &[String]) -> bool {
    const WORDS: [&str; 4] = [
        "not our ref",
        "couldn't find remote ref",
        "unadvertised object",
        "did not send all necessary objects",
    ];
    said.iter()
        .any(|line| WORDS.iter().any(|words| line.contains(words)))
}

#[cfg(test)]
mod tests;
