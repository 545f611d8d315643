//! A deploy job: a release becomes what runs in an environment, and is proven to run there.
//!
//! The steps are render, preflight, apply, rollout, verify. Nothing is written before the cluster
//! has rehearsed the whole release and the server has confirmed the lease. A deploy may be killed
//! at any moment: the next attempt finds its marks on the objects, writes only what is missing,
//! and follows the same generation to its end.
//!
//! A release that has failed is left for the last verified one, which the server names. It
//! deliberately does not retry pods or wait its turn: which deploy may run, the server decides.

mod apply;
mod cluster;
mod follow;
mod manifests;
mod progress;
mod rehearse;
mod rollback;
mod snapshot;
mod stages;
mod steps;
mod verdict;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pipelines::deploy::{DeployProgress, Phase, RollbackState};
use pipelines::job::Outcome;
use pipelines::wire::{AssignedDeploy, Assignment, Report};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use crate::logs::JobLog;
use crate::report::{Finish, Reporter, Stale};
use follow::{End, Followed, Rollout};
pub use rehearse::{rehearse, why_unreachable};
use rollback::Failure;
use steps::{Step, Steps};
use verdict::{Rules, Taker};

/// The output that names the release.
pub const OUTPUT_RELEASE: &str = "release";

/// The output that names the release that was returned to, if one was and has been verified.
pub const OUTPUT_ROLLED_BACK: &str = "rolled_back_to";

/// Between two pictures on their way to the server.
const PICTURE_EVERY: Duration = Duration::from_millis(500);

/// A deploy to carry out.
pub struct DeployJob<'a> {
    /// The job.
    pub assignment: &'a Assignment,
    /// What it deploys.
    pub deploy: &'a AssignedDeploy,
    /// The repository at the run's commit, unless the release has been rendered before.
    pub checkout: Option<&'a Path>,
    /// Where reports go.
    pub reporter: &'a Reporter,
    /// Where sentences go.
    pub log: &'a JobLog,
    /// Ends the job, not the rollout in the cluster.
    pub stop: CancellationToken,
    /// The credentials, unless `KUBECONFIG` or the pod's service account has them.
    pub kubeconfig: Option<&'a Path>,
}

/// An end before the rollout's.
struct Early {
    outcome: Outcome,
    reason: String,
    /// How many objects have been written before.
    written: usize,
}

impl From<Stale> for Early {
    fn from(stale: Stale) -> Self {
        Self {
            outcome: Outcome::Cancelled,
            reason: stale.to_string(),
            written: 0,
        }
    }
}

fn early(outcome: Outcome, reason: impl Into<String>) -> Early {
    Early {
        outcome,
        reason: reason.into(),
        written: 0,
    }
}

/// Carries a deploy out, to a verified end.
pub async fn run(job: DeployJob<'_>) -> Finish {
    let (pictures, seen) = channel(progress::sentence(
        Phase::Preparing,
        format!("Preparing {}", what(&job)),
    ));
    let mut steps = Steps::new(job.reporter, job.log);
    let end = tokio::select! {
        end = work(&job, &mut steps, &pictures) => end,
        stale = show(job.reporter, seen) => Err(Early::from(stale)),
    };
    let (early, last) = match end {
        Ok((early, last)) => (early, Some(last)),
        Err(early) => (early, None),
    };
    steps.note(&early.reason).await;
    steps.end(early.outcome);
    let mut last = last.unwrap_or_else(|| pictures.borrow().clone());
    last.phase = Phase::Done;
    last.deadline = None;
    last.verdict.clone_from(&early.reason);
    let rollback = last.rollback.as_ref();
    let rollback = rollback.filter(|back| back.state == RollbackState::Verified);
    let returned = rollback.map(|back| (OUTPUT_ROLLED_BACK.to_owned(), back.release.to_string()));
    // A refused picture changes nothing: the end that follows it is refused as well.
    let _ = job.reporter.send(Report::Deploy(Box::new(last))).await;
    let mut finish = Finish::ended(early.outcome, early.reason);
    let release = job.deploy.release.to_string();
    finish.outputs = BTreeMap::from([(OUTPUT_RELEASE.to_owned(), release)]);
    finish.outputs.extend(returned);
    finish
}

/// `4f2a91c to staging`.
fn what(job: &DeployJob<'_>) -> String {
    let commit = job.assignment.run.commit.short();
    format!("{commit} to {}", job.deploy.work.environment)
}

