//! The App's identity: signed claims, and tokens that open one repository for an hour.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pipelines::timestamp::Timestamp;
use pipelines::wire::Checkout;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use http::{Method, StatusCode, header};
use jiff::fmt::rfc2822;

use super::{Answer, Call, GitHub, GitHubError, judge, lock, message};
use crate::store::repos::Repo;

/// What a token is for, which decides what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Reading files and writing checks.
    Server,
    /// Reading files, in the hands of a runner.
    Checkout,
    /// Listing pull requests. It stands apart from [`Purpose::Server`]: an App that may not do so must
    /// still do the rest.
    Pulls,
}

impl Purpose {
    fn permissions(self) -> Value {
        match self {
            Self::Server => json!({ "contents": "read", "checks": "write", "metadata": "read" }),
            Self::Checkout => json!({ "contents": "read", "metadata": "read" }),
            Self::Pulls => json!({ "pull_requests": "read", "metadata": "read" }),
        }
    }

    /// A token with less life left than this is replaced: a runner's clone may take its time.
    fn margin_ms(self) -> i64 {
        match self {
            Self::Server | Self::Pulls => 60_000,
            Self::Checkout => 15 * 60_000,
        }
    }
}

/// A token of an installation, for one repository.
pub(super) struct Token {
    text: SecretString,
    expires_at: Timestamp,
}

/// The App's number and key.
pub(super) struct AppKey {
    id: u64,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

/// A clock this far from GitHub's is worth a word.
const CLOCK_SECONDS_MAX: i64 = 60;

/// The caller that pays for calls of the App itself, beside those of installations.
pub(super) const APP_ITSELF: u64 = 0;

impl AppKey {
    pub(super) fn new(id: u64, pem: &SecretString) -> Result<Self, GitHubError> {
        let key = EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
            .map_err(|error| GitHubError::Refused(format!("the App's key is none: {error}")))?;
        Ok(Self { id, key })
    }

    /// A claim to be the App. It is dated back and short, so that a clock that is two minutes ahead
    /// or five behind still makes claims that GitHub takes.
    pub(super) fn claim(&self, now: Timestamp) -> Result<SecretString, GitHubError> {
        let seconds = now.0 / 1000;
        let claims = Claims {
            iat: seconds - 120,
            exp: seconds + 300,
            iss: self.id.to_string(),
        };
        let jwt = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key);
        jwt.map(Into::into)
            .map_err(|error| GitHubError::Refused(format!("cannot sign as the App: {error}")))
    }
}

impl GitHub {
    /// How a runner fetches that repository: read-only, this one alone, for an hour.
    pub(crate) async fn checkout(&self, repo: &Repo) -> Result<Checkout, GitHubError> {
        let token = self.token(repo, Purpose::Checkout).await?;
        Ok(Checkout {
            url: format!("{}/{}.git", self.parts.web_url, self.present_name(repo)),
            token: Some(token.expose_secret().to_owned()),
        })
    }

    /// A token for that repository, the one at hand or a new one.
    pub(super) async fn token(
        &self,
        repo: &Repo,
        purpose: Purpose,
    ) -> Result<SecretString, GitHubError> {
        let parts = &self.parts;
        let now = parts.clock.now();
        if let Some(token) = lock(&parts.tokens).get(&(repo.id.0, purpose))
            && token.expires_at.0 - purpose.margin_ms() > now.0
        {
            return Ok(token.text.clone());
        }
        let token = self.new_token(repo, purpose, now).await?;
        let text = token.text.clone();
        let mut tokens = lock(&parts.tokens);
        tokens.retain(|_, token| token.expires_at > now);
        tokens.insert((repo.id.0, purpose), token);
        Ok(text)
    }

    /// The token at hand has been refused: get another next time. What has ended it, as a new
    /// installation, has most likely ended the one that runners would be given, too.
    pub(super) fn forget_token(&self, repo: &Repo, purpose: Purpose) {
        let mut tokens = lock(&self.parts.tokens);
        tokens.remove(&(repo.id.0, purpose));
        tokens.remove(&(repo.id.0, Purpose::Checkout));
    }

