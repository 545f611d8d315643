//! `POST /webhooks/github`: proven, stored, acknowledged; nothing else happens here.
//!
//! Acting inside the request would tie GitHub's patience to ours and lose the event if we died half
//! way. So a delivery is believed only after its signature has been checked over the raw bytes, and
//! acknowledged only after it has been committed.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use pipelines::limits::{
    WEBHOOK_BYTES_MAX, WEBHOOK_LARGE_READERS, WEBHOOK_READERS, WEBHOOK_SMALL_BYTES_MAX,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::App;
use crate::error::{ApiError, Failure};
use crate::store::deliveries::{self, NewDelivery, Stored};

/// A slow body is cut off: GitHub itself hangs up after ten seconds.
const BODY_MAX: Duration = Duration::from_secs(10);
/// How long a body waits to be read while too many others are.
const TURN_MAX: Duration = Duration::from_secs(1);
/// Storing waits its turn no longer than this: GitHub hangs up after ten seconds.
const STORE_MAX: Duration = Duration::from_secs(8);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/webhooks/github", post(receive))
}

/// Bounds what bodies hold in memory before their signatures could be checked. Large ones are counted
/// apart, so that a few slow ones keep nobody from delivering a small one.
#[derive(Debug)]
pub(crate) struct Readers {
    pub(super) all: Semaphore,
    pub(super) large: Semaphore,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            all: Semaphore::new(WEBHOOK_READERS),
            large: Semaphore::new(WEBHOOK_LARGE_READERS),
        }
    }
}

async fn turn(readers: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    match tokio::time::timeout(TURN_MAX, readers.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(BUSY),
    }
}

/// A delivery whose signature holds. It can only be had from a request, by this extractor.
#[derive(Debug)]
pub(crate) struct VerifiedDelivery {
    guid: String,
    event: String,
    body: Bytes,
}

