//! The runner's end of the wire: one function per call, one kind of error, one way to try again.
//!
//! Every call may be repeated (see [`pipelines::wire`]), so what fails without an answer is tried
//! again, forever, until whoever asked gives up. Which answers end a job is decided by the caller.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use pipelines::ids::JobId;
use pipelines::wire::{
    Assignment, Checkout, Claim, Heartbeat, HeartbeatReply, LeaseProof, LogAck, Register,
    Registered, Report, ReportCall, Secrets, SecretsCall, WireError,
};
use reqwest::StatusCode;
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;
use url::Url;

mod files;

pub use files::{KeptCache, KeptFile};

/// How long an answer may take beyond the time the server was told it may wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a heartbeat: one that hangs must leave time for another within the same lease.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(8);
/// Largest answer read from the server, in bytes: an assignment with a release is the largest.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longest pause between two tries of a call.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Why a call brought no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 409: the lease was taken away, or another process uses this runner's token.
    #[error("{0}")]
    Stale(String),
    /// 401: the token is unknown or was revoked.
    #[error("the server refuses this runner's token: {0}")]
    Unauthorized(String),
    /// 426: the server speaks another version of the wire.
    #[error("the server speaks another version: {0}")]
    Upgrade(String),
    /// Any other refusal: trying again would bring the same.
    #[error("the server refused the call with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's sentence.
        message: String,
    },
    /// No answer, or one that says "later": worth another try.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
}

impl CallError {
    /// Whether another try may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Tries a call until it brings an answer, with growing and jittered pauses. Ends early, with
/// [`CallError::Unreachable`], once `give_up` is cancelled.
pub async fn retry<T, F, Fut>(give_up: &CancellationToken, call: F) -> Result<T, CallError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, CallError>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(RETRY_DELAY_MAX)
        .with_jitter()
        .without_max_times();
    let tries = call
        .retry(pauses)
        .when(CallError::is_unreachable)
        .notify(|error, pause| {
            if pause >= Duration::from_secs(1) {
                tracing::warn!(%error, ?pause, "trying again");
            }
        });
    tokio::select! {
        // An answer that is there counts, even if it comes together with the end.
        biased;
        answer = tries => answer,
        () = give_up.cancelled() => Err(CallError::Unreachable("given up".into())),
    }
}

/// The server, as this runner calls it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Arc<SecretString>,
    instance: Ulid,
}

impl Client {
    /// A client for `server`. The process must have installed a TLS provider.
    pub fn new(server: &Url, token: SecretString, instance: Ulid) -> anyhow::Result<Self> {
        let mut base = server.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A redirect would carry the token, or a body, to another place.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("seaworthy-runner/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self {
            http,
            base,
            token: Arc::new(token),
            instance,
        })
    }

    /// This runner's instance.
    pub fn instance(&self) -> Ulid {
        self.instance
    }

    /// The server's address, for messages.
    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Introduces the runner.
    pub async fn register(&self, register: &Register) -> Result<Registered, CallError> {
        self.ask("register", register).await
    }

    /// Asks for work. The same `key` brings the same job again.
    pub async fn claim(
        &self,
        key: Ulid,
        wait_seconds: u32,
    ) -> Result<Option<Assignment>, CallError> {
        let claim = Claim {
            instance: self.instance,
            key,
            wait_seconds,
        };
        let request = self.request("claim", wait_seconds).json(&claim);
        match Self::answer(request).await? {
            (StatusCode::NO_CONTENT, _) => Ok(None),
            (_, body) => parse(&body).map(Some),
        }
    }

    /// The calls about one job.
    pub fn job(&self, job: JobId, lease: LeaseProof) -> JobClient {
        JobClient {
            client: self.clone(),
            job,
            lease,
        }
    }

    fn request(&self, path: &str, wait_seconds: u32) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}runner/v1/{path}", self.base.path()));
        let patience = ANSWER_TIMEOUT + Duration::from_secs(u64::from(wait_seconds));
        self.http
            .post(url)
            .bearer_auth(self.token.expose_secret())
            .timeout(patience)
    }

    async fn ask<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CallError> {
        let (_, body) = Self::answer(self.request(path, 0).json(body)).await?;
        parse(&body)
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), CallError> {
        let unreachable = |error: reqwest::Error| CallError::Unreachable(words(&error));
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let message = "the answer is too large".into();
                return Err(CallError::Refused {
                    status: status.as_u16(),
                    message,
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok((status, body));
        }
        Err(refusal(status, &body))
    }
}

/// The calls about one job, under one lease.
#[derive(Clone)]
pub struct JobClient {
    client: Client,
    job: JobId,
    lease: LeaseProof,
}

impl JobClient {
    /// Which job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Renews the lease, then waits up to `wait_seconds` for something the server has to say.
    pub async fn heartbeat(&self, wait_seconds: u32) -> Result<HeartbeatReply, CallError> {
        let beat = Heartbeat {
            lease: self.lease,
            instance: self.client.instance,
            wait_seconds,
        };
        let path = format!("jobs/{}/heartbeat", self.job);
        let patience = HEARTBEAT_TIMEOUT + Duration::from_secs(u64::from(wait_seconds));
        let request = self.client.request(&path, wait_seconds).timeout(patience);
        let (_, body) = Client::answer(request.json(&beat)).await?;
        parse(&body)
    }

