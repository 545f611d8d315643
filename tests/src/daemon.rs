//! A Docker engine of a story's own, that can be stopped and started again while containers run.
//!
//! It shares nothing with the engine of the other stories. It has a network namespace of its own:
//! even an engine without a bridge deletes `docker0`, which is the other one's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::{self, Program};

const START_LIMIT: Duration = Duration::from_secs(60);

/// An engine. It is stopped, and what it holds is deleted, when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    live_restore: bool,
    process: Option<Program>,
    dir: TempDir,
}

impl Daemon {
    /// Starts one that has the image `image` of the usual engine.
    pub async fn start(live_restore: bool, image: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("seaworthy-daemon-")
            .tempdir()?;
        let mut daemon = Self {
            live_restore,
            process: None,
            dir,
        };
        daemon.run().await?;
        let saved = daemon.dir.path().join("image.tar");
        let usual = std::env::var("DOCKER_HOST").context("DOCKER_HOST is not set")?;
        let save = [Path::new("save"), image.as_ref(), "-o".as_ref(), &saved];
        program::output(docker(&usual)?.args(save)).await?;
        let load = [Path::new("load"), "-i".as_ref(), &saved];
        program::output(docker(&daemon.host())?.args(load)).await?;
        std::fs::remove_file(saved)?;
        Ok(daemon)
    }

    /// Where it listens, as in `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.dir.path().display())
    }

    /// Starts it; after [`Daemon::stop`], again.
    pub async fn run(&mut self) -> Result<()> {
        let dir = self.dir.path();
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--", "dockerd"])
            .env("PATH", path()?);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--init-path", "/usr/bin/tini-static", "-H", &self.host()]);
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(dir.join(name));
        }
        if self.live_restore {
            command.arg("--live-restore");
        }
        let log = dir.join("dockerd.log");
        let mut process = Program::start("a Docker engine", &mut command, &log)?;
        process.says("API listen on", START_LIMIT).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        ensure!(process.stop().await?.success(), "{}", process.tail(10));
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Without a process that answers, there is nothing to remove containers with. With
        // live-restore it leaves its data mounted.
        let script = "for id in $(docker ps -aq); do docker rm -f $id; done >/dev/null 2>&1; \
                      kill $(cat \"$0/pid\"); while [ -e \"$0/pid\" ]; do sleep 0.1; done; \
                      umount \"$0/data\" 2>/dev/null";
        let mut shell = std::process::Command::new("timeout");
        shell.args(["30", "sh", "-c", script]).arg(self.dir.path());
        if let Ok(path) = path() {
            shell.env("PATH", path);
        }
        // A drop cannot fail; what stays is in a temporary folder.
        drop(shell.env("DOCKER_HOST", self.host()).status());
    }
}

fn docker(host: &str) -> Result<Command> {
    let mut command = Command::new(std::env::var("SEAWORTHY_TEST_DOCKER")?);
    command.env("DOCKER_HOST", host);
    Ok(command)
}

/// The folders of the engine's programs first: `dev/docker` may have unpacked its own.
fn path() -> Result<String> {
    let docker = PathBuf::from(std::env::var("SEAWORTHY_TEST_DOCKER")?);
    let root = docker.ancestors().nth(2).context("docker is in a folder")?;
    let usual = std::env::var("PATH").unwrap_or_default();
    let root = root.display();
    Ok(format!("{root}/bin:{root}/sbin:{usual}:/usr/sbin:/sbin"))
}