/// Why a webhook was refused: the label that counts it, the status and the words.
struct Refusal(&'static str, StatusCode, &'static str, &'static str);

const NOT_CONNECTED: Refusal = Refusal(
    "not_connected",
    StatusCode::SERVICE_UNAVAILABLE,
    "GitHub is not connected to this server",
    "set SEAWORTHY_GITHUB_APP_ID and what belongs to it, and start the server again",
);
const WRONG_TYPE: Refusal = Refusal(
    "content_type",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "a webhook must be application/json, and not compressed",
    "choose `application/json` as content type in the settings of the GitHub App",
);
const TOO_LARGE: Refusal = Refusal(
    "too_large",
    StatusCode::PAYLOAD_TOO_LARGE,
    "this body is larger than GitHub ever sends",
    "send less than 25 MB",
);
const BUSY: Refusal = Refusal(
    "busy",
    StatusCode::SERVICE_UNAVAILABLE,
    "too many webhooks are being read",
    "deliver it again in a moment",
);
const TOO_SLOW: Refusal = Refusal(
    "too_slow",
    StatusCode::REQUEST_TIMEOUT,
    "the body did not arrive in time",
    "send it again",
);
const BROKEN: Refusal = Refusal(
    "broken",
    StatusCode::BAD_REQUEST,
    "the body could not be read to its end",
    "send it again",
);
const UNSIGNED: Refusal = Refusal(
    "signature",
    StatusCode::UNAUTHORIZED,
    "the signature does not hold",
    "compare the webhook secret of the GitHub App with SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
);
const UNNAMED: Refusal = Refusal(
    "headers",
    StatusCode::BAD_REQUEST,
    "X-GitHub-Delivery or X-GitHub-Event is missing or malformed",
    "send the headers that GitHub sends",
);

impl Refusal {
    fn tell(self, app: &App) -> Response {
        let Self(reason, status, error, hint) = self;
        app.metrics.refusal(reason);
        tracing::info!(reason, "refused a webhook");
        let mut response = ApiError(Failure::refused(status, error, hint)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl FromRequest<App> for VerifiedDelivery {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        verify(request, app)
            .await
            .map_err(|refusal| refusal.tell(app))
    }
}

async fn verify(request: Request, app: &App) -> Result<VerifiedDelivery, Refusal> {
    let Some(github) = &app.config.github else {
        return Err(NOT_CONNECTED);
    };
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    if !is_json(headers) {
        return Err(WRONG_TYPE);
    }
    // Whoever cannot even claim a signature is not listened to.
    let signature = signature(headers).ok_or(UNSIGNED)?;
    let _reading = turn(&app.readers.all).await?;
    let body = tokio::time::timeout(BODY_MAX, read(headers, body, &app.readers))
        .await
        .map_err(|_| TOO_SLOW)??;
    if !is_signed(&github.webhook_secrets, &body, &signature) {
        return Err(UNSIGNED);
    }
    let word = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        ((1..=100).contains(&text.len()) && text.bytes().all(ok)).then(|| text.to_owned())
    };
    Ok(VerifiedDelivery {
        guid: word("x-github-delivery").ok_or(UNNAMED)?,
        event: word("x-github-event").ok_or(UNNAMED)?,
        body,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let says = |name| {
        let text = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())?;
        text.split(';').next().map(str::trim)
    };
    let plain = says(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let json = |kind: &str| kind.eq_ignore_ascii_case("application/json");
    plain && says(header::CONTENT_TYPE).is_some_and(json)
}

/// The claimed HMAC-SHA256. `X-Hub-Signature` with SHA-1 is not looked at.
fn signature(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut values = headers.get_all("x-hub-signature-256").iter();
    let text = values.next()?.to_str().ok()?.strip_prefix("sha256=")?;
    // Two signatures are one too many: which of them would a proxy have looked at?
    if values.next().is_some() || text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// The whole body, never holding more than the bound.
async fn read(headers: &HeaderMap, body: Body, readers: &Readers) -> Result<Bytes, Refusal> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > WEBHOOK_BYTES_MAX) {
        return Err(TOO_LARGE);
    }
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(64 * 1024));
    let mut large = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| BROKEN)?;
        if bytes.len() + chunk.len() > WEBHOOK_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        // What is sent counts, not what is claimed.
        if large.is_none() && bytes.len() + chunk.len() > WEBHOOK_SMALL_BYTES_MAX {
            large = Some(turn(&readers.large).await?);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

fn is_signed(secrets: &[SecretString], body: &[u8], signature: &[u8; 32]) -> bool {
    // Every live secret is tried, whether or not one has matched: the time tells nothing.
    secrets.iter().fold(false, |signed, secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        hmac::verify(&key, body, signature).is_ok() | signed
    })
}

async fn receive(State(app): State<App>, delivery: VerifiedDelivery) -> Response {
    let stored = tokio::time::timeout(STORE_MAX, store(&app, delivery)).await;
    match stored.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(Stored::New) => {
            app.metrics.delivery("stored");
            app.wake.intake.notify_one();
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Stored::Repeat) => {
            app.metrics.delivery("repeated");
            StatusCode::ACCEPTED.into_response()
        }
        Err(error) => {
            app.metrics.refusal("storage");
            tracing::warn!(%error, "cannot store a delivery");
            ApiError(Failure::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "the delivery could not be stored",
                "deliver it again; if it stays so, look at free space and the server's log",
            ))
            .into_response()
        }
    }
}

async fn store(app: &App, delivery: VerifiedDelivery) -> sqlx::Result<Stored> {
    let body_digest = digest::digest(&digest::SHA256, &delivery.body);
    let new = NewDelivery {
        guid: &delivery.guid,
        event: &delivery.event,
        body_digest: body_digest.as_ref(),
        body: &delivery.body,
    };
    let mut tx = app.store.begin().await?;
    let stored = deliveries::insert(&mut tx, new, app.clock.now()).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "intake.committed");
    Ok(stored)
}
