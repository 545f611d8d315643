//! What runners call. `pipelines::wire` describes each call.
//!
//! Who calls, the token says and nothing else; for which job, the lease, which is compared with the
//! present one in the same transaction as the write. So a runner that has been given up changes
//! nothing, however late it wakes.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use pipelines::ids::{JobId, RunnerId};
use pipelines::job::Lease;
use pipelines::limits::{CLAIM_WAIT, LOG_CHUNK_BYTES_MAX, REPORT_BYTES_MAX};
use pipelines::wire::{
    Checkout, Claim, Heartbeat, HeartbeatReply, LeaseProof, LeasedJob, PROTOCOL, Register,
    Registered,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use ulid::Ulid;

use super::finish::Gone;
use super::session::bearer_text;
use crate::app::App;
use crate::dispatch::{self, ClaimError};
use crate::error::{ApiError, Failure};
use crate::leases::Arrival;
use crate::live::Topic;
use crate::progress::ApplyError;
use crate::store::jobs::{self, Holding};
use crate::store::{repos, runners};
use crate::token::{Kind, Presented};

mod artifacts;
mod caches;
mod log;
mod report;
mod secrets;
mod upload;

pub(crate) use upload::unavailable;

#[cfg(test)]
mod tests;

/// A chunk is cut at the end of a record, so it may be a little larger than a chunk should be.
const LOG_BODY_BYTES_MAX: usize = LOG_CHUNK_BYTES_MAX + 128 * 1024;

/// The routes of the wire.
pub(crate) fn routes() -> Router<App> {
    let log = post(log::append).layer(DefaultBodyLimit::max(LOG_BODY_BYTES_MAX));
    let report = post(report::receive).layer(DefaultBodyLimit::max(REPORT_BYTES_MAX));
    Router::new()
        .route("/runner/v1/register", post(register))
        .route("/runner/v1/claim", post(claim))
        .route("/runner/v1/jobs/{job}/heartbeat", post(heartbeat))
        .route("/runner/v1/jobs/{job}/log", log)
        .route("/runner/v1/jobs/{job}/report", report)
        .route("/runner/v1/jobs/{job}/checkout", post(checkout))
        .route("/runner/v1/jobs/{job}/secrets", post(secrets::give))
        .route("/runner/v1/jobs/{job}/cache/find", post(caches::find))
        .route("/runner/v1/jobs/{job}/cache/{cache}", get(caches::fetch))
        .route("/runner/v1/jobs/{job}/cache", post(caches::keep))
        .route("/runner/v1/jobs/{job}/artifact", post(artifacts::keep))
}

/// The runner whose token came with the call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: RunnerId,
    pub(crate) name: String,
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let presented = bearer_text(&parts.headers)
            .and_then(|text| Presented::parse(Kind::Runner, text))
            .ok_or_else(unknown_token)?;
        let found = runners::find_by_token(app.store.reader(), &presented.id).await?;
        let found = found.filter(|runner| presented.matches(&runner.token_hash));
        let found = found.ok_or_else(unknown_token)?;
        Ok(Self {
            id: RunnerId(found.id),
            name: found.name,
        })
    }
}

fn unknown_token() -> Failure {
    Failure::refused(
        StatusCode::UNAUTHORIZED,
        "this runner token is not known here, or has been revoked",
        "make one with `seaworthy admin runner add NAME` and start the runner with it",
    )
}

/// A JSON body. Its type is not asked for, and what is wrong with it is told as every error here.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = read(request, app).await?;
        serde_json::from_slice(&bytes).map(Body).map_err(|error| {
            let error = format!("the body is not what this call takes: {error}");
            ApiError(Failure::refused(
                StatusCode::BAD_REQUEST,
                error,
                OTHER_VERSION,
            ))
        })
    }
}

const OTHER_VERSION: &str = "use a runner of the server's version";

async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, app).await.map_err(|error| {
        let hint = "send less at once, and all of it";
        ApiError(Failure::refused(error.status(), error.body_text(), hint))
    })
}

#[derive(Debug, Deserialize)]
struct Version {
    protocol: u32,
}

