//! What a runner is told when it starts. The only place of this crate that reads the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pipelines::names::{EnvironmentName, Label};
use secrecy::SecretString;
use url::Url;

/// Jobs at once, unless `--slots` says otherwise.
const SLOTS_DEFAULT: u32 = 2;
/// Most jobs at once: Docker's default address pools give a daemon about thirty networks.
const SLOTS_MAX: u32 = 24;

/// What of the environment the `git` program may see: how to find it, and how to reach the forge.
const GIT_VARIABLES: [&str; 12] = [
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

/// Where steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// Docker.
    Auto,
    /// Docker.
    Docker,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
    /// Nowhere: steps are played (see `engine::scripted`). For measurements and tests.
    #[value(hide = true)]
    Scripted,
}

/// A server, and how a runner gets in.
#[derive(Debug, Clone)]
pub struct ServerAccess {
    /// Its address.
    pub url: Url,
    /// What the runner proves itself with.
    pub token: SecretString,
}

/// A runner's settings.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// The server it works for; none for a run without one.
    pub server: Option<ServerAccess>,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The environments it may deploy to.
    pub environments: Vec<EnvironmentName>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Where it keeps its lock, its identity, the spools of logs and the checkouts.
    pub state_dir: PathBuf,
    /// The Docker engine; none: `/var/run/docker.sock`.
    pub docker_host: Option<String>,
    /// The folder with Docker's `config.json`, where registry credentials are.
    pub docker_config: Option<PathBuf>,
    /// The cluster's credentials; none: the client library's own rules (in-cluster, home).
    pub kubeconfig: Option<PathBuf>,
    /// Where steps run.
    pub engine: EngineChoice,
    /// The environment of the programs it starts (`git`, credential helpers).
    pub program_env: Vec<(String, String)>,
}

impl RunnerConfig {
    /// The settings of a runner that was told no more than this; the rest comes from the
    /// environment, as every tool of the field reads it.
    pub fn new(server: Url, token: SecretString, state_dir: PathBuf) -> Self {
        let server = ServerAccess { url: server, token };
        Self {
            server: Some(server),
            ..Self::local(state_dir)
        }
    }

    /// The settings of a run without a server; the rest comes from the environment, as above.
    pub fn local(state_dir: PathBuf) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let docker_config = variable("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".docker")));
        let program_env = GIT_VARIABLES
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), variable(name)?)))
            .collect();
        Self {
            server: None,
            labels: Vec::new(),
            environments: Vec::new(),
            slots: SLOTS_DEFAULT,
            state_dir,
            docker_host: variable("DOCKER_HOST"),
            docker_config,
            kubeconfig: variable("KUBECONFIG").map(PathBuf::from),
            engine: EngineChoice::Auto,
            program_env,
        }
    }
}

/// `seaworthy runner`: the flags, and the environment variables that stand for them.
#[derive(Debug, Clone, clap::Args)]
pub struct RunnerArgs {
    /// The server's address, such as `https://ci.example.com`
    #[arg(long, value_name = "URL", env = "SEAWORTHY_SERVER")]
    pub server: Url,
    /// A file with the token that `seaworthy admin runner add` printed
    #[arg(long, value_name = "FILE", env = "SEAWORTHY_RUNNER_TOKEN_FILE")]
    pub token_file: PathBuf,
    /// What this runner calls itself in its own log; the server's name for it belongs to the token
    #[arg(long, value_name = "NAME", env = "SEAWORTHY_RUNNER_NAME")]
    pub name: Option<String>,
    /// Labels by which jobs choose runners, separated by commas
    #[arg(
        long,
        value_name = "LABELS",
        value_delimiter = ',',
        env = "SEAWORTHY_RUNNER_LABELS"
    )]
    pub labels: Vec<Label>,
    /// Environments this runner may deploy to, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        env = "SEAWORTHY_RUNNER_ENVIRONMENTS"
    )]
    pub environments: Vec<EnvironmentName>,
    /// Where steps run
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        env = "SEAWORTHY_RUNNER_ENGINE"
    )]
    pub engine: EngineChoice,
    /// How many jobs run at once
    #[arg(long, default_value_t = SLOTS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(SLOTS_MAX)), env = "SEAWORTHY_RUNNER_SLOTS")]
    pub slots: u32,
    /// Where the runner keeps its identity, unsent logs and checkouts
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./runner-state",
        env = "SEAWORTHY_RUNNER_STATE"
    )]
    pub state: PathBuf,
}

impl RunnerArgs {
    /// Reads the token and checks what the flags alone cannot say.
    pub fn load(&self) -> anyhow::Result<RunnerConfig> {
        if !matches!(self.server.scheme(), "http" | "https") {
            bail!(
                "cannot use the server address {}: it must begin with http:// or https://",
                self.server
            );
        }
        if !self.server.username().is_empty() || self.server.password().is_some() {
            bail!("cannot use a server address with credentials in it: put the token in a file");
        }
        match self.engine {
            EngineChoice::Auto | EngineChoice::Docker | EngineChoice::Scripted => {}
            EngineChoice::Kubernetes => {
                bail!(
                    "cannot run steps in Kubernetes yet: use --engine docker; deploys to a cluster need no engine"
                )
            }
        }
        let token = read_token(&self.token_file)?;
        let mut config = RunnerConfig::new(self.server.clone(), token, self.state.clone());
        config.labels.clone_from(&self.labels);
        config.environments.clone_from(&self.environments);
        config.slots = self.slots;
        config.engine = self.engine;
        Ok(config)
    }
}

fn read_token(file: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the runner token at {}", file.display()))?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        bail!(
            "cannot use the runner token at {}: the file must hold one word, as printed by `seaworthy admin runner add`",
            file.display()
        );
    }
    Ok(SecretString::from(token.to_owned()))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        runner: RunnerArgs,
    }

    fn args(token: &Path, more: &[&str]) -> RunnerArgs {
        let token = token.display().to_string();
        let base = [
            "x",
            "--server",
            "http://127.0.0.1:1",
            "--token-file",
            &token,
        ];
        let all = base.into_iter().chain(more.iter().copied());
        Program::try_parse_from(all).unwrap().runner
    }

    #[test]
    fn flags_become_settings_and_the_token_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "tok3n\n").unwrap();
        let more = [
            "--labels",
            "linux,big",
            "--environments",
            "staging",
            "--slots",
            "3",
        ];
        let config = args(file.path(), &more).load().unwrap();
        assert_eq!(config.labels.len(), 2);
        assert_eq!(config.environments.len(), 1);
        assert_eq!(config.slots, 3);
        assert!(!format!("{config:?}").contains("tok3n"));
    }

    #[test]
    fn what_cannot_work_is_refused_in_words() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = args(empty.path(), &[]).load().unwrap_err().to_string();
        assert!(error.contains("must hold one word"), "{error}");
        std::fs::write(empty.path(), "tok3n").unwrap();
        let error = args(empty.path(), &["--engine", "kubernetes"])
            .load()
            .unwrap_err()
            .to_string();
        assert!(error.contains("--engine docker"), "{error}");
    }
}
