//! Bytes of any size on their way from a runner to the store: caches and artifacts alike.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use pipelines::ids::JobId;
use pipelines::job::Lease;
use pipelines::wire::ArtifactKind;

use super::held;
use crate::app::App;
use crate::blobs::{Announced, BlobError, KeepError, Kept};
use crate::disk::is_full;
use crate::error::{ApiError, Failure};
use crate::live::Topic;
use crate::store::artifacts::{self, NewArtifact};
use crate::store::caches::{self, NewCache};

/// How long what nobody wants is read on, so that its sender reads the answer and not a broken pipe.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// What the bytes are.
pub(super) enum Row {
    Cache {
        place: caches::Place,
        prefix: String,
        key: String,
    },
    Artifact {
        kind: ArtifactKind,
        path: String,
    },
}

/// Takes the bytes in and writes their row, if the job is still held under this lease by then.
pub(super) async fn keep(
    app: &App,
    (job, lease): (JobId, Lease),
    (announced, body): (Announced, Body),
    row: Row,
) -> Result<StatusCode, ApiError> {
    let kept = app.blobs.keep(&announced, body.into_data_stream()).await;
    let kept = kept.map_err(|error| refusal(app, error))?;
    let written = write(app, (job, lease), (&announced, &kept), row).await;
    if !matches!(written, Ok(true)) {
        // Nobody names them. If this fails, the sweep finds them.
        if let Err(error) = app.blobs.remove(vec![kept.object.clone()]).await {
            tracing::debug!(%error, "bytes that nobody names are left to the sweep");
        }
    }
    written?;
    Ok(StatusCode::NO_CONTENT)
}

/// The row, in the transaction that compares the lease: it may have been taken away meanwhile.
/// False if there is one already, so that the bytes are not wanted.
async fn write(
    app: &App,
    (job, lease): (JobId, Lease),
    (announced, kept): (&Announced, &Kept),
    row: Row,
) -> Result<bool, Failure> {
    let (mut tx, now) = (app.store.begin().await?, app.clock.now());
    let holding = held(&mut *tx, job, lease).await?;
    let Kept { object, bytes, .. } = kept;
    let digest = announced.digest.as_str();
    let (is_new, topics) = match &row {
        Row::Cache { place, prefix, key } => {
            let new = NewCache {
                place,
                prefix,
                key,
                object,
                bytes: *bytes,
                digest,
                job,
            };
            (caches::insert(&mut tx, new, now).await?, Vec::new())
        }
        Row::Artifact { kind, path } => {
            let place = artifacts::Place {
                job,
                attempt: lease.attempt,
                kind: *kind,
                path,
            };
            let new = NewArtifact {
                object,
                bytes: *bytes,
                digest,
            };
            let is_new = artifacts::insert(&mut tx, place, new, now).await?;
            (is_new, vec![Topic::Job(job), Topic::Run(holding.run)])
        }
    };
    tx.commit().await?;
    for topic in topics {
        app.live.publish(topic);
    }
    Ok(is_new)
}

/// What the caller is told when bytes could not be taken.
fn refusal(app: &App, error: KeepError) -> Failure {
    let words = error.to_string();
    let refused = |status, hint: &str| Failure::refused(status, words.clone(), hint);
    match error {
        KeepError::TooLarge(_) => too_large(&words),
        KeepError::OtherDigest { .. } => refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "send it again: it was changed on the way, or while it was read",
        ),
        KeepError::BrokenOff(_) => refused(StatusCode::BAD_REQUEST, "send all of it again"),
        KeepError::Stalled => refused(StatusCode::REQUEST_TIMEOUT, "send all of it again"),
        KeepError::Blob(error) => {
            app.store.disk().note("caches and artifacts", &error);
            // A disk that holds the database, too, is waited for.
            if !is_full(&error) || !app.blobs.are_apart(&app.data) {
                return unavailable(&error);
            }
            refused(
                StatusCode::INSUFFICIENT_STORAGE,
                "the server's disk for caches and artifacts is full: make room on it",
            )
        }
    }
}

pub(super) fn too_large(words: &str) -> Failure {
    let hint = "keep less, or in several parts";
    Failure::refused(StatusCode::PAYLOAD_TOO_LARGE, words, hint)
}

/// The store does not do what it should. Its own words are for the administrator.
pub(crate) fn unavailable(error: &BlobError) -> Failure {
    tracing::warn!(%error, "stored bytes cannot be had");
    Failure::refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server cannot reach where it keeps caches and artifacts",
        "try again in a moment; if it stays so, look at free space, the bucket and the server's log",
    )
}

/// Refuses a body that says itself that it is too large, before any of it is read.
pub(super) fn check_length(headers: &HeaderMap, bytes_max: u64) -> Result<(), Failure> {
    let said = headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match said {
        Some(bytes) if bytes > bytes_max => Err(too_large(&format!(
            "it has {bytes} bytes; {bytes_max} are allowed"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// SHA-256 in lower-case hex, as callers announce what they send.
pub(super) fn check_digest(text: &str) -> Result<(), Failure> {
    check_hex(text, 64..=64, "digest")
}

pub(super) fn check_hex(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    what: &str,
) -> Result<(), Failure> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if length.contains(&text.len()) && text.bytes().all(is_hex) {
        return Ok(());
    }
    let error = format!(
        "the {what} is not what it should be: {} to {} digits of lower-case hex",
        length.start(),
        length.end()
    );
    Err(Failure::refused(
        StatusCode::BAD_REQUEST,
        error,
        super::OTHER_VERSION,
    ))
}

/// Reads what nobody wants, for a while.
pub(super) async fn drain(body: Body) {
    let mut chunks = body.into_data_stream();
    let all = async { while let Some(Ok(_)) = chunks.next().await {} };
    let _ = tokio::time::timeout(DRAIN_MAX, all).await;
}
