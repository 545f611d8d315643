//! What a runner says about a job it holds.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use pipelines::ids::JobId;
use pipelines::job::{JobEvent, Lease, Outcome};
use pipelines::limits::{OUTPUT_BYTES_MAX, STEPS_MAX};
use pipelines::timestamp::Timestamp;
use pipelines::wire::{Report, ReportCall};

use super::{Body, Caller, held, lease_of, refusal, taken_away};
use crate::app::App;
use crate::error::{ApiError, Failure};
use crate::live::Topic;
use crate::progress;
use crate::store::attempts::{self, StepKey};
use crate::store::{Tx, deploys, jobs, releases, test_reports};

/// Most outputs of a job.
const OUTPUTS_MAX: usize = 100;

pub(super) async fn receive(
    State(app): State<App>,
    Path(job): Path<JobId>,
    caller: Caller,
    Body(call): Body<ReportCall>,
) -> Result<StatusCode, ApiError> {
    let lease = lease_of(&caller, call.lease);
    match call.report {
        Report::Finished {
            outcome,
            reason,
            exit_code,
            outputs,
        } => {
            let end = checked(outcome, reason, outputs);
            let event = JobEvent::Finish {
                lease,
                outcome: end.outcome,
                exit_code,
                reason: end.reason,
            };
            finish(&app, job, event, &end.outputs).await?;
        }
        Report::Lost { reason } => {
            let event = JobEvent::Lose { lease, reason };
            finish(&app, job, event, &BTreeMap::new()).await?;
        }
        report @ (Report::StepStarted { .. }
        | Report::StepFinished { .. }
        | Report::StepSkipped { .. }
        | Report::Tests(_)
        | Report::Bundle(_)
        | Report::Deploy(_)) => note(&app, (job, lease), report).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn finish(
    app: &App,
    job: JobId,
    event: JobEvent,
    outputs: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    // The lease is not compared here: a repeated result comes when the job is not held any more,
    // and `progress` tells it from a late one.
    let holding = jobs::find_holding(app.store.reader(), job).await?;
    let holding = holding.ok_or_else(taken_away)?;
    let moved = (holding.run, job);
    progress::finish(app, moved, (holding.name, event), outputs)
        .await
        .map_err(refusal)?;
    Ok(())
}

/// Stores what does not move the job.
async fn note(app: &App, (job, lease): (JobId, Lease), report: Report) -> Result<(), ApiError> {
    let mut tx = app.store.begin().await?;
    let holding = held(&mut *tx, job, lease).await?;
    let mut topics = vec![Topic::Job(job), Topic::Run(holding.run)];
    let now = app.clock.now();
    topics.extend(write(&mut tx, (job, lease), report, now).await?);
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "report.stored");
    for topic in topics {
        app.live.publish(topic);
    }
    Ok(())
}

async fn write(
    tx: &mut Tx,
    (job, lease): (JobId, Lease),
    report: Report,
    now: Timestamp,
) -> Result<Option<Topic>, Failure> {
    let key = |position| StepKey {
        job,
        attempt: lease.attempt,
        position,
    };
    match report {
        Report::StepStarted { step, name, at } => {
            check_step(step)?;
            attempts::start_step(tx, key(step), &name, at).await?;
        }
        Report::StepFinished {
            step,
            outcome,
            exit_code,
            at,
        } => {
            check_step(step)?;
            attempts::finish_step(tx, key(step), (outcome, exit_code), at).await?;
        }
        Report::StepSkipped { step, name, reason } => {
            check_step(step)?;
            attempts::skip_step(tx, key(step), (&name, &reason), now).await?;
        }
        Report::Tests(report) => {
            test_reports::replace(tx, (job, lease.attempt), &report).await?;
        }
        Report::Bundle(bundle) => releases::keep_bundle(tx, job, &bundle).await?,
        Report::Deploy(progress) => {
            let deploy = deploys::set_progress(tx, job, &progress).await?;
            return Ok(deploy.map(Topic::Deploy));
        }
        Report::Finished { .. } | Report::Lost { .. } => {
            unreachable!("`receive` has taken these to `finish`")
        }
    }
    Ok(None)
}

fn check_step(step: u32) -> Result<(), Failure> {
    // A runner adds a few steps of its own, such as the checkout, to those of the plan.
    if (step as usize) < STEPS_MAX + 16 {
        return Ok(());
    }
    let error = format!("there is no step {step}");
    let hint = "a job has at most 200 steps";
    Err(Failure::refused(StatusCode::BAD_REQUEST, error, hint))
}

/// The end of a job, within its bounds.
struct End {
    outcome: Outcome,
    reason: Option<String>,
    outputs: BTreeMap<String, String>,
}

/// Outputs beyond their bounds fail the job, so that its author reads of it; refusing the report
/// would leave the job to run out its lease.
fn checked(outcome: Outcome, reason: Option<String>, outputs: BTreeMap<String, String>) -> End {
    let large = |(_, value): &(&String, &String)| value.len() > OUTPUT_BYTES_MAX;
    let problem = if outputs.len() > OUTPUTS_MAX {
        Some(format!(
            "the job has {} outputs; {OUTPUTS_MAX} are allowed",
            outputs.len()
        ))
    } else {
        outputs.iter().find(large).map(|(name, value)| {
            let bytes = value.len();
            format!("output `{name}` has {bytes} bytes; {OUTPUT_BYTES_MAX} are allowed")
        })
    };
    match problem {
        Some(problem) if outcome == Outcome::Passed => End {
            outcome: Outcome::Failed,
            reason: Some(problem),
            outputs: BTreeMap::new(),
        },
        Some(_) | None => End {
            outcome,
            reason,
            outputs,
        },
    }
}