async fn register(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Json<Registered>, ApiError> {
    let bytes = read(request, &app).await?;
    // Another version may send other fields, so its number is read first and alone.
    let version: Version = serde_json::from_slice(&bytes).map_err(|error| {
        let error = format!("the body is not what this call takes: {error}");
        Failure::refused(StatusCode::BAD_REQUEST, error, OTHER_VERSION)
    })?;
    if version.protocol != PROTOCOL {
        let (error, hint) = other_protocol(version.protocol);
        return Err(Failure::refused(StatusCode::UPGRADE_REQUIRED, error, hint).into());
    }
    let register: Register = serde_json::from_slice(&bytes).map_err(|error| {
        let error = format!("the body is not what this call takes: {error}");
        Failure::refused(StatusCode::BAD_REQUEST, error, OTHER_VERSION)
    })?;
    hear(&app, &caller, register.instance).await?;
    let mut tx = app.store.begin().await?;
    runners::introduce(&mut tx, caller.id, &register, app.clock.now()).await?;
    tx.commit().await?;
    app.live.publish(Topic::Runners);
    // What a job waits for may have come with this runner.
    app.live.publish(Topic::Queue);
    let running = jobs::running(app.store.reader(), Some(caller.id)).await?;
    let leased = running.iter().map(|leased| LeasedJob {
        job: leased.job,
        lease: LeaseProof {
            attempt: leased.lease.attempt,
            fence: leased.lease.fence,
        },
    });
    Ok(Json(Registered {
        runner: caller.id,
        name: caller.name,
        lease_ms: app.config.lease_ms,
        heartbeat_ms: app.config.heartbeat_ms,
        jobs: leased.collect(),
    }))
}

fn other_protocol(theirs: u32) -> (String, &'static str) {
    let error =
        format!("the runner speaks version {theirs} of the protocol, this server {PROTOCOL}");
    let hint = if theirs < PROTOCOL {
        "upgrade the runner; what it is running goes on meanwhile"
    } else {
        "upgrade the server, or use a runner of the server's version"
    };
    (error, hint)
}

/// Notes that this process of the runner lives; refuses a second one.
async fn hear(app: &App, caller: &Caller, instance: Ulid) -> Result<(), ApiError> {
    let heard = app.leases.hear(caller.id, instance, app.clock.monotonic());
    let arrival = heard.map_err(|_other| {
        Failure::refused(
            StatusCode::CONFLICT,
            format!("another process is working as runner {}", caller.name),
            "stop it, or give this one a token of its own: `seaworthy admin runner add NAME`",
        )
    })?;
    match arrival {
        Arrival::Known => {}
        Arrival::New | Arrival::Due => {
            // It is alive, whether or not that can be noted now: a full disk costs no lease.
            if let Err(error) = note_seen(app, caller).await {
                tracing::warn!(runner = caller.name, %error, "cannot note that a runner is here");
            }
        }
    }
    if arrival == Arrival::New {
        app.live.publish(Topic::Runners);
    }
    Ok(())
}

async fn note_seen(app: &App, caller: &Caller) -> sqlx::Result<()> {
    let mut tx = app.store.begin().await?;
    runners::note_seen(&mut tx, caller.id, app.clock.now()).await?;
    tx.commit().await
}

async fn claim(
    State(app): State<App>,
    caller: Caller,
    Gone(gone): Gone,
    Body(claim): Body<Claim>,
) -> Result<Response, ApiError> {
    hear(&app, &caller, claim.instance).await?;
    if app.draining.is_cancelled() {
        return Err(draining().into());
    }
    match dispatch::claim(&app, caller.id, &claim, &gone).await {
        Ok(Some(assignment)) => Ok(Json(assignment).into_response()),
        Ok(None) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(ClaimError::Revoked) => Err(unknown_token().into()),
        Err(ClaimError::Sqlite(error)) => Err(error.into()),
        Err(ClaimError::Apply(error)) => Err(refusal(error).into()),
        Err(ClaimError::Log(error)) => Err(log::disk(&error).into()),
    }
}

fn draining() -> Failure {
    Failure::refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server is stopping and hands out no more jobs",
        "ask again in a moment; running jobs go on",
    )
}

