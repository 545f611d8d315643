//! What must be written because one job moved.

use pipelines::ids::RunId;
use pipelines::job::{Job, JobEvent, Lease, Outcome, State, Status};
use pipelines::plan::JobKind;
use pipelines::run::RunEvent;
use pipelines::timestamp::Timestamp;

use crate::live::Topic;
use crate::store::attempts::{self, Ended};
use crate::store::jobs::{self, StoredJob};
use crate::store::{self, Tx, deploys};

/// Writes a job's new state and what follows from it, and says what to publish.
pub(super) async fn write(
    tx: &mut Tx,
    (run, now): (RunId, Timestamp),
    (before, after): (&StoredJob, &Job),
    event: &RunEvent,
) -> sqlx::Result<Vec<Topic>> {
    let (id, state) = (before.id, after.status.state());
    let mut topics = vec![Topic::Job(id)];
    jobs::update(tx, id, after, now).await?;
    let ended = ended_lease(&before.job.status, &after.status);
    if let Some(lease) = ended {
        let ended = Ended {
            state: attempt_state(state, event),
            reason: after.reason.as_deref(),
            at: now,
        };
        attempts::finish(tx, id, lease.attempt, ended).await?;
        attempts::finish_steps(tx, id, lease.attempt, ended).await?;
    }
    let held = |status: &Status| matches!(status, Status::Running { .. });
    if held(&before.job.status) != held(&after.status) {
        topics.push(Topic::Runners);
    }
    // A deploy that has ended leaves its environment to the next one in the queue.
    if state == State::Queued || (ended.is_some() && after.kind == JobKind::Deploy) {
        topics.push(Topic::Queue);
    }
    if after.kind == JobKind::Deploy {
        topics.extend(write_deploy(tx, before, after, now).await?);
    }
    let detail = serde_json::json!({
        "job": after.name, "state": state, "attempt": after.attempt, "reason": after.reason,
    });
    let line = store::progress::Event {
        job: Some(id),
        kind: "job.state",
        detail: &detail.to_string(),
    };
    store::progress::append(tx, run, now, line).await?;
    Ok(topics)
}

async fn write_deploy(
    tx: &mut Tx,
    before: &StoredJob,
    after: &Job,
    now: Timestamp,
) -> sqlx::Result<Vec<Topic>> {
    let ended = Ended {
        state: after.status.state(),
        reason: after.reason.as_deref(),
        at: now,
    };
    // A deploy that never began has no row, and none is made for its end.
    let Some(deploy) = deploys::step(tx, before.id, ended).await? else {
        return Ok(Vec::new());
    };
    if ended.state == State::Passed {
        deploys::set_live(tx, deploy).await?;
    }
    Ok(vec![Topic::Deploy(deploy), Topic::Environments])
}

/// The lease that ended with this move.
fn ended_lease(before: &Status, after: &Status) -> Option<Lease> {
    match (before, after) {
        (Status::Running { .. }, Status::Running { .. }) => None,
        (
            Status::Running { lease, .. },
            Status::Waiting | Status::Queued | Status::Finished { .. },
        ) => Some(*lease),
        (Status::Waiting | Status::Queued | Status::Finished { .. }, _) => None,
    }
}

/// How an attempt ended, whose job is now in this state. One that gets another attempt has ended as
/// its runner said; one whose runner was lost has ended by a failure of ours.
fn attempt_state(job: State, event: &RunEvent) -> State {
    match job {
        State::Waiting | State::Queued | State::Running => match event {
            RunEvent::Job(_, JobEvent::Finish { outcome, .. }) => match outcome {
                Outcome::Failed => State::Failed,
                Outcome::TimedOut => State::TimedOut,
                Outcome::Passed
                | Outcome::Cancelled
                | Outcome::Skipped
                | Outcome::InfrastructureError
                | Outcome::Superseded => State::InfrastructureError,
            },
            RunEvent::Job(..)
            | RunEvent::Begin
            | RunEvent::Stop { .. }
            | RunEvent::Supersede { .. } => State::InfrastructureError,
        },
        State::Passed
        | State::Failed
        | State::Cancelled
        | State::Skipped
        | State::TimedOut
        | State::InfrastructureError
        | State::Superseded => job,
    }
}
