//! What earlier snapshots said, as far as a decision needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use pipelines::timestamp::Timestamp;

use super::problem::{Kind, Patience, Problem};
use super::{missing, observed};
use crate::deploy::snapshot::{Snapshot, Target, WorkloadView};

/// A cause that is not seen for this long is over. Shorter gaps are the cluster's reasons
/// alternating.
const FORGET: Duration = Duration::from_secs(4);

/// The causes seen so far, and when things last got better.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    /// When the rollout last came nearer to its end.
    pub(crate) progress_at: Timestamp,
    /// Since when the counts are right without a break, if they are.
    pub(crate) good: Option<Good>,
    best: Score,
    seen: BTreeMap<Key, Seen>,
}

/// Since when the counts are right, and how often each new pod had died by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Good {
    pub(crate) since: Timestamp,
    pub(crate) deaths: BTreeMap<String, u32>,
}

/// How far a rollout has come; greater is nearer to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Score {
    observed: u32,
    new: u32,
    ready: u32,
    available: u32,
    old: Option<u32>,
}

type Key = (String, Option<String>, Kind);

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    first: Timestamp,
    last: Timestamp,
    problem: Problem,
}

impl History {
    /// Nothing seen yet; the deadline runs from now.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            progress_at: now,
            good: None,
            best: Score::default(),
            seen: BTreeMap::new(),
        }
    }

    /// Notes a snapshot and its problems.
    pub(crate) fn note(
        &mut self,
        targets: &[Target],
        snapshot: &Snapshot,
        problems: &[Problem],
        now: Timestamp,
    ) {
        self.note_problems(problems, now);
        let better = self.best.raise(Score::of(targets, snapshot));
        if better {
            self.progress_at = now;
        }
        let mut pairs = targets.iter().zip(&snapshot.workloads);
        let whole =
            pairs.all(|(target, view)| view.live.is_some() && missing(target, view).is_none());
        match (&self.good, whole) {
            (Some(_), true) => {}
            (None, true) => {
                self.good = Some(Good {
                    since: now,
                    deaths: deaths(snapshot),
                });
            }
            // Deaths counted so far stay counted: the crash that broke the counts in a bake must
            // not be forgiven because it broke them.
            (Some(good), false) if grew(&good.deaths, snapshot) => {}
            (Some(_) | None, false) => self.good = None,
        }
    }

    fn note_problems(&mut self, problems: &[Problem], now: Timestamp) {
        for problem in problems {
            let key = (
                problem.object.clone(),
                problem.container.clone(),
                problem.kind.clone(),
            );
            let seen = self.seen.entry(key).or_insert_with(|| Seen {
                first: now,
                last: now,
                problem: problem.clone(),
            });
            seen.last = now;
            seen.problem = problem.clone();
        }
        self.seen.retain(|_, seen| now.since(seen.last) <= FORGET);
    }

    /// When this problem was first seen.
    pub(crate) fn since(&self, problem: &Problem) -> Option<Timestamp> {
        let key = (
            problem.object.clone(),
            problem.container.clone(),
            problem.kind.clone(),
        );
        self.seen.get(&key).map(|seen| seen.first)
    }

    /// The problem, first of those, that has lasted longer than one may wait for it to cure itself.
    pub(super) fn lasting(&self, now: Timestamp) -> Option<&Problem> {
        let lasting = self
            .seen
            .values()
            .filter(|seen| match seen.problem.patience() {
                Patience::For(grace) => now.since(seen.first) >= grace && seen.last == now,
                Patience::UntilDeadline => false,
            });
        lasting
            .min_by_key(|seen| seen.first)
            .map(|seen| &seen.problem)
    }

    /// The first of all problems that still hold.
    pub(super) fn first(&self) -> Option<&Problem> {
        let first = self
            .seen
            .values()
            .min_by_key(|seen| (seen.problem.patience(), seen.first));
        first.map(|seen| &seen.problem)
    }
}

impl Score {
    fn of(targets: &[Target], snapshot: &Snapshot) -> Self {
        let mut score = Self::default();
        let mut old = 0;
        let mut known = true;
        for (target, view) in targets.iter().zip(&snapshot.workloads) {
            match view.live.as_ref().filter(|live| observed(target, live)) {
                Some(live) => {
                    score.observed += 1;
                    score.new += live.updated;
                    score.available += live.available.min(live.updated);
                    score.ready += view.new_ready();
                    old += crate::deploy::snapshot::count(view.old_pods());
                }
                None => known = false,
            }
        }
        // Before the change is observed every pod looks old, and fewer of them is no progress.
        score.old = known.then_some(old);
        score
    }

    /// Takes the better of each part; says whether one was.
    fn raise(&mut self, now: Self) -> bool {
        let best = Self {
            observed: self.observed.max(now.observed),
            new: self.new.max(now.new),
            ready: self.ready.max(now.ready),
            available: self.available.max(now.available),
            old: match (self.old, now.old) {
                (Some(best), Some(old)) => Some(best.min(old)),
                (best, old) => best.or(old),
            },
        };
        let better = best != *self;
        *self = best;
        better
    }
}

fn deaths(snapshot: &Snapshot) -> BTreeMap<String, u32> {
    let pods = snapshot.workloads.iter().flat_map(WorkloadView::new_pods);
    pods.map(|pod| (pod.uid.clone(), pod.deaths())).collect()
}

fn grew(before: &BTreeMap<String, u32>, snapshot: &Snapshot) -> bool {
    let now = deaths(snapshot);
    before
        .iter()
        .any(|(uid, count)| now.get(uid).is_some_and(|now| now > count))
}
