//! The whole runner: one process, one state folder, one token, some slots.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use pipelines::ids::{Attempt, JobId};
use pipelines::limits::CLAIM_WAIT;
use pipelines::wire::{Assignment, PROTOCOL, Register, Registered, Report};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use ulid::Ulid;

use crate::claims::Claims;
use crate::client::{CallError, Client, retry};
use crate::config::RunnerConfig;
use crate::desk::Desk;
use crate::engine;
use crate::execute::{Host, Reach, execute};
use crate::lease::LeaseTiming;

mod state;
mod sweep;

/// How long running work may go on once the runner is asked to end.
const DRAIN_GRACE: Duration = Duration::from_secs(30);
/// How long stopped work may then take to say its last word.
const LAST_WORDS: Duration = Duration::from_secs(45);
/// Between two tries of what the server refused without saying that it is final.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// How long one attempt to give a job back may take.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a job of a former life is given back.
const RESTARTED: &str = "the runner was restarted while this ran";
/// Why a job is given back that came too late.
const MISSED: &str = "the runner was ending when it was given this job";

/// The jobs at work in this process.
type Live = Arc<Mutex<HashSet<(JobId, Attempt)>>>;

/// How a runner is asked to end. Whichever way, it takes no more jobs from then on.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Cancelled by all of them: no more jobs.
    pub quit: CancellationToken,
    /// Leave at once, and the running work to the next process with this state folder.
    pub hand_over: CancellationToken,
    /// Stop the running work after a grace, and give it back.
    pub stop: CancellationToken,
}

/// Works until `shutdown` is cancelled and the running jobs have ended or were stopped, or until
/// the server says that this runner is not wanted.
pub async fn run(config: RunnerConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let ending = Ending {
        quit: shutdown.clone(),
        stop: shutdown,
        ..Ending::default()
    };
    run_until(config, ending).await
}

/// Works until it is asked to end, in one way or another.
pub async fn run_until(config: RunnerConfig, ending: Ending) -> anyhow::Result<()> {
    let server = config.server.clone();
    let server = server.context("a runner needs a server")?;
    let folder = config.state_dir.clone();
    let (_lock, instance, claims, keys) =
        tokio::task::spawn_blocking(move || state::occupy(&folder)).await??;
    let client = Client::new(&server.url, server.token, instance)?;
    let Some(registered) = register(&config, &client, &ending.quit).await? else {
        return Ok(());
    };
    let live = Live::default();
    let regained = regain(&client, &claims, keys, &ending.quit).await?;
    for (_, assignment) in &regained {
        lock(&live).insert((assignment.job, assignment.lease.attempt));
    }
    give_back(&client, &registered, &live, RESTARTED).await;
    let host = Arc::new(Host {
        timing: LeaseTiming::of(&registered),
        halt: CancellationToken::new(),
        abandon: CancellationToken::new(),
        reach: Reach::WHOLE,
        instance,
        config,
    });
    let _drain = AbortOnDropHandle::new(tokio::spawn(drain(host.clone(), ending.stop.clone())));
    let sweeping = sweep::now_and_then(host.clone(), live.clone());
    let _sweeper = AbortOnDropHandle::new(tokio::spawn(sweeping));
    let crew = Arc::new(Crew {
        host,
        client,
        live,
        claims,
        quit: ending.quit.clone(),
    });
    let working = work_in_slots(&crew, regained);
    let result = tokio::select! {
        result = working => result,
        () = ending.hand_over.cancelled() => {
            let jobs = lock(&crew.live).len();
            tracing::info!(jobs, "the runner has ended; the next one goes on with its jobs");
            return Ok(());
        }
    };
    give_back_missed(&crew.host.config, &crew.client, &crew.live).await;
    tracing::info!("the runner has ended");
    result
}

/// What the slots of a runner share.
struct Crew {
    host: Arc<Host>,
    client: Client,
    live: Live,
    claims: Claims,
    quit: CancellationToken,
}

