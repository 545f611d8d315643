//! Real processes: started, watched by their log, killed.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};

use crate::eventually::eventually;

/// A process whose output goes to a file. It is killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    log_began: u64,
}

impl Program {
    /// Starts it, with both outputs appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let log_began = file.metadata()?.len();
        let child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            log_began,
        })
    }

    /// Its number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// As `kill -9` does it: no last word.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.pid() {
            signal("TERM", pid)?;
        }
        self.exit(Duration::from_secs(30)).await
    }

    /// Waits until it has ended by itself.
    pub async fn exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!(
                "{} still runs after {limit:?}\n{}",
                self.name,
                self.tail(30)
            ),
        }
    }

    /// What it has written since it was started.
    pub fn output(&self) -> String {
        let all = std::fs::read(&self.log).unwrap_or_default();
        let began = usize::try_from(self.log_began).unwrap_or(0).min(all.len());
        String::from_utf8_lossy(&all[began..]).into_owned()
    }

    /// The last lines of its log, to explain a failure.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.name, &self.log, lines)
    }

    /// Waits for a line that has `start` in it, and gives what follows.
    pub async fn says(&mut self, start: &str, limit: Duration) -> Result<String> {
        let what = format!("{} to say `{start}`", self.name);
        eventually(&what, limit, async || {
            let output = self.output();
            let line = output.lines().find_map(|line| line.split_once(start));
            if let (None, Some(status)) = (line, self.ended()) {
                return Ok(Err(status));
            }
            line.map(|(_, rest)| Ok(rest.trim().to_owned()))
                .context("it has not yet")
        })
        .await?
        .map_err(|status| anyhow::anyhow!("{} ended ({status})\n{}", self.name, self.tail(30)))
    }
}

impl Drop for Program {
    /// Waits for the end, so that nothing is written any more into a folder about to be deleted.
    fn drop(&mut self) {
        // An error says that it has ended already.
        drop(self.child.start_kill());
        for _ in 0..400 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The last lines of a log file, under a heading.
pub fn tail(name: &str, log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    format!(
        "--- {name}, its last lines:\n{}\n---",
        all[from..].join("\n")
    )
}

/// Sends a signal by number of process.
pub fn signal(name: &str, pid: u32) -> Result<()> {
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "there is no process {pid}");
    Ok(())
}

/// The path of the built `seaworthy`, beside this program or one folder up, as cargo lays them out.
pub fn seaworthy() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let near = here.parent().context("a program is in a folder")?;
    let found = near
        .ancestors()
        .take(2)
        .map(|dir| dir.join("seaworthy"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "there is no built `seaworthy` in {} or its parent: run `cargo build --workspace` first, \
             or use `make test`",
            near.display()
        )
    })
}

/// Runs a command to its end and gives its standard output; its whole output is in the error.
pub async fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "{:?} ended with {}\n{text}{}",
        command.as_std(),
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(text)
}

/// Everything of ours is on this machine: a proxy for the outside must not stand between.
pub fn without_proxy(command: &mut Command) {
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
}
