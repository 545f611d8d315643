//! Who may call what: one table, and one guard that knows nothing but the table.
//!
//! The guard stands behind the router and looks at the pattern that matched, never at the path, so
//! no spelling of a path goes round it. A route that is not in the table answers nobody.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::session;
use crate::app::App;
use crate::error::{ApiError, Failure, PageError};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Anyone,
    /// People who have signed in.
    Person,
    /// Programs with a token.
    Program,
    /// Runners; `web/runner_api.rs` checks which.
    Runner,
}

use Access::{Anyone, Person, Program, Runner};

/// Every route of the server. The names of parameters do not matter.
pub(crate) const ROUTES: &[(&str, &str, Access)] = &[
    ("GET", "/healthz", Anyone),
    ("GET", "/readyz", Anyone),
    ("GET", "/metrics", Anyone),
    ("POST", "/webhooks/github", Anyone),
    ("GET", "/badge/{owner}/{file}", Anyone),
    ("GET", "/static/{*path}", Anyone),
    ("GET", "/schema/pipeline.json", Anyone),
    ("GET", "/schema/environments.json", Anyone),
    ("GET", "/login", Anyone),
    ("POST", "/login", Anyone),
    ("POST", "/logout", Person),
    // Pages.
    ("GET", "/", Person),
    ("GET", "/repos/{owner}/{repo}", Person),
    ("GET", "/repos/{owner}/{repo}/check", Person),
    ("POST", "/repos/{owner}/{repo}/check", Person),
    ("GET", "/repos/{owner}/{repo}/start", Person),
    ("POST", "/repos/{owner}/{repo}/start", Person),
    ("GET", "/repos/{owner}/{repo}/runs/{number}", Person),
    ("GET", "/repos/{owner}/{repo}/runs/{number}/graph", Person),
    ("GET", "/repos/{owner}/{repo}/runs/{number}/timing", Person),
    ("GET", "/repos/{owner}/{repo}/runs/{number}/tests", Person),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/artifacts",
        Person,
    ),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/artifacts/{id}/{file}",
        Person,
    ),
    ("GET", "/repos/{owner}/{repo}/runs/{number}/file", Person),
    ("GET", "/repos/{owner}/{repo}/runs/{number}/events", Person),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/jobs/{job}",
        Person,
    ),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log.txt",
        Person,
    ),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log",
        Person,
    ),
    (
        "GET",
        "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/log/all",
        Person,
    ),
    ("GET", "/environments", Person),
    ("GET", "/repos/{owner}/{repo}/environments", Person),
    (
        "GET",
        "/repos/{owner}/{repo}/environments/{environment}",
        Person,
    ),
    ("GET", "/repos/{owner}/{repo}/deploys/{number}", Person),
    ("GET", "/runners", Person),
    ("GET", "/queue", Person),
    ("GET", "/audit", Person),
    ("GET", "/storage", Person),
    ("GET", "/deliveries", Person),
    ("GET", "/deliveries/{id}", Person),
    ("GET", "/live", Person),
    ("GET", "/_ui", Person),
    // Actions of people.
    ("POST", "/deliveries/{id}/replay", Person),
    (
        "GET",
        "/repos/{owner}/{repo}/environments/{environment}/deploy",
        Person,
    ),
    (
        "POST",
        "/repos/{owner}/{repo}/environments/{environment}/deploy",
        Person,
    ),
    (
        "POST",
        "/repos/{owner}/{repo}/environments/{environment}/lock",
        Person,
    ),
    (
        "POST",
        "/repos/{owner}/{repo}/environments/{environment}/unlock",
        Person,
    ),
    ("POST", "/repos/{owner}/{repo}/runs/{number}/cancel", Person),
    ("POST", "/repos/{owner}/{repo}/runs/{number}/rerun", Person),
    ("POST", "/repos/{owner}/{repo}/runs/{number}/keep", Person),
    (
        "POST",
        "/repos/{owner}/{repo}/runs/{number}/jobs/{job}/cancel",
        Person,
    ),
    // Programs.
    ("GET", "/api/v1/repos/{owner}/{repo}/runs", Program),
    ("POST", "/api/v1/repos/{owner}/{repo}/runs", Program),
    ("GET", "/api/v1/repos/{owner}/{repo}/runs/{number}", Program),
    (
        "POST",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/cancel",
        Program,
    ),
    (
        "POST",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/rerun",
        Program,
    ),
    (
        "GET",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/artifacts",
        Program,
    ),
    (
        "GET",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/artifacts/{id}",
        Program,
    ),
    (
        "GET",
        "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{job}/tests",
        Program,
    ),
    ("GET", "/api/v1/repos/{owner}/{repo}/environments", Program),
    (
        "POST",
        "/api/v1/repos/{owner}/{repo}/environments/{environment}/deploy",
        Program,
    ),
    (
        "POST",
        "/api/v1/repos/{owner}/{repo}/environments/{environment}/rollback",
        Program,
    ),
    (
        "POST",
        "/api/v1/repos/{owner}/{repo}/environments/{environment}/lock",
        Program,
    ),
    (
        "GET",
        "/api/v1/repos/{owner}/{repo}/deploys/{number}",
        Program,
    ),
    ("GET", "/api/v1/runners", Program),
    // Runners.
    ("POST", "/runner/v1/register", Runner),
    ("POST", "/runner/v1/claim", Runner),
    ("POST", "/runner/v1/jobs/{job}/heartbeat", Runner),
    ("POST", "/runner/v1/jobs/{job}/log", Runner),
    ("POST", "/runner/v1/jobs/{job}/report", Runner),
    ("POST", "/runner/v1/jobs/{job}/checkout", Runner),
    ("POST", "/runner/v1/jobs/{job}/secrets", Runner),
    ("POST", "/runner/v1/jobs/{job}/cache/find", Runner),
    ("GET", "/runner/v1/jobs/{job}/cache/{cache}", Runner),
    ("POST", "/runner/v1/jobs/{job}/cache", Runner),
    ("POST", "/runner/v1/jobs/{job}/artifact", Runner),
];

