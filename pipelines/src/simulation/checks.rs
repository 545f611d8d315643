//! What must hold at every step of every world.

use super::{World, attempts_max, is_deploy};
use crate::ids::Fence;
use crate::job::{Job, JobEvent, Outcome, Refused, State, Status};
use crate::plan::{Condition, RetryOn};
use crate::run::{Effect, Run, RunEvent};

const FAILED: [State; 3] = [State::Failed, State::TimedOut, State::InfrastructureError];
const STOPPED: [State; 2] = [State::Cancelled, State::Superseded];

impl World {
    /// Applies an event, and checks every invariant before and after it.
    pub(super) fn apply(&mut self, event: RunEvent) -> Result<(), Refused> {
        let before = self.run.clone();
        let is_stale = is_stale(&before, &event);
        match self.run.apply(event.clone()) {
            Err(refused) => {
                assert_eq!(self.run, before, "refused, but moved");
                Err(refused)
            }
            Ok(effects) => {
                assert!(!is_stale, "a stale writer was heard: {event:?}");
                self.check_retry(&before, &event);
                if self.run == before {
                    assert_eq!(effects, [], "nothing moved, but something follows");
                } else {
                    self.record.push(event);
                }
                self.check_jobs(&before);
                check_effects(&before, &self.run, &effects);
                check_states(&self.run);
                Ok(())
            }
        }
    }

    /// A report arrives. It is refused exactly if it is stale, or if it cannot be.
    pub(super) fn send(&mut self, event: RunEvent) {
        let is_stale = is_stale(&self.run, &event);
        match self.apply(event.clone()) {
            Ok(()) => {}
            Err(Refused::StaleLease) => {
                assert!(is_stale, "refused as stale, but is not: {event:?}");
                self.note("stale report refused");
            }
            Err(Refused::Illegal) => {
                let skipped = Outcome::Skipped;
                let is_impossible = matches!(&event, RunEvent::Job(_, JobEvent::Finish { outcome, .. }) if *outcome == skipped);
                assert!(is_impossible, "refused without a reason: {event:?}");
            }
        }
    }

    fn check_jobs(&mut self, before: &Run) {
        for (place, old) in before.jobs.iter().enumerate() {
            let new = self.run.jobs[place].clone();
            let planned = &self.plan.jobs[place];
            if let Status::Finished { .. } = old.status {
                assert_eq!(*old, new, "a finished job changed");
            }
            assert!(
                new.attempt <= attempts_max(&new, planned.retry.attempts),
                "{new:?}"
            );
            if old.status == new.status {
                continue;
            }
            match (&old.status, &new.status) {
                (Status::Queued, Status::Running { lease, .. }) => {
                    assert_eq!(lease.attempt.0, new.attempt);
                    assert_eq!(
                        new.attempt,
                        old.attempt + 1,
                        "an attempt left out or repeated"
                    );
                    let key = (new.name.clone(), lease.attempt);
                    assert!(self.claimed.insert(key), "an attempt was claimed twice");
                    let mut earlier = self.leases.iter();
                    let is_new = |fence: Fence| fence < lease.fence;
                    assert!(earlier.all(|(_, old)| is_new(old.fence)), "an old fence");
                    self.leases.push((new.name.clone(), *lease));
                    self.check_needs(&new);
                }
                (Status::Running { .. }, Status::Queued) => {
                    let what = match old.retries_left == new.retries_left {
                        true => "takeover",
                        false => "retry",
                    };
                    assert!(what == "retry" || is_deploy(&self.plan.jobs[place].work));
                    let is_stopped = matches!(old.status, Status::Running { stop: Some(_), .. });
                    assert!(!is_stopped, "a stopped job is tried again");
                    self.note(what);
                }
                (Status::Waiting, Status::Queued) => self.check_needs(&new),
                (Status::Waiting | Status::Queued, Status::Finished { outcome }) => {
                    assert_ne!(*outcome, Outcome::Passed, "passed without running");
                    if *outcome == Outcome::Skipped {
                        self.check_skip(&new);
                    }
                }
                (Status::Running { stop: None, .. }, Status::Running { stop: Some(_), .. })
                | (Status::Running { .. }, Status::Finished { .. }) => {}
                (old, new) => panic!("from {old:?} to {new:?}"),
            }
        }
    }

    /// A job is tried again exactly for the ends that its pipeline names, while it may be.
    fn check_retry(&mut self, before: &Run, event: &RunEvent) {
        let RunEvent::Job(
            name,
            JobEvent::Finish {
                outcome, exit_code, ..
            },
        ) = event
        else {
            return;
        };
        let (old, new) = (before.job(name).unwrap(), self.run.job(name).unwrap());
        let named = match (outcome, exit_code) {
            (Outcome::Failed, Some(code)) => {
                old.retry_on.contains(&RetryOn::Failure)
                    || old.retry_on.contains(&RetryOn::Exit(*code))
            }
            (Outcome::TimedOut, _) => old.retry_on.contains(&RetryOn::Timeout),
            // Nobody asked it to give up, so that it failed us.
            (Outcome::InfrastructureError | Outcome::Cancelled, _) => true,
            _ => false,
        };
        let is_stopped = matches!(old.status, Status::Running { stop: Some(_), .. });
        let is_wanted = named && !is_stopped && old.retries_left > 0;
        assert_eq!(new.status == Status::Queued, is_wanted, "{old:?} {event:?}");
        if is_wanted && matches!(outcome, Outcome::Failed | Outcome::TimedOut) {
            self.note("retry by reason");
        }
    }

