//! The server's end of the wire, as state: it hands out jobs, stores logs and reports, and can be
//! told to stop a job, to take a lease away, or to be away, at the moment a log has some line.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::post;
use pipelines::event::EventKind;
use pipelines::ids::{Attempt, Fence, JobId, RunNumber, RunnerId};
use pipelines::job::Outcome;
use pipelines::names::CommitSha;
use pipelines::wire::{
    AssignedWork, Assignment, Checkout, Claim, Heartbeat, HeartbeatReply, LeaseProof, LeasedJob,
    LogAck, Register, Registered, Report, ReportCall, RunFacts, Secrets, SecretsCall, WireError,
};
use tokio::sync::watch;
use ulid::Ulid;
use url::Url;

use super::PATIENCE;
pub(super) mod kept;

/// A job of run 12 of acme/shop.
pub(super) fn assignment(job: i64, commit: CommitSha, work: AssignedWork) -> Assignment {
    Assignment {
        job: JobId(job),
        lease: LeaseProof {
            attempt: Attempt(1),
            fence: Fence(job + 100),
        },
        name: "test".parse().unwrap(),
        run: RunFacts {
            repository: "acme/shop".parse().unwrap(),
            number: RunNumber(12),
            commit,
            branch: Some("main".parse().unwrap()),
            tag: None,
            pull_request: None,
            event: EventKind::Push,
            author: "eva".into(),
            url: "http://127.0.0.1/run".into(),
        },
        timeout_seconds: 600,
        log_offset: 0,
        is_repeated_if_lost: false,
        work,
    }
}

/// What happens once a job's log has a line.
enum Cue {
    Stop(String),
    TakeLease,
    Away,
}

#[derive(Default)]
struct State {
    token: String,
    queue: VecDeque<Assignment>,
    claims: HashMap<Ulid, Assignment>,
    held: HashMap<JobId, LeaseProof>,
    stops: HashMap<JobId, String>,
    reports: HashMap<JobId, Vec<Report>>,
    logs: HashMap<JobId, Vec<u8>>,
    log_at_end: HashMap<JobId, Vec<u8>>,
    cues: Vec<(JobId, String, Cue)>,
    refused: HashSet<JobId>,
    secrets: Option<Result<Secrets, String>>,
    kept: kept::Kept,
    away: bool,
    asked_while_away: u32,
}

#[derive(Clone)]
struct App {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
    checkout: Checkout,
}

impl App {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until `find` finds something, looking whenever anything changes.
    async fn until<T>(
        &self,
        limit: Duration,
        mut find: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = find(&mut self.state()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(limit, found).await.ok()
    }
}

pub(super) struct StandIn {
    app: App,
    pub(super) url: Url,
}

impl StandIn {
    pub(super) async fn start(checkout: Checkout) -> Self {
        // A second installation is refused, and harmless: another test was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let app = App {
            state: Arc::default(),
            changed: Arc::new(watch::channel(()).0),
            checkout,
        };
        app.state().token = "t0ken".into();
        let guard = axum::middleware::from_fn_with_state(app.clone(), guard);
        let router = Router::new()
            .route("/runner/v1/register", post(register))
            .route("/runner/v1/claim", post(claim))
            .route("/runner/v1/jobs/{job}/heartbeat", post(heartbeat))
            .route("/runner/v1/jobs/{job}/log", post(log))
            .route("/runner/v1/jobs/{job}/report", post(report))
            .route("/runner/v1/jobs/{job}/checkout", post(say_checkout))
            .route("/runner/v1/jobs/{job}/secrets", post(give_secrets))
            .merge(kept::routes())
            .layer(guard)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(app.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            app,
            url: url.parse().unwrap(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.app.state());
        self.app.changed.send_replace(());
    }

    pub(super) fn queue(&self, assignment: Assignment) {
        self.change(|state| state.queue.push_back(assignment));
    }
    /// The server thinks that this job is at work.
    pub(super) fn believe(&self, assignment: &Assignment) {
        let (job, lease) = (assignment.job, assignment.lease);
        self.change(|state| {
            state.held.insert(job, lease);
        });
    }
    pub(super) fn expect_token(&self, token: &str) {
        self.change(|state| state.token = token.into());
    }
    /// What jobs are answered when they ask for secrets: these, or that they may not have them.
    pub(super) fn give_secrets(&self, answer: Result<Secrets, String>) {
        self.change(|state| state.secrets = Some(answer));
    }
    fn cue(&self, job: i64, line: &str, cue: Cue) {
        self.change(|state| state.cues.push((JobId(job), line.into(), cue)));
    }
    pub(super) fn stop_when_log_has(&self, job: i64, line: &str, reason: &str) {
        self.cue(job, line, Cue::Stop(reason.into()));
    }
    pub(super) fn take_lease_when_log_has(&self, job: i64, line: &str) {
        self.cue(job, line, Cue::TakeLease);
    }
    pub(super) fn away_when_log_has(&self, job: i64, line: &str) {
        self.cue(job, line, Cue::Away);
    }
    pub(super) fn back(&self) {
        self.change(|state| state.away = false);
    }

