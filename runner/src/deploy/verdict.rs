//! Decides how a rollout goes. Pure: what was seen and the time in, a verdict out.
//!
//! The rules, and why (see `rollouts.md` for the measurements behind them):
//! - Nothing is judged before the controller has observed *our* generation: until then the object
//!   shows the old state, healthy or failed.
//! - Success needs the counts, no old pod, our digests, and then a bake without a restart: a
//!   container that lives for a moment makes a Deployment "available" for that moment.
//! - A failure is named from evidence on pods, long before the Deployment's deadline. Reasons
//!   alternate (`ErrImagePull` ⇄ `ImagePullBackOff`), so what counts is when a cause was *first*
//!   seen and that it still holds, never one sample.
//! - A spec that is not ours any more is not judged at all: somebody else has taken over.

mod evidence;
mod history;
mod problem;
mod pull;
mod words;

use std::time::Duration;

use pipelines::timestamp::Timestamp;

use super::snapshot::{Change, Live, Snapshot, Target, WorkloadView};
pub(crate) use evidence::diagnose;
pub(crate) use history::History;
pub(crate) use problem::Problem;
pub(crate) use words::{Group, group, lead, plural};

/// How long evidence that cannot cure itself must hold: long enough to be seen twice, and for the
/// cluster's own retry of the same second.
pub(crate) const CONFIRM: Duration = Duration::from_secs(2);
/// An image that a registry says it does not have: registries with copies in several places may
/// need a moment after a push.
pub(crate) const PULL_GRACE: Duration = Duration::from_secs(6);
/// A Secret, ConfigMap or volume that is not there: whatever makes it may be a moment late.
pub(crate) const MISSING_GRACE: Duration = Duration::from_secs(10);
/// Pods refused by a quota: an old pod that ends may free the place.
pub(crate) const REFUSED_GRACE: Duration = Duration::from_secs(5);
/// A pod that no node takes, without an autoscaler that says it is adding one.
pub(crate) const UNSCHEDULABLE_GRACE: Duration = Duration::from_secs(30);

/// The controller's own `ProgressDeadlineExceeded` may be left over from the change before ours.
pub(crate) const LATE_GRACE: Duration = Duration::from_secs(5);

/// What a rollout must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Success is watched this long for restarts.
    pub(crate) bake: Duration,
    /// Without progress for this long it has failed.
    pub(crate) deadline: Duration,
    /// The number of this deploy: a greater one on an object means that we are superseded.
    pub(crate) deploy: i64,
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// On its way; what exactly is still missing.
    Progressing {
        /// `1 of 3 ready, 1 cannot pull its image`.
        sentence: String,
    },
    /// The counts are right; watched for restarts.
    Baking {
        /// It counts as good if nothing happens until then.
        until: Timestamp,
    },
    /// Verified.
    Good,
    /// It has failed, and this is the first cause.
    Failed {
        /// A sentence.
        cause: String,
        /// The evidence, where there is some on an object.
        problem: Option<Problem>,
    },
    /// The objects are not ours any more.
    TakenOver {
        /// Who has them.
        by: Taker,
    },
}

/// Who took a workload over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taker {
    /// A newer deploy of ours.
    Deploy(i64),
    /// Somebody else, by field manager.
    Manager {
        /// `Deployment shop`.
        object: String,
        /// `kubectl-edit`.
        manager: String,
    },
}

/// Judges a snapshot. `problems` are its own, by [`diagnose`], and `history` has noted both.
pub(crate) fn judge(
    targets: &[Target],
    snapshot: &Snapshot,
    history: &History,
    rules: Rules,
    now: Timestamp,
) -> Verdict {
    let pairs = || targets.iter().zip(&snapshot.workloads);
    if let Some(by) = pairs().find_map(|(target, view)| taken_over(target, view, rules)) {
        return Verdict::TakenOver { by };
    }
    if let Some(cause) = pairs().find_map(|(target, view)| broken(target, view)) {
        return Verdict::Failed {
            cause,
            problem: None,
        };
    }
    if let Some(problem) = history.lasting(now) {
        return Verdict::Failed {
            cause: words::cause(problem),
            problem: Some(problem.clone()),
        };
    }
    if let Some(failed) = died_in_bake(snapshot, history, rules) {
        return failed;
    }
    let missing = pairs().find_map(|(target, view)| missing(target, view));
    let Some(missing) = missing else {
        return baked(targets, snapshot, history, rules, now);
    };
    if let Some(cause) = late(targets, snapshot, history, rules, now) {
        let problem = history.first();
        return Verdict::Failed {
            cause: match problem {
                Some(problem) => format!("{} ({cause})", words::cause(problem)),
                None => format!("{cause}: {missing}"),
            },
            problem: problem.cloned(),
        };
    }
    Verdict::Progressing { sentence: missing }
}

/// Whether the controller has acted on our generation, so that the counts speak of it.
pub(crate) fn observed(target: &Target, live: &Live) -> bool {
    live.observed >= target.generation && live.observed >= live.generation
}

fn taken_over(target: &Target, view: &WorkloadView, rules: Rules) -> Option<Taker> {
    let live = view.live.as_ref()?;
    if let Some(newer) = live.deploy.filter(|number| *number > rules.deploy) {
        return Some(Taker::Deploy(newer));
    }
    // A snapshot from before our change is not a foreign one.
    if live.generation < target.generation || live.ours {
        return None;
    }
    let manager = live.last_writer.clone();
    Some(Taker::Manager {
        object: title(target),
        manager: manager.unwrap_or_else(|| "somebody".to_owned()),
    })
}

