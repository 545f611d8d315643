//! Keeping a lease: renewing it, and learning from the server when the job must end.
//!
//! **While the server is away the work goes on.** A restarted server grants fresh leases to the
//! runners that come back, so a restart or an upgrade never fails a running step (promise P8). Only
//! a server that *answers* and says that the lease is gone ends the work at once. A runner that is
//! cut off does not work for ever, though: the server gives its job to another runner once the
//! lease has run out, and two copies of a job should not run side by side for long. After
//! [`UNREACHABLE_MAX`] it stops its own work. Until then nothing it does can be mistaken: every
//! result is fenced, and a deploy asks ([`crate::report::Reporter::confirm`]) before it writes.

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
}

impl LeaseTiming {
    /// What the server said. The longest silence is never shorter than a lease.
    pub fn of(registered: &Registered) -> Self {
        let lease = Duration::from_millis(registered.lease_ms);
        Self {
            heartbeat: Duration::from_millis(registered.heartbeat_ms.max(10)),
            unreachable_max: UNREACHABLE_MAX.max(lease),
        }
    }
}

/// Renews the lease until the job's task drops this, or the lease is gone.
pub async fn keep(desk: Desk, timing: LeaseTiming, stop: Stop) {
    let wait_seconds = u32::try_from(timing.heartbeat.as_secs()).unwrap_or(u32::MAX);
    let mut last_answer = clock::monotonic();
    loop {
        let began = clock::monotonic();
        let pause = match desk.heartbeat(wait_seconds).await {
            Ok(reply) => {
                last_answer = clock::monotonic();
                if let Some(reason) = reply.stop {
                    stop.ask(StopCause::Asked(reason));
                }
                // An early answer is not a reason to ask again at once.
                timing.heartbeat.saturating_sub(began.elapsed())
            }
            Err(CallError::Unreachable(error)) => {
                if last_answer.elapsed() > timing.unreachable_max {
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
        tokio::time::sleep(pause).await;
    }
}