/// Works until every slot has ended; what a former life left takes the first ones.
async fn work_in_slots(crew: &Arc<Crew>, regained: Vec<Regained>) -> anyhow::Result<()> {
    let wanted = crew.host.config.slots as usize;
    let count = wanted.max(regained.len());
    let mut regained = regained.into_iter();
    let mut slots = JoinSet::new();
    for place in 0..count {
        let (crew, first) = (crew.clone(), regained.next());
        slots.spawn(async move {
            if let Some((key, assignment)) = first {
                work_on(&crew, key, assignment).await;
            }
            match place < wanted {
                true => slot(&crew).await,
                // There are fewer slots than in the former life.
                false => Ok(()),
            }
        });
    }
    let mut result = Ok(());
    while let Some(ended) = slots.join_next().await {
        if let Err(error) = ended.context("a slot of the runner panicked").flatten() {
            // One refusal is everybody's: the others stop claiming, too.
            crew.quit.cancel();
            result = Err(error);
        }
    }
    result
}

/// A job of a former life, and the key of the claim that brought it.
type Regained = (Ulid, Assignment);

/// Repeats the claims of a former life: what this runner still holds comes again.
async fn regain(
    client: &Client,
    claims: &Claims,
    keys: Vec<Ulid>,
    quit: &CancellationToken,
) -> anyhow::Result<Vec<Regained>> {
    let mut regained: Vec<Regained> = Vec::new();
    for key in keys {
        match retry(quit, || client.claim(key, 0)).await {
            Ok(Some(assignment)) => {
                // A key that was not answered before may bring a job that nobody has had yet.
                tracing::trace!(target: "failpoint", "runner.claimed");
                let (job, name) = (assignment.job, &assignment.name);
                tracing::info!(%job, %name, attempt = %assignment.lease.attempt, "job taken up again");
                regained.push((key, assignment));
            }
            Ok(None) => claims.end(key),
            Err(CallError::Unreachable(_)) => return Ok(regained),
            Err(error @ CallError::Refused { .. }) => {
                tracing::warn!(%error, "a job of a former life is not given again");
                claims.end(key);
            }
            Err(
                error @ (CallError::Stale(_) | CallError::Unauthorized(_) | CallError::Upgrade(_)),
            ) => return Err(error).context("cannot take up jobs again"),
        }
    }
    Ok(regained)
}

