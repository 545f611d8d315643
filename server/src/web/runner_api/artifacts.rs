//! Files that a job leaves for people.

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use pipelines::ids::{Attempt, Fence, JobId};
use pipelines::limits::{ARTIFACT_BYTES_MAX, ARTIFACTS_MAX, JUNIT_BYTES_MAX};
use pipelines::wire::{ArtifactKind, LeaseProof};
use serde::Deserialize;

use super::upload::{self, Row};
use super::{Caller, held, lease_of};
use crate::app::App;
use crate::blobs::{Announced, Kind};
use crate::error::{ApiError, Failure};
use crate::store::artifacts::{self, Place};

/// Longest path of an artifact, in bytes.
const PATH_BYTES_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
pub(super) struct KeepQuery {
    attempt: Attempt,
    fence: Fence,
    path: String,
    kind: ArtifactKind,
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
    let bytes_max = match query.kind {
        ArtifactKind::Artifact => ARTIFACT_BYTES_MAX,
        ArtifactKind::Junit => JUNIT_BYTES_MAX,
    };
    let checked = async {
        let holding = held(app.store.reader(), job, lease).await?;
        check_path(&query.path)?;
        upload::check_digest(&query.digest)?;
        upload::check_length(&parts.headers, bytes_max)?;
        let place = Place {
            job,
            attempt,
            kind: query.kind,
            path: &query.path,
        };
        Ok::<_, Failure>((holding.repo, is_kept(&app, place, &query.digest).await?))
    };
    let (repo, is_kept) = match checked.await {
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
        kind: Kind::Artifact,
        repo,
        digest: query.digest,
        bytes_max,
    };
    let row = Row::Artifact {
        kind: query.kind,
        path: query.path,
    };
    upload::keep(&app, (job, lease), (announced, body), row).await
}

/// Whether this very file is there already. Another one at its place, or one too many, is refused.
async fn is_kept(app: &App, place: Place<'_>, digest: &str) -> Result<bool, Failure> {
    let db = app.store.reader();
    let refused = |error, hint| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Err(Failure::refused(status, error, hint))
    };
    match artifacts::find_digest(db, place).await? {
        Some(known) if known == digest => Ok(true),
        Some(_) => refused(
            format!("this attempt has left another file at `{}`", place.path),
            "give the files different paths",
        ),
        None => {
            let count = artifacts::count(db, place).await?;
            if usize::try_from(count).is_ok_and(|count| count < ARTIFACTS_MAX) {
                return Ok(false);
            }
            refused(
                format!("a job may leave {ARTIFACTS_MAX} files and no more"),
                "pack them into an archive, or name fewer",
            )
        }
    }
}

/// A path below the workspace. It is only shown and never opened, but whoever downloads everything
/// and unpacks it by these names must not be led out of their folder.
fn check_path(path: &str) -> Result<(), Failure> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let is_path = path.len() <= PATH_BYTES_MAX
        && path.split('/').all(is_plain)
        && !path.contains(|letter: char| letter.is_control() || letter == '\\');
    if is_path {
        return Ok(());
    }
    Err(Failure::refused(
        StatusCode::BAD_REQUEST,
        "this is no path of an artifact",
        "it is relative to the workspace, without `.`, `..`, `\\` and control characters, and has at most 1024 bytes",
    ))
}
