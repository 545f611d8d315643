//! What every part of the server holds: configuration, clock, store, logs and who listens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::blobs::{self, Blobs};
use crate::clock::Clock;
use crate::config::Config;
use crate::github::{GitHub, GitHubError};
use crate::leases::Leases;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::reconcile::Memory;
use crate::store::Store;
use crate::web::webhook::Readers;

/// Cheap to clone; all parts are shared.
#[derive(Debug, Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// Where the data is.
    pub data: PathBuf,
    /// What people and GitHub call this server, without a slash at the end.
    pub public_url: Arc<str>,
    /// The time.
    pub clock: Clock,
    /// The history.
    pub store: Store,
    /// The logs.
    pub objects: Objects,
    /// The bytes of caches and artifacts.
    pub blobs: Blobs,
    /// Who listens.
    pub live: Live,
    /// Who has been heard from.
    pub leases: Leases,
    /// GitHub, if it is connected.
    pub github: Option<GitHub>,
    /// Wakes the loops.
    pub wake: Arc<Wake>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is known of GitHub from looking there.
    pub(crate) reconcile: Arc<tokio::sync::Mutex<Memory>>,
    /// How many webhooks are read at once.
    pub(crate) readers: Arc<Readers>,
    /// Cancelled once the server begins to stop: waiting calls answer, nothing new is handed out.
    pub draining: CancellationToken,
}

/// Why the parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings of GitHub make no client.
    #[error("SEAWORTHY_GITHUB_API_URL or what belongs to it: {0}")]
    GitHub(#[from] GitHubError),
    /// The place for caches and artifacts was refused.
    #[error(transparent)]
    Blobs(#[from] blobs::OpenError),
}

/// One bell for each loop that has something to do when told.
#[derive(Debug, Default)]
pub struct Wake {
    /// A delivery has been stored.
    pub intake: Notify,
    /// GitHub must be told something.
    pub outbox: Notify,
}

impl App {
    /// Puts the parts together. `config.public_url` has been settled by then, or is the listener.
    pub fn new(config: Config, store: Store) -> Result<Self, AppError> {
        let clock = Clock;
        let github = match &config.github {
            Some(github) => Some(GitHub::new(github, clock)?),
            None => None,
        };
        let listener = || format!("http://{}", config.listen);
        Ok(Self {
            public_url: config.public_url.clone().unwrap_or_else(listener).into(),
            data: config.data.clone(),
            leases: Leases::new(Duration::from_millis(config.lease_ms)),
            objects: Objects::new(&config.data).watched(store.disk().clone()),
            blobs: Blobs::new(&config.objects)?,
            config: Arc::new(config),
            clock,
            store,
            live: Live::default(),
            github,
            wake: Arc::default(),
            metrics: Metrics::default(),
            reconcile: Arc::default(),
            readers: Arc::default(),
            draining: CancellationToken::new(),
        })
    }

    /// The address of a path of ours, as people reach it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// Whether people reach this server encrypted, so that cookies can insist on it.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
