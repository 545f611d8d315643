//! Both clocks: the wall's, for display only, and the monotonic one, for whatever is decided by time.

use std::time::{SystemTime, UNIX_EPOCH};

use pipelines::timestamp::Timestamp;
use tokio::time::Instant;

/// This moment, by this machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// This moment, by a clock that nobody sets.
pub fn monotonic() -> Instant {
    Instant::now()
}
