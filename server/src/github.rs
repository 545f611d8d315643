//! GitHub, spoken to as an App: only this module and what is below it know how.
//!
//! Every call is bounded, made with a token for the one repository it is about, and answered with a
//! typed error. Nothing is repeated here but two things GitHub asks for itself: a token that has
//! become invalid is replaced once, and a repository that has moved is looked up once by its id.
//! Whoever calls decides about trying again later.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use http_body_util::{BodyExt as _, Limited};
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use pipelines::names::RepoName;

use crate::clock::Clock;
use crate::config::GitHubConfig;
use crate::store::repos::Repo;

mod app;
pub(crate) mod checks;
pub(crate) mod contents;
pub(crate) mod hooks;
mod limiter;
pub(crate) mod look;
pub(crate) mod payload;
mod refs;
pub(crate) mod templates;

use app::{AppKey, Purpose, Token};
use contents::Known;
use limiter::Limiter;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Largest answer that is read: the listing of a very large folder.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// GitHub, reached as an App.
#[derive(Clone)]
pub struct GitHub {
    parts: Arc<Parts>,
}

struct Parts {
    crab: Octocrab,
    key: AppKey,
    web_url: String,
    clock: Clock,
    limiter: Limiter,
    tokens: Mutex<HashMap<(i64, Purpose), Token>>,
    /// Repositories that have moved: id → the name we asked for, and the one that answered.
    moved: Mutex<HashMap<i64, (RepoName, RepoName)>>,
    known: Mutex<Known>,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GitHub").field(&self.parts.web_url).finish()
    }
}

/// Why GitHub did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// It is not there, or we may not know of it.
    #[error("GitHub has no {0}")]
    NotFound(String),
    /// The App has no access, or no longer.
    #[error("no access at GitHub: {0}")]
    NoAccess(String),
    /// Too much was asked.
    #[error("GitHub wants {} seconds without calls", retry_after.as_secs())]
    RateLimited {
        /// How long no call may be made.
        retry_after: Duration,
    },
    /// It cannot be reached, or fails.
    #[error("GitHub cannot be reached: {0}")]
    Unavailable(String),
    /// It understood and said no.
    #[error("GitHub refuses: {0}")]
    Refused(String),
}

/// A call about a repository. The path is what stands behind `/repos/OWNER/NAME`.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    method: &'a Method,
    path: &'a str,
    body: Option<&'a Value>,
    /// What the answer at hand is known by: if nothing has changed, there is no other.
    etag: Option<&'a str>,
    purpose: Purpose,
}

impl<'a> Call<'a> {
    fn get(path: &'a str) -> Self {
        Self {
            method: &Method::GET,
            path,
            body: None,
            etag: None,
            purpose: Purpose::Server,
        }
    }

    fn change(method: &'a Method, path: &'a str, body: &'a Value) -> Self {
        Self {
            method,
            body: Some(body),
            ..Self::get(path)
        }
    }
}

