//! Caches of a job: looked for, fetched and kept. Whose they are follows from the job alone, so no
//! call can name a cache of another repository, of a fork, or, from a fork, a trusted one.

use axum::body::Body as Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use pipelines::ids::{Attempt, CacheId, Fence, JobId};
use pipelines::limits::CACHE_BYTES_MAX;
use pipelines::wire::{CacheFound, CacheQuery, LeaseProof};
use serde::Deserialize;

use super::upload::{self, Row};
use super::{Body, Caller, held, lease_of, taken_away};
use crate::app::App;
use crate::blobs::{Announced, Kind};
use crate::error::{ApiError, Failure};
use crate::store::caches::{self, Place};
use crate::store::standing;

/// Longest prefix of a cache, in bytes: the planner makes it of names, and names are short.
const PREFIX_BYTES_MAX: usize = 1024;

/// Which caches the job sees.
async fn place(app: &App, job: JobId) -> Result<Place, Failure> {
    let standing = standing::find(app.store.reader(), job).await?;
    let place = standing.ok_or_else(taken_away)?.caches();
    place.ok_or_else(|| {
        Failure::refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this run of a fork belongs to no pull request, so it has no caches",
            "go on without",
        )
    })
}

fn check_key(prefix: &str, key: &str) -> Result<(), Failure> {
    if prefix.len() > PREFIX_BYTES_MAX || prefix.chars().any(char::is_control) {
        let error = format!("the prefix is longer than {PREFIX_BYTES_MAX} bytes, or not printable");
        return Err(Failure::refused(
            StatusCode::BAD_REQUEST,
            error,
            super::OTHER_VERSION,
        ));
    }
    upload::check_hex(key, 8..=128, "key")
}

pub(super) async fn find(
    State(app): State<App>,
    Path(job): Path<JobId>,
    caller: Caller,
    Body(query): Body<CacheQuery>,
) -> Result<Response, ApiError> {
    held(app.store.reader(), job, lease_of(&caller, query.lease)).await?;
    check_key(&query.prefix, &query.key)?;
    let place = place(&app, job).await?;
    let found = caches::find(app.store.reader(), &place, (&query.prefix, &query.key)).await?;
    let Some(row) = found else {
        app.metrics.cache("miss");
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    app.metrics.cache(if row.key == query.key {
        "hit"
    } else {
        "stand_in"
    });
    Ok(Json(CacheFound {
        id: CacheId(row.id),
        key: row.key,
        bytes: u64::try_from(row.bytes).unwrap_or(0),
        digest: row.digest,
    })
    .into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaseQuery {
    attempt: Attempt,
    fence: Fence,
}

pub(super) async fn fetch(
    State(app): State<App>,
    Path((job, cache)): Path<(JobId, CacheId)>,
    Query(LeaseQuery { attempt, fence }): Query<LeaseQuery>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let missing = || Failure::not_found("there is no such cache");
    let lease = lease_of(&caller, LeaseProof { attempt, fence });
    let mut tx = app.store.begin().await?;
    held(&mut *tx, job, lease).await?;
    let place = place(&app, job).await?;
    let row = caches::touch(&mut tx, &place, cache, app.clock.now()).await?;
    tx.commit().await?;
    let row = row.ok_or_else(missing)?;
    let content = app.blobs.read(&row.object).await;
    let Some((bytes, stream)) = content.map_err(|error| upload::unavailable(&error))? else {
        // Somebody has removed the bytes: the row would only keep the next ones out.
        let mut tx = app.store.begin().await?;
        caches::delete(&mut tx, row.id).await?;
        tx.commit().await?;
        return Err(missing().into());
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, Bytes::from_stream(stream)).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct KeepQuery {
    attempt: Attempt,
    fence: Fence,
    prefix: String,
    key: String,
    digest: String,
}

pub(super) async fn keep(
    State(app): State<App>,
    Path(job): Path<JobId>,
    Query(query): Query<KeepQuery>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (parts, body) = request.into_parts();
    let KeepQuery { attempt, fence, .. } = query;
    let lease = lease_of(&caller, LeaseProof { attempt, fence });
    let checked = async {
        held(app.store.reader(), job, lease).await?;
        check_key(&query.prefix, &query.key)?;
        upload::check_digest(&query.digest)?;
        upload::check_length(&parts.headers, CACHE_BYTES_MAX)?;
        let place = place(&app, job).await?;
        let key = (query.prefix.as_str(), query.key.as_str());
        let is_kept = caches::is_kept(app.store.reader(), &place, key).await?;
        Ok::<_, Failure>((place, is_kept))
    };
    let (place, is_kept) = match checked.await {
        Ok(checked) => checked,
        Err(failure) => {
            upload::drain(body).await;
            return Err(failure.into());
        }
    };
    if is_kept {
        upload::drain(body).await;
        return Ok(StatusCode::NO_CONTENT);
    }
    let announced = Announced {
        kind: Kind::Cache,
        repo: place.repo,
        digest: query.digest,
        bytes_max: CACHE_BYTES_MAX,
    };
    let row = Row::Cache {
        place,
        prefix: query.prefix,
        key: query.key,
    };
    upload::keep(&app, (job, lease), (announced, body), row).await
}