/// Who may call the route with this pattern; none if the table does not know it.
fn access(method: &Method, pattern: &str) -> Option<Access> {
    // `HEAD` is answered by what answers `GET`.
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let same = |known: &str| {
        let (mut ours, mut theirs) = (known.split('/'), pattern.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if shape(one) == shape(other) => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    };
    let route = ROUTES
        .iter()
        .find(|(verb, path, _)| *verb == method && same(path));
    route.map(|(_, _, access)| *access)
}

/// A part of a pattern without the name of its parameter.
fn shape(part: &str) -> &str {
    if part.starts_with("{*") {
        "{*}"
    } else if part.starts_with('{') {
        "{}"
    } else {
        part
    }
}

/// Lets a request through if the table says so, and tells the handler who is asking.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let pattern = pattern.as_ref().map_or("", MatchedPath::as_str);
    match access(request.method(), pattern) {
        Some(Anyone | Runner) => next.run(request).await,
        Some(Person) => match session::find_viewer(&app, request.headers()).await {
            Ok(Some(viewer)) => {
                request.extensions_mut().insert(viewer);
                next.run(request).await
            }
            Ok(None) => session::sign_in_first(request.method(), request.headers()),
            Err(error) => PageError::from(error).into_response(),
        },
        Some(Program) => match session::find_bearer(&app, request.headers()).await {
            Ok(Some(bearer)) => {
                request.extensions_mut().insert(bearer);
                next.run(request).await
            }
            Ok(None) => session::token_first(),
            Err(error) => ApiError::from(error).into_response(),
        },
        None => {
            tracing::warn!(method = %request.method(), pattern, "a route is not in web/access.rs");
            nothing_here(State(app), request).await
        }
    }
}

/// What is not there, and what nobody may see. Strangers are not even told that.
pub(crate) async fn nothing_here(State(app): State<App>, request: Request) -> Response {
    let missing = || Failure::not_found("there is nothing at this address");
    if request.uri().path().starts_with("/api/") || request.uri().path().starts_with("/runner/") {
        return match session::find_bearer(&app, request.headers()).await {
            Ok(Some(_)) => ApiError(missing()).into_response(),
            Ok(None) => session::token_first(),
            Err(error) => ApiError::from(error).into_response(),
        };
    }
    match session::find_viewer(&app, request.headers()).await {
        Ok(Some(_)) => PageError(missing()).into_response(),
        Ok(None) => session::sign_in_first(request.method(), request.headers()),
        Err(error) => PageError::from(error).into_response(),
    }
}

/// Refuses what another site's page sends in a signed-in person's name. Programs of runners and of
/// the API bear a token, which no browser adds by itself, and GitHub signs.
pub(crate) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_from_here(&app, &request) {
        return next.run(request).await;
    }
    PageError(Failure::refused(
        StatusCode::FORBIDDEN,
        "this came from another site",
        "open the page here and send the form from there",
    ))
    .into_response()
}

fn is_from_here(app: &App, request: &Request) -> bool {
    let says = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?"))
    };
    match (says("origin"), says("sec-fetch-site")) {
        // A page that keeps its address to itself (`Referrer-Policy: no-referrer`) sends this.
        (Some("null"), Some(site)) => site == "same-origin",
        (Some(origin), _) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            origin == &*app.public_url || (authority.is_some() && authority == says("host"))
        }
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        // No browser: it has no cookie but one it was given on purpose.
        (None, None) => true,
    }
}