/// Introduces the runner; waits for a server that is not there yet. Nothing if it should end first.
async fn register(
    config: &RunnerConfig,
    client: &Client,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Registered>> {
    let introduction = introduction(config, client.instance()).await;
    tracing::info!(
        server = client.server(),
        engine = introduction.engine,
        "waiting for the server"
    );
    loop {
        match retry(shutdown, || client.register(&introduction)).await {
            Ok(registered) => {
                let (name, slots) = (&registered.name, config.slots);
                tracing::info!(name, slots, server = client.server(), "registered");
                return Ok(Some(registered));
            }
            Err(CallError::Unreachable(_)) => return Ok(None),
            Err(error @ CallError::Refused { .. }) => pause(&error, shutdown).await,
            Err(
                error @ (CallError::Stale(_) | CallError::Unauthorized(_) | CallError::Upgrade(_)),
            ) => return Err(error).context(format!("cannot work for {}", client.server())),
        }
        if shutdown.is_cancelled() {
            return Ok(None);
        }
    }
}

async fn introduction(config: &RunnerConfig, instance: Ulid) -> Register {
    let engine = match engine::connect(config).await {
        Ok(engine) => engine.describe(),
        Err(error) => error.to_string(),
    };
    Register {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        instance,
        labels: config.labels.clone(),
        environments: config.environments.clone(),
        slots: config.slots,
        engine,
    }
}

async fn pause(error: &CallError, shutdown: &CancellationToken) {
    tracing::error!(%error, "the server does not take the call: trying again");
    tokio::select! {
        () = tokio::time::sleep(REFUSED_PAUSE) => {}
        () = shutdown.cancelled() => {}
    }
}

/// Gives back what the server believes is at work here and is not.
async fn give_back(client: &Client, registered: &Registered, live: &Live, reason: &str) {
    for leased in &registered.jobs {
        if lock(live).contains(&(leased.job, leased.lease.attempt)) {
            continue;
        }
        let job = client.job(leased.job, leased.lease);
        let report = Report::Lost {
            reason: reason.to_owned(),
        };
        let once = tokio::time::timeout(GIVE_BACK_PATIENCE, job.report(&report)).await;
        let given = once.unwrap_or_else(|_| Err(CallError::Unreachable("no answer".into())));
        match given {
            Ok(()) => tracing::info!(job = %leased.job, reason, "gave back a job"),
            // A server that is away finds out by itself when the lease runs out.
            Err(error) => tracing::warn!(job = %leased.job, %error, "could not give back a job"),
        }
    }
}

/// A claim that was answered just as it was dropped leaves a job that nobody works on.
async fn give_back_missed(config: &RunnerConfig, client: &Client, live: &Live) {
    let introduction = introduction(config, client.instance()).await;
    match client.register(&introduction).await {
        Ok(registered) => give_back(client, &registered, live, MISSED).await,
        Err(error) => tracing::debug!(%error, "the server was not asked for missed jobs"),
    }
}

/// After the request to end: a grace for running work, then its stop, then silence.
async fn drain(host: Arc<Host>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    tracing::info!("ending: no more jobs are taken, running ones have {DRAIN_GRACE:?}");
    tokio::time::sleep(DRAIN_GRACE).await;
    host.halt.cancel();
    tokio::time::sleep(LAST_WORDS).await;
    host.abandon.cancel();
}

async fn slot(crew: &Arc<Crew>) -> anyhow::Result<()> {
    let wait_seconds = u32::try_from(CLAIM_WAIT.as_secs()).unwrap_or(u32::MAX);
    while !crew.quit.is_cancelled() {
        let Some(key) = begin_claim(crew).await else {
            continue;
        };
        let claimed = tokio::select! {
            claimed = retry(&crew.quit, || crew.client.claim(key, wait_seconds)) => claimed,
            // Its key stays on disk: the answer may be on its way.
            () = crew.quit.cancelled() => return Ok(()),
        };
        match claimed {
            Ok(Some(assignment)) => {
                tracing::trace!(target: "failpoint", "runner.claimed");
                work_on(crew, key, assignment).await;
            }
            Ok(None) => crew.claims.end(key),
            // Only an end of the runner ends the retries.
            Err(CallError::Unreachable(_)) => return Ok(()),
            Err(error @ CallError::Refused { .. }) => {
                crew.claims.end(key);
                pause(&error, &crew.quit).await;
            }
            Err(
                error @ (CallError::Stale(_) | CallError::Unauthorized(_) | CallError::Upgrade(_)),
            ) => return Err(error).context("cannot take more jobs"),
        }
    }
    Ok(())
}

/// A key that is on disk before it is used. While the disk refuses, no job is taken.
async fn begin_claim(crew: &Crew) -> Option<Ulid> {
    match crew.claims.begin() {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::error!(%error, "cannot write to the state folder: no job is taken");
            tokio::select! {
                () = tokio::time::sleep(REFUSED_PAUSE) => {}
                () = crew.quit.cancelled() => {}
            }
            None
        }
    }
}

async fn work_on(crew: &Arc<Crew>, key: Ulid, assignment: Assignment) {
    let (job, lease) = (assignment.job, assignment.lease);
    let (run, name) = (assignment.run.number, assignment.name.clone());
    tracing::info!(%run, %job, %name, attempt = %lease.attempt, "job taken");
    lock(&crew.live).insert((job, lease.attempt));
    let client = crew.client.job(job, lease);
    let (host, desk) = (crew.host.clone(), Desk::Server(client.clone()));
    // A runner that hands over drops this, and with it the work.
    let done = tokio::spawn(async move { execute(&host, &desk, assignment).await });
    if let Err(error) = AbortOnDropHandle::new(done).await {
        tracing::error!(%job, %error, "the work on a job panicked");
        let report = Report::Lost {
            reason: "the runner failed while this ran: see its log".into(),
        };
        if let Err(error) = retry(&crew.host.halt, || client.report(&report)).await {
            tracing::warn!(%job, %error, "could not give back a job");
        }
    }
    crew.claims.end(key);
    lock(&crew.live).remove(&(job, lease.attempt));
}

/// The set is whole even if a holder panicked: each change is one call.
fn lock(live: &Live) -> std::sync::MutexGuard<'_, HashSet<(JobId, Attempt)>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}
