//! What the write path reads and writes of a run itself: its state and the record of its events.

use pipelines::ids::{JobId, RepoId, RunId};
use pipelines::job::State;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::Tx;
use super::cell;

/// A run as the write path sees it; its jobs are read apart.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) repo: RepoId,
    pub(crate) state: State,
}

#[derive(Debug, FromRow)]
struct HeadRow {
    repo_id: i64,
    state: String,
}

/// Whose run it is, and its stored state.
pub(crate) async fn find_head(tx: &mut Tx, run: RunId) -> sqlx::Result<Option<Head>> {
    let row: Option<HeadRow> = sqlx::query_as("select repo_id, state from runs where id = ?")
        .bind(run.0)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| {
        Ok(Head {
            repo: RepoId(row.repo_id),
            state: cell::word(&row.state)?,
        })
    })
    .transpose()
}

/// Stores the state that follows from the run's jobs.
pub(crate) async fn set_state(
    tx: &mut Tx,
    run: RunId,
    state: State,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "update runs set state = ?1,
             started_at = case when ?1 = 'running' then coalesce(started_at, ?2) else started_at end,
             finished_at = case when ?3 then coalesce(finished_at, ?2) end
         where id = ?4",
    )
    .bind(state.as_str())
    .bind(now.0)
    .bind(state.is_final())
    .bind(run.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the first cause of a run's end; later ones follow from it.
pub(crate) async fn set_first_reason(tx: &mut Tx, run: RunId, reason: &str) -> sqlx::Result<()> {
    sqlx::query("update runs set reason = ? where id = ? and reason is null")
        .bind(reason)
        .bind(run.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A line of a run's record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) job: Option<JobId>,
    pub(crate) kind: &'a str,
    /// JSON.
    pub(crate) detail: &'a str,
}

/// Adds to the record.
pub(crate) async fn append(
    tx: &mut Tx,
    run: RunId,
    now: Timestamp,
    event: Event<'_>,
) -> sqlx::Result<()> {
    sqlx::query("insert into events (run_id, job_id, at, kind, detail) values (?, ?, ?, ?, ?)")
        .bind(run.0)
        .bind(event.job.map(|job| job.0))
        .bind(now.0)
        .bind(event.kind)
        .bind(event.detail)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether the record has exactly this line.
pub(crate) async fn is_recorded(tx: &mut Tx, run: RunId, event: Event<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from events
         where run_id = ? and job_id is ? and kind = ? and detail = ?)",
    )
    .bind(run.0)
    .bind(event.job.map(|job| job.0))
    .bind(event.kind)
    .bind(event.detail)
    .fetch_one(&mut **tx)
    .await
}
