//! Runners of a story: real processes with their own state, killed and started again at will.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::program::{self, Program};

/// How a runner differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct RunnerOptions {
    /// Variables that are set; `DOCKER_HOST` and `KUBECONFIG` otherwise are the tests'.
    pub env: Vec<(String, String)>,
    /// The environments it serves.
    pub environments: Vec<String>,
    /// More words on the command line.
    pub arguments: Vec<String>,
    /// Where it finds the server, if not where it is.
    pub server: Option<String>,
}

impl RunnerOptions {
    /// One with this variable.
    pub fn env(name: &str, value: &str) -> Self {
        Self {
            env: vec![(name.to_owned(), value.to_owned())],
            ..Self::default()
        }
    }

    /// One that only plays at running steps, for stories that are not about engines.
    pub fn scripted() -> Self {
        let arguments = ["--engine", "scripted"].map(str::to_owned).to_vec();
        Self {
            arguments,
            ..Self::default()
        }
    }
}

/// A runner. It is killed when dropped.
#[derive(Debug)]
pub struct Runner {
    name: String,
    dir: PathBuf,
    server: String,
    options: RunnerOptions,
    program: Program,
}

impl Runner {
    pub(crate) fn start(
        world: &Path,
        server: &str,
        name: &str,
        token: &str,
        options: RunnerOptions,
    ) -> Result<Self> {
        let dir = world.join(format!("runner-{name}"));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("token"), token)?;
        std::fs::write(dir.join("config.json"), "{}")?;
        let command = &mut command(&dir, server, &options)?;
        let program = Program::start(&format!("runner {name}"), command, &log(&dir))?;
        let (name, server) = (name.to_owned(), server.to_owned());
        Ok(Self {
            name,
            dir,
            server,
            options,
            program,
        })
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(&mut self) -> Result<()> {
        self.program.kill().await
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<std::process::ExitStatus> {
        self.program.stop().await
    }

    /// Starts it again with the same state.
    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(&[])
    }

    /// The same, with more variables for this time only.
    pub fn restart_with(&mut self, env: &[(&str, &str)]) -> Result<()> {
        let command = &mut command(&self.dir, &self.server, &self.options)?;
        command.envs(env.iter().copied());
        self.program = Program::start(&format!("runner {}", self.name), command, &log(&self.dir))?;
        Ok(())
    }

    /// A second process with the same token and a state of its own, as a copied machine.
    pub fn clone_with_other_state(&self) -> Result<Self> {
        let token = std::fs::read_to_string(self.dir.join("token"))?;
        let world = self.dir.parent().unwrap_or(&self.dir);
        let (name, options) = (format!("{}-clone", self.name), self.options.clone());
        Self::start(world, &self.server, &name, &token, options)
    }

    /// Stops it for a while without its knowing (`SIGSTOP`), as a machine that hangs.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        self.program
            .pid()
            .map_or(Ok(()), |pid| program::signal(name, pid))
    }

    /// The process, to wait for what it says or how it ends.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

/// Beside the server's, so that a failure shows both.
fn log(dir: &Path) -> PathBuf {
    dir.with_extension("log")
}

fn command(dir: &Path, server: &str, options: &RunnerOptions) -> Result<Command> {
    let mut command = Command::new(program::seaworthy()?);
    command
        .args(["runner", "--server", server, "--token-file"])
        .arg(dir.join("token"));
    command
        .arg("--state")
        .arg(dir.join("state"))
        .current_dir(dir);
    if !options.environments.is_empty() {
        command.args(["--environments", &options.environments.join(",")]);
    }
    command.args(&options.arguments);
    // Its own, so that a login on the developer's machine changes nothing.
    command.env("DOCKER_CONFIG", dir);
    program::without_proxy(&mut command);
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    Ok(command)
}
