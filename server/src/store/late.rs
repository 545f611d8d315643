//! What an event that comes late has to know of the runs that are there.

use pipelines::event::GitEvent;
use pipelines::ids::{DeliveryId, RepoId, RunId, RunNumber};
use pipelines::names::PipelineName;
use pipelines::timestamp::Timestamp;

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

/// Whether there are runs of the same ref or pull request, of something that happened after that
/// moment.
pub(crate) async fn is_newer_made(
    tx: &mut Tx,
    repo: RepoId,
    event: &GitEvent,
    at: Option<Timestamp>,
) -> sqlx::Result<bool> {
    let pull_request = event.pull_request.as_ref();
    sqlx::query_scalar(
        "select exists (select 1 from runs where repo_id = ? and event = ? and branch is ? \
         and tag is ? and pull_request is ? and event_at > ?)",
    )
    .bind(repo.0)
    .bind(event.kind.as_str())
    .bind(event.branch.as_ref().map(AsRef::<str>::as_ref))
    .bind(event.tag.as_ref().map(AsRef::<str>::as_ref))
    .bind(pull_request.and_then(|pull| i64::try_from(pull.number).ok()))
    .bind(at.map(|at| at.0))
    .fetch_one(&mut **tx)
    .await
}

/// The newest run of the same pipeline and ref or pull request as `late` that is of something newer:
/// of that delivery, or of what happened later.
pub(crate) async fn newer_number(
    tx: &mut Tx,
    delivery: Option<DeliveryId>,
    late: RunId,
) -> sqlx::Result<Option<RunNumber>> {
    let number: Option<i64> = sqlx::query_scalar(
        "select newer.number from runs as late join runs as newer \
         on newer.repo_id = late.repo_id and newer.branch is late.branch \
         and newer.tag is late.tag and newer.pull_request is late.pull_request \
         and newer.event = late.event and newer.pipeline = late.pipeline \
         where late.id = ?1 and (newer.delivery_id = ?2 or newer.event_at > late.event_at) \
         order by newer.number desc limit 1",
    )
    .bind(late.0)
    .bind(delivery.map(|delivery| delivery.0))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(number.map(RunNumber))
}
