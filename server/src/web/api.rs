//! The API for programs. Its fields are a promise: add freely, rename never.
//!
//! A list is `{"items": […], "next": cursor or null}`, and an item of a list of runs has no `jobs`:
//! ask for the run. What is hidden and what is missing are told alike.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Json;
use axum::routing::{get, post};
use pipelines::ids::{RunId, RunNumber};
use pipelines::job::State as JobState;
use pipelines::names::{BranchName, PipelineName, RepoName};
use serde::{Deserialize, Serialize};

use self::shape::{Deploy, Environment, Run, Runner};
use super::session::Bearer;
use crate::app::App;
use crate::dispatch;
use crate::error::{ApiError, Failure};
use crate::intake::{self, StartError, Wanted};
use crate::progress::{self, ApplyError};
use crate::store::api::{self, RunFilter, RunRow};
use crate::store::audit;
use crate::store::repos::{self, Repo};

mod kept;
mod redeploy;
mod shape;

#[cfg(test)]
mod tests;

/// Runs on one page of a list.
const PAGE: u32 = 30;

/// The routes of the API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/repos/{owner}/{repo}/runs",
            get(list_runs).post(start),
        )
        .route("/api/v1/repos/{owner}/{repo}/runs/{number}", get(show_run))
        .route(
            "/api/v1/repos/{owner}/{repo}/runs/{number}/cancel",
            post(cancel_run),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/runs/{number}/rerun",
            post(rerun),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/runs/{number}/artifacts",
            get(kept::list_artifacts),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/runs/{number}/artifacts/{id}",
            get(kept::download),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{job}/tests",
            get(kept::tests),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/environments",
            get(list_environments),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/deploys/{number}",
            get(show_deploy),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/environments/{environment}/deploy",
            post(redeploy::deploy),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/environments/{environment}/rollback",
            post(redeploy::rollback),
        )
        .route(
            "/api/v1/repos/{owner}/{repo}/environments/{environment}/lock",
            post(redeploy::lock),
        )
        .route("/api/v1/runners", get(list_runners))
}

/// A list, and where it goes on.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
    /// Send it back as `cursor`.
    next: Option<String>,
}

/// The repository of a path, which this program may see.
struct InRepo(Repo);

#[derive(Debug, Deserialize)]
struct RepoPath {
    owner: String,
    repo: String,
}

impl FromRequestParts<App> for InRepo {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let missing = || Failure::not_found("there is no such repository");
        let path = Path::<RepoPath>::from_request_parts(parts, app).await;
        let Path(path) = path.map_err(|_| missing())?;
        let name = format!("{}/{}", path.owner, path.repo).parse::<RepoName>();
        let name = name.map_err(|_| missing())?;
        let found = repos::find_by_name(app.store.reader(), &name).await?;
        Ok(found.map(Self).ok_or_else(missing)?)
    }
}

/// The number of a path. A text that is none names nothing.
struct Number(i64);

#[derive(Debug, Deserialize)]
struct NumberPath {
    number: String,
}

impl FromRequestParts<App> for Number {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let path = Path::<NumberPath>::from_request_parts(parts, app).await;
        let number = path.ok().and_then(|Path(path)| path.number.parse().ok());
        let missing = || Failure::not_found("there is nothing with this number");
        Ok(number.map(Self).ok_or_else(missing)?)
    }
}

#[derive(Debug, Deserialize)]
struct RunsQuery {
    branch: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
}

async fn list_runs(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Query(query): Query<RunsQuery>,
) -> Result<Json<List<Run>>, ApiError> {
    let filter = RunFilter {
        branch: query.branch.as_deref(),
        state: query.state.as_deref().map(read_state).transpose()?,
        number: None,
        below: query.cursor.as_deref().map(read_cursor).transpose()?,
    };
    // One more than a page tells whether there is another.
    let mut rows = api::runs(app.store.reader(), repo.id, filter, PAGE + 1).await?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|row| row.number.to_string());
    let items = rows.into_iter().map(|row| Run::new(row, None)).collect();
    Ok(Json(List { items, next }))
}

fn read_state(text: &str) -> Result<JobState, Failure> {
    text.parse::<JobState>().map_err(|error| {
        let words: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        let hint = format!("use one of {}", words.join(", "));
        Failure::refused(StatusCode::BAD_REQUEST, error.to_string(), hint)
    })
}

fn read_cursor(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| {
        let hint = "send back what `next` said, or nothing";
        Failure::refused(
            StatusCode::BAD_REQUEST,
            "this is no cursor of this list",
            hint,
        )
    })
}

async fn show_run(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
) -> Result<Json<Run>, ApiError> {
    let row = find_run(&app, &repo, number).await?;
    Ok(Json(whole_run(&app, row).await?))
}

async fn find_run(app: &App, repo: &Repo, number: i64) -> Result<RunRow, Failure> {
    let filter = RunFilter {
        number: Some(number),
        ..RunFilter::default()
    };
    let rows = api::runs(app.store.reader(), repo.id, filter, 1).await?;
    let missing = || Failure::not_found(format!("{} has no run {number}", repo.name));
    rows.into_iter().next().ok_or_else(missing)
}

