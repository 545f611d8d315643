//! The JSON Schemas of both files, for editors. They hold no secret, so anyone may have them.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/schema/pipeline.json", get(pipeline))
        .route("/schema/environments.json", get(environments))
}

async fn pipeline() -> Response {
    answer(pipelines::schema::pipeline())
}

async fn environments() -> Response {
    answer(pipelines::schema::environments())
}

/// An editor of any origin may read it, and keep it for an hour.
fn answer(schema: Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/schema+json"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Json(schema)).into_response()
}
