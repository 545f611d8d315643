//! The one write path of a run: nothing else changes the state of a run or a job.
//!
//! What happens is decided by `pipelines::run::Run::apply`, which knows no database. Here the run is
//! read, moved, and written back in one transaction with everything that follows from the move: the
//! attempt, the deploy, the environment, the record, and the note for GitHub.

use std::collections::BTreeMap;

use pipelines::ids::{JobId, RunId};
use pipelines::job::{Job, JobEvent, Outcome, Refused, State, Status};
use pipelines::names::JobName;
use pipelines::run::{Run, RunEvent};
use pipelines::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::live::Topic;
use crate::store::jobs::StoredJob;
use crate::store::progress::Head;
use crate::store::{self, Tx, assignments, audit, jobs, outbox};

mod change;

#[cfg(test)]
pub(crate) mod tests;

/// The kind of the record's lines that hold an applied event ([`Recorded`]).
pub(crate) const EVENT: &str = "run.event";

/// Why a run was not moved. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The state machine refuses: a stale lease, or an event that makes no sense now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// The database refused.
    #[error("cannot move the run: {0}")]
    Sqlite(#[from] sqlx::Error),
}

/// What a move did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The run's state now.
    pub(crate) state: State,
    /// Whether anything is different.
    pub(crate) changed: bool,
    /// What to publish once the transaction has committed.
    pub(crate) topics: Vec<Topic>,
}

/// An applied event as the record keeps it. Applied in order to `initial`, these give the stored
/// state of every job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// What happened.
    pub(crate) event: RunEvent,
    /// The run as it was stored, with its beginning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) initial: Option<Run>,
}

/// Begins a stored run inside the transaction that stored it: jobs without needs become ready.
/// Hand the topics to [`tell`] after the commit.
pub(crate) async fn begin(
    tx: &mut Tx,
    now: Timestamp,
    run: RunId,
) -> Result<Vec<Topic>, ApplyError> {
    let moved = apply_in(tx, now, run, RunEvent::Begin).await?;
    Ok(moved.topics)
}

/// Moves a run, durably, and says so to whoever listens.
pub(crate) async fn apply(app: &App, run: RunId, event: RunEvent) -> Result<Moved, ApplyError> {
    let mut tx = app.store.begin().await?;
    let moved = apply_in(&mut tx, app.clock.now(), run, event).await?;
    tx.commit().await?;
    tell(app, &moved.topics);
    Ok(moved)
}

/// Moves a run because a job of it has ended, and keeps what the job made.
pub(crate) async fn finish(
    app: &App,
    (run, job): (RunId, JobId),
    (name, event): (JobName, JobEvent),
    outputs: &BTreeMap<String, String>,
) -> Result<Moved, ApplyError> {
    let passed = match &event {
        JobEvent::Finish { outcome, .. } => *outcome == Outcome::Passed,
        JobEvent::Ready
        | JobEvent::Skip(_)
        | JobEvent::Claim(_)
        | JobEvent::Lose { .. }
        | JobEvent::Stop { .. } => false,
    };
    let mut tx = app.store.begin().await?;
    let moved = apply_in(&mut tx, app.clock.now(), run, RunEvent::Job(name, event)).await?;
    if passed && moved.changed {
        jobs::set_outputs(&mut tx, job, outputs).await?;
    }
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "job.finished");
    tell(app, &moved.topics);
    Ok(moved)
}

/// Ends a run, or one job of it, because `by` wants it. What runs is asked to stop; what does not,
/// has ended when this returns. What has ended stays as it is. The audit log says who it was.
pub(crate) async fn cancel(
    app: &App,
    run: RunId,
    job: Option<JobName>,
    by: &str,
) -> Result<Moved, ApplyError> {
    let (outcome, reason) = (Outcome::Cancelled, format!("cancelled by {by}"));
    let detail = job
        .as_ref()
        .map_or_else(String::new, |job| format!("job {job}"));
    let event = match job {
        Some(name) => RunEvent::Job(name, JobEvent::Stop { outcome, reason }),
        None => RunEvent::Stop { outcome, reason },
    };
    let mut tx = app.store.begin().await?;
    let now = app.clock.now();
    let moved = apply_in(&mut tx, now, run, event).await?;
    if moved.changed
        && let Some(facts) = assignments::find_facts(&mut *tx, run).await?
    {
        let subject = format!("{}#{}", facts.run.repository, facts.run.number);
        let what = (by, "run.cancel", subject.as_str());
        audit::record(&mut tx, now, what, &detail).await?;
    }
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "run.cancelled");
    tell(app, &moved.topics);
    Ok(moved)
}

/// Publishes what changed. Only after the commit: a listener reads the database at once.
pub(crate) fn tell(app: &App, topics: &[Topic]) {
    for topic in topics {
        app.live.publish(*topic);
    }
    if !topics.is_empty() {
        app.wake.outbox.notify_one();
    }
}

