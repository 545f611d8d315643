//! What programs do to environments: deploy a verified release again, go back, lock, unlock.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pipelines::ids::ReleaseNumber;
use pipelines::names::EnvironmentName;
use serde::Deserialize;

use super::{ApiError, Bearer, InRepo, Started, not_started};
use crate::app::App;
use crate::error::Failure;
use crate::intake::redeploy::{self, Redeploy};

/// What a deploy of a stored release is given along.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// A release that the environment has verified.
    release: Option<ReleaseNumber>,
    /// Why.
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct EnvironmentPath {
    environment: String,
}

type Body<T> = Result<Json<T>, JsonRejection>;
type Answer = Result<(StatusCode, Json<Started>), ApiError>;

fn environment(path: &EnvironmentPath) -> Result<EnvironmentName, Failure> {
    let missing = |_| Failure::not_found("there is no such environment");
    path.environment.parse().map_err(missing)
}

fn read<T>(body: Body<T>, hint: &'static str) -> Result<T, Failure> {
    let failed = |error: JsonRejection| Failure::refused(error.status(), error.body_text(), hint);
    body.map(|Json(value)| value).map_err(failed)
}

/// Answers `POST …/environments/{environment}/deploy`: that release, again.
pub(super) async fn deploy(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    Path(path): Path<EnvironmentPath>,
    body: Body<Wish>,
) -> Answer {
    let hint = "send JSON: {\"release\": 3, \"reason\": \"why\"}";
    let wish = read(body, hint)?;
    if wish.release.is_none() {
        let words = "`release` is missing";
        return Err(Failure::refused(StatusCode::UNPROCESSABLE_ENTITY, words, hint).into());
    }
    let environment = environment(&path)?;
    let wanted = Redeploy {
        environment: &environment,
        release: wish.release,
        seen: None,
        reason: &wish.reason,
        locks: false,
    };
    let number = redeploy::redeploy(&app, &repo, wanted, &bearer.name).await;
    let number = number.map_err(not_started)?;
    Ok((StatusCode::CREATED, Json(Started { number })))
}

/// Answers `POST …/environments/{environment}/rollback`: back to that release, or to the last
/// verified one before the newest, and no other deploy until it is allowed again.
pub(super) async fn rollback(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    Path(path): Path<EnvironmentPath>,
    body: Body<Wish>,
) -> Answer {
    let wish = read(
        body,
        "send JSON: {\"reason\": \"why\"}, with `release` if you choose one",
    )?;
    let environment = environment(&path)?;
    let wanted = Redeploy {
        environment: &environment,
        release: wish.release,
        seen: None,
        reason: &wish.reason,
        locks: true,
    };
    let number = redeploy::redeploy(&app, &repo, wanted, &bearer.name).await;
    let number = number.map_err(not_started)?;
    Ok((StatusCode::CREATED, Json(Started { number })))
}

/// A lock, or its end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockWish {
    /// Whether deploys shall wait.
    #[serde(default = "yes")]
    locked: bool,
    /// Why, for a lock.
    #[serde(default)]
    reason: String,
}

fn yes() -> bool {
    true
}

/// Answers `POST …/environments/{environment}/lock`.
pub(super) async fn lock(
    State(app): State<App>,
    bearer: Bearer,
    InRepo(repo): InRepo,
    Path(path): Path<EnvironmentPath>,
    body: Body<LockWish>,
) -> Result<StatusCode, ApiError> {
    let hint = "send JSON: {\"reason\": \"why\"} to lock, {\"locked\": false} to open";
    let wish = read(body, hint)?;
    let reason = wish.locked.then_some(wish.reason.as_str());
    let environment = environment(&path)?;
    let done = redeploy::set_lock(&app, &repo, &environment, reason, &bearer.name).await;
    done.map_err(not_started)?;
    Ok(StatusCode::NO_CONTENT)
}
