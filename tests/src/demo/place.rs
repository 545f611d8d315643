//! Where the demo keeps its state, and the processes it has left running.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::docker::Docker;
use crate::eventually::eventually;
use crate::program;

/// What the stand-in GitHub writes when it serves.
pub(super) const ADDRESSES: &str = "addresses.json";
/// In the order they are stopped.
const PROCESSES: [&str; 3] = ["runner", "server", "github"];
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The demo's folder.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// `SEAWORTHY_DEMO_DIR`, or a folder among the user's caches.
    pub fn of_this_user() -> Self {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or("/root".into()));
        let cache = || {
            std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from)
        };
        let dir = std::env::var_os("SEAWORTHY_DEMO_DIR")
            .map_or_else(|| cache().join("seaworthy-demo"), PathBuf::from);
        Self { dir }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts a process that outlives this one, and notes its number.
    pub(super) fn spawn(&self, name: &str, command: &mut Command) -> Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")))?;
        // In a session of its own: neither Ctrl-C here nor the end of the terminal reaches it.
        let mut detached = std::process::Command::new("setsid");
        let command = command.as_std();
        detached.arg(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => detached.env(variable, value),
                None => detached.env_remove(variable),
            };
        }
        let child = detached
            .current_dir(&self.dir)
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        std::fs::write(self.pid_file(name), child.id().to_string())?;
        Ok(())
    }

    /// Waits until something is there that a process makes; fails when the process has ended.
    pub(super) async fn await_from<T>(
        &self,
        name: &str,
        what: &str,
        mut probe: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let found = eventually(what, Duration::from_secs(30), async || {
            if self.running(name).is_none() {
                return Ok(None);
            }
            probe().await.map(Some)
        });
        let tail = || program::tail(name, &self.path(&format!("{name}.log")), 20);
        let found = found.await.with_context(tail)?;
        found.with_context(|| format!("the {name} has ended\n{}", tail()))
    }

    /// The number of a process of ours that still runs. Pid files survive a reboot, and the number
    /// may be somebody else's by then: it counts only if its command line names our folder.
    fn running(&self, name: &str) -> Option<u32> {
        let pid: u32 = std::fs::read_to_string(self.pid_file(name))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        if line.is_empty() {
            // For a moment while its program is loaded, and for good once it has ended.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let ended = stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('Z'));
            return (!ended).then_some(pid);
        }
        let ours = self.dir.to_string_lossy().into_owned();
        String::from_utf8_lossy(&line)
            .contains(&ours)
            .then_some(pid)
    }

    /// Stops every process of ours.
    pub(super) async fn stop_all(&self) -> Result<()> {
        for name in PROCESSES {
            let Some(pid) = self.running(name) else {
                continue;
            };
            println!("stopping the {name} (pid {pid})");
            // An error says that it ended in this moment.
            drop(program::signal("TERM", pid));
            let ended = eventually("it to end", STOP_LIMIT, async || {
                ensure!(self.running(name).is_none(), "it still runs");
                Ok(())
            });
            if ended.await.is_err() {
                drop(program::signal("KILL", pid));
            }
        }
        Ok(())
    }

    /// Removes what jobs have left on the Docker engine when they were cut off.
    pub(super) async fn sweep_docker(&self) -> Result<()> {
        let Ok(docker) = Docker::connect() else {
            return Ok(());
        };
        if docker.ping().await.is_err() {
            return Ok(());
        }
        docker.remove_of(super::REPOSITORY).await
    }

    /// Deletes the folder.
    pub(super) fn delete(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot delete {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.pid"))
    }
}
