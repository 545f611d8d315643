//! Keeping a lease: renewing it, and learning from the server when the job must end.
//!
//! **While the server is away the work goes on.** A restarted server grants fresh leases to the
//! runners that come back, so a restart or an upgrade never fails a running step (promise P8). Only
//! a server that *answers* and says that the lease is gone ends the work at once. A runner that is
//! cut off does not work for ever, though: after [`UNREACHABLE_MAX`] it stops its own work.
//!
//! **Work that would be repeated elsewhere is stopped in time.** Where the pipeline wants another
//! attempt, it begins as soon as the server has missed this runner for a whole lease, and two
//! attempts must not run side by side. Such work is killed, without grace, once a lease less a sixth
//! has passed since the last beat that was answered was *sent*, by the monotonic clock: with leases
//! of 30 seconds that leaves five. A deploy is taken over, too, but asks
//! ([`crate::report::Reporter::confirm`]) before it writes, so it goes on.

use std::time::Duration;

use pipelines::wire::Registered;

use crate::client::CallError;
use crate::clock;
use crate::desk::Desk;
use crate::stop::{Stop, StopCause};

/// How long a runner works on without any answer from the server.
pub const UNREACHABLE_MAX: Duration = Duration::from_secs(600);

/// How the server wants its leases kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTiming {
    /// A heartbeat is due this often.
    pub heartbeat: Duration,
    /// Without an answer for this long, the work is stopped.
    pub unreachable_max: Duration,
    /// The same for work that another runner gets when the lease has run out.
    pub repeated_max: Duration,
}

impl LeaseTiming {
    /// What the server said. The longest silence is never shorter than a lease.
    pub fn of(registered: &Registered) -> Self {
        let lease = Duration::from_millis(registered.lease_ms);
        Self {
            heartbeat: Duration::from_millis(registered.heartbeat_ms.max(10)),
            unreachable_max: UNREACHABLE_MAX.max(lease),
            repeated_max: lease - lease / 6,
        }
    }
}

/// Renews the lease until the job's task drops this, or the lease is gone, or nobody has confirmed it
/// for `silence_max`.
pub async fn keep(desk: Desk, (timing, silence_max): (LeaseTiming, Duration), stop: Stop) {
    let wait_seconds = u32::try_from(timing.heartbeat.as_secs()).unwrap_or(u32::MAX);
    let mut confirmed_at = clock::monotonic();
    loop {
        let began = clock::monotonic();
        let left = silence_max.saturating_sub(confirmed_at.elapsed());
        let beat = tokio::time::timeout(left, desk.heartbeat(wait_seconds)).await;
        let beat = beat.unwrap_or_else(|_| Err(CallError::Unreachable("no answer".into())));
        let pause = match beat {
            Ok(reply) => {
                confirmed_at = began;
                if let Some(reason) = reply.stop {
                    stop.ask(StopCause::Asked(reason));
                }
                // An early answer is not a reason to ask again at once.
                timing.heartbeat.saturating_sub(began.elapsed())
            }
            Err(CallError::Unreachable(error)) => {
                if confirmed_at.elapsed() >= silence_max {
                    tracing::warn!(job = %desk.job(), %error, "the lease cannot be confirmed: its work is stopped");
                    stop.ask(StopCause::Lost(error));
                    return;
                }
                (timing.heartbeat / 5).max(Duration::from_millis(10))
            }
            // The end of the job was told, and has overtaken this beat.
            Err(_) if stop.is_telling() => return,
            // Whatever the refusal, this runner may not go on with the job.
            Err(
                error @ (CallError::Stale(_)
                | CallError::Unauthorized(_)
                | CallError::Upgrade(_)
                | CallError::Refused { .. }),
            ) => {
                tracing::warn!(job = %desk.job(), %error, "the lease is gone: its work is stopped");
                stop.ask(StopCause::Lost(error.to_string()));
                return;
            }
        };
        let left = silence_max.saturating_sub(confirmed_at.elapsed());
        tokio::time::sleep(pause.min(left)).await;
    }
}
