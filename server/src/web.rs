//! HTTP: the router, and what surrounds every request.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tracing::Instrument;

use crate::app::App;
use crate::pages::login::message_page;

pub(crate) mod access;
pub(crate) mod actions;
pub(crate) mod api;
pub(crate) mod artifacts;
pub(crate) mod finish;
pub(crate) mod health;
pub(crate) mod listen;
pub(crate) mod live;
pub(crate) mod runner_api;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod webhook;

#[cfg(test)]
pub(crate) mod tests;

/// Everything the server answers.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(webhook::routes())
        .merge(health::routes())
        .merge(schema::routes())
        .merge(session::routes())
        .merge(runner_api::routes())
        .merge(api::routes())
        .merge(artifacts::routes())
        .merge(crate::pages::routes())
        .merge(actions::routes())
        .merge(live::routes())
        .route_layer(from_fn_with_state(app.clone(), access::guard))
        .fallback(access::nothing_here)
        .method_not_allowed_fallback(access::nothing_here)
        .layer(from_fn(finish::finish))
        .layer(from_fn_with_state(app.clone(), access::same_origin))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new().compress_when(shrinks()))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// What is worth compressing. Bytes of caches and artifacts mostly are compressed already, and their
/// length and digest are told.
fn shrinks() -> impl Predicate {
    DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream"))
}

/// Calls that wait on purpose, or stream: they have no deadline.
const PATIENT: &[&str] = &[
    "/live",
    "/runner/v1/claim",
    "/runner/v1/jobs/{job}/heartbeat",
    // As long as the bytes keep coming.
    "/runner/v1/jobs/{job}/cache",
    "/runner/v1/jobs/{job}/artifact",
];
/// Any other answer takes less, or something is wrong.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Gives each request an id, a deadline, a line in the log and its place in the metrics. The log has
/// the path but not what follows the question mark: sign-in links hold a secret there.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = app.clock.monotonic();
    let id = ulid::Ulid::generate().to_string();
    let method = request.method().clone();
    let pattern = request.extensions().get::<MatchedPath>();
    let pattern = pattern.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id, %method, path = request.uri().path());
    let limit = if PATIENT.contains(&pattern.as_str()) {
        Duration::MAX
    } else {
        ANSWER_MAX
    };
    let answer = tokio::time::timeout(limit, next.run(request));
    let mut response = match answer.instrument(span.clone()).await {
        Ok(response) => response,
        Err(_) => message_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "this took too long",
            "try again in a moment",
        ),
    };
    let (status, took) = (response.status().as_u16(), began.elapsed());
    app.metrics
        .request(method.as_str(), &pattern, (status, took));
    span.in_scope(|| tracing::debug!(status, took_ms = took.as_secs_f64() * 1000.0, "answered"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        let name = HeaderName::from_static("x-request-id");
        response.headers_mut().insert(name, id);
    }
    response
}

/// What browsers are told not to do with our pages.
const SECURITY: &[(HeaderName, &str)] = &[
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
];

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY {
        let headers = response.headers_mut();
        // A handler may be stricter, as the sign-in page is with the referrer.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A panic in a handler ends that request and nothing else.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(panic = crate::tasks::words(&*panic), "a request panicked");
    message_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server failed to answer",
        "the server's log says why",
    )
}
