//! The heart that routes and stories share: state, its lock, its file, and the names of things.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::GitHubOptions;
use super::faults::{Faults, Log};
use super::git::Git;
use super::keys::AppKey;
use super::state::{RepoRecord, State, Visibility};
use super::webhooks::Message;

/// Everything a route or a story can reach.
pub(crate) struct Hub {
    pub(super) options: GitHubOptions,
    pub(super) address: SocketAddr,
    pub(super) web_url: String,
    pub(super) key: Mutex<AppKey>,
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<Faults>,
    pub(super) log: Mutex<Log>,
    pub(super) webhook: Mutex<Option<(String, String)>>,
    pub(super) held: Mutex<bool>,
    pub(super) clock_offset: Mutex<i64>,
    pub(super) queue: UnboundedSender<Message>,
    pub(super) client: reqwest::Client,
    changed: Notify,
    pushes: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// A lock that a panicking test does not spoil for the next assertion.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn start(
        options: GitHubOptions,
        address: SocketAddr,
    ) -> Result<(Arc<Self>, UnboundedReceiver<Message>)> {
        std::fs::create_dir_all(options.dir.join("repositories"))
            .with_context(|| format!("cannot use the folder {}", options.dir.display()))?;
        let key = AppKey::of(&options.dir)?;
        let path = options.dir.join("state.json");
        let state = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("cannot read state.json")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error).context("cannot read state.json"),
        };
        // Several may install it in one process; the first is as good as any.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // GitHub hangs up on a webhook after ten seconds.
            .timeout(Duration::from_secs(10))
            .build()?;
        let (queue, receiver) = unbounded_channel();
        let web_url = options
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        let hub = Self {
            address,
            web_url,
            key: Mutex::new(key),
            state: Mutex::new(state),
            faults: Mutex::default(),
            log: Mutex::default(),
            webhook: Mutex::new(options.webhook.clone()),
            held: Mutex::new(false),
            clock_offset: Mutex::new(0),
            queue,
            client,
            changed: Notify::new(),
            pushes: Mutex::default(),
            options,
        };
        Ok((Arc::new(hub), receiver))
    }

    pub(super) fn api_url(&self) -> String {
        format!("{}/api/v3", self.web_url)
    }

    /// This GitHub's idea of the time.
    pub(super) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(*lock(&self.clock_offset));
        Timestamp::now()
            .checked_add(offset)
            .unwrap_or_else(|_| Timestamp::now())
    }

    /// Changes the state and has it written soon. No git and no network inside.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.changed.notify_one();
        result
    }

    /// The date of the next commit of a story.
    pub(super) fn next_commit_date(&self) -> Timestamp {
        let Some(first) = self.options.commit_clock else {
            return Timestamp::now();
        };
        let made = self.change(|state| {
            state.commits_made += 1;
            state.commits_made - 1
        });
        first
            .checked_add(SignedDuration::from_mins(made))
            .unwrap_or(first)
    }

    /// One repository as it is now.
    pub(super) fn repo(&self, id: u64) -> Result<RepoRecord> {
        let found = lock(&self.state).repositories.get(&id).cloned();
        found.with_context(|| format!("repository {id} is gone"))
    }

    /// The folder that holds all bare repositories; each is named by its id, so that a rename moves
    /// nothing.
    pub(super) fn repositories(&self) -> PathBuf {
        self.options.dir.join("repositories")
    }

    pub(super) fn git(&self, id: u64) -> Git {
        Git::new(self.repositories().join(format!("{id}.git")))
    }

    /// One push at a time in a repository, else its refs before and after would tell of two.
    pub(super) async fn push_lock(&self, id: u64) -> OwnedMutexGuard<()> {
        let mutex = lock(&self.pushes).entry(id).or_default().clone();
        mutex.lock_owned().await
    }

    pub(super) async fn create_repository(
        &self,
        full_name: &str,
        visibility: Visibility,
    ) -> Result<u64> {
        let (owner, name) = full_name
            .split_once('/')
            .context("a full name is owner/name")?;
        if !valid_name(owner) || !valid_name(name) || name.ends_with(".git") {
            bail!("GitHub would not allow the name {full_name}");
        }
        let id = self.change(|state| {
            if state.find(owner, name).is_some() {
                bail!("{full_name} exists already");
            }
            let account = state.account(owner);
            let installation = account.installation.unwrap_or_else(|| state.new_id());
            let id = state.new_id();
            if let Some(account) = state.accounts.get_mut(owner) {
                account.installation = Some(installation);
            }
            state
                .repositories
                .insert(id, RepoRecord::new(id, owner, name, visibility));
            Ok(id)
        })?;
        self.git(id).init("main").await?;
        Ok(id)
    }

    /// Writes the state beside the old one and then over it, so that a kill leaves a whole file.
    pub(super) async fn save(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&*lock(&self.state))?;
        let path = self.options.dir.join("state.json");
        let draft = self.options.dir.join("state.json.new");
        tokio::fs::write(&draft, bytes).await?;
        tokio::fs::rename(&draft, &path)
            .await
            .context("cannot write state.json")
    }
}

impl RepoRecord {
    fn new(id: u64, owner: &str, name: &str, visibility: Visibility) -> Self {
        Self {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            former_names: Vec::new(),
            visibility,
            default_branch: "main".to_owned(),
            installed: true,
            parent: None,
            next_number: 1,
            created_at: Timestamp::now(),
            pushed_at: Timestamp::now(),
        }
    }
}

/// Whether GitHub takes it as the name of an account or a repository.
pub(super) fn valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= 100
        && name.chars().all(allowed)
        && name != "."
        && name != ".."
}

/// Writes the state whenever it changed. Many changes at once are one write: a kill may lose the
/// last moment, a stop does not.
pub(super) async fn save_changes(hub: Arc<Hub>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = hub.changed.notified() => {}
        }
        if let Err(error) = hub.save().await {
            eprintln!("stand-in GitHub cannot keep its state: {error:#}");
        }
    }
}
