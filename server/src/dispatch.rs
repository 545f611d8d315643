//! Gives queued jobs to runners that ask.
//!
//! A claim is answered at most once with each job, and a repeat of an answered claim gets the same
//! answer: the claim's key is stored with the attempt, in the transaction that makes the lease.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use pipelines::ids::{Attempt, JobId, RunId, RunnerId};
use pipelines::job::{JobEvent, Lease, Outcome};
use pipelines::limits::CLAIM_WAIT;
use pipelines::run::RunEvent;
use pipelines::schedule::{RunnerOffer, pick, why_waiting};
use pipelines::timestamp::Timestamp;
use pipelines::wire::{Assignment, Claim};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::live::Topic;
use crate::progress::{self, ApplyError};
use crate::store::queue::{self, Part, Queued};
use crate::store::{Tx, attempts, jobs, runners};

mod assign;
mod late;

#[cfg(test)]
mod tests;

/// How far a claim looks down the queue.
const QUEUE_WINDOW: u32 = 200;

/// Why a claim was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// The runner's token was revoked while it waited.
    #[error("this runner's token has been revoked")]
    Revoked,
    /// The run could not be moved.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The database refused.
    #[error("cannot read the queue: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// The log could not be looked at.
    #[error("cannot look at the log: {0}")]
    Log(#[from] std::io::Error),
}

/// Waits for a job for this runner: at most as long as it wants, not beyond its lease, and no longer
/// than the server means to run. Nothing is taken any more once the caller is `gone`.
pub(crate) async fn claim(
    app: &App,
    runner: RunnerId,
    claim: &Claim,
    gone: &CancellationToken,
) -> Result<Option<Assignment>, ClaimError> {
    let wait = Duration::from_secs(u64::from(claim.wait_seconds));
    let deadline = Instant::now() + wait.min(CLAIM_WAIT).min(app.leases.wait_max());
    let mut changes = app.live.subscribe();
    loop {
        if app.draining.is_cancelled() || gone.is_cancelled() {
            return Ok(None);
        }
        if let Some(mut assignment) = take(app, runner, claim).await? {
            let log = (assignment.job, assignment.lease.attempt);
            assignment.log_offset = app.objects.length(log.0, log.1).await?;
            return Ok(Some(assignment));
        }
        let change = timeout_at(deadline, queue_changed(&mut changes));
        tokio::select! {
            changed = change => if changed.is_err() { return Ok(None) },
            () = app.draining.cancelled() => {}
            () = gone.cancelled() => {}
        }
    }
}

