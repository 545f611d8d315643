//! Whether the cluster can be seen.

use std::time::Duration;

use pipelines::timestamp::Timestamp;
use tokio::time::Instant;

use crate::clock;

/// Silence of the cluster that counts as not seeing it: it is asked every two seconds.
const BLIND_AFTER: Duration = Duration::from_secs(5);

/// A clock that stands still while the cluster does not answer, so that our blindness is never
/// counted against a release.
pub(super) struct Sight {
    origin: Instant,
    wall: Timestamp,
    heard: Instant,
    blind: Duration,
}

impl Sight {
    pub(super) fn new() -> Self {
        let now = clock::monotonic();
        Self {
            origin: now,
            wall: clock::now(),
            heard: now,
            blind: Duration::ZERO,
        }
    }
    pub(super) fn is_blind(&self) -> bool {
        self.heard.elapsed() > BLIND_AFTER
    }
    /// The time that has been spent without sight so far.
    pub(super) fn blind(&self) -> Duration {
        if self.is_blind() {
            self.blind + self.heard.elapsed()
        } else {
            self.blind
        }
    }
    pub(super) fn now(&self) -> Timestamp {
        self.wall
            .plus(self.origin.elapsed().saturating_sub(self.blind()))
    }
    pub(super) fn hears(&mut self) {
        self.blind = self.blind();
        self.heard = clock::monotonic();
    }
}