/// What the caller is told when a run could not be moved.
pub(super) fn refusal(error: ApplyError) -> Failure {
    match error {
        ApplyError::Refused(_) => taken_away(),
        ApplyError::NoRun(_) => Failure::not_found("there is no such job"),
        ApplyError::Sqlite(error) => error.into(),
    }
}

fn taken_away() -> Failure {
    Failure::refused(
        StatusCode::CONFLICT,
        "the lease for this job has been taken away",
        "stop working on it; its log and results are not taken any more",
    )
}

/// The lease as this caller claims to hold it. It cannot name another runner's.
pub(super) fn lease_of(caller: &Caller, proof: LeaseProof) -> Lease {
    Lease {
        runner: caller.id,
        attempt: proof.attempt,
        fence: proof.fence,
    }
}

/// The job, if it is held under exactly this lease. A job of somebody else and one that does not
/// exist are told alike.
pub(super) async fn held<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    job: JobId,
    lease: Lease,
) -> Result<Holding, Failure> {
    let holding = jobs::find_holding(executor, job).await?;
    let holding = holding.filter(|holding| holding.lease == Some(lease));
    holding.ok_or_else(taken_away)
}

async fn heartbeat(
    State(app): State<App>,
    Path(job): Path<JobId>,
    caller: Caller,
    Body(beat): Body<Heartbeat>,
) -> Result<Json<HeartbeatReply>, ApiError> {
    let lease = lease_of(&caller, beat.lease);
    let wait = Duration::from_secs(u64::from(beat.wait_seconds));
    let deadline = Instant::now() + wait.min(CLAIM_WAIT).min(app.leases.wait_max());
    hear(&app, &caller, beat.instance).await?;
    let mut changes = app.live.subscribe();
    let mut holding = held(app.store.reader(), job, lease).await?;
    app.leases.renew(job, lease.fence, app.clock.monotonic());
    while holding.stop.is_none() && !app.draining.is_cancelled() {
        let change = timeout_at(deadline, job_changed(&mut changes, job));
        tokio::select! {
            changed = change => if changed.is_err() { break },
            () = app.draining.cancelled() => break,
        }
        // The lease held when the call came. If it has ended meanwhile, most likely by the runner's
        // own result, there is nothing to say; the next beat is told if there is.
        match held(app.store.reader(), job, lease).await {
            Ok(still) => holding = still,
            Err(_) => return Ok(Json(HeartbeatReply { stop: None })),
        }
    }
    Ok(Json(HeartbeatReply { stop: holding.stop }))
}

/// Returns when the job may have changed.
async fn job_changed(changes: &mut Receiver<Topic>, job: JobId) {
    loop {
        match changes.recv().await {
            Ok(topic) if topic == Topic::Job(job) => return,
            Ok(_another) => {}
            Err(RecvError::Lagged(_)) => return,
            // The sender lives in the app, so it outlives every call.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn checkout(
    State(app): State<App>,
    Path(job): Path<JobId>,
    caller: Caller,
    Body(proof): Body<LeaseProof>,
) -> Result<Json<Checkout>, ApiError> {
    let holding = held(app.store.reader(), job, lease_of(&caller, proof)).await?;
    let Some(github) = &app.github else {
        return Err(Failure::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "this server is not connected to GitHub",
            "set SEAWORTHY_GITHUB_APP_ID and its private key, as docs/configuration.md says",
        )
        .into());
    };
    let repo = repos::find(app.store.reader(), holding.repo).await?;
    let repo = repo.ok_or_else(|| Failure::not_found("this repository is not known any more"))?;
    github.checkout(&repo).await.map(Json).map_err(|error| {
        tracing::warn!(job = job.0, %error, "a checkout cannot be allowed");
        let hint = "try again in a moment; look at what the GitHub App may read";
        ApiError(Failure::refused(
            StatusCode::BAD_GATEWAY,
            error.to_string(),
            hint,
        ))
    })
}
