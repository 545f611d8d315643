//! A whole installation for one story: a stand-in GitHub, the real server, real runners.
//!
//! ```ignore
//! let world = World::start().await?;
//! let _runner = world.runner("r1", &["staging"]).await?;
//! let repo = world.repository("acme/shop").await?;
//! let sha = repo.commit("main", "Begin", &files).await?;
//! let run = world.run_of("acme/shop", &sha).await?;
//! ```

mod second;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::api::{Api, Run};
use crate::eventually::eventually;
use crate::github::{GitHub, GitHubOptions, Repository, Visibility};
use crate::history::History;
use crate::program::{self, Program};
use crate::runners::{Runner, RunnerOptions};

/// What signs the webhooks.
pub const WEBHOOK_SECRET: &str = "a secret of the tests";
/// How long a run may take: every story's work is seconds, but builders can be busy.
const RUN_LIMIT: Duration = Duration::from_secs(150);
/// How long a process may take to come up on a busy machine.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(30);
/// Leases in stories, in seconds: short, so that a lost runner is noticed soon, and long enough for
/// a machine that does eight things at once.
const LEASE_SECONDS: &str = "4";

/// One installation. Everything is stopped and deleted when it is dropped.
pub struct World {
    /// The stand-in.
    pub github: GitHub,
    /// The server's API, with a token.
    pub api: Api,
    server: Mutex<Option<Program>>,
    address: SocketAddr,
    /// What the server is told beside the usual, each time it starts.
    settings: Vec<(String, String)>,
    dir: TempDir,
}