/// Moves a run within a transaction. Call [`tell`] with the topics after its commit.
pub(crate) async fn apply_in(
    tx: &mut Tx,
    now: Timestamp,
    run: RunId,
    event: RunEvent,
) -> Result<Moved, ApplyError> {
    let found = store::progress::find_head(tx, run).await?;
    let head = found.ok_or(ApplyError::NoRun(run))?;
    let stored = jobs::of_run(tx, run).await?;
    let nothing = Moved {
        state: head.state,
        changed: false,
        topics: Vec::new(),
    };
    // A run whose file could not be read has no jobs; its state does not follow from any.
    if stored.is_empty() {
        return Ok(nothing);
    }
    let before: Vec<Job> = stored.iter().map(|stored| stored.job.clone()).collect();
    let mut after = Run { jobs: before };
    match after.apply(event.clone()) {
        Ok(_effects) => {}
        // The answer to a report can be lost after the report was applied. Its repeat is told from
        // a late report by the record: the same event under the same lease has happened.
        Err(Refused::StaleLease) if is_repeat(tx, run, &event, &stored).await? => {
            return Ok(nothing);
        }
        Err(refused) => return Err(refused.into()),
    }
    // Effects name what moved in words; comparing finds the same, and forgets nothing.
    let moves: Vec<_> = stored
        .iter()
        .zip(&after.jobs)
        .filter(|(stored, job)| stored.job != **job)
        .collect();
    let state = after.state();
    let is_begin = event == RunEvent::Begin;
    if moves.is_empty() && state == head.state && !is_begin {
        return Ok(nothing);
    }
    record(tx, (run, now), &event, &stored).await?;
    let mut topics = vec![Topic::Run(run), Topic::Repo(head.repo)];
    for &(stored, job) in &moves {
        topics.extend(change::write(tx, (run, now), (stored, job), &event).await?);
    }
    keep_reason(tx, run, &event, &moves).await?;
    if state.is_final() && state != head.state {
        // A run of the same concurrency group may wait for this one's end.
        topics.push(Topic::Queue);
    }
    if state != head.state || is_begin {
        write_state(tx, (run, now), &head, state).await?;
    }
    topics.sort_unstable_by_key(ToString::to_string);
    topics.dedup();
    Ok(Moved {
        state,
        changed: true,
        topics,
    })
}

async fn is_repeat(
    tx: &mut Tx,
    run: RunId,
    event: &RunEvent,
    stored: &[StoredJob],
) -> sqlx::Result<bool> {
    let detail = to_json(&Recorded {
        event: event.clone(),
        initial: None,
    })?;
    let line = store::progress::Event {
        job: subject(event, stored),
        kind: EVENT,
        detail: &detail,
    };
    store::progress::is_recorded(tx, run, line).await
}

async fn record(
    tx: &mut Tx,
    (run, now): (RunId, Timestamp),
    event: &RunEvent,
    stored: &[StoredJob],
) -> sqlx::Result<()> {
    let initial = (*event == RunEvent::Begin).then(|| Run {
        jobs: stored.iter().map(|stored| stored.job.clone()).collect(),
    });
    let detail = to_json(&Recorded {
        event: event.clone(),
        initial,
    })?;
    let line = store::progress::Event {
        job: subject(event, stored),
        kind: EVENT,
        detail: &detail,
    };
    store::progress::append(tx, run, now, line).await
}

async fn write_state(
    tx: &mut Tx,
    (run, now): (RunId, Timestamp),
    head: &Head,
    state: State,
) -> sqlx::Result<()> {
    store::progress::set_state(tx, run, state, now).await?;
    let detail = to_json(&serde_json::json!({ "from": head.state, "state": state }))?;
    let line = store::progress::Event {
        job: None,
        kind: "run.state",
        detail: &detail,
    };
    store::progress::append(tx, run, now, line).await?;
    outbox::enqueue_check(tx, run, now).await
}

/// Keeps the first cause of a bad end. Jobs that were skipped because of it are not causes.
async fn keep_reason(
    tx: &mut Tx,
    run: RunId,
    event: &RunEvent,
    moves: &[(&StoredJob, &Job)],
) -> sqlx::Result<()> {
    let reason = match event {
        RunEvent::Stop { reason, .. } | RunEvent::Supersede { reason } if !moves.is_empty() => {
            Some(reason.clone())
        }
        RunEvent::Begin
        | RunEvent::Job(..)
        | RunEvent::Stop { .. }
        | RunEvent::Supersede { .. } => moves.iter().find_map(|(_, job)| cause(job)),
    };
    match reason {
        Some(reason) => store::progress::set_first_reason(tx, run, &reason).await,
        None => Ok(()),
    }
}

/// What a job's end means for its run, if it is a bad one.
fn cause(job: &Job) -> Option<String> {
    let Status::Finished { outcome } = job.status else {
        return None;
    };
    let words = match outcome {
        Outcome::Passed | Outcome::Skipped => return None,
        Outcome::Failed => "failed",
        Outcome::Cancelled => "was cancelled",
        Outcome::TimedOut => "timed out",
        Outcome::InfrastructureError => "ended with an infrastructure error",
        Outcome::Superseded => "was superseded",
    };
    Some(match &job.reason {
        Some(reason) => format!("`{}` {words}: {reason}", job.name),
        None => format!("`{}` {words}", job.name),
    })
}

/// The job an event is about.
fn subject(event: &RunEvent, stored: &[StoredJob]) -> Option<JobId> {
    match event {
        RunEvent::Job(name, _) => {
            let found = stored.iter().find(|stored| stored.job.name == *name);
            found.map(|stored| stored.id)
        }
        RunEvent::Begin | RunEvent::Stop { .. } | RunEvent::Supersede { .. } => None,
    }
}

fn to_json<T: Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
