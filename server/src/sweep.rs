//! Takes jobs back from runners that are not heard from any more.

use std::time::Instant;

use pipelines::ids::JobId;
use pipelines::job::{JobEvent, Refused};
use pipelines::run::RunEvent;

use crate::app::App;
use crate::live::Topic;
use crate::progress::{self, ApplyError};
use crate::store::jobs::{self, Leased};

#[cfg(test)]
mod tests;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Jobs taken back.
    pub(crate) jobs: usize,
    /// Runners that went silent.
    pub(crate) runners: usize,
}

/// One pass over all leases.
pub(crate) async fn tick(app: &App) -> Result<Swept, ApplyError> {
    tick_at(app, app.clock.monotonic()).await
}

/// One pass over all leases, as of this moment.
pub(crate) async fn tick_at(app: &App, now: Instant) -> Result<Swept, ApplyError> {
    let running = jobs::running(app.store.reader(), None).await?;
    let ids: Vec<JobId> = running.iter().map(|leased| leased.job).collect();
    app.leases.retain(&ids);
    let mut swept = Swept::default();
    for leased in &running {
        if app.leases.is_expired(leased.job, leased.lease.fence, now) {
            swept.jobs += take_back(app, leased).await?;
        }
    }
    swept.runners = app.leases.drop_silent(now);
    if swept.runners > 0 {
        app.live.publish(Topic::Runners);
    }
    Ok(swept)
}

async fn take_back(app: &App, leased: &Leased) -> Result<usize, ApplyError> {
    let seconds = app.leases.length().as_secs();
    let reason = format!(
        "runner {} was lost: nothing heard for {seconds} s",
        leased.runner
    );
    tracing::warn!(
        run = leased.run.0,
        job = leased.job.0,
        attempt = leased.lease.attempt.0,
        runner = leased.runner,
        "the lease of a job ran out"
    );
    let lose = JobEvent::Lose {
        lease: leased.lease,
        reason,
    };
    match progress::apply(app, leased.run, RunEvent::Job(leased.name.clone(), lose)).await {
        Ok(_) => {
            tracing::trace!(target: "failpoint", "lease.lost");
            Ok(1)
        }
        // It ended between the look and the step.
        Err(ApplyError::Refused(Refused::StaleLease)) => Ok(0),
        Err(error) => Err(error),
    }
}
