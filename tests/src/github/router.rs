//! The routes, and what happens to every call before and after its route.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::json;

use super::access::{ApiError, credential};
use super::hub::{Hub, lock};
use super::webhooks::{guid, sign};
use super::{
    DEVELOPER_TOKEN, api, app, checks, commits, contents, deliveries, deployments, objects, pulls,
    smart_http,
};

pub(super) fn router(hub: Arc<Hub>) -> Router {
    let api = Router::new()
        .route("/meta", get(api::meta))
        .route("/rate_limit", get(rate_limit))
        .route("/app", get(app::show))
        .route("/app/installations", get(app::installations))
        .route("/app/installations/{id}", get(app::installation))
        .route(
            "/app/installations/{id}/access_tokens",
            post(app::create_token),
        )
        .route("/app/hook/config", get(deliveries::config))
        .route("/app/hook/deliveries", get(deliveries::list))
        .route("/app/hook/deliveries/{id}", get(deliveries::show))
        .route(
            "/app/hook/deliveries/{id}/attempts",
            post(deliveries::redeliver),
        )
        .route(
            "/installation/repositories",
            get(api::installation_repositories),
        )
        .route("/repositories/{id}", get(api::repository_by_id))
        .nest("/repos/{owner}/{repo}", repository_routes())
        // GitHub knows no 405: what it has no route for is not there.
        .method_not_allowed_fallback(api::nothing_here)
        .fallback(api::nothing_here)
        .layer(from_fn_with_state(hub.clone(), around_api));
    Router::new()
        .nest("/api/v3", api)
        .fallback(smart_http::serve)
        .with_state(hub)
}

fn repository_routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/", get(api::repository))
        .route("/installation", get(app::repository_installation))
        .route("/contents", get(contents::root))
        .route("/contents/", get(contents::root))
        .route("/contents/{*path}", get(contents::show))
        .route("/git/trees/{*sha}", get(objects::tree))
        .route("/git/blobs/{sha}", get(objects::blob))
        .route("/git/commits/{sha}", get(objects::commit))
        .route("/git/ref/{*name}", get(objects::reference))
        .route(
            "/git/matching-refs/{*name}",
            get(objects::matching_references),
        )
        .route("/branches", get(objects::branches))
        .route("/branches/{*name}", get(objects::branch))
        .route("/tags", get(objects::tags))
        .route("/commits", get(commits::history))
        .route("/commits/{*name}", get(commits::show))
        .route("/compare/{*pair}", get(commits::compare))
        .route("/pulls", get(pulls::list))
        .route("/pulls/{number}", get(pulls::show))
        .route("/pulls/{number}/files", get(pulls::files))
        .route("/pulls/{number}/commits", get(pulls::commits))
        .route("/check-runs", post(checks::create))
        .route("/check-runs/{id}", get(checks::show).patch(checks::update))
        .route(
            "/deployments",
            get(deployments::list).post(deployments::create),
        )
        .route("/deployments/{id}", get(deployments::show))
        .route(
            "/deployments/{id}/statuses",
            get(deployments::statuses).post(deployments::create_status),
        )
}

/// What a call came with, for the log; whether it is valid is another question.
pub(super) fn token_kind(headers: &HeaderMap) -> &'static str {
    match credential(headers) {
        None if headers.contains_key(header::AUTHORIZATION) => "unknown",
        None => "anonymous",
        Some((_, token)) if token == DEVELOPER_TOKEN => "developer",
        Some((_, token)) if token.starts_with("ghs_") => "installation",
        Some((_, token)) if token.split('.').count() == 3 => "app",
        Some(_) => "unknown",
    }
}

async fn around_api(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    // Nesting has taken the base of the API off the path; the log and the faults want it so.
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let number = lock(&hub.log).arrived(method.as_str(), path.clone(), token_kind(&headers));
    let delay = lock(&hub.faults).delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut response = match refusal(&hub, &path, &headers) {
        Some(response) => response,
        None => {
            let response = next.run(request).await;
            match method == Method::GET && response.status() == StatusCode::OK {
                true => conditional(response, &headers).await,
                false => response,
            }
        }
    };
    count(&hub, &path, &headers, &mut response);
    lock(&hub.log).answered(number, response.status().as_u16());
    if lose_answer(&hub) {
        return broken(response);
    }
    response
}