impl World {
    /// Starts GitHub and the server.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with more settings for the server.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(Self::folder()?, settings).await
    }

    /// The folder of a world that is yet to start, for what has to be there before.
    pub fn folder() -> Result<TempDir> {
        Ok(TempDir::with_prefix("seaworthy-world-")?)
    }

    /// Starts it in such a folder, whose `data` is the server's.
    pub async fn start_in(dir: TempDir, settings: &[(&str, &str)]) -> Result<Self> {
        crate::install_tls();
        let options = GitHubOptions {
            dir: dir.path().join("github"),
            ..GitHubOptions::default()
        };
        let github = GitHub::start(options).await?;
        std::fs::write(dir.path().join("webhook-secret"), WEBHOOK_SECRET)?;
        std::fs::write(dir.path().join("app.pem"), github.private_key_pem())?;
        let mut command = serve(
            (dir.path(), &dir.path().join("data")),
            &github,
            "127.0.0.1:0",
        )?;
        command.envs(settings.iter().copied());
        let mut server =
            Program::start("the server", &mut command, &dir.path().join("server.log"))?;
        let address = server.says("listening on http://", START_LIMIT).await?;
        let address = address
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .parse()?;
        let api = Api::anonymous(&format!("http://{address}"))?;
        github.set_webhook(&format!("{}/webhooks/github", api.url), WEBHOOK_SECRET);
        let mut world = Self {
            github,
            api,
            server: Mutex::new(Some(server)),
            address,
            settings: settings
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            dir,
        };
        world.ready().await?;
        let token = world.admin(&["token", "add", "tests"]).await?;
        let login = world.admin(&["login"]).await?;
        let login = login
            .trim()
            .rsplit_once("token=")
            .context("a link was printed")?
            .1
            .to_owned();
        let token = token.lines().last().unwrap_or_default().trim();
        world.api = world.api.with_token(token).signed_in(&login).await?;
        Ok(world)
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A folder for a story's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A word of this world alone, for names that engines share.
    pub fn id(&self) -> String {
        let name = self
            .dir
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        name.rsplit('-').next().unwrap_or_default().to_lowercase()
    }

    /// A repository name of this world alone: engines are shared, and label what they hold by it.
    pub fn name(&self, repository: &str) -> String {
        format!("acme/{repository}-{}", self.id())
    }

    /// The server's database, to read.
    pub async fn history(&self) -> Result<History> {
        History::open(&self.data()).await
    }

    /// `seaworthy admin … --data …`: its standard output.
    pub async fn admin(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(program::seaworthy()?);
        command
            .arg("admin")
            .args(words)
            .arg("--data")
            .arg(self.data());
        program::output(&mut command).await
    }

    /// Starts a runner that serves these environments.
    pub async fn runner(&self, name: &str, environments: &[&str]) -> Result<Runner> {
        self.runner_with(name, environments, RunnerOptions::default())
            .await
    }

    /// The same, with other engines or settings.
    pub async fn runner_with(
        &self,
        name: &str,
        environments: &[&str],
        mut options: RunnerOptions,
    ) -> Result<Runner> {
        options.environments = environments.iter().map(|&one| one.to_owned()).collect();
        let told = self.admin(&["runner", "add", name]).await?;
        let token = told.lines().last().context("no token was printed")?;
        let server = options.server.clone();
        let server = server.unwrap_or_else(|| self.api.url.clone());
        Runner::start(self.dir.path(), &server, name, token.trim(), options)
    }

    /// An empty repository at the stand-in, with the App installed.
    pub async fn repository(&self, full_name: &str) -> Result<Repository> {
        self.github
            .create_repository(full_name, Visibility::Private)
            .await
    }

    /// The server's process.
    pub async fn server_pid(&self) -> Result<u32> {
        let server = self.server.lock().await;
        let server = server.as_ref().context("the server does not run")?;
        server.pid().context("the server has ended")
    }

    /// Waits until the server has ended by itself.
    pub async fn server_ended(&self, limit: Duration) -> Result<std::process::ExitStatus> {
        let mut server = self.server.lock().await;
        let status = server
            .as_mut()
            .context("the server does not run")?
            .exit(limit)
            .await?;
        *server = None;
        Ok(status)
    }

    /// Kills the server as `kill -9` does.
    pub async fn kill_server(&self) -> Result<()> {
        let mut server = self.server.lock().await;
        server
            .as_mut()
            .context("the server does not run")?
            .kill()
            .await?;
        *server = None;
        Ok(())
    }

    /// Asks the server to end, and waits until it has.
    pub async fn stop_server(&self) -> Result<std::process::ExitStatus> {
        let mut server = self.server.lock().await;
        server
            .take()
            .context("the server does not run")?
            .stop()
            .await
    }

    /// Starts the server again, on the same port and data.
    pub async fn start_server(&self) -> Result<()> {
        self.start_server_with(&[]).await
    }

    /// The same, with more settings for this time only.
    pub async fn start_server_with(&self, settings: &[(&str, &str)]) -> Result<()> {
        let mut command = serve(
            (self.dir.path(), &self.data()),
            &self.github,
            &self.address.to_string(),
        )?;
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.envs(settings.iter().copied());
        let log = self.dir.path().join("server.log");
        let mut server = Program::start("the server", &mut command, &log)?;
        server.says("listening on http://", START_LIMIT).await?;
        *self.server.lock().await = Some(server);
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        let ready = self.eventually("the server to be ready", START_LIMIT, async || {
            let ended = self.server.lock().await.as_mut().and_then(Program::ended);
            if let Some(status) = ended {
                return Ok(Err(status));
            }
            let (status, body) = self.api.get("/readyz").await?;
            ensure!(status == 200, "{status}: {body}");
            Ok(Ok(()))
        });
        let ready = ready.await?;
        ready.map_err(|status| anyhow::anyhow!("the server ended: {status}\n{}", self.tail()))
    }

    /// Waits for something; the server's last lines are part of the failure.
    pub async fn eventually<T>(
        &self,
        what: &str,
        limit: Duration,
        probe: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        eventually(what, limit, probe)
            .await
            .map_err(|error| error.context(self.tail()))
    }

    /// The run of a commit, once it has ended.
    pub async fn run_of(&self, repository: &str, sha: &str) -> Result<Run> {
        self.run_when(repository, sha, "has ended", Run::is_final)
            .await
    }

    /// The run of a commit, once something holds for it. A run that ends before is a failure.
    pub async fn run_when(
        &self,
        repository: &str,
        sha: &str,
        what: &str,
        holds: impl Fn(&Run) -> bool,
    ) -> Result<Run> {
        let title = format!("the run of {sha} in {repository} to be one that {what}");
        let found = self
            .eventually(&title, RUN_LIMIT, async || {
                let runs = self.api.runs(repository).await?;
                let run = runs
                    .into_iter()
                    .find(|run| run.commit == sha)
                    .context("no run yet")?;
                let run = self.api.run(repository, run.number).await?;
                if holds(&run) {
                    return Ok(Ok(run));
                }
                if run.is_final() {
                    return Ok(Err(run));
                }
                bail!("{}", run.summary())
            })
            .await?;
        found.map_err(|run| {
            anyhow::anyhow!("waited for {title}, but {}\n{}", run.summary(), self.tail())
        })
    }

    /// Every run of a repository, once there are at least that many.
    pub async fn runs(&self, repository: &str, least: usize) -> Result<Vec<Run>> {
        self.eventually("the runs", START_LIMIT, async || {
            let runs = self.api.runs(repository).await?;
            ensure!(runs.len() >= least, "there are {} runs", runs.len());
            Ok(runs)
        })
        .await
    }

    /// The last lines of the server and of every runner, to explain a failure.
    pub fn tail(&self) -> String {
        let mut logs: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        let tails = logs.iter().map(|log| {
            let name = log.file_stem().unwrap_or_default().to_string_lossy();
            program::tail(&name, log, 40)
        });
        tails.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}

fn serve((dir, data): (&Path, &Path), github: &GitHub, listen: &str) -> Result<Command> {
    let mut command = Command::new(program::seaworthy()?);
    command
        .args(["serve", "--listen", listen, "--data"])
        .arg(data)
        .current_dir(dir)
        .env("SEAWORTHY_GITHUB_API_URL", github.api_url())
        .env("SEAWORTHY_GITHUB_WEB_URL", github.web_url())
        .env("SEAWORTHY_GITHUB_APP_ID", github.app_id().to_string())
        .env("SEAWORTHY_GITHUB_PRIVATE_KEY_FILE", dir.join("app.pem"))
        .env(
            "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
            dir.join("webhook-secret"),
        )
        .env("SEAWORTHY_LEASE", LEASE_SECONDS)
        // The server must not meet an engine, so it had better not know where one is.
        .env_remove("DOCKER_HOST")
        .env_remove("KUBECONFIG");
    program::without_proxy(&mut command);
    Ok(command)
}
