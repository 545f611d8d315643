//! For machines that watch: alive, ready, metrics, and the badge.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::error::PageError;
use crate::metrics::Levels;
use crate::store::{blobs, deliveries, outbox, repos, runs};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/badge/{owner}/{file}", get(badge))
}

/// The process answers. Nothing else is asked, so that a slow disk does not get it killed.
async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether new work should be sent here.
async fn readyz(State(app): State<App>) -> Response {
    let refuse = |words: &'static str| (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    if app.draining.is_cancelled() {
        return refuse("stopping\n");
    }
    match app.store.probe(app.clock.now()).await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready: the storage refuses writes");
            refuse("the storage refuses writes\n")
        }
    }
}

async fn metrics(State(app): State<App>) -> Result<Response, PageError> {
    let now = app.clock.monotonic();
    let levels = app.metrics.levels(now, levels(&app)).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = app.metrics.render(&levels);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn levels(app: &App) -> sqlx::Result<Levels> {
    let db = app.store.reader();
    let since = app.clock.now().0 - i64::try_from(app.config.lease_ms).unwrap_or(i64::MAX);
    let (cache_bytes, artifact_bytes) = blobs::total_bytes(db).await?;
    Ok(Levels {
        cache_bytes,
        artifact_bytes,
        runs: runs::count_by_state(db).await?,
        queue: runs::count_queued_jobs(db).await?,
        runners: runs::count_runners_since(db, since).await?,
        outbox: outbox::count_open(db).await?,
        open_deliveries: deliveries::count_open(db).await?,
    })
}

/// The last finished run on the default branch, in a picture. Asked by image proxies, which know no
/// sign-in: so of a private repository, and of one that is not there, it says `unknown`.
async fn badge(
    State(app): State<App>,
    Path((owner, file)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let name = file.strip_suffix(".svg").unwrap_or(&file);
    let db = app.store.reader();
    let state = match repos::find_public(db, &owner, name).await? {
        Some(repo) => runs::last_on_default_branch(db, repo).await?,
        None => None,
    };
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "max-age=60"),
    ];
    Ok((headers, picture(state.as_deref().unwrap_or("unknown"))).into_response())
}

fn picture(state: &str) -> String {
    let colour = match state {
        "passed" => "#1e7f66",
        "failed" | "timed_out" | "infrastructure_error" => "#870508",
        "waiting" | "queued" | "running" => "#1640c8",
        _ => "#3f434c",
    };
    // One of our own words: the database holds no other.
    let words = state.replace('_', " ");
    // Seven units a letter at this size, and a margin on both sides.
    let width = 16 + 7 * words.chars().count();
    let (total, middle) = (86 + width, 86 + width / 2);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"20\" role=\"img\" \
         aria-label=\"Seaworthy: {words}\"><rect width=\"86\" height=\"20\" fill=\"#30363d\"/>\
         <rect x=\"86\" width=\"{width}\" height=\"20\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,sans-serif\" font-size=\"11\" \
         text-anchor=\"middle\"><text x=\"43\" y=\"14\">Seaworthy</text>\
         <text x=\"{middle}\" y=\"14\">{words}</text></g></svg>"
    )
}
