//! Who has been heard from: leases of jobs and presence of runners, in memory, on the monotonic clock.
//!
//! Who holds which job stands in the database; here stands only for how long. After a restart
//! nothing is known, and every running job begins a fresh lease: a server that was away must not
//! take its own silence for that of its runners.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pipelines::ids::{Fence, JobId, RunnerId};
use ulid::Ulid;

/// Shared by all clones.
#[derive(Debug, Clone)]
pub struct Leases {
    length: Duration,
    parts: Arc<Mutex<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    jobs: HashMap<JobId, Held>,
    runners: HashMap<RunnerId, Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    fence: Fence,
    heard_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    instance: Ulid,
    heard_at: Instant,
    /// When its row was last touched; not yet, if it has only been expected.
    noted_at: Option<Instant>,
}

/// What is to be done about a runner that was just heard from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It has come, or come back: show it.
    New,
    /// It is known, but its row has not been touched for a while.
    Due,
    /// Nothing.
    Known,
}

/// Another process is using the runner's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process is using this runner's token")]
pub(crate) struct OtherInstance;

impl Leases {
    /// Nothing has been heard yet. A lease ends `length` after its last renewal.
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            parts: Arc::default(),
        }
    }

    /// How long a lease is.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// The longest a call may wait so that its caller is heard again within its lease.
    pub(crate) fn wait_max(&self) -> Duration {
        self.length * 5 / 6
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // No code below can leave the maps half-changed, so a panic elsewhere does not matter.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The holder of this lease was heard. Ask the database first whether it still holds it.
    pub(crate) fn renew(&self, job: JobId, fence: Fence, now: Instant) {
        let held = Held {
            fence,
            heard_at: now,
        };
        self.parts().jobs.insert(job, held);
    }

    /// Whether the holder of a job has not been heard for a whole lease. A lease that is not known
    /// begins now.
    pub(crate) fn is_expired(&self, job: JobId, fence: Fence, now: Instant) -> bool {
        let fresh = Held {
            fence,
            heard_at: now,
        };
        let mut parts = self.parts();
        let held = parts.jobs.entry(job).or_insert(fresh);
        if held.fence != fence {
            *held = fresh;
        }
        now.saturating_duration_since(held.heard_at) >= self.length
    }

    /// Forgets the jobs that are not among these.
    pub(crate) fn retain(&self, running: &[JobId]) {
        self.parts().jobs.retain(|job, _| running.contains(job));
    }

    /// After a start: these runners are at work as these processes, unless they are not heard for a
    /// whole lease. A copy of one that asks first does not take its place.
    pub(crate) fn expect(&self, runners: &[(RunnerId, Ulid)], now: Instant) {
        let heard = |&(runner, instance): &(RunnerId, Ulid)| {
            let heard = Heard {
                instance,
                heard_at: now,
                noted_at: None,
            };
            (runner, heard)
        };
        self.parts().runners.extend(runners.iter().map(heard));
    }

    /// A runner was heard. Two processes with one token would take each other's jobs, so the second
    /// is refused while the first is within its lease.
    pub(crate) fn hear(
        &self,
        runner: RunnerId,
        instance: Ulid,
        now: Instant,
    ) -> Result<Arrival, OtherInstance> {
        let mut parts = self.parts();
        let silent = |heard: &Heard| now.saturating_duration_since(heard.heard_at) >= self.length;
        let known = parts.runners.get(&runner).copied();
        let (arrival, noted_at) = match known {
            None => (Arrival::New, now),
            Some(heard) if silent(&heard) => (Arrival::New, now),
            Some(heard) if heard.instance != instance => return Err(OtherInstance),
            Some(heard) => match heard.noted_at {
                None => (Arrival::New, now),
                Some(noted) if now.saturating_duration_since(noted) >= self.length / 4 => {
                    (Arrival::Due, now)
                }
                Some(noted) => (Arrival::Known, noted),
            },
        };
        let heard = Heard {
            instance,
            heard_at: now,
            noted_at: Some(noted_at),
        };
        parts.runners.insert(runner, heard);
        Ok(arrival)
    }

    /// Takes out the runners that have not been heard for a whole lease, and says how many.
    pub(crate) fn drop_silent(&self, now: Instant) -> usize {
        let mut parts = self.parts();
        let before = parts.runners.len();
        let length = self.length;
        parts
            .runners
            .retain(|_, heard| now.saturating_duration_since(heard.heard_at) < length);
        before - parts.runners.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_ends_a_whole_length_after_it_was_last_renewed() {
        let (leases, start) = (Leases::new(SECOND * 30), Instant::now());
        leases.renew(JobId(1), Fence(7), start);
        assert!(!leases.is_expired(JobId(1), Fence(7), start + SECOND * 29));
        leases.renew(JobId(1), Fence(7), start + SECOND * 29);
        assert!(!leases.is_expired(JobId(1), Fence(7), start + SECOND * 58));
        assert!(leases.is_expired(JobId(1), Fence(7), start + SECOND * 59));
    }

    #[test]
    fn a_lease_that_is_not_known_begins_when_it_is_asked_for() {
        let (leases, start) = (Leases::new(SECOND * 30), Instant::now());
        leases.renew(JobId(1), Fence(7), start);
        assert!(!leases.is_expired(JobId(1), Fence(8), start + SECOND * 60));
        assert!(leases.is_expired(JobId(1), Fence(8), start + SECOND * 90));
        leases.retain(&[]);
        assert!(!leases.is_expired(JobId(1), Fence(8), start + SECOND * 91));
    }

    /// F23: after a restart.
    #[test]
    fn a_process_that_is_expected_back_is_waited_for_and_no_other_takes_its_place() {
        let (leases, start) = (Leases::new(SECOND * 30), Instant::now());
        let (one, two) = (Ulid::from_parts(0, 1), Ulid::from_parts(0, 2));
        leases.expect(&[(RunnerId(1), one), (RunnerId(2), one)], start);
        let at = |seconds: u32| start + SECOND * seconds;
        assert_eq!(leases.hear(RunnerId(1), two, at(1)), Err(OtherInstance));
        assert_eq!(leases.hear(RunnerId(1), one, at(2)), Ok(Arrival::New));
        assert_eq!(leases.hear(RunnerId(1), one, at(3)), Ok(Arrival::Known));
        assert_eq!(leases.hear(RunnerId(2), two, at(30)), Ok(Arrival::New));
    }

    /// F23
    #[test]
    fn a_second_process_with_a_runners_token_waits_until_the_first_is_silent() {
        let (leases, start) = (Leases::new(SECOND * 30), Instant::now());
        let (one, two) = (Ulid::from_parts(0, 1), Ulid::from_parts(0, 2));
        assert_eq!(leases.hear(RunnerId(1), one, start), Ok(Arrival::New));
        assert_eq!(
            leases.hear(RunnerId(1), one, start + SECOND),
            Ok(Arrival::Known)
        );
        assert_eq!(
            leases.hear(RunnerId(1), two, start + SECOND * 2),
            Err(OtherInstance)
        );
        assert_eq!(
            leases.hear(RunnerId(1), one, start + SECOND * 10),
            Ok(Arrival::Due)
        );
        assert_eq!(
            leases.hear(RunnerId(1), two, start + SECOND * 40),
            Ok(Arrival::New)
        );
        assert_eq!(leases.drop_silent(start + SECOND * 69), 0);
        assert_eq!(leases.drop_silent(start + SECOND * 70), 1);
    }
}
