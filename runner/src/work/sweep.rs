//! Removes what belongs to no job that is at work here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pipelines::ids::{Attempt, JobId};
use ulid::Ulid;

use super::{Live, lock};
use crate::config::RunnerConfig;
use crate::engine::{self, Keep};
use crate::execute::Host;

/// Between two sweeps for leftovers.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// Sweeps now and every few minutes, for as long as somebody waits for it.
pub(super) async fn now_and_then(host: Arc<Host>, live: Live) {
    let keep = |job, attempt| lock(&live).contains(&(job, attempt));
    loop {
        sweep(&host.config, host.instance, &keep).await;
        if let Err(error) = sweep_folders(&host.config.state_dir.join("jobs"), &keep) {
            tracing::warn!(%error, "could not look for folders of former jobs");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Removes the folders of jobs that are not at work here.
fn sweep_folders(jobs: &Path, keep: Keep<'_>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(jobs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split_once('-').and_then(|(job, attempt)| {
            Some((JobId(job.parse().ok()?), Attempt(attempt.parse().ok()?)))
        });
        if !owner.is_some_and(|(job, attempt)| keep(job, attempt)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn sweep(config: &RunnerConfig, instance: Ulid, keep: Keep<'_>) {
    let swept = match engine::connect(config).await {
        Ok(engine) => engine.sweep(instance, keep).await,
        Err(error) => Err(error),
    };
    match swept {
        Ok(0) => {}
        Ok(count) => tracing::info!(
            count,
            "removed leftovers of jobs that are no longer running"
        ),
        Err(error) => tracing::warn!(%error, "could not look for leftovers of former jobs"),
    }
}