/// Returns when the queue may have changed.
async fn queue_changed(changes: &mut Receiver<Topic>) {
    loop {
        match changes.recv().await {
            Ok(Topic::Queue) | Err(RecvError::Lagged(_)) => return,
            Ok(
                Topic::Run(_)
                | Topic::Repo(_)
                | Topic::Job(_)
                | Topic::Log(_)
                | Topic::Deploy(_)
                | Topic::Environments
                | Topic::Runners,
            ) => {}
            // The sender lives in the app, so it outlives every call.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// A job for this runner, if there is one now.
async fn take(
    app: &App,
    runner: RunnerId,
    claim: &Claim,
) -> Result<Option<Assignment>, ClaimError> {
    // Many claims wake for one job. Only those that see work for themselves queue for the writer.
    if !may_take(app, runner, claim).await? {
        return Ok(None);
    }
    let mut tx = app.store.begin().await?;
    let now = app.clock.now();
    let mut topics = Vec::new();
    let assignment = match repeated(&mut tx, runner, claim).await? {
        Some(Repeated::Held(job, lease)) => assign::build(&mut tx, app, job, lease).await?,
        Some(Repeated::Gone) => None,
        None => take_in((app, &mut tx), (runner, claim), now, &mut topics).await?,
    };
    tx.commit().await?;
    progress::tell(app, &topics);
    if let Some(assignment) = &assignment {
        tracing::trace!(target: "failpoint", "claim.committed");
        let now = app.clock.monotonic();
        app.leases
            .renew(assignment.job, assignment.lease.fence, now);
    }
    Ok(assignment)
}

async fn may_take(app: &App, runner: RunnerId, claim: &Claim) -> Result<bool, ClaimError> {
    let reader = app.store.reader();
    let found = runners::find_offer(reader, runner).await?;
    let offer = found.ok_or(ClaimError::Revoked)?;
    if attempts::find_claimed(reader, claim.key).await?.is_some() {
        return Ok(true);
    }
    let queue = queue::oldest(reader, Part::For(&offer.environments), QUEUE_WINDOW).await?;
    Ok(choose(&queue, &offer).is_some())
}

/// A claim that was answered before.
enum Repeated {
    /// The runner still holds what it was given.
    Held(JobId, Lease),
    /// The lease is gone: there is nothing to give under this key any more.
    Gone,
}

async fn repeated(
    tx: &mut Tx,
    runner: RunnerId,
    claim: &Claim,
) -> Result<Option<Repeated>, ClaimError> {
    let Some((job, lease)) = attempts::find_claimed(&mut **tx, claim.key).await? else {
        return Ok(None);
    };
    let holding = jobs::find_holding(&mut **tx, job).await?;
    let held = holding.is_some_and(|holding| holding.lease == Some(lease));
    Ok(Some(if held && lease.runner == runner {
        Repeated::Held(job, lease)
    } else {
        Repeated::Gone
    }))
}

/// Takes the first job of the queue that can be given to this runner.
async fn take_in(
    (app, tx): (&App, &mut Tx),
    (runner, claim): (RunnerId, &Claim),
    now: Timestamp,
    topics: &mut Vec<Topic>,
) -> Result<Option<Assignment>, ClaimError> {
    let found = runners::find_offer(&mut **tx, runner).await?;
    let offer = found.ok_or(ClaimError::Revoked)?;
    supersede(tx, now, topics).await?;
    // A job that cannot be put together fails here and now, and the next job is tried.
    let mut stuck = HashSet::new();
    for _ in 0..QUEUE_WINDOW {
        let part = Part::For(&offer.environments);
        let mut queue = queue::oldest(&mut **tx, part, QUEUE_WINDOW).await?;
        queue.retain(|queued| !stuck.contains(&queued.run));
        let Some(queued) = choose(&queue, &offer) else {
            return Ok(None);
        };
        let problem = or_unreadable(assign::prepare(tx, queued, now).await, queued)?;
        let lease = Lease {
            runner,
            attempt: Attempt(queued.attempt + 1),
            fence: queue::next_fence(tx).await?,
        };
        let claimed = RunEvent::Job(queued.name.clone(), JobEvent::Claim(lease));
        // The attempt's row comes second: only a claim that the run allows has one.
        let moved = match progress::apply_in(tx, now, queued.run, claimed).await {
            Ok(moved) => moved,
            // Not even its run can be read, so it cannot be failed either. Nothing has been written.
            Err(ApplyError::Sqlite(error)) if is_unreadable(&error) => {
                tracing::error!(run = queued.run.0, %error, "a queued run cannot be read");
                stuck.insert(queued.run);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        attempts::insert(tx, queued.job.id, lease, claim.key, now).await?;
        topics.extend(moved.topics);
        let reason = match problem {
            Some(reason) => reason,
            None => match assign::build(tx, app, queued.job.id, lease).await {
                Ok(assignment) => return Ok(assignment),
                Err(error) => match or_unreadable(Err(error), queued)? {
                    Some(reason) => reason,
                    None => return Ok(None),
                },
            },
        };
        let failed = JobEvent::Finish {
            lease,
            outcome: Outcome::Failed,
            exit_code: None,
            reason: Some(reason),
        };
        let failed = RunEvent::Job(queued.name.clone(), failed);
        let moved = progress::apply_in(tx, now, queued.run, failed).await?;
        topics.extend(moved.topics);
        // The claim is still unanswered, so its key must be free for the job it will get.
        attempts::release_key(tx, queued.job.id, lease.attempt).await?;
    }
    Ok(None)
}

/// Whether a cell of the database does not hold what it should: trying again does not help.
fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound
    )
}

/// What is wrong with a job that cannot be read, in words, so that it alone fails.
fn or_unreadable(
    read: sqlx::Result<Option<String>>,
    queued: &Queued,
) -> sqlx::Result<Option<String>> {
    read.or_else(|error| {
        if !is_unreadable(&error) {
            return Err(error);
        }
        tracing::error!(job = queued.job.id.0, %error, "a queued job cannot be read");
        Ok(Some(
            "its plan cannot be read from the database; the server's log says why".into(),
        ))
    })
}

/// Ends queued deploys that a newer run has overtaken: only the newest of a queue is rolled out.
async fn supersede(tx: &mut Tx, now: Timestamp, topics: &mut Vec<Topic>) -> Result<(), ClaimError> {
    for outdated in queue::outdated(tx, QUEUE_WINDOW).await? {
        let stop = JobEvent::Stop {
            outcome: Outcome::Superseded,
            reason: format!("run #{} deploys to the same environment", outdated.newer),
        };
        let event = RunEvent::Job(outdated.name, stop);
        match progress::apply_in(tx, now, outdated.run, event).await {
            Ok(moved) => topics.extend(moved.topics),
            Err(ApplyError::Sqlite(error)) if is_unreadable(&error) => {
                tracing::error!(run = outdated.run.0, %error, "an outdated run cannot be read");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn choose<'a>(queue: &'a [Queued], offer: &RunnerOffer) -> Option<&'a Queued> {
    let values: Vec<_> = queue.iter().map(|queued| queued.job.clone()).collect();
    let picked = pick(&values, offer)?.id;
    queue.iter().find(|queued| queued.job.id == picked)
}

/// Why queued jobs have not started, in words: those of one run, or the first of the whole queue.
pub(crate) async fn why_queued(
    app: &App,
    run: Option<RunId>,
) -> sqlx::Result<BTreeMap<JobId, String>> {
    let reader = app.store.reader();
    let part = run.map_or(Part::All, Part::Run);
    let queue = queue::oldest(reader, part, QUEUE_WINDOW).await?;
    if queue.is_empty() {
        return Ok(BTreeMap::new());
    }
    let since = connected_since(app);
    let offers = runners::offers(reader, since).await?;
    let words = queue
        .iter()
        .map(|queued| (queued.job.id, why_waiting(&queued.job, &offers)));
    Ok(words.collect())
}

/// Runners that were heard from since this moment count as connected.
pub(crate) fn connected_since(app: &App) -> Timestamp {
    let lease = i64::try_from(app.leases.length().as_millis()).unwrap_or(i64::MAX);
    // A waiting runner is heard again only when its call has ended, so a little patience is added.
    Timestamp(
        app.clock
            .now()
            .0
            .saturating_sub(lease.saturating_add(lease / 4)),
    )
}
