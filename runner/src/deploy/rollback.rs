//! The way back: the last verified release of the environment is applied again, whole, and
//! verified by the rules of every rollout, once.
//!
//! A release that is left is remembered by the objects themselves: they carry the deploy's number,
//! the number of the release they were returned to, and why. So whoever takes the deploy over goes
//! on with the way back, and never applies again what has been found bad.

use pipelines::deploy::{Cause, DeployProgress, Phase, Rollback, RollbackState};
use pipelines::job::Outcome;
use pipelines::plan::OnFailure;
use pipelines::wire::Fallback;
use tokio::sync::watch::Sender;

use super::cluster::Cluster;
use super::follow::{self, End, Followed, Rollout};
use super::steps::{Step, Steps};
use super::verdict::Taker;
use super::{DeployJob, Early, apply, early, progress, rules, stages};

/// Most characters of a cause that the objects carry.
const CAUSE_MAX: usize = 1000;

/// A release that was found bad.
pub(super) struct Failure {
    /// Why, in words.
    pub(super) cause: String,
    /// The last picture of it.
    pub(super) last: DeployProgress,
    /// What serves, in words; empty if that is not known.
    pub(super) serving: String,
}

impl Failure {
    /// One that ended before there was anything to look at, or that an earlier attempt found.
    pub(super) fn unseen(cause: String) -> Self {
        Self {
            last: progress::sentence(Phase::Applying, &cause),
            cause,
            serving: String::new(),
        }
    }
}

/// What the pictures of a rollout that leads back say besides.
pub(crate) struct Back {
    rollback: Rollback,
    causes: Vec<Cause>,
}

impl Back {
    /// The picture, as one of the way back.
    pub(crate) fn frame(&self, mut picture: DeployProgress) -> DeployProgress {
        if picture.phase != Phase::Done {
            picture.phase = Phase::RollingBack;
        }
        let own = std::mem::replace(&mut picture.causes, self.causes.clone());
        picture.causes.extend(own);
        picture.rollback = Some(self.rollback.clone());
        picture
    }

    fn ended(&mut self, state: RollbackState, last: DeployProgress) -> DeployProgress {
        self.rollback.state = state;
        self.frame(last)
    }
}

/// Where to return to, or why nowhere.
fn destination<'a>(job: &'a DeployJob<'_>) -> Result<&'a Fallback, String> {
    let environment = &job.deploy.work.environment;
    match (job.deploy.work.on_failure, &job.deploy.fallback) {
        (OnFailure::Hold, _) => Err(format!(
            "Nothing was rolled back: {environment} says `on_failure: hold`"
        )),
        (OnFailure::Rollback, None) => Err(format!(
            "Nothing was rolled back: {environment} has no other verified release"
        )),
        (OnFailure::Rollback, Some(fallback)) => Ok(fallback),
    }
}

/// Returns to the last verified release, if there is one and the environment does not forbid it.
pub(super) async fn roll_back(
    job: &DeployJob<'_>,
    cluster: &Cluster,
    failure: Failure,
    steps: &mut Steps<'_>,
    pictures: &Sender<DeployProgress>,
) -> (Early, DeployProgress) {
    let Failure {
        cause,
        last,
        serving,
    } = failure;
    let fallback = match destination(job) {
        Ok(fallback) => fallback,
        Err(why) if serving.is_empty() => return (failed(format!("{cause}. {why}")), last),
        Err(why) => return (failed(format!("{cause}. {why}; {serving}")), last),
    };
    let mut back = Back {
        rollback: Rollback {
            release: fallback.release,
            commit: fallback.commit.clone(),
            state: RollbackState::Running,
            cause: cause.clone(),
        },
        causes: last.causes.clone(),
    };
    steps.note(&cause).await;
    steps.end(Outcome::Failed);
    steps.begin(Step::RollBack).await;
    let what = what(job, fallback);
    steps.note(&format!("Rolling back: {what}")).await;
    pictures.send_replace(back.frame(DeployProgress {
        phase: Phase::RollingBack,
        verdict: format!("Rolling back: {what}"),
        ..last.clone()
    }));
    match carry_out((job, cluster), fallback, &back, steps, pictures).await {
        Ok(Followed { end, last, serving }) => {
            let (early, state) = conclude((job, fallback), &cause, end, &last, &serving);
            if state == RollbackState::Verified {
                steps.end(Outcome::Passed);
            }
            (early, back.ended(state, last))
        }
        Err(end) => {
            let early = not_carried_out(&cause, fallback, end);
            (early, back.ended(RollbackState::Failed, last))
        }
    }
}

