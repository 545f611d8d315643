//! The stand-in GitHub: a server over HTTP that keeps state and refuses nonsense as the real one
//! would.
//!
//! Everything that can be real is real: repositories are bare git repositories on disk, served by
//! `git http-backend`, and every answer about commits, trees and pull requests is asked of git. What
//! is ours is only the part around it: the App and its tokens, check runs, deployments, webhooks, and
//! the faults that tests put in. So octocrab and `git clone` are exercised, not replaced.
//!
//! Stories speak to [`GitHub`] and [`Repository`]; Seaworthy speaks HTTP to [`GitHub::api_url`].
//! Nothing here retries or hides an error, because the real one does not either.

mod access;
mod api;
mod app;
mod change;
mod check_run;
mod checks;
mod commits;
mod contents;
mod deliveries;
mod deployments;
mod events;
mod faults;
mod git;
mod hub;
mod installs;
mod json;
mod keys;
mod objects;
mod pull_events;
mod pull_state;
mod pulls;
mod refs;
mod repository;
mod reruns;
mod router;
mod smart_http;
mod state;
mod webhooks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use change::{Change, Committed};
pub use check_run::{CheckRun, CheckState};
pub use deployments::{Deployment, DeploymentStatus};
pub use faults::{Limit, Request};
pub use pulls::PullRequest;
pub use repository::Repository;
pub use state::{Person, Visibility};
pub use webhooks::{Delivery, WebhookAnswer, sign};

use hub::{Hub, lock};

/// The token with which a developer pushes: `git push http://ada:dev-token@…`. The user name of the
/// call is the login of the pusher.
pub const DEVELOPER_TOKEN: &str = "dev-token";

/// What a stand-in starts with; everything but the folder has a default.
#[derive(Clone, Debug)]
pub struct GitHubOptions {
    /// Where repositories and state live. Starting again on the same folder goes on from there.
    pub dir: PathBuf,
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// What others call it, when that is not the listening address (a container calls its host by
    /// another name). Without a slash at the end.
    pub public_url: Option<String>,
    /// Address and secret of the App's webhook; without one, events are recorded but not sent.
    pub webhook: Option<(String, String)>,
    /// The number of the App.
    pub app_id: u64,
    /// What the App may do in its installations.
    pub permissions: BTreeMap<String, String>,
    /// How long an installation token lives; the real one gives an hour.
    pub token_lifetime: Duration,
    /// The date of the first commit, for shas that never change; each commit is a minute later.
    /// Without it, commits bear the time of day.
    pub commit_clock: Option<Timestamp>,
    /// Whether each push also sends `check_suite` events, as the real one does to Apps that write
    /// checks. Off, so that a story counts only the events it made.
    pub check_suites: bool,
}

impl Default for GitHubOptions {
    fn default() -> Self {
        let permissions = [
            ("checks", "write"),
            ("contents", "read"),
            ("deployments", "write"),
            ("metadata", "read"),
            ("pull_requests", "read"),
        ];
        Self {
            dir: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            webhook: None,
            app_id: 4711,
            permissions: permissions
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            token_lifetime: Duration::from_secs(3600),
            commit_clock: None,
            check_suites: false,
        }
    }
}

/// A running stand-in; clones share it. It stops when the last clone is dropped, or at
/// [`GitHub::stop`].
#[derive(Clone)]
pub struct GitHub {
    pub(crate) hub: Arc<Hub>,
    running: Arc<Running>,
}

struct Running {
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GitHub").field(&self.web_url()).finish()
    }
}

impl GitHub {
    /// Starts serving, from the state in the folder if there is one.
    pub async fn start(options: GitHubOptions) -> Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let (hub, queue) = Hub::start(options, address)?;
        let stop = CancellationToken::new();
        let app = router::router(hub.clone());
        let asked = stop.clone().cancelled_owned();
        let serve = tokio::spawn(async move {
            let served = axum::serve(listener, app)
                .with_graceful_shutdown(asked)
                .await;
            if let Err(error) = served {
                eprintln!("stand-in GitHub stopped serving: {error}");
            }
        });
        let deliver = tokio::spawn(webhooks::deliver_in_order(hub.clone(), queue, stop.clone()));
        let save = tokio::spawn(hub::save_changes(hub.clone(), stop.clone()));
        let tasks = Mutex::new(vec![serve, deliver, save]);
        Ok(Self {
            hub,
            running: Arc::new(Running { stop, tasks }),
        })
    }

    /// Stops serving and writes the state, so that the same folder and port can be started again.
    pub async fn stop(&self) -> Result<()> {
        self.running.stop.cancel();
        let tasks = std::mem::take(&mut *lock(&self.running.tasks));
        for mut task in tasks {
            // A client that never hangs up must not keep the port: after a moment it is cut off.
            if tokio::time::timeout(Duration::from_secs(2), &mut task)
                .await
                .is_err()
            {
                task.abort();
            }
        }
        self.hub.save().await
    }

    /// The base of the API, as a GitHub Enterprise server has it: `…/api/v3`.
    pub fn api_url(&self) -> String {
        self.hub.api_url()
    }

    /// The base of pages and clones: `http://127.0.0.1:PORT`.
    pub fn web_url(&self) -> String {
        self.hub.web_url.clone()
    }

    /// Where it listens, to start again on the same port.
    pub fn address(&self) -> SocketAddr {
        self.hub.address
    }

    /// The number of the App.
    pub fn app_id(&self) -> u64 {
        self.hub.options.app_id
    }

    /// The App's private key, in the form GitHub hands out ("BEGIN RSA PRIVATE KEY").
    pub fn private_key_pem(&self) -> String {
        lock(&self.hub.key).private_pem()
    }

    /// Replaces the App's key; whatever was signed with the former one is refused from now on.
    pub fn rotate_key(&self) -> Result<String> {
        let key = keys::AppKey::replace(&self.hub.options.dir)?;
        let pem = key.private_pem();
        *lock(&self.hub.key) = key;
        Ok(pem)
    }

    /// Claims signed with the App's key, whatever they say: good ones and nonsense, for calls a story
    /// makes itself.
    pub fn sign_claims(&self, claims: &serde_json::Value) -> Result<String> {
        lock(&self.hub.key).sign(claims)
    }

    /// An installation token for one owner, as the App would get it; for calls a story makes itself.
    pub fn installation_token(&self, owner: &str) -> Result<String> {
        self.hub.issue_token(owner)
    }

    /// Ends every installation token now, without waiting for its hour.
    pub fn expire_tokens(&self) {
        self.hub.change(|state| {
            state
                .tokens
                .values_mut()
                .for_each(|t| t.expires_at = Timestamp::MIN);
        });
    }

    /// Moves this GitHub's clock against the real one, for signed claims and token lifetimes.
    pub fn set_clock_offset(&self, seconds: i64) {
        *lock(&self.hub.clock_offset) = seconds;
    }

    /// Creates an empty repository `owner/name` with default branch `main` and the App installed.
    pub async fn create_repository(
        &self,
        full_name: &str,
        visibility: Visibility,
    ) -> Result<Repository> {
        let id = self.hub.create_repository(full_name, visibility).await?;
        Ok(Repository::new(self.clone(), id))
    }

    /// A repository that is there already, by its full name (also after starting again).
    pub fn repository(&self, full_name: &str) -> Result<Repository> {
        let (owner, name) = full_name
            .split_once('/')
            .context("a full name is owner/name")?;
        let found = lock(&self.hub.state).find(owner, name).map(|repo| repo.id);
        let id = found.with_context(|| format!("there is no repository {full_name}"))?;
        Ok(Repository::new(self.clone(), id))
    }
}
