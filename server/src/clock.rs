//! The only place that asks for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pipelines::timestamp::Timestamp;

/// Where "now" comes from. Wall time is for the record and for display; leases use the monotonic one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The wall clock.
    #[allow(
        clippy::unused_self,
        reason = "a value, so that a test can hand in another one"
    )]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The monotonic clock.
    #[allow(
        clippy::unused_self,
        reason = "a value, so that a test can hand in another one"
    )]
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }
}
