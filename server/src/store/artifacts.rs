//! Artifacts: which file of which attempt, and where its bytes are.

use pipelines::ids::{ArtifactId, Attempt, JobId, RunId};
use pipelines::timestamp::Timestamp;
use pipelines::wire::ArtifactKind;
use sqlx::FromRow;

use super::{Reader, Tx};

/// The place of an artifact: there is one file of a kind at a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) job: JobId,
    pub(crate) attempt: Attempt,
    pub(crate) kind: ArtifactKind,
    /// Relative to the workspace.
    pub(crate) path: &'a str,
}

/// The digest of what is kept at that place.
pub(crate) async fn find_digest<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    place: Place<'_>,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select digest from artifacts where job_id = ? and attempt = ? and kind = ? and path = ?",
    )
    .bind(place.job.0)
    .bind(i64::from(place.attempt.0))
    .bind(place.kind.as_str())
    .bind(place.path)
    .fetch_optional(executor)
    .await
}

/// How many files of a kind an attempt has left.
pub(crate) async fn count<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    place: Place<'_>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from artifacts where job_id = ? and attempt = ? and kind = ?",
    )
    .bind(place.job.0)
    .bind(i64::from(place.attempt.0))
    .bind(place.kind.as_str())
    .fetch_one(executor)
    .await
}

/// What an artifact consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewArtifact<'a> {
    pub(crate) object: &'a str,
    pub(crate) bytes: u64,
    pub(crate) digest: &'a str,
}

/// Stores an artifact; false if there is one at this place, which stays.
pub(crate) async fn insert(
    tx: &mut Tx,
    place: Place<'_>,
    new: NewArtifact<'_>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into artifacts (job_id, attempt, kind, path, object, bytes, digest, created_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (job_id, attempt, kind, path) do nothing",
    )
    .bind(place.job.0)
    .bind(i64::from(place.attempt.0))
    .bind(place.kind.as_str())
    .bind(place.path)
    .bind(new.object)
    .bind(i64::try_from(new.bytes).map_err(sqlx::Error::decode)?)
    .bind(new.digest)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An artifact.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ArtifactRow {
    pub(crate) id: i64,
    pub(crate) job: String,
    pub(crate) attempt: i64,
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) object: String,
    pub(crate) bytes: i64,
    pub(crate) digest: String,
    pub(crate) created_at: i64,
    /// When retention deleted its bytes.
    pub(crate) deleted_at: Option<i64>,
}

/// The artifacts of a run from a number on, of the last attempt of each job, oldest first.
pub(crate) async fn of_run(
    db: &Reader,
    run: RunId,
    above: i64,
    limit: u32,
) -> sqlx::Result<Vec<ArtifactRow>> {
    sqlx::query_as(
        "select artifacts.id, jobs.name as job, artifacts.attempt, artifacts.kind, \
         artifacts.path, artifacts.object, artifacts.bytes, artifacts.digest, \
         artifacts.created_at, artifacts.deleted_at \
         from jobs join artifacts on artifacts.job_id = jobs.id \
         and artifacts.attempt = jobs.attempt \
         where jobs.run_id = ? and artifacts.id > ? order by artifacts.id limit ?",
    )
    .bind(run.0)
    .bind(above)
    .bind(i64::from(limit))
    .fetch_all(db)
    .await
}

/// The artifact with this number, if the run left it, in whichever attempt.
pub(crate) async fn find(
    db: &Reader,
    run: RunId,
    id: ArtifactId,
) -> sqlx::Result<Option<ArtifactRow>> {
    sqlx::query_as(
        "select artifacts.id, jobs.name as job, artifacts.attempt, artifacts.kind, \
         artifacts.path, artifacts.object, artifacts.bytes, artifacts.digest, \
         artifacts.created_at, artifacts.deleted_at \
         from artifacts join jobs on jobs.id = artifacts.job_id \
         where artifacts.id = ? and jobs.run_id = ?",
    )
    .bind(id.0)
    .bind(run.0)
    .fetch_optional(db)
    .await
}
