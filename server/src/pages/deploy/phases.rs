//! The stages of a rollout, and which of them one has come to.

use pipelines::deploy::{DeployProgress, Phase, RollbackState, Workload};
use pipelines::job::State;

use crate::pages::words::{self, Status};

/// One stage in the row above the pods.
#[derive(Clone, Copy)]
pub(super) struct PhaseMark {
    pub(super) word: &'static str,
    /// `past`, `now` or nothing.
    pub(super) class: &'static str,
    pub(super) status: Status,
}

/// The row of stages; the one a rollout is in, or failed in, is marked.
pub(super) fn phases(state: State, told: Option<&DeployProgress>) -> Vec<PhaseMark> {
    let rollback = told.and_then(|told| told.rollback.as_ref());
    let at = told.map(|told| match (told.phase, state) {
        _ if rollback.is_some() => Phase::RollingBack,
        // A rollout that ended badly says `Done` too; its picture shows how far it came.
        (Phase::Done, State::Passed) => Phase::Done,
        (Phase::Done, _) => reached(told),
        (phase, _) => phase,
    });
    let all = [
        Phase::Preparing,
        Phase::Applying,
        Phase::Rolling,
        Phase::Verifying,
    ];
    let done = words::of_state(State::Passed);
    let back = rollback.map(|back| {
        let (word, status) = match back.state {
            RollbackState::Running => ("Rolling back", words::of_state(State::Running)),
            RollbackState::Verified => ("Rolled back", done),
            RollbackState::Failed => ("Rollback failed", words::of_state(State::Failed)),
        };
        PhaseMark {
            word,
            class: "now",
            status,
        }
    });
    let mark = |phase: Phase| {
        let past = at.is_some_and(|at| phase < at) || state == State::Passed;
        let (class, status) = match (past, at == Some(phase)) {
            (true, _) => ("past", done),
            (false, true) => ("now", words::of_state(state)),
            (false, false) => ("", words::OPEN),
        };
        PhaseMark {
            word: words::of_phase(phase),
            class,
            status,
        }
    };
    match back {
        // It was written, and found bad: what was reached of it is no news any more.
        Some(back) => all.into_iter().take(2).map(mark).chain([back]).collect(),
        None => all.into_iter().map(mark).collect(),
    }
}

/// How far a rollout came that has ended, by its last picture.
fn reached(told: &DeployProgress) -> Phase {
    let is_whole = |workload: &Workload| {
        workload.old == 0
            && workload.updated == workload.wanted
            && workload.available == workload.wanted
    };
    match told.workloads.as_slice() {
        // Workloads are looked at only after they have been written.
        [] => Phase::Preparing,
        workloads if workloads.iter().all(is_whole) => Phase::Verifying,
        _ => Phase::Rolling,
    }
}

#[cfg(test)]
mod tests {
    use pipelines::deploy::Rollback;
    use pipelines::ids::ReleaseNumber;

    use super::*;

    fn ended(workloads: Vec<Workload>) -> DeployProgress {
        DeployProgress {
            phase: Phase::Done,
            verdict: String::new(),
            deadline: None,
            workloads,
            pods: Vec::new(),
            causes: Vec::new(),
            events: Vec::new(),
            rollback: None,
        }
    }

    fn workload(updated: u32, available: u32) -> Workload {
        Workload {
            kind: "Deployment".into(),
            name: "shop".into(),
            wanted: 3,
            updated,
            ready: available,
            available,
            old: 0,
        }
    }

    #[test]
    fn a_failed_rollout_shows_how_far_it_came() {
        let classes = |workloads| {
            let marks = phases(State::Failed, Some(&ended(workloads)));
            marks.iter().map(|mark| mark.class).collect::<Vec<_>>()
        };
        assert_eq!(classes(vec![]), ["now", "", "", ""]);
        assert_eq!(classes(vec![workload(1, 0)]), ["past", "past", "now", ""]);
        assert_eq!(
            classes(vec![workload(3, 3)]),
            ["past", "past", "past", "now"]
        );
    }

    #[test]
    fn a_rollback_stands_where_the_rollout_would() {
        let words = |state| {
            let mut told = ended(vec![workload(3, 3)]);
            told.rollback = Some(Rollback {
                release: ReleaseNumber(3),
                commit: "4f2a91c0000000000000000000000000000000aa".parse().unwrap(),
                state,
                cause: "it crashes".into(),
            });
            let marks = phases(State::Failed, Some(&told));
            marks.iter().map(|mark| mark.word).collect::<Vec<_>>()
        };
        assert_eq!(
            words(RollbackState::Verified),
            ["Prepared", "Applied", "Rolled back"]
        );
        assert_eq!(
            words(RollbackState::Failed),
            ["Prepared", "Applied", "Rollback failed"]
        );
    }
}