/// `4f2a91c (release #3) to staging`.
fn what(job: &DeployJob<'_>, fallback: &Fallback) -> String {
    format!(
        "{} (release #{}) to {}",
        fallback.commit.short(),
        fallback.release,
        job.deploy.work.environment
    )
}

/// Applies and follows it. The cluster is waited for as long as the job may last: a failed release
/// may be half of what runs now.
async fn carry_out(
    (job, cluster): (&DeployJob<'_>, &Cluster),
    fallback: &Fallback,
    back: &Back,
    steps: &mut Steps<'_>,
    pictures: &Sender<DeployProgress>,
) -> Result<Followed, Early> {
    let cause: String = back.rollback.cause.chars().take(CAUSE_MAX).collect();
    let marks = apply::marks_of_return(job.assignment, job.deploy, fallback, &cause);
    let patience = stages::Patience::UntilStopped;
    let prepared =
        stages::preflight(job, cluster, (&fallback.bundle, &marks), steps, patience).await?;
    let targets = stages::write(job, &prepared, steps).await?;
    let what = what(job, fallback);
    let rollout = Rollout {
        cluster,
        namespace: job.deploy.work.namespace.as_str(),
        targets: &targets,
        rules: rules(job.deploy),
        what: &what,
        stop: &job.stop,
        pictures,
        back: Some(back),
    };
    if targets.is_empty() {
        return Ok(Followed {
            end: End::Good,
            last: progress::sentence(Phase::Done, format!("{what}: applied")),
            serving: String::new(),
        });
    }
    Ok(follow::follow(&rollout, steps).await)
}

fn failed(reason: String) -> Early {
    early(Outcome::Failed, reason)
}

/// The end of a rollback that was followed, in words. The deploy has failed, whatever came after;
/// only a rollback that nobody saw to its end is left to the next attempt.
fn conclude(
    (job, fallback): (&DeployJob<'_>, &Fallback),
    cause: &str,
    end: End,
    last: &DeployProgress,
    serving: &str,
) -> (Early, RollbackState) {
    let environment = &job.deploy.work.environment;
    let (commit, release) = (fallback.commit.short(), fallback.release);
    let mut state = RollbackState::Failed;
    let outcome = match &end {
        // Whoever takes the deploy over goes on with the way back.
        End::Stopped => Outcome::Cancelled,
        End::Unseen(_) => Outcome::InfrastructureError,
        End::Good | End::Failed(..) | End::TakenOver(_) => Outcome::Failed,
    };
    let reason = match end {
        End::Good => {
            state = RollbackState::Verified;
            format!(
                "{cause}. Rolled back: {commit} (release #{release}) runs in {environment} again, {} ready, and none restarted",
                progress::ready(last)
            )
        }
        End::Failed(second, _) => format!(
            "{cause}. The rollback to release #{release} failed as well: {second}; {serving}. Nothing more is tried: see why that release does not run any more, and deploy one that does"
        ),
        End::TakenOver(Taker::Deploy(newer)) => format!(
            "{cause}. During the rollback to release #{release} the newer deploy #{newer} has taken over {environment}"
        ),
        End::TakenOver(Taker::Manager { object, manager }) => format!(
            "{cause}. {object} was changed by {manager} during the rollback to release #{release}: it is left as it is; {serving}"
        ),
        End::Unseen(why) => format!(
            "{cause}. Release #{release} was applied again, but {why}: the cluster goes on with it, unseen"
        ),
        End::Stopped => format!(
            "{cause}. Release #{release} was applied again, and the job was stopped before it was verified: the cluster goes on with it; {serving}"
        ),
    };
    (early(outcome, reason), state)
}

/// The end of one that could not be written, or not all of it.
fn not_carried_out(cause: &str, fallback: &Fallback, end: Early) -> Early {
    let (release, why) = (fallback.release, end.reason);
    match end.outcome {
        Outcome::Superseded => failed(format!("{cause}. It was not rolled back: {why}")),
        // Whoever takes the deploy over goes on with the way back.
        outcome @ (Outcome::Cancelled | Outcome::InfrastructureError) => early(
            outcome,
            format!("{cause}. The rollback to release #{release} did not come to its end: {why}"),
        ),
        _ => failed(format!(
            "{cause}. The rollback to release #{release} failed as well: {why}. Nothing more is tried: mend that, and deploy again"
        )),
    }
}
