//! What people do: forms that change something, and the page that says what came of it.
//!
//! Every form carries the session's own mark ([`Viewer::check`]); every answer is a redirect, so
//! that reloading the page does not do it again.

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use pipelines::ids::{DeliveryId, RepoId, RunId};
use pipelines::names::JobName;
use serde::Deserialize;

use super::session::Viewer;
use crate::app::App;
use crate::error::{Failure, PageError};
use crate::intake::{self, StartError};
use crate::pages::Notice;
use crate::progress::{self, ApplyError};
use crate::store::views::runs::{self, RunRow};
use crate::store::{audit, deliveries, retention, views};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/repos/{owner}/{repo}/runs/{number}/cancel", post(cancel))
        .route("/repos/{owner}/{repo}/runs/{number}/rerun", post(rerun))
        .route("/repos/{owner}/{repo}/runs/{number}/keep", post(keep))
        .route("/deliveries/{id}/replay", post(replay))
        .route(
            "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/cancel",
            post(cancel_job),
        )
}

#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    csrf: String,
}

type RunPath = Path<(String, String, i64)>;

async fn cancel(
    State(app): State<App>,
    viewer: Viewer,
    Path((owner, repo, number)): RunPath,
    Form(form): Form<Sent>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    let run = find(&app, &owner, &repo, number).await?;
    stop(&app, &run, None, &viewer).await
}

async fn cancel_job(
    State(app): State<App>,
    viewer: Viewer,
    Path((owner, repo, number, job)): Path<(String, String, i64, String)>,
    Form(form): Form<Sent>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    let run = find(&app, &owner, &repo, number).await?;
    let missing = |_| Failure::not_found(format!("run {number} has no job {job}"));
    let job: JobName = job.parse().map_err(missing)?;
    stop(&app, &run, Some(job), &viewer).await
}

async fn stop(
    app: &App,
    run: &RunRow,
    job: Option<JobName>,
    viewer: &Viewer,
) -> Result<Response, PageError> {
    let moved = progress::cancel(app, RunId(run.id), job, &viewer.user).await;
    let notice = match moved {
        Ok(moved) if moved.changed => Notice::Cancelled,
        Ok(_) => Notice::AlreadyEnded,
        Err(error) => return Err(refused(error)),
    };
    Ok(to_run(run, run.number, notice))
}

fn refused(error: ApplyError) -> PageError {
    PageError(Failure::Internal(anyhow::Error::from(error)))
}

async fn rerun(
    State(app): State<App>,
    viewer: Viewer,
    Path((owner, repo, number)): RunPath,
    Form(form): Form<Sent>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    let run = find(&app, &owner, &repo, number).await?;
    let made = intake::rerun(&app, RunId(run.id))
        .await
        .map_err(not_started)?;
    let mut tx = app.store.begin().await?;
    let subject = format!("{owner}/{repo} run {number}");
    let entry = (viewer.user.as_str(), "run.rerun", subject.as_str());
    audit::record(&mut tx, app.clock.now(), entry, &format!("as run {made}")).await?;
    tx.commit().await?;
    Ok(to_run(&run, made.0, Notice::Rerun))
}

#[derive(Debug, Deserialize)]
struct Keep {
    #[serde(default)]
    csrf: String,
    /// Whether everything of the run stays.
    keep: bool,
}

/// Keeps the logs and artifacts of a run from retention, or no longer.
async fn keep(
    State(app): State<App>,
    viewer: Viewer,
    Path((owner, repo, number)): RunPath,
    Form(form): Form<Keep>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    let run = find(&app, &owner, &repo, number).await?;
    let (now, subject) = (app.clock.now(), format!("{owner}/{repo} run {number}"));
    let (action, notice) = match form.keep {
        true => ("run.keep", Notice::Kept),
        false => ("run.unkeep", Notice::NotKept),
    };
    let mut tx = app.store.begin().await?;
    if retention::keep(&mut tx, RunId(run.id), form.keep.then_some(now)).await? {
        let entry = (viewer.user.as_str(), action, subject.as_str());
        audit::record(&mut tx, now, entry, "").await?;
    }
    tx.commit().await?;
    Ok(to_run(&run, number, notice))
}

/// Handles a delivery again, in its turn.
async fn replay(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<i64>,
    Form(form): Form<Sent>,
) -> Result<Response, PageError> {
    viewer.check(&form.csrf)?;
    let found = views::deliveries::find(app.store.reader(), DeliveryId(id)).await?;
    let row = found.ok_or_else(|| Failure::not_found(format!("there is no delivery {id}")))?;
    if !deliveries::can_replay(&row.event, &row.state) {
        return Err(PageError(Failure::refused(
            StatusCode::CONFLICT,
            "this delivery cannot be handled again: it waits to be handled, or is no event of git",
            "let GitHub redeliver it, if it must be",
        )));
    }
    let (now, subject) = (app.clock.now(), format!("delivery {id}"));
    let mut tx = app.store.begin().await?;
    deliveries::replay(&mut tx, DeliveryId(id), now).await?;
    let entry = (viewer.user.as_str(), "delivery.replay", subject.as_str());
    audit::record(&mut tx, now, entry, &row.guid).await?;
    tx.commit().await?;
    app.wake.intake.notify_one();
    let notice = Notice::Replayed.as_str();
    Ok(Redirect::to(&format!("/deliveries/{id}?notice={notice}")).into_response())
}

fn not_started(error: StartError) -> PageError {
    let failure = match error {
        StartError::NotFound(_) => Failure::not_found(error.to_string()),
        StartError::Refused(sentence) => Failure::refused(
            StatusCode::CONFLICT,
            sentence,
            "the run is as it was before",
        ),
        StartError::Inputs(_) => Failure::refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.to_string(),
            "go back, and say what the pipeline asks for",
        ),
        StartError::GitHub(error) => Failure::refused(
            StatusCode::BAD_GATEWAY,
            format!("GitHub did not give the pipeline file: {error}"),
            "try again in a moment; the run is as it was before",
        ),
        StartError::Fault(error) => Failure::Internal(error),
    };
    PageError(failure)
}

async fn find(app: &App, owner: &str, name: &str, number: i64) -> Result<RunRow, PageError> {
    let missing = || {
        PageError(Failure::not_found(format!(
            "there is no run {number} of {owner}/{name}"
        )))
    };
    let repo = runs::find_repo(app.store.reader(), owner, name)
        .await?
        .ok_or_else(missing)?;
    let run = runs::find(app.store.reader(), RepoId(repo.id), number).await?;
    run.ok_or_else(missing)
}

fn to_run(run: &RunRow, number: i64, notice: Notice) -> Response {
    let (owner, repo, notice) = (&run.owner, &run.repo, notice.as_str());
    Redirect::to(&format!(
        "/repos/{owner}/{repo}/runs/{number}?notice={notice}"
    ))
    .into_response()
}