    fn check_needs(&mut self, job: &Job) {
        let state = |need| self.run.job(need).expect("needs exist").status.state();
        let states: Vec<State> = job.needs.iter().map(state).collect();
        match job.condition {
            Condition::Success => {
                let all_passed = states.iter().all(|state| *state == State::Passed);
                assert!(all_passed, "started too early: {job:?}");
                assert!(!self.has_behind(job, &STOPPED), "goes on: {job:?}");
                assert!(!self.has_behind(job, &FAILED), "goes on: {job:?}");
            }
            Condition::Failure | Condition::Always => {}
        }
        assert!(is_decided(&self.run, job), "started too early: {job:?}");
        if job.condition == Condition::Failure {
            self.note("job after a failure");
            assert!(self.has_behind(job, &FAILED), "nothing failed: {job:?}");
        }
    }

    /// A job is skipped only for what happened behind it, and says so.
    fn check_skip(&mut self, job: &Job) {
        assert!(job.reason.is_some(), "skipped without a reason: {job:?}");
        let is_blocked = self.has_behind(job, &FAILED) || self.has_behind(job, &STOPPED);
        match job.condition {
            Condition::Success => {
                let is_left_out = self.has_behind(job, &[State::Skipped]);
                assert!(is_blocked || is_left_out, "skipped for nothing: {job:?}");
                let reason = job.reason.as_deref().unwrap_or_default();
                if reason.starts_with("comes after") {
                    self.note("failure far behind");
                }
            }
            Condition::Failure => {
                assert!(!self.has_behind(job, &FAILED), "missed a failure: {job:?}");
                self.note("nothing to watch for");
            }
            Condition::Always => panic!("skipped, but always runs: {job:?}"),
        }
    }

    /// Whether a job that one needs has ended like this, or one that this needs, and so on.
    fn has_behind(&self, job: &Job, ends: &[State]) -> bool {
        job.needs.iter().any(|need| {
            let need = self.run.job(need).expect("needs exist");
            ends.contains(&need.status.state()) || self.has_behind(need, ends)
        })
    }

    /// The server's process ends; the next one reads the record.
    pub(super) fn restart(&mut self) {
        self.note("restart");
        self.run = self.replayed();
    }

    fn replayed(&self) -> Run {
        let stored = serde_json::to_string(&(&self.initial, &self.record)).unwrap();
        let (mut run, record): (Run, Vec<RunEvent>) = serde_json::from_str(&stored).unwrap();
        for event in record {
            run.apply(event)
                .expect("what was applied can be applied again");
        }
        assert_eq!(
            run, self.run,
            "the record does not lead to the stored state"
        );
        run
    }

    pub(super) fn check_the_end(&mut self) {
        assert!(self.run.state().is_final());
        assert!(
            self.run
                .jobs
                .iter()
                .all(|job| job.status.state().is_final())
        );
        self.restart();
        // Whatever still arrives finds nothing to change.
        let end = self.run.clone();
        for event in std::mem::take(&mut self.post) {
            assert_eq!(self.apply(event), Err(Refused::StaleLease));
        }
        assert_eq!(self.run, end);
    }
}

fn is_stale(run: &Run, event: &RunEvent) -> bool {
    let (name, lease) = match event {
        RunEvent::Job(name, JobEvent::Finish { lease, .. } | JobEvent::Lose { lease, .. }) => {
            (name, lease)
        }
        RunEvent::Begin
        | RunEvent::Job(..)
        | RunEvent::Stop { .. }
        | RunEvent::Supersede { .. } => return false,
    };
    match run.job(name).map(|job| &job.status) {
        Some(Status::Running { lease: held, .. }) => held != lease,
        Some(Status::Waiting | Status::Queued | Status::Finished { .. }) | None => true,
    }
}

/// Everything that moved is told, once it matters to someone, and nothing else is.
fn check_effects(before: &Run, after: &Run, effects: &[Effect]) {
    let told = |effect: Effect| effects.contains(&effect);
    for (old, new) in before.jobs.iter().zip(&after.jobs) {
        assert_eq!(
            told(Effect::JobChanged(new.name.clone())),
            old != new,
            "{new:?}"
        );
        let is_readied = new.status == Status::Queued && old.status != Status::Queued;
        assert_eq!(
            told(Effect::JobReady(new.name.clone())),
            is_readied,
            "{new:?}"
        );
        let is_stopped = matches!(new.status, Status::Running { stop: Some(_), .. })
            && matches!(old.status, Status::Running { stop: None, .. });
        assert_eq!(
            told(Effect::StopJob(new.name.clone())),
            is_stopped,
            "{new:?}"
        );
    }
    let is_moved = before.state() != after.state();
    assert_eq!(told(Effect::RunChanged(after.state())), is_moved);
}

/// Nothing waits that could be decided, and the run's state follows from its jobs.
fn check_states(run: &Run) {
    let state = |job: &Job| job.status.state();
    let needs = |job: &Job| -> Vec<State> {
        let needs = job.needs.iter().map(|need| run.job(need).unwrap());
        needs.map(state).collect()
    };
    for job in run.jobs.iter().filter(|job| state(job) == State::Waiting) {
        assert!(!is_decided(run, job), "{job:?} waits for nothing");
        assert!(
            job.condition != Condition::Success
                || needs(job)
                    .iter()
                    .all(|need| !need.is_final() || *need == State::Passed)
        );
    }
    let all_final = run.jobs.iter().all(|job| state(job).is_final());
    assert_eq!(run.state().is_final(), all_final);
}

/// Whether all that is behind a job has ended.
fn is_decided(run: &Run, job: &Job) -> bool {
    job.needs.iter().all(|need| {
        let need = run.job(need).expect("needs exist");
        need.status.state().is_final() && is_decided(run, need)
    })
}