/// Sends pictures as they come, but not too many; ends only when nobody wants them.
async fn show(reporter: &Reporter, mut seen: Receiver<DeployProgress>) -> Stale {
    loop {
        let picture = seen.borrow_and_update().clone();
        if let Err(stale) = reporter.send(Report::Deploy(Box::new(picture))).await {
            return stale;
        }
        tokio::time::sleep(PICTURE_EVERY).await;
        if seen.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn work(
    job: &DeployJob<'_>,
    steps: &mut Steps<'_>,
    pictures: &Sender<DeployProgress>,
) -> Result<(Early, DeployProgress), Early> {
    steps.begin(Step::Render).await;
    if let Some(reason) = stages::not_carried_out(&job.deploy.work) {
        return Err(early(Outcome::Failed, reason));
    }
    let bundle = stages::render(job, steps).await?;
    steps.begin(Step::Preflight).await;
    let cluster = stages::connect(job, steps).await?;
    let marks = apply::annotations(job.assignment, job.deploy);
    let patience = stages::Patience::Little;
    let prepared = stages::preflight(job, &cluster, (&bundle, &marks), steps, patience).await?;
    if let Some(cause) = prepared.left {
        let text =
            "an earlier attempt has found that the release fails, and has begun to roll back";
        steps.note(text).await;
        let failure = Failure::unseen(cause);
        return Ok(rollback::roll_back(job, &cluster, failure, steps, pictures).await);
    }
    steps.begin(Step::Apply).await;
    let text = format!("Applying {}", what(job));
    pictures.send_replace(progress::sentence(Phase::Applying, text));
    let targets = match stages::write(job, &prepared, steps).await {
        Err(end) if end.outcome == Outcome::Failed && end.written > 0 => {
            let failure = Failure::unseen(end.reason);
            return Ok(rollback::roll_back(job, &cluster, failure, steps, pictures).await);
        }
        targets => targets?,
    };
    steps.begin(Step::Rollout).await;
    if targets.is_empty() {
        // Configuration alone: what was written is in effect, and there is no pod to follow.
        let reason = format!("{}: applied, and there is no workload to follow", what(job));
        return Ok((
            early(Outcome::Passed, &reason),
            progress::sentence(Phase::Done, &reason),
        ));
    }
    let what = what(job);
    let rollout = Rollout {
        cluster: &cluster,
        namespace: job.deploy.work.namespace.as_str(),
        targets: &targets,
        rules: rules(job.deploy),
        what: &what,
        stop: &job.stop,
        pictures,
        back: None,
    };
    let Followed { end, last, serving } = follow::follow(&rollout, steps).await;
    let End::Failed(cause, lines) = end else {
        return Ok((conclude(job, end, &last, &serving), last));
    };
    if !lines.is_empty() {
        steps.note("the last lines of the container:").await;
    }
    for line in lines {
        steps.note(&format!("  {line}")).await;
    }
    let failure = Failure {
        cause,
        last,
        serving,
    };
    Ok(rollback::roll_back(job, &cluster, failure, steps, pictures).await)
}

fn rules(deploy: &AssignedDeploy) -> Rules {
    let verify = &deploy.work.verify;
    Rules {
        bake: Duration::from_secs(verify.bake_seconds.into()),
        deadline: Duration::from_secs(verify.deadline_seconds.into()),
        deploy: deploy.number.0,
    }
}

/// The end of a rollout, in words.
fn conclude(job: &DeployJob<'_>, end: End, last: &DeployProgress, serving: &str) -> Early {
    let what = what(job);
    let (commit, environment) = (
        job.assignment.run.commit.short(),
        &job.deploy.work.environment,
    );
    match end {
        End::Good => early(
            Outcome::Passed,
            format!(
                "{commit} runs in {environment}: {} ready, and none restarted",
                progress::ready(last)
            ),
        ),
        // What follows a failure, `rollback.rs` tells.
        End::Failed(cause, _) => early(Outcome::Failed, format!("{cause}; {serving}")),
        End::TakenOver(Taker::Deploy(newer)) => early(
            Outcome::Superseded,
            format!("deploy #{newer} is newer and has taken over {environment}"),
        ),
        End::TakenOver(Taker::Manager { object, manager }) => early(
            Outcome::Failed,
            format!(
                "{object} was changed by {manager} during the rollout of {what}: it is left as it is; {serving}"
            ),
        ),
        End::Unseen(why) => early(
            Outcome::InfrastructureError,
            format!(
                "{why}. The release is applied, and the cluster goes on rolling it out, unseen"
            ),
        ),
        End::Stopped => early(
            Outcome::Cancelled,
            format!(
                "stopped following {what}: the release is applied, and the cluster goes on rolling it out; {serving}"
            ),
        ),
    }
}

#[cfg(test)]
mod cluster_tests;