async fn whole_run(app: &App, row: RunRow) -> Result<Run, Failure> {
    let (reader, id) = (app.store.reader(), RunId(row.id));
    let jobs = api::jobs(reader, id).await?;
    let steps = api::steps(reader, id).await?;
    // Why a job waits changes with every runner that comes or goes, so it is never stored.
    let waiting = if jobs
        .iter()
        .any(|job| job.state == JobState::Queued.as_str())
    {
        dispatch::why_queued(app, Some(id)).await?
    } else {
        BTreeMap::new()
    };
    let jobs = shape::jobs(jobs, steps, &waiting).map_err(anyhow::Error::from)?;
    Ok(Run::new(row, Some(jobs)))
}

async fn cancel_run(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
) -> Result<Json<Run>, ApiError> {
    let row = find_run(&app, &repo, number).await?;
    let cancelled = progress::cancel(&app, RunId(row.id), None, &bearer.name).await;
    cancelled.map_err(failed)?;
    let row = find_run(&app, &repo, number).await?;
    Ok(Json(whole_run(&app, row).await?))
}

fn failed(error: ApplyError) -> Failure {
    match error {
        ApplyError::Refused(refused) => Failure::refused(
            StatusCode::CONFLICT,
            refused.to_string(),
            "look at the run again: it has moved",
        ),
        ApplyError::NoRun(_) => Failure::not_found("there is no such run"),
        ApplyError::Sqlite(error) => error.into(),
    }
}

/// The run that was started.
#[derive(Debug, Serialize)]
struct Started {
    number: RunNumber,
}

async fn rerun(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let row = find_run(&app, &repo, number).await?;
    let number = intake::rerun(&app, RunId(row.id)).await;
    let number = number.map_err(not_started)?;
    note(
        &app,
        &bearer,
        "run.rerun",
        &format!("{}#{number}", repo.name),
    )
    .await?;
    Ok((StatusCode::CREATED, Json(Started { number })))
}

/// What is to be started.
#[derive(Debug, Deserialize)]
struct Start {
    pipeline: PipelineName,
    /// The default branch, if none is named.
    branch: Option<BranchName>,
    /// What the pipeline asks a person for.
    #[serde(default)]
    inputs: BTreeMap<String, InputValue>,
}

/// An input as programs write it: numbers and truth values need no quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum InputValue {
    Text(String),
    Number(serde_json::Number),
    Boolean(bool),
}

impl InputValue {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
        }
    }
}

async fn start(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    body: Result<Json<Start>, JsonRejection>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let Json(start) = body.map_err(|error| {
        let hint = "send JSON: {\"pipeline\": \"ci\", \"branch\": \"main\"}";
        Failure::refused(error.status(), error.body_text(), hint)
    })?;
    let inputs = start.inputs.into_iter();
    let inputs = inputs.map(|(name, value)| (name, value.text())).collect();
    let wanted = Wanted {
        branch: start.branch.as_ref(),
        pipeline: &start.pipeline,
        inputs: &inputs,
    };
    let number = intake::start(&app, &repo.name, wanted, &bearer.name).await;
    let number = number.map_err(not_started)?;
    note(
        &app,
        &bearer,
        "run.start",
        &format!("{}#{number}", repo.name),
    )
    .await?;
    Ok((StatusCode::CREATED, Json(Started { number })))
}

fn not_started(error: StartError) -> Failure {
    let words = error.to_string();
    match error {
        StartError::NotFound(_) => Failure::not_found(words),
        StartError::Refused(_) => {
            let hint = "change what the sentence names, and ask again";
            Failure::refused(StatusCode::CONFLICT, words, hint)
        }
        StartError::Inputs(_) => {
            let hint = "send `inputs` as the pipeline file declares them under `on.manual.inputs`";
            Failure::refused(StatusCode::UNPROCESSABLE_ENTITY, words, hint)
        }
        StartError::GitHub(_) => {
            let hint = "try again in a moment; look at what the GitHub App may read";
            Failure::refused(StatusCode::BAD_GATEWAY, words, hint)
        }
        StartError::Fault(error) => error.into(),
    }
}

/// Records who asked for a run.
async fn note(app: &App, bearer: &Bearer, action: &str, subject: &str) -> sqlx::Result<()> {
    let mut tx = app.store.begin().await?;
    let what = (bearer.name.as_str(), action, subject);
    audit::record(&mut tx, app.clock.now(), what, "").await?;
    tx.commit().await
}

async fn list_environments(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
) -> Result<Json<List<Environment>>, ApiError> {
    let rows = api::environments(app.store.reader(), repo.id).await?;
    let items = rows.into_iter().map(Environment::new).collect();
    Ok(Json(List { items, next: None }))
}

async fn show_deploy(
    State(app): State<App>,
    _: Bearer,
    InRepo(repo): InRepo,
    Number(number): Number,
) -> Result<Json<Deploy>, ApiError> {
    let row = api::find_deploy(app.store.reader(), repo.id, number).await?;
    let missing = || Failure::not_found(format!("{} has no deploy {number}", repo.name));
    let deploy = Deploy::new(row.ok_or_else(missing)?).map_err(anyhow::Error::from);
    Ok(Json(deploy.map_err(Failure::from)?))
}

async fn list_runners(State(app): State<App>, _: Bearer) -> Result<Json<List<Runner>>, ApiError> {
    let rows = api::runners(app.store.reader()).await?;
    let since = dispatch::connected_since(&app);
    let items = rows.into_iter().map(|row| Runner::new(row, since));
    let items = items.collect::<Result<_, _>>().map_err(anyhow::Error::from);
    Ok(Json(List {
        items: items.map_err(Failure::from)?,
        next: None,
    }))
}