/// The credential's part in the budget; the App's claims differ each time but are one caller.
fn spender(headers: &HeaderMap) -> String {
    match (token_kind(headers), credential(headers)) {
        ("installation", Some((_, token))) => token,
        (kind, _) => kind.to_owned(),
    }
}

fn refusal(hub: &Hub, path: &str, headers: &HeaderMap) -> Option<Response> {
    let mut faults = lock(&hub.faults);
    if faults.outage {
        let message = "No server is currently available to service your request.";
        return Some(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response());
    }
    if let Some(fault) = faults.strike(path) {
        let mut response = ApiError::new(fault.status, fault.message).into_response();
        for (name, value) in fault.headers {
            let name = name
                .parse::<header::HeaderName>()
                .expect("a story names a real header");
            let value = value.parse().expect("a story gives a real value");
            response.headers_mut().insert(name, value);
        }
        return Some(response);
    }
    if !headers.contains_key(header::USER_AGENT) {
        let message = "Request forbidden by administrative rules. Please make sure your request has \
                       a User-Agent header.";
        return Some(ApiError::forbidden(message).into_response());
    }
    let used = faults.used.get(&spender(headers)).copied().unwrap_or(0);
    if faults.budget.is_some_and(|budget| used >= budget) && path != "/rate_limit" {
        let message = "API rate limit exceeded for installation.";
        return Some(ApiError::forbidden(message).into_response());
    }
    None
}

fn lose_answer(hub: &Hub) -> bool {
    let mut faults = lock(&hub.faults);
    let lost = faults.lost_answers > 0;
    faults.lost_answers = faults.lost_answers.saturating_sub(1);
    lost
}

/// An answer that ends in the middle, so that the caller cannot know what was done.
fn broken(response: Response) -> Response {
    let (parts, _) = response.into_parts();
    let cut = std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        "the story cuts the line",
    );
    let stream = futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(cut)]);
    Response::from_parts(parts, Body::from_stream(stream))
}

/// Tags an answer by its content, and says 304 to a caller who has it already.
async fn conditional(response: Response, headers: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let digest = sign("etag", &bytes);
    let tag = format!("W/\"{}\"", digest.trim_start_matches("sha256="));
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Counts a call against its budget and tells the caller, as every answer of GitHub does.
fn count(hub: &Hub, path: &str, headers: &HeaderMap, response: &mut Response) {
    let mut faults = lock(&hub.faults);
    let limit = faults.budget.unwrap_or(5000);
    let used = faults.used.entry(spender(headers)).or_default();
    if response.status() != StatusCode::NOT_MODIFIED && path != "/rate_limit" {
        *used += 1;
    }
    let numbers = [
        ("x-ratelimit-limit", limit.to_string()),
        (
            "x-ratelimit-remaining",
            limit.saturating_sub(*used).to_string(),
        ),
        ("x-ratelimit-used", (*used).min(limit).to_string()),
        ("x-ratelimit-reset", next_hour().to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
        (
            "date",
            hub.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ),
        ("x-github-request-id", guid()),
        ("x-github-media-type", "github.v3; format=json".to_owned()),
    ];
    for (name, value) in numbers {
        if let (false, Ok(value)) = (response.headers().contains_key(name), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
}

fn next_hour() -> i64 {
    (Timestamp::now().as_second() / 3600 + 1) * 3600
}

async fn rate_limit(State(hub): State<Arc<Hub>>, headers: HeaderMap) -> Response {
    let faults = lock(&hub.faults);
    let limit = faults.budget.unwrap_or(5000);
    let used = faults
        .used
        .get(&spender(&headers))
        .copied()
        .unwrap_or(0)
        .min(limit);
    drop(faults);
    let core =
        json!({ "limit": limit, "used": used, "remaining": limit - used, "reset": next_hour() });
    axum::Json(json!({ "resources": { "core": core, "search": core }, "rate": core }))
        .into_response()
}