    pub(super) async fn finished(&self, job: i64) -> (Outcome, Option<String>) {
        let found = self.app.until(PATIENCE, |state| {
            let reports = state.reports.get(&JobId(job))?;
            reports.iter().find_map(|report| match report {
                Report::Finished {
                    outcome, reason, ..
                } => Some((*outcome, reason.clone())),
                _ => None,
            })
        });
        found
            .await
            .unwrap_or_else(|| panic!("job {job} did not end: {:?}", super::texts(&self.log(job))))
    }
    pub(super) async fn refused(&self, job: i64) {
        let found = self.app.until(PATIENCE, |state| {
            state.refused.contains(&JobId(job)).then_some(())
        });
        found.await.unwrap();
    }
    pub(super) async fn log_has(&self, job: i64, line: &str) {
        let found = self.app.until(PATIENCE, |state| {
            let log = state.logs.get(&JobId(job))?;
            super::texts(log)
                .iter()
                .any(|text| text == line)
                .then_some(())
        });
        found.await.unwrap();
    }
    pub(super) async fn asked_while_away(&self, count: u32) {
        let found = self.app.until(PATIENCE, |state| {
            (state.asked_while_away >= count).then_some(())
        });
        found.await.unwrap();
    }
    pub(super) fn reports(&self, job: i64) -> Vec<Report> {
        let state = self.app.state();
        state.reports.get(&JobId(job)).cloned().unwrap_or_default()
    }
    fn log(&self, job: i64) -> Vec<u8> {
        let state = self.app.state();
        state.logs.get(&JobId(job)).cloned().unwrap_or_default()
    }
    /// The log as it was when the end of the job was reported.
    pub(super) fn log_at_end(&self, job: i64) -> Vec<u8> {
        let state = self.app.state();
        let log = state.log_at_end.get(&JobId(job));
        log.cloned().unwrap_or_default()
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    let body = WireError {
        error: error.into(),
        hint: None,
    };
    (status, Json(body)).into_response()
}

fn stale() -> Response {
    refuse(StatusCode::CONFLICT, "the lease was taken away")
}

async fn guard(Shared(app): Shared<App>, request: Request, next: Next) -> Response {
    let shown = request.headers().get("authorization").cloned();
    {
        let mut state = app.state();
        if state.away {
            state.asked_while_away += 1;
            drop(state);
            app.changed.send_replace(());
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let expected = format!("Bearer {}", state.token);
        if shown.is_none_or(|shown| shown != expected.as_str()) {
            return refuse(StatusCode::UNAUTHORIZED, "unknown token");
        }
    }
    let response = next.run(request).await;
    app.changed.send_replace(());
    response
}

async fn register(Shared(app): Shared<App>, Json(_register): Json<Register>) -> Json<Registered> {
    let state = app.state();
    let jobs = state.held.iter().map(|(job, lease)| LeasedJob {
        job: *job,
        lease: *lease,
    });
    Json(Registered {
        runner: RunnerId(1),
        name: "one".into(),
        lease_ms: 300,
        heartbeat_ms: 100,
        jobs: jobs.collect(),
    })
}

async fn claim(Shared(app): Shared<App>, Json(claim): Json<Claim>) -> Response {
    let limit = Duration::from_secs(claim.wait_seconds.into());
    let given = app.until(limit, |state| {
        if let Some(again) = state.claims.get(&claim.key) {
            return Some(again.clone());
        }
        let assignment = state.queue.pop_front()?;
        state.held.insert(assignment.job, assignment.lease);
        state.claims.insert(claim.key, assignment.clone());
        Some(assignment)
    });
    match given.await {
        Some(assignment) => Json(assignment).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn heartbeat(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Json(beat): Json<Heartbeat>,
) -> Response {
    let mut state = app.state();
    if state.held.get(&job) != Some(&beat.lease) {
        state.refused.insert(job);
        return stale();
    }
    let stop = state.stops.get(&job).cloned();
    Json(HeartbeatReply { stop }).into_response()
}

async fn log(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Query(query): Query<HashMap<String, i64>>,
    body: Bytes,
) -> Response {
    let mut state = app.state();
    let proof = LeaseProof {
        attempt: Attempt(u32::try_from(query["attempt"]).unwrap()),
        fence: Fence(query["fence"]),
    };
    if state.held.get(&job) != Some(&proof) {
        state.refused.insert(job);
        return stale();
    }
    let stored = state.logs.entry(job).or_default();
    let offset = usize::try_from(query["offset"]).unwrap();
    if offset <= stored.len() {
        let known = (stored.len() - offset).min(body.len());
        stored.extend_from_slice(&body[known..]);
    }
    let ack = LogAck {
        offset: stored.len() as u64,
    };
    let lines = super::texts(stored);
    let (now, later) = std::mem::take(&mut state.cues)
        .into_iter()
        .partition(|(of, line, _)| *of == job && lines.contains(line));
    state.cues = later;
    let now: Vec<(JobId, String, Cue)> = now;
    for (job, _, cue) in now {
        match cue {
            Cue::Stop(reason) => {
                state.stops.insert(job, reason);
            }
            Cue::TakeLease => {
                state.held.remove(&job);
            }
            Cue::Away => state.away = true,
        }
    }
    Json(ack).into_response()
}

async fn report(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Json(call): Json<ReportCall>,
) -> Response {
    let mut state = app.state();
    if state.held.get(&job) != Some(&call.lease) {
        state.refused.insert(job);
        return stale();
    }
    if let Report::Finished { .. } | Report::Lost { .. } = call.report {
        let log = state.logs.get(&job).cloned().unwrap_or_default();
        state.log_at_end.insert(job, log);
        state.held.remove(&job);
    }
    state.reports.entry(job).or_default().push(call.report);
    StatusCode::NO_CONTENT.into_response()
}

async fn say_checkout(Shared(app): Shared<App>) -> Json<Checkout> {
    Json(app.checkout)
}

async fn give_secrets(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Json(call): Json<SecretsCall>,
) -> Response {
    let state = app.state();
    if state.held.get(&job) != Some(&call.lease) {
        return stale();
    }
    match &state.secrets {
        Some(Ok(secrets)) => Json(secrets).into_response(),
        Some(Err(error)) => refuse(StatusCode::FORBIDDEN, error),
        None => refuse(StatusCode::NOT_FOUND, "nobody should have asked"),
    }
}