    /// A call of the App itself, about no repository.
    pub(super) async fn call_as_app(&self, path: &str) -> Result<Answer, GitHubError> {
        let now = self.parts.clock.now();
        let claim = self.parts.key.claim(now)?;
        let answer = self.send(APP_ITSELF, &claim, Call::get(path)).await?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(no_identity(&answer, now)),
            _ => Err(judge(answer, path)
                .err()
                .unwrap_or_else(|| GitHubError::Unavailable("an answer that says nothing".into()))),
        }
    }

    async fn new_token(
        &self,
        repo: &Repo,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Token, GitHubError> {
        let claim = self.parts.key.claim(now)?;
        let body = json!({
            "repository_ids": [repo.id.0],
            "permissions": purpose.permissions(),
        });
        let path = format!("/app/installations/{}/access_tokens", repo.installation);
        let call = Call::change(&Method::POST, &path, &body);
        let answer = self.send(APP_ITSELF, &claim, call).await?;
        let words = message(&answer.body);
        match answer.status {
            status if status.is_success() => read_token(&answer.body),
            StatusCode::UNAUTHORIZED => Err(no_identity(&answer, now)),
            StatusCode::NOT_FOUND
            | StatusCode::FORBIDDEN
            | StatusCode::GONE
            | StatusCode::UNPROCESSABLE_ENTITY => Err(GitHubError::NoAccess(format!(
                "the App is not installed for {}, or may not do what it needs: {words}",
                repo.name
            ))),
            status => Err(GitHubError::Refused(format!("{status}: {words}"))),
        }
    }
}

/// When GitHub answered, in seconds by its own clock.
pub(super) fn sent_at(answer: &Answer) -> Option<i64> {
    let date = answer.headers.get(header::DATE)?;
    let date = rfc2822::parse(date.to_str().ok()?).ok()?;
    Some(date.timestamp().as_second())
}

/// GitHub does not take our claim. An administrator can put this right, and then everything goes on:
/// so it is "later". A wrong clock is told from a wrong key by the moment of the answer.
fn no_identity(answer: &Answer, now: Timestamp) -> GitHubError {
    let words = message(&answer.body);
    let off = sent_at(answer).map_or(0, |theirs| now.0 / 1000 - theirs);
    let cause = match off {
        off if off.abs() <= CLOCK_SECONDS_MAX => {
            "check SEAWORTHY_GITHUB_APP_ID and SEAWORTHY_GITHUB_PRIVATE_KEY_FILE".to_owned()
        }
        off => {
            let side = if off > 0 { "ahead of" } else { "behind" };
            let seconds = off.abs();
            format!("this machine's clock is {seconds} seconds {side} GitHub's; set it right")
        }
    };
    GitHubError::Unavailable(format!("it does not take the App's key: {words}; {cause}"))
}

fn read_token(body: &Value) -> Result<Token, GitHubError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let bad =
        || GitHubError::Unavailable("its answer to a request for a token makes no sense".into());
    Ok(Token {
        text: text("token").ok_or_else(bad)?.into(),
        expires_at: text("expires_at")
            .and_then(|at| at.parse().ok())
            .ok_or_else(bad)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::routing::post;
    use axum::{Json, Router};
    use pipelines::ids::RepoId;

    use super::*;
    use crate::clock::Clock;
    use crate::web::tests::github_config;

    #[tokio::test]
    async fn a_refused_token_takes_that_of_the_checkout_with_it() {
        let count = Arc::new(AtomicU32::new(0));
        let token = move || async move {
            let text = format!("t{}", count.fetch_add(1, Ordering::Relaxed));
            let body = json!({ "token": text, "expires_at": "2099-01-01T00:00:00Z" });
            (StatusCode::CREATED, Json(body))
        };
        // It gives tokens and takes none.
        let router = Router::new()
            .route("/app/installations/1/access_tokens", post(token))
            .fallback(|| async { StatusCode::UNAUTHORIZED });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let github = GitHub::new(&github_config(&address), Clock).unwrap();
        let repo = Repo {
            id: RepoId(7),
            installation: 1,
            name: "acme/shop".parse().unwrap(),
            default_branch: "main".parse().unwrap(),
            private: true,
        };
        let first = github.checkout(&repo).await.unwrap();
        assert_eq!(github.checkout(&repo).await.unwrap(), first);
        github.call(&repo, Call::get("/x")).await.unwrap_err();
        assert_ne!(github.checkout(&repo).await.unwrap().token, first.token);
    }
}