    /// Sends a part of the log that begins at `offset`.
    pub async fn log(&self, offset: u64, bytes: Vec<u8>) -> Result<LogAck, CallError> {
        let LeaseProof { attempt, fence } = self.lease;
        let query = [
            ("attempt", attempt.to_string()),
            ("fence", fence.to_string()),
            ("offset", offset.to_string()),
        ];
        let query = query
            .map(|(name, value)| format!("{name}={value}"))
            .join("&");
        let mut url = self.client.base.clone();
        url.set_path(&format!(
            "{}runner/v1/jobs/{}/log",
            self.client.base.path(),
            self.job
        ));
        url.set_query(Some(&query));
        let request = self
            .client
            .http
            .post(url)
            .bearer_auth(self.client.token.expose_secret())
            .timeout(ANSWER_TIMEOUT)
            .header(http::header::CONTENT_TYPE, "application/octet-stream")
            .body(bytes);
        let (_, body) = Client::answer(request).await?;
        parse(&body)
    }

    /// Tells what happened.
    pub async fn report(&self, report: &Report) -> Result<(), CallError> {
        let call = ReportCall {
            lease: self.lease,
            report: report.clone(),
        };
        let path = format!("jobs/{}/report", self.job);
        let request = self.client.request(&path, 0).json(&call);
        Client::answer(request).await.map(|_| ())
    }

    /// Asks for the secrets that the job's work names.
    pub async fn secrets(&self) -> Result<Secrets, CallError> {
        let request = self
            .client
            .request(&format!("jobs/{}/secrets", self.job), 0);
        let (_, mut body) =
            Client::answer(request.json(&SecretsCall { lease: self.lease })).await?;
        let secrets = parse(&body);
        body.zeroize();
        secrets
    }

    /// Asks how to fetch the commit.
    pub async fn checkout(&self) -> Result<Checkout, CallError> {
        let path = format!("jobs/{}/checkout", self.job);
        self.client.ask(&path, &self.lease).await
    }
}

fn parse<R: DeserializeOwned>(body: &[u8]) -> Result<R, CallError> {
    serde_json::from_slice(body).map_err(|error| CallError::Refused {
        status: 200,
        message: format!("its answer is not understood: {error}"),
    })
}

fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    let message = match serde_json::from_slice::<WireError>(body) {
        Ok(WireError {
            error,
            hint: Some(hint),
        }) => format!("{error} ({hint})"),
        Ok(WireError { error, hint: None }) => error,
        Err(_) => status.to_string(),
    };
    match status {
        StatusCode::UNAUTHORIZED => CallError::Unauthorized(message),
        StatusCode::CONFLICT => CallError::Stale(message),
        StatusCode::UPGRADE_REQUIRED => CallError::Upgrade(message),
        // A proxy in front of a server that is away answers with a 5xx of its own; 507 is ours.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            CallError::Unreachable(message)
        }
        code if code.is_server_error() && code.as_u16() != 507 => CallError::Unreachable(message),
        status => CallError::Refused {
            status: status.as_u16(),
            message,
        },
    }
}

/// The innermost cause says what really happened; the outer ones repeat the URL.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_means_one_thing() {
        let body = br#"{"error":"gone","hint":null}"#;
        let cases = [
            (401, CallError::Unauthorized("gone".into())),
            (409, CallError::Stale("gone".into())),
            (426, CallError::Upgrade("gone".into())),
            (429, CallError::Unreachable("gone".into())),
            (500, CallError::Unreachable("gone".into())),
            (503, CallError::Unreachable("gone".into())),
            (
                413,
                CallError::Refused {
                    status: 413,
                    message: "gone".into(),
                },
            ),
        ];
        for (status, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refusal(status, body), expected);
        }
        let proxy = refusal(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(proxy, CallError::Unreachable("502 Bad Gateway".into()));
    }

    #[tokio::test]
    async fn only_an_unreachable_server_is_asked_again() {
        let never = CancellationToken::new();
        let mut tries = 0;
        let answer = retry(&never, || {
            tries += 1;
            let result = match tries {
                1 => Err(CallError::Unreachable("later".into())),
                _ => Err(CallError::Stale("gone".into())),
            };
            async move { result as Result<(), _> }
        })
        .await;
        assert_eq!(answer, Err(CallError::Stale("gone".into())));
        assert_eq!(tries, 2);
    }

    #[tokio::test]
    async fn a_retry_ends_when_it_is_given_up() {
        let give_up = CancellationToken::new();
        give_up.cancel();
        let answer: Result<(), _> = retry(&give_up, || async {
            Err(CallError::Unreachable("away".into()))
        })
        .await;
        assert!(answer.is_err_and(|error| error.is_unreachable()));
    }
}
