//! What goes wrong: late post, silence, changes of mind, forgeries.

use super::{World, finish, lose};
use crate::ids::{Attempt, Fence, RunnerId};
use crate::job::{Job, JobEvent, Lease, Outcome, Refused, Status};
use crate::names::JobName;
use crate::plan::JobKind;
use crate::run::RunEvent;

impl World {
    pub(super) fn deliver(&mut self) {
        let count = self.post.len() as u64;
        if count > 0 {
            let at = self.random.below(count) as usize;
            let event = self.post.swap_remove(at);
            self.send(event);
        }
    }

    /// The server has not heard from some runner for too long. The runner may be well.
    pub(super) fn lose_a_lease(&mut self) {
        let held = self.held();
        if !held.is_empty() {
            let at = self.random.below(held.len() as u64) as usize;
            let (name, lease) = held[at].clone();
            self.note("lease ran out");
            self.send(lose(&name, lease));
            if self.random.chance(10) {
                self.supersede();
            }
        }
    }

    pub(super) fn held(&self) -> Vec<(JobName, Lease)> {
        let held = |job: &Job| match job.status {
            Status::Running { lease, .. } => Some((job.name.clone(), lease)),
            Status::Waiting | Status::Queued | Status::Finished { .. } => None,
        };
        self.run.jobs.iter().filter_map(held).collect()
    }

    pub(super) fn stop(&mut self) {
        let outcome = match self.random.chance(50) {
            true => Outcome::Cancelled,
            false => Outcome::Superseded,
        };
        let reason = "no longer wanted".into();
        // A stopped run has little left to tell, so most stops are of one job.
        if self.random.chance(30) {
            return self.supersede();
        }
        let event = if self.random.chance(20) {
            self.note("stop of a run");
            RunEvent::Stop { outcome, reason }
        } else {
            self.note("stop of a job");
            let name = self.any_job();
            RunEvent::Job(name, JobEvent::Stop { outcome, reason })
        };
        self.apply(event).expect("stopping is always possible");
    }

    /// A newer run comes. Deploys that have begun go on.
    fn supersede(&mut self) {
        self.note("supersede of a run");
        let rolling = |run: &crate::run::Run| -> Vec<_> {
            let jobs = run.jobs.iter().filter(|job| {
                job.kind == JobKind::Deploy && job.attempt > 0 && !job.status.state().is_final()
            });
            jobs.cloned().collect()
        };
        let before = rolling(&self.run);
        let reason = "superseded by run 8".into();
        let event = RunEvent::Supersede { reason };
        self.apply(event).expect("superseding is always possible");
        assert_eq!(rolling(&self.run), before, "a running deploy was disturbed");
        if !before.is_empty() {
            self.note("deploy went on");
        }
        if before.iter().any(|job| job.status == Status::Queued) {
            self.note("takeover went on");
        }
        let waits = |job: &Job| match job.status {
            Status::Waiting => true,
            Status::Queued => !before.contains(job),
            Status::Running { .. } | Status::Finished { .. } => false,
        };
        assert!(!self.run.jobs.iter().any(waits), "superseded, but goes on");
    }

    fn any_job(&mut self) -> JobName {
        let at = self.random.below(self.run.jobs.len() as u64) as usize;
        self.run.jobs[at].name.clone()
    }

    /// A writer with a lease of old, or with one that never was.
    pub(super) fn forge(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let at = self.random.below(self.leases.len() as u64) as usize;
        let (name, mut lease) = self.leases[at].clone();
        match self.random.below(4) {
            0 => lease.fence.0 += 1,
            1 => lease.attempt.0 += 1,
            2 => lease.runner.0 += 1,
            _ => {}
        }
        if self.held().contains(&(name.clone(), lease)) {
            return;
        }
        let outcome = self.outcome();
        let event = match self.random.chance(50) {
            true => finish(&name, lease, outcome),
            false => lose(&name, lease),
        };
        assert_eq!(self.apply(event), Err(Refused::StaleLease));
        self.note("forged report refused");
    }

    /// Events that no caller should send. They may be refused, but must break nothing.
    pub(super) fn meddle(&mut self) {
        let name = self.any_job();
        let attempt = self.run.job(&name).map_or(0, |job| job.attempt);
        let event = match self.random.below(3) {
            0 => JobEvent::Ready,
            1 => JobEvent::Stop {
                outcome: Outcome::Passed,
                reason: String::new(),
            },
            // An attempt that has been claimed, or one too far.
            _ => {
                self.fence += 1;
                JobEvent::Claim(Lease {
                    runner: RunnerId(1),
                    attempt: Attempt(attempt + 2 * self.random.below(2) as u32),
                    fence: Fence(self.fence),
                })
            }
        };
        let _ = self.apply(RunEvent::Job(name, event));
    }
}
