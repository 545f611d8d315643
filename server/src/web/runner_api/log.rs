//! A job's log, a chunk at a time.

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
    let (objects, store) = (app.objects.clone(), app.store.clone());
    // A task of its own: a caller that hangs up must not leave half a write behind that goes on
    // while its repeat measures the log.
    let stored = tokio::spawn(async move {
        let alone = objects.alone(job).await;
        // The lease may have been taken away while others were writing.
        held(store.reader(), job, lease).await?;
        Ok::<_, Failure>(alone.append(place.attempt, place.offset, &body).await)
    });
    match stored.await.map_err(anyhow::Error::from)?? {
        Ok(offset) => {
            app.live.publish(Topic::Log(job));
            Ok(Json(LogAck { offset }))
        }
        // The answer says what is stored, and the runner sends on from there.
        Err(AppendError::Gap(offset)) => Ok(Json(LogAck { offset })),
        Err(AppendError::Io(error)) => Err(disk(&error).into()),
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