/// States in which waiting is pointless.
fn broken(target: &Target, view: &WorkloadView) -> Option<String> {
    let title = title(target);
    match &view.live {
        None => Some(format!("{title} was deleted while it was rolled out")),
        Some(live) if live.paused => Some(format!(
            "{title} is paused, so its pods are not replaced: resume it \
             (`kubectl rollout resume`), or remove `paused` from the manifest"
        )),
        Some(_) => None,
    }
}

/// What a workload still lacks, in words; none if it has everything.
fn missing(target: &Target, view: &WorkloadView) -> Option<String> {
    let live = view.live.as_ref()?;
    if !observed(target, live) {
        return Some(format!(
            "the cluster has not yet acted on the change of {}",
            title(target)
        ));
    }
    let (wanted, ready) = (live.wanted, view.new_ready());
    let short = live.updated != wanted || live.available < wanted || ready != wanted;
    // The pods are counted as well as the Deployment's own numbers: the two arrive by different
    // watches, and only when both agree is neither of them old.
    if short || super::snapshot::count(view.new_pods()) != wanted {
        return Some(if ready == wanted && live.available < wanted {
            format!("{} of {wanted} available", live.available.min(wanted))
        } else {
            format!("{} of {wanted} ready", ready.min(wanted))
        });
    }
    let old = super::snapshot::count(view.old_pods());
    if old > 0 || live.replicas != live.updated {
        return Some(format!(
            "{wanted} of {wanted} ready, waiting for {} to end",
            plural(old.max(1), "old pod")
        ));
    }
    let unknown = view.new_pods().find(|pod| !runs_ours(target, pod));
    unknown.map(|pod| format!("the image of pod {} is not confirmed yet", pod.name))
}

/// Whether every pinned container of a pod runs the digest that was deployed.
fn runs_ours(target: &Target, pod: &super::snapshot::PodView) -> bool {
    target.digests.iter().all(|(name, digest)| {
        let mut found = pod
            .containers
            .iter()
            .filter(|container| container.name == *name);
        found.all(|container| container.image_id.ends_with(digest.as_str()))
    })
}

/// A container that dies after everything was well is a failure, even if it comes back: nobody
/// knows for how long.
fn died_in_bake(snapshot: &Snapshot, history: &History, rules: Rules) -> Option<Verdict> {
    let good = history.good.as_ref()?;
    let mut pods = snapshot.workloads.iter().flat_map(WorkloadView::new_pods);
    let pod = pods.find(|pod| {
        good.deaths
            .get(&pod.uid)
            .is_some_and(|before| pod.deaths() > *before)
    })?;
    let problem = evidence::last_death(snapshot, pod)?;
    Some(Verdict::Failed {
        cause: words::died_in_bake(&problem, rules.bake),
        problem: Some(problem),
    })
}

/// The counts are right: good once they have been for long enough.
fn baked(
    targets: &[Target],
    snapshot: &Snapshot,
    history: &History,
    rules: Rules,
    now: Timestamp,
) -> Verdict {
    // If nobody has noted it yet, they are right from this very moment.
    let since = history.good.as_ref().map_or(now, |good| good.since);
    let until = since.plus(rules.bake);
    if now >= until || settled(targets, snapshot, rules, now) {
        return Verdict::Good;
    }
    Verdict::Baking { until }
}

/// Nothing was changed and nothing has moved for as long as a bake takes: it has baked already.
fn settled(targets: &[Target], snapshot: &Snapshot, rules: Rules, now: Timestamp) -> bool {
    let unchanged = targets
        .iter()
        .all(|target| target.change == Change::Unchanged);
    let mut pods = snapshot.workloads.iter().flat_map(WorkloadView::new_pods);
    let calm = pods.all(|pod| {
        let age = pod.created_at.map_or(Duration::ZERO, |at| now.since(at));
        pod.deaths() == 0 && age >= rules.bake
    });
    let empty = snapshot
        .workloads
        .iter()
        .all(|view| view.new_pods().next().is_none());
    // Without a pod (`replicas: 0`) there is nothing that could restart.
    (unchanged && calm) || empty
}

fn late(
    targets: &[Target],
    snapshot: &Snapshot,
    history: &History,
    rules: Rules,
    now: Timestamp,
) -> Option<String> {
    if now >= history.progress_at.plus(rules.deadline) {
        let seconds = rules.deadline.as_secs();
        return Some(format!("no progress for {}", seconds_text(seconds)));
    }
    // After a return to a former template the condition of the attempt before it stays until the
    // controller sees progress, so it counts only when there is none.
    if now.since(history.progress_at) < LATE_GRACE {
        return None;
    }
    let mut pairs = targets.iter().zip(&snapshot.workloads);
    pairs.find_map(|(target, view)| {
        let live = view.live.as_ref().filter(|live| observed(target, live))?;
        let message = live.late.as_ref()?;
        Some(format!(
            "{} is past its own progressDeadlineSeconds: {message}",
            title(target)
        ))
    })
}

pub(crate) fn title(target: &Target) -> String {
    format!("{} {}", target.kind.as_str(), target.name)
}

/// `90 s`, `10 min`.
pub(crate) fn seconds_text(seconds: u64) -> String {
    match seconds {
        120.. if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests;
