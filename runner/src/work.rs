//! The whole runner: one process, one state folder, one token, some slots.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use pipelines::ids::{Attempt, JobId};
use pipelines::limits::CLAIM_WAIT;
use pipelines::wire::{Assignment, PROTOCOL, Register, Registered, Report};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::client::{CallError, Client, retry};
use crate::config::RunnerConfig;
use crate::desk::Desk;
use crate::engine::{self, Keep};
use crate::execute::{Host, Reach, execute};
use crate::lease::LeaseTiming;

/// How long running work may go on once the runner is asked to end.
const DRAIN_GRACE: Duration = Duration::from_secs(30);
/// How long stopped work may then take to say its last word.
const LAST_WORDS: Duration = Duration::from_secs(45);
/// Between two sweeps for leftovers.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
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

/// Works until `shutdown` is cancelled and the running jobs have ended, or until the server says
/// that this runner is not wanted.
pub async fn run(config: RunnerConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let server = config.server.clone();
    let server = server.context("a runner needs a server")?;
    let folder = config.state_dir.clone();
    let (_lock, instance) = tokio::task::spawn_blocking(move || occupy(&folder)).await??;
    let client = Client::new(&server.url, server.token, instance)?;
    sweep(&config, instance, &|_, _| false).await;
    let Some(registered) = register(&config, &client, &shutdown).await? else {
        return Ok(());
    };
    let live = Live::default();
    give_back(&client, &registered, &live, RESTARTED).await;
    let host = Arc::new(Host {
        timing: LeaseTiming::of(&registered),
        halt: CancellationToken::new(),
        abandon: CancellationToken::new(),
        reach: Reach::WHOLE,
        instance,
        config,
    });
    let drain = tokio::spawn(drain(host.clone(), shutdown.clone()));
    let sweeper = tokio::spawn(sweep_now_and_then(host.clone(), live.clone()));
    let mut slots = JoinSet::new();
    for _ in 0..host.config.slots {
        let (host, client) = (host.clone(), client.clone());
        slots.spawn(slot(host, client, live.clone(), shutdown.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = slots.join_next().await {
        if let Err(error) = ended.context("a slot of the runner panicked").flatten() {
            // One refusal is everybody's: the others stop claiming, too.
            shutdown.cancel();
            result = Err(error);
        }
    }
    drain.abort();
    sweeper.abort();
    give_back_missed(&host.config, &client, &live).await;
    tracing::info!("the runner has ended");
    result
}

/// Takes the state folder for this process alone, and clears what a former one left in it.
fn occupy(folder: &Path) -> anyhow::Result<(File, Ulid)> {
    let shown = folder.display();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the state folder at {shown}"))?;
    let lock = File::create(folder.join("lock"))
        .with_context(|| format!("cannot lock the state folder at {shown}"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "another runner uses the state folder at {shown}: stop it, or give this one its own with --state"
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock the state folder at {shown}"));
        }
    }
    let instance = read_instance(&folder.join("instance"))?;
    // Logs of a former life belong to leases that are given back now.
    match std::fs::remove_dir_all(folder.join("jobs")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {shown}/jobs"))?;
        }
        Ok(()) | Err(_) => {}
    }
    Ok((lock, instance))
}

fn read_instance(file: &Path) -> anyhow::Result<Ulid> {
    let shown = file.display();
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().with_context(|| {
            format!(
                "cannot read this runner's identity at {shown}: remove the file to get a new one"
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let instance = Ulid::generate();
            // Written beside and moved, so that a crash never leaves half an identity.
            let draft = file.with_extension("new");
            std::fs::write(&draft, format!("{instance}\n"))
                .and_then(|()| std::fs::rename(&draft, file))
                .with_context(|| format!("cannot write this runner's identity at {shown}"))?;
            Ok(instance)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read this runner's identity at {shown}"))
        }
    }
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

async fn slot(
    host: Arc<Host>,
    client: Client,
    live: Live,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let wait_seconds = u32::try_from(CLAIM_WAIT.as_secs()).unwrap_or(u32::MAX);
    let mut key = Ulid::generate();
    while !shutdown.is_cancelled() {
        let claimed = tokio::select! {
            claimed = retry(&shutdown, || client.claim(key, wait_seconds)) => claimed,
            () = shutdown.cancelled() => return Ok(()),
        };
        match claimed {
            Ok(Some(assignment)) => {
                key = Ulid::generate();
                work_on(&host, &client, &live, assignment).await;
            }
            Ok(None) => key = Ulid::generate(),
            // Only an end of the runner ends the retries.
            Err(CallError::Unreachable(_)) => return Ok(()),
            Err(error @ CallError::Refused { .. }) => pause(&error, &shutdown).await,
            Err(
                error @ (CallError::Stale(_) | CallError::Unauthorized(_) | CallError::Upgrade(_)),
            ) => return Err(error).context("cannot take more jobs"),
        }
    }
    Ok(())
}

async fn work_on(host: &Arc<Host>, client: &Client, live: &Live, assignment: Assignment) {
    let (job, lease) = (assignment.job, assignment.lease);
    let (run, name) = (assignment.run.number, assignment.name.clone());
    tracing::info!(%run, %job, %name, attempt = %lease.attempt, "job taken");
    lock(live).insert((job, lease.attempt));
    let client = client.job(job, lease);
    let (host_of_job, desk) = (host.clone(), Desk::Server(client.clone()));
    let done = tokio::spawn(async move { execute(&host_of_job, &desk, assignment).await }).await;
    if let Err(error) = done {
        tracing::error!(%job, %error, "the work on a job panicked");
        let report = Report::Lost {
            reason: "the runner failed while this ran: see its log".into(),
        };
        if let Err(error) = retry(&host.halt, || client.report(&report)).await {
            tracing::warn!(%job, %error, "could not give back a job");
        }
    }
    lock(live).remove(&(job, lease.attempt));
}

async fn sweep_now_and_then(host: Arc<Host>, live: Live) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let keep = |job, attempt| lock(&live).contains(&(job, attempt));
        sweep(&host.config, host.instance, &keep).await;
    }
}

async fn sweep(config: &RunnerConfig, instance: Ulid, keep: Keep<'_>) {
    let swept = match engine::connect(config).await {
        Ok(engine) => engine.sweep(instance, keep).await,
        Err(error) => Err(error),
    };
    match swept {
        Ok(0) => {}
        Ok(count) => tracing::info!(
            count,
            "removed leftovers of jobs that are no longer running"
        ),
        Err(error) => tracing::warn!(%error, "could not look for leftovers of former jobs"),
    }
}

/// The set is whole even if a holder panicked: each change is one call.
fn lock(live: &Live) -> std::sync::MutexGuard<'_, HashSet<(JobId, Attempt)>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}
