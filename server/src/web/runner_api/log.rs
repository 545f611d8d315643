//! A job's log, a chunk at a time.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use pipelines::ids::{Attempt, Fence, JobId};
use pipelines::limits::LOG_BYTES_MAX;
use pipelines::wire::{LeaseProof, LogAck};
use serde::Deserialize;

use super::{Caller, held, lease_of};
use crate::app::App;
use crate::error::{ApiError, Failure};
use crate::live::Topic;
use crate::objects::AppendError;

#[derive(Debug, Deserialize)]
pub(super) struct LogPlace {
    attempt: Attempt,
    fence: Fence,
    offset: u64,
}

pub(super) async fn append(
    State(app): State<App>,
    Path(job): Path<JobId>,
    Query(place): Query<LogPlace>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<LogAck>, ApiError> {
    let proof = LeaseProof {
        attempt: place.attempt,
        fence: place.fence,
    };
    let lease = lease_of(&caller, proof);
    held(app.store.reader(), job, lease).await?;
    if place.offset.saturating_add(body.len() as u64) > LOG_BYTES_MAX {
        return Err(Failure::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a log may have {LOG_BYTES_MAX} bytes and no more"),
            "drop the rest, and say so in the log",
        )
        .into());
    }
    let alone = app.objects.alone(job).await;
    // The lease may have been taken away while others were writing.
    held(app.store.reader(), job, lease).await?;
    match alone.append(place.attempt, place.offset, &body).await {
        Ok(offset) => {
            app.live.publish(Topic::Log(job));
            Ok(Json(LogAck { offset }))
        }
        // The answer says what is stored, and the runner sends on from there.
        Err(AppendError::Gap(offset)) => Ok(Json(LogAck { offset })),
        Err(AppendError::Io(error)) => Err(refused(&app, &error).into()),
    }
}

/// A disk that holds the database, too, is waited for, however full: nothing can be told meanwhile.
/// If it has only logs, their jobs end after two leases, with the reason.
fn refused(app: &App, error: &std::io::Error) -> Failure {
    let patience = Duration::from_millis(2 * app.config.lease_ms);
    match app.objects.full_apart(&app.data) {
        Some(full) if full > patience => Failure::refused(
            StatusCode::INSUFFICIENT_STORAGE,
            "the server's disk for logs is full",
            "make room on it, or move the logs to a larger one",
        ),
        Some(_) | None => disk(error),
    }
}

pub(super) fn disk(error: &std::io::Error) -> Failure {
    tracing::warn!(%error, "a log cannot be stored");
    Failure::refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server cannot store the log now",
        "send it again in a moment; look at the server's free space",
    )
}
