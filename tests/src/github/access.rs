//! Who calls, what they may see, and how GitHub says no.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::DEVELOPER_TOKEN;
use super::git::Git;
use super::hub::{Hub, lock};
use super::state::{Person, RepoRecord, Token};

/// A refusal, in GitHub's form.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) errors: Option<Value>,
    pub(super) location: Option<String>,
}

/// What every route of the API gives.
pub(super) type Answer<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            errors: None,
            location: None,
        }
    }

    /// Also for what the caller may not know exists.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 422: understood, but nonsense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the stand-in failed: {error:#}"),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_str(),
        });
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(location) = self.location.and_then(|l| l.parse().ok()) {
            response.headers_mut().insert("location", location);
        }
        response
    }
}

/// Who makes a call.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Anonymous,
    /// The App itself, by a claim signed with its key.
    App,
    Installation(Token),
    /// A person with [`DEVELOPER_TOKEN`], who may everything but what only Apps may.
    Developer(Person),
}

impl FromRequestParts<Arc<Hub>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Answer<Self> {
        hub.caller(&parts.headers)
    }
}

/// One permission a route needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) what: &'static str,
    pub(super) write: bool,
}

impl Need {
    pub(super) const fn read(what: &'static str) -> Self {
        Self { what, write: false }
    }

    pub(super) const fn write(what: &'static str) -> Self {
        Self { what, write: true }
    }
}

impl Token {
    fn grants(&self, need: Need) -> bool {
        let level = self.permissions.get(need.what).map(String::as_str);
        match level {
            Some("write" | "admin") => true,
            Some("read") => !need.write,
            // Whoever may see a repository may see that it is there.
            _ => need.what == "metadata" && !need.write,
        }
    }
}

/// The credential of a call: user name (if it was Basic) and token.
pub(super) fn credential(headers: &HeaderMap) -> Option<(Option<String>, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        return Some((Some(user.to_owned()), password.to_owned()));
    }
    Some((None, rest.trim().to_owned()))
}

impl Hub {
    pub(super) fn caller(&self, headers: &HeaderMap) -> Answer<Caller> {
        let bad = || ApiError::unauthorized("Bad credentials");
        if !headers.contains_key(AUTHORIZATION) {
            return Ok(Caller::Anonymous);
        }
        let (user, token) = credential(headers).ok_or_else(bad)?;
        if token == DEVELOPER_TOKEN {
            let person = self.person(user.as_deref().unwrap_or("ada"));
            return Ok(Caller::Developer(person));
        }
        if token.split('.').count() == 3 {
            self.check_app_claims(&token)?;
            return Ok(Caller::App);
        }
        self.token(&token).map(Caller::Installation).ok_or_else(bad)
    }

    /// A token that is valid now.
    fn token(&self, token: &str) -> Option<Token> {
        let now = self.now();
        let state = lock(&self.state);
        let token = state.tokens.get(token)?;
        // Uninstalling ends the tokens of an installation at once.
        state.owner_of(token.installation)?;
        (token.expires_at > now).then(|| token.clone())
    }

    fn check_app_claims(&self, jwt: &str) -> Answer<()> {
        let undecodable = || ApiError::unauthorized("A JSON web token could not be decoded");
        let claims = lock(&self.key).claims(jwt).ok_or_else(undecodable)?;
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let now = self.now().as_second();
        let expiry = number("exp").unwrap_or(0);
        if expiry <= now {
            return Err(ApiError::unauthorized(
                "'Expiration time' claim ('exp') must be a numeric value representing the future \
                 time at which the assertion expires",
            ));
        }
        if expiry > now + 600 {
            return Err(ApiError::unauthorized(
                "'Expiration time' claim ('exp') is too far in the future",
            ));
        }
        if number("iat").is_none_or(|issued| issued > now) {
            return Err(ApiError::unauthorized(
                "'Issued at' claim ('iat') must be an Integer representing the time that the \
                 assertion was issued",
            ));
        }
        let issuer = match claims.get("iss") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        if issuer != self.options.app_id.to_string() {
            // The real one looks the App up before it knows whose key to check, hence 404.
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "Integration not found",
            ));
        }
        Ok(())
    }

    pub(super) fn person(&self, login: &str) -> Person {
        if login.is_empty() || login == "x-access-token" || login == Person::default().login {
            return Person::default();
        }
        let known = lock(&self.state).people.get(login).cloned();
        known.unwrap_or_else(|| Person::new(login))
    }

    /// The repository of a call, if the caller may see it and do that with it.
    pub(super) fn open(
        &self,
        caller: &Caller,
        (owner, name): (&str, &str),
        need: Need,
    ) -> Answer<(RepoRecord, Git)> {
        let state = lock(&self.state);
        let Some(repo) = state.find(owner, name).cloned() else {
            let moved = state.find_former(owner, name).cloned();
            drop(state);
            let Some(repo) = moved else {
                return Err(ApiError::not_found());
            };
            self.allow(caller, &repo, Need::read("metadata"))?;
            let mut answer = ApiError::new(StatusCode::MOVED_PERMANENTLY, "Moved Permanently");
            answer.location = Some(format!("{}/repositories/{}", self.api_url(), repo.id));
            return Err(answer);
        };
        drop(state);
        self.allow(caller, &repo, need)?;
        let git = self.git(repo.id);
        Ok((repo, git))
    }

    /// Refuses as GitHub does: 404 for what one may not see, 403 for what one may see but not do.
    pub(super) fn allow(&self, caller: &Caller, repo: &RepoRecord, need: Need) -> Answer<()> {
        let resource = || ApiError::forbidden("Resource not accessible by integration");
        match caller {
            Caller::Developer(_) => Ok(()),
            Caller::Anonymous if repo.private() => Err(ApiError::not_found()),
            Caller::Anonymous if need.write => {
                Err(ApiError::unauthorized("Requires authentication"))
            }
            Caller::Anonymous => Ok(()),
            // The App's own claim opens `/app`, not repositories.
            Caller::App => Err(ApiError::unauthorized("Bad credentials")),
            Caller::Installation(token) => {
                let covered = self.covers(token, repo);
                match (covered, repo.private()) {
                    (true, _) if token.grants(need) => Ok(()),
                    (true, _) => Err(resource()),
                    (false, true) => Err(ApiError::not_found()),
                    (false, false) if need.write => Err(resource()),
                    (false, false) => Ok(()),
                }
            }
        }
    }

    /// Whether a token is for that repository.
    pub(super) fn covers(&self, token: &Token, repo: &RepoRecord) -> bool {
        lock(&self.state).installation_of(repo) == Some(token.installation)
            && token
                .repositories
                .as_ref()
                .is_none_or(|ids| ids.contains(&repo.id))
    }
}
