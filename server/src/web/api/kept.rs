//! What a run has left behind: its artifacts, and what its tests said.

use axum::extract::{Path, Query, State};
use axum::response::{Json, Response};
use pipelines::ids::{ArtifactId, RunId};
use pipelines::junit::TestReport;
use pipelines::names::JobName;
use pipelines::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::{InRepo, List, Number, find_run, read_cursor};
use crate::app::App;
use crate::error::{ApiError, Failure};
use crate::store::artifacts::{self, ArtifactRow};
use crate::store::test_reports;
use crate::web::session::Bearer;

/// Artifacts on one page of a list.
const PAGE: u32 = 100;

/// A file that a job has left.
#[derive(Debug, Serialize)]
pub(super) struct Artifact {
    id: i64,
    job: String,
    attempt: i64,
    /// `artifact`, or `junit` for a report.
    kind: String,
    path: String,
    bytes: i64,
    /// SHA-256 in hex.
    digest: String,
    created_at: Timestamp,
    /// When retention deleted its bytes.
    deleted_at: Option<Timestamp>,
}

impl Artifact {
    fn new(row: ArtifactRow) -> Self {
        Self {
            id: row.id,
            job: row.job,
            attempt: row.attempt,
            kind: row.kind,
            path: row.path,
            bytes: row.bytes,
            digest: row.digest,
            created_at: Timestamp(row.created_at),
            deleted_at: row.deleted_at.map(Timestamp),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Cursor {
    cursor: Option<String>,
}

pub(super) async fn list_artifacts(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
    Query(query): Query<Cursor>,
) -> Result<Json<List<Artifact>>, ApiError> {
    let run = RunId(find_run(&app, &repo, number).await?.id);
    let above = query.cursor.as_deref().map(read_cursor).transpose()?;
    // One more than a page tells whether there is another.
    let rows = artifacts::of_run(app.store.reader(), run, above.unwrap_or(0), PAGE + 1).await;
    let mut rows = rows?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    let items = rows.into_iter().map(Artifact::new).collect();
    Ok(Json(List { items, next }))
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    id: i64,
}

pub(super) async fn download(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
    Path(Which { id }): Path<Which>,
) -> Result<Response, ApiError> {
    let run = RunId(find_run(&app, &repo, number).await?.id);
    Ok(crate::web::artifacts::answer(&app, run, ArtifactId(id)).await?)
}

#[derive(Debug, Deserialize)]
pub(super) struct OfJob {
    job: String,
}

pub(super) async fn tests(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
    Path(OfJob { job }): Path<OfJob>,
) -> Result<Json<TestReport>, ApiError> {
    let run = RunId(find_run(&app, &repo, number).await?.id);
    let missing = || Failure::not_found(format!("job `{job}` of run {number} has no test report"));
    let name: JobName = job.parse().map_err(|_| missing())?;
    let report = test_reports::find(app.store.reader(), run, &name).await?;
    Ok(Json(report.ok_or_else(missing)?))
}
