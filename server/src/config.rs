//! Every setting of the server. Flag, then environment, then `seaworthy.toml`, then the default.
//!
//! This is the only place that reads the environment; everything else gets the plain value
//! [`Config`]. A setting that makes no sense is refused before anything is opened or changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

mod objects;
mod read;
mod settings;

#[cfg(test)]
mod tests;

pub use objects::{BucketConfig, Cloud, ObjectsConfig, objects_of};
pub use settings::{SETTINGS, Setting};

/// The exit code of a program whose configuration was refused.
pub const EXIT_CONFIG: u8 = 3;

/// How many bytes of caches a repository may keep, unless the setting says otherwise.
const CACHE_BYTES_DEFAULT: u64 = 10 << 30;
/// For how many days logs are kept where nothing is said.
const LOG_DAYS_DEFAULT: Option<u32> = Some(365);
/// For how many days artifacts are kept where nothing is said.
const ARTIFACT_DAYS_DEFAULT: Option<u32> = Some(90);

/// Where the key of secrets is, unless the setting says otherwise.
pub fn secret_key_file(data: &Path) -> PathBuf {
    data.join("secret.key")
}

/// What `seaworthy serve` can be told. Texts as given: [`ServeArgs::config`] reads them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// A file of settings (seaworthy.toml); flags and the environment win over it
    #[arg(long, env = "SEAWORTHY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where database and logs are
    #[arg(long, env = "SEAWORTHY_DATA", value_name = "DIR")]
    pub data: Option<String>,
    /// Where caches and artifacts are kept: file:///FOLDER, s3://, gs:// or az://BUCKET/PREFIX
    #[arg(long, env = "SEAWORTHY_OBJECTS_URL", value_name = "URL")]
    pub objects_url: Option<String>,
    /// How many bytes of caches a repository may keep
    #[arg(long, env = "SEAWORTHY_CACHE_BYTES", value_name = "BYTES")]
    pub cache_bytes: Option<String>,
    /// For how many days logs are kept; 0: for ever
    #[arg(long, env = "SEAWORTHY_LOG_DAYS", value_name = "DAYS")]
    pub log_days: Option<String>,
    /// For how many days artifacts are kept; 0: for ever
    #[arg(long, env = "SEAWORTHY_ARTIFACT_DAYS", value_name = "DAYS")]
    pub artifact_days: Option<String>,
    /// The key that secrets are sealed with
    #[arg(long, env = "SEAWORTHY_SECRET_KEY_FILE", value_name = "FILE")]
    pub secret_key_file: Option<String>,
    /// Where to listen; port 0 picks one and prints it
    #[arg(long, env = "SEAWORTHY_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// What GitHub and people call this server
    #[arg(long, env = "SEAWORTHY_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// How long a runner holds a job without being heard from, in seconds
    #[arg(long, env = "SEAWORTHY_LEASE", value_name = "SECONDS")]
    pub lease: Option<String>,
    /// The API of a GitHub Enterprise server
    #[arg(long, env = "SEAWORTHY_GITHUB_API_URL", value_name = "URL")]
    pub github_api_url: Option<String>,
    /// The pages of a GitHub Enterprise server
    #[arg(long, env = "SEAWORTHY_GITHUB_WEB_URL", value_name = "URL")]
    pub github_web_url: Option<String>,
    /// The number of the GitHub App
    #[arg(long, env = "SEAWORTHY_GITHUB_APP_ID", value_name = "NUMBER")]
    pub github_app_id: Option<String>,
    /// The GitHub App's private key
    #[arg(long, env = "SEAWORTHY_GITHUB_PRIVATE_KEY_FILE", value_name = "FILE")]
    pub github_private_key_file: Option<String>,
    /// The webhook's secret, and on a second line the former one
    #[arg(
        long,
        env = "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
        value_name = "FILE"
    )]
    pub github_webhook_secret_file: Option<String>,
    /// Seconds between two changes at GitHub
    #[arg(long, env = "SEAWORTHY_GITHUB_PACE", value_name = "SECONDS")]
    pub github_pace: Option<String>,
    /// Seconds between two looks at GitHub for what no webhook told
    #[arg(long, env = "SEAWORTHY_GITHUB_POLL", value_name = "SECONDS")]
    pub github_poll: Option<String>,
}

/// The server's configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What GitHub and people call this server, without a slash at the end; if none is given, the
    /// listener's address.
    pub public_url: Option<String>,
    /// Where database and logs are.
    pub data: PathBuf,
    /// Where caches and artifacts are kept.
    pub objects: ObjectsConfig,
    /// How many bytes of caches a repository may keep; beyond, the least recently used ones go.
    pub cache_bytes: u64,
    /// For how many days logs are kept; none: for ever.
    pub log_days: Option<u32>,
    /// For how many days artifacts are kept; none: for ever.
    pub artifact_days: Option<u32>,
    /// The file with the key that secrets are sealed with.
    pub secret_key_file: PathBuf,
    /// The GitHub App; without one, the server has pages and runners but no events.
    pub github: Option<GitHubConfig>,
    /// A lease ends this long after the last heartbeat.
    pub lease_ms: u64,
    /// A heartbeat is due this often.
    pub heartbeat_ms: u64,
}

/// How to speak to GitHub, and how it speaks to us.
#[derive(Debug, Clone)]
pub struct GitHubConfig {
    /// The base of the API, without a slash at the end.
    pub api_url: String,
    /// The base of pages and clones, without a slash at the end.
    pub web_url: String,
    /// The number of the App.
    pub app_id: u64,
    /// The App's private key, in PEM.
    pub private_key: SecretString,
    /// One or two live secrets: the present one, and while it is being changed the former one.
    pub webhook_secrets: Vec<SecretString>,
    /// At least this long between two changes at GitHub, for each installation.
    pub pace_ms: u64,
    /// How often we look at GitHub for what no webhook told.
    pub poll_ms: u64,
}

/// A setting that was refused: which one, what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}; {hint}")]
pub struct ConfigError {
    /// The setting, by the name of its environment variable.
    pub setting: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl ConfigError {
    /// What a program that meets this exits with.
    pub fn exit_code(&self) -> u8 {
        EXIT_CONFIG
    }
}

impl Config {
    /// The defaults over a data directory: no GitHub, any free port on this machine.
    pub fn new(data: &Path) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            data: data.to_owned(),
            objects: ObjectsConfig::Folder(data.join("objects")),
            cache_bytes: CACHE_BYTES_DEFAULT,
            log_days: LOG_DAYS_DEFAULT,
            artifact_days: ARTIFACT_DAYS_DEFAULT,
            secret_key_file: secret_key_file(data),
            github: None,
            lease_ms: 30_000,
            heartbeat_ms: 10_000,
        }
    }
}