/// An answer, whatever it says.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl GitHub {
    /// Prepares to speak to GitHub; nothing is sent yet.
    pub fn new(config: &GitHubConfig, clock: Clock) -> Result<Self, GitHubError> {
        let refused = |error: &dyn fmt::Display| GitHubError::Refused(error.to_string());
        let crab = Octocrab::builder()
            .base_uri(config.api_url.as_str())
            .map_err(|error| refused(&error))?
            // By default it repeats everything at once, changes too; we decide about that.
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(Duration::from_secs(10)))
            .set_read_timeout(Some(ANSWER_MAX))
            .set_write_timeout(Some(ANSWER_MAX))
            .build()
            .map_err(|error| refused(&error))?;
        Ok(Self {
            parts: Arc::new(Parts {
                crab,
                key: AppKey::new(config.app_id, &config.private_key)?,
                web_url: config.web_url.clone(),
                clock,
                limiter: Limiter::new(Duration::from_millis(config.pace_ms)),
                tokens: Mutex::default(),
                moved: Mutex::default(),
                known: Mutex::default(),
            }),
        })
    }

    /// Which installations GitHub wants no calls of, 0 being the App itself, and for how long.
    pub(crate) fn pauses(&self) -> Vec<(u64, Duration)> {
        self.parts.limiter.pauses(self.parts.clock)
    }

    /// A call about a repository, in the name of its installation.
    async fn call(&self, repo: &Repo, call: Call<'_>) -> Result<Value, GitHubError> {
        judge(self.answer(repo, call).await?, call.path)
    }

    /// The same, with whatever the answer says.
    async fn answer(&self, repo: &Repo, call: Call<'_>) -> Result<Answer, GitHubError> {
        let mut answer = self.try_call(repo, call).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // Revoked, or expired by a clock that is not ours.
            self.forget_token(repo, call.purpose);
            answer = self.try_call(repo, call).await?;
        }
        if answer.status.is_redirection() && answer.status != StatusCode::NOT_MODIFIED {
            self.find_moved(repo).await?;
            answer = self.try_call(repo, call).await?;
        }
        Ok(answer)
    }

    async fn try_call(&self, repo: &Repo, call: Call<'_>) -> Result<Answer, GitHubError> {
        let token = self.token(repo, call.purpose).await?;
        if *call.method != Method::GET {
            let parts = &self.parts;
            parts.limiter.pace(repo.installation, parts.clock).await;
        }
        let path = format!("/repos/{}{}", self.present_name(repo), call.path);
        let whole = Call {
            path: &path,
            ..call
        };
        self.send(repo.installation, &token, whole).await
    }

    /// Sends one request and reads its answer, under the limits of that installation.
    async fn send(
        &self,
        installation: u64,
        token: &SecretString,
        call: Call<'_>,
    ) -> Result<Answer, GitHubError> {
        let parts = &self.parts;
        parts.limiter.check(installation, parts.clock)?;
        let answer = tokio::time::timeout(ANSWER_MAX, self.exchange(token, call))
            .await
            .map_err(|_| GitHubError::Unavailable("it did not answer in time".into()))??;
        if let Some(wait) = limiter::wanted_pause(&answer, parts.clock) {
            tracing::warn!(
                installation,
                seconds = wait.as_secs(),
                "GitHub wants a pause"
            );
            parts.limiter.pause(installation, wait, parts.clock);
            return Err(GitHubError::RateLimited { retry_after: wait });
        }
        if let Some(wait) = limiter::used_up(&answer, parts.clock) {
            tracing::warn!(
                installation,
                seconds = wait.as_secs(),
                "GitHub's limit is used up"
            );
            parts.limiter.pause(installation, wait, parts.clock);
        }
        if answer.status.is_server_error() {
            let words = format!("{}: {}", answer.status, message(&answer.body));
            return Err(GitHubError::Unavailable(words));
        }
        Ok(answer)
    }

    async fn exchange(&self, token: &SecretString, call: Call<'_>) -> Result<Answer, GitHubError> {
        let unavailable = |error: &dyn fmt::Display| GitHubError::Unavailable(error.to_string());
        let bearer = format!("Bearer {}", token.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|error| GitHubError::Refused(error.to_string()))?;
        bearer.set_sensitive(true);
        let mut request = request::Builder::new()
            .method(call.method)
            .uri(call.path)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::AUTHORIZATION, bearer);
        if let Some(etag) = call.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let crab = &self.parts.crab;
        let request = crab
            .build_request(request, call.body)
            .map_err(|error| GitHubError::Refused(error.to_string()))?;
        // The library's errors hide their cause in a chain; people need the whole of it.
        let response = crab
            .execute(request)
            .await
            .map_err(|error| unavailable(&chain(&error)))?;
        let (head, body) = response.into_parts();
        let bytes = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| unavailable(&error))?
            .to_bytes();
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            // Proxies answer in HTML; only a good answer must be JSON.
            Err(_) if !head.status.is_success() || bytes.is_empty() => Value::Null,
            Err(error) => return Err(unavailable(&error)),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// The name a repository answers to now.
    pub(crate) fn present_name(&self, repo: &Repo) -> RepoName {
        let moved = lock(&self.parts.moved);
        match moved.get(&repo.id.0) {
            Some((asked, now)) if *asked == repo.name => now.clone(),
            Some(_) | None => repo.name.clone(),
        }
    }

    /// Looks a repository up by its id, after its name has led elsewhere.
    async fn find_moved(&self, repo: &Repo) -> Result<(), GitHubError> {
        let token = self.token(repo, Purpose::Server).await?;
        let path = format!("/repositories/{}", repo.id);
        let answer = self
            .send(repo.installation, &token, Call::get(&path))
            .await?;
        let body = judge(answer, &path)?;
        let name = body.get("full_name").and_then(Value::as_str).unwrap_or("");
        let name: RepoName = name
            .parse()
            .map_err(|error| GitHubError::Unavailable(format!("{error}")))?;
        tracing::info!(id = repo.id.0, asked = %repo.name, now = %name, "a repository has moved");
        lock(&self.parts.moved).insert(repo.id.0, (repo.name.clone(), name));
        Ok(())
    }
}

/// The answer's body, or what its status means.
fn judge(answer: Answer, path: &str) -> Result<Value, GitHubError> {
    let Answer { status, body, .. } = answer;
    let words = || format!("{} ({path})", message(&body));
    match status {
        status if status.is_success() => Ok(body),
        StatusCode::NOT_FOUND => Err(GitHubError::NotFound(path.to_owned())),
        // Even to a new token, so it says nothing about this repository: it is "later".
        StatusCode::UNAUTHORIZED => Err(GitHubError::Unavailable(format!(
            "it does not take our token: {}",
            words()
        ))),
        StatusCode::FORBIDDEN | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            Err(GitHubError::NoAccess(words()))
        }
        _ => Err(GitHubError::Refused(format!("{status}: {}", words()))),
    }
}

/// What GitHub says in an error's body.
fn message(body: &Value) -> String {
    let words = body.get("message").and_then(Value::as_str);
    words.unwrap_or("no words").chars().take(300).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        next = cause.source();
    }
    words
}

/// A lock whose holders cannot leave its content half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path's text with everything escaped that means something in an address.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut safe, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
        safe
    })
}

#[cfg(test)]
mod tests;
