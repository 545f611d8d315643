//! What an event that comes late has to know of the runs that are there.

use pipelines::event::GitEvent;
use pipelines::ids::{DeliveryId, RepoId, RunId, RunNumber};
use pipelines::names::PipelineName;

use super::Tx;

/// Whether a delivery has made a run of this pipeline for the same commit and ref or pull request.
pub(crate) async fn is_made(
    tx: &mut Tx,
    repo: RepoId,
    pipeline: &PipelineName,
    event: &GitEvent,
) -> sqlx::Result<bool> {
    let pull_request = event.pull_request.as_ref();
    sqlx::query_scalar(
        "select exists (select 1 from runs where repo_id = ? and pipeline = ? and event = ? \
         and commit_sha = ? and branch is ? and tag is ? and pull_request is ? \
         and delivery_id is not null and rerun_of is null)",
    )
    .bind(repo.0)
    .bind(pipeline.as_str())
    .bind(event.kind.as_str())
    .bind(event.commit.as_str())
    .bind(event.branch.as_ref().map(AsRef::<str>::as_ref))
    .bind(event.tag.as_ref().map(AsRef::<str>::as_ref))
    .bind(pull_request.and_then(|pull| i64::try_from(pull.number).ok()))
    .fetch_one(&mut **tx)
    .await
}

/// The number of the run that a delivery has made of the same pipeline as `like`, if it has.
pub(crate) async fn newer_number(
    tx: &mut Tx,
    delivery: DeliveryId,
    like: RunId,
) -> sqlx::Result<Option<RunNumber>> {
    let number: Option<i64> = sqlx::query_scalar(
        "select number from runs where delivery_id = ? \
         and pipeline = (select pipeline from runs where id = ?)",
    )
    .bind(delivery.0)
    .bind(like.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(number.map(RunNumber))
}
