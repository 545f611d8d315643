//! What a person can choose for an environment: releases that it has verified, and its lock.

use pipelines::ids::{DeployNumber, ReleaseNumber, RepoId, RunNumber};
use pipelines::names::{BranchName, CommitSha, EnvironmentName};
use pipelines::plan::Work;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::cell;
use super::{Reader, Tx};

/// A release that an environment has verified.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) release: ReleaseNumber,
    pub(crate) commit: CommitSha,
    pub(crate) title: String,
    pub(crate) branch: Option<BranchName>,
    /// JSON: image name in the manifests → repository@digest.
    pub(crate) images: String,
    pub(crate) run: RunNumber,
    /// When it was verified last.
    pub(crate) at: Timestamp,
    /// Whether the newest deploy to the environment was of this release.
    pub(crate) is_newest: bool,
}

#[derive(Debug, FromRow)]
struct VerifiedRow {
    number: i64,
    commit_sha: String,
    title: String,
    branch: Option<String>,
    images: String,
    run: i64,
    at: i64,
    is_newest: bool,
}

/// The releases that an environment has verified, the last verified one first.
pub(crate) async fn verified(
    reader: &Reader,
    (repo, environment): (RepoId, &EnvironmentName),
    limit: u32,
) -> sqlx::Result<Vec<Verified>> {
    let rows: Vec<VerifiedRow> = sqlx::query_as(
        "select releases.number, releases.commit_sha, releases.title, runs.branch, releases.images,
                runs.number as run, max(deploys.finished_at) as at,
                releases.id = (select newest.release_id from deploys as newest
                               where newest.repo_id = ?1 and newest.environment = ?2
                               order by newest.id desc limit 1) as is_newest
         from deploys join releases on releases.id = deploys.release_id
         join runs on runs.id = releases.run_id
         where deploys.repo_id = ?1 and deploys.environment = ?2 and deploys.state = 'passed'
           and releases.bundle is not null
         group by releases.id order by max(deploys.id) desc limit ?3",
    )
    .bind(repo.0)
    .bind(environment.as_str())
    .bind(i64::from(limit))
    .fetch_all(reader)
    .await?;
    let verified = |row: VerifiedRow| {
        Ok(Verified {
            release: ReleaseNumber(row.number),
            commit: cell::parse(&row.commit_sha)?,
            title: row.title,
            branch: cell::parse_option(row.branch.as_deref())?,
            images: row.images,
            run: RunNumber(row.run),
            at: Timestamp(row.at),
            is_newest: row.is_newest,
        })
    };
    rows.into_iter().map(verified).collect()
}

/// The newest deploy to an environment: its number, and the work of its job.
pub(crate) async fn newest(
    reader: &Reader,
    (repo, environment): (RepoId, &EnvironmentName),
) -> sqlx::Result<Option<(DeployNumber, Work)>> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "select deploys.number, jobs.work from deploys join jobs on jobs.id = deploys.job_id
         where deploys.repo_id = ? and deploys.environment = ? order by deploys.id desc limit 1",
    )
    .bind(repo.0)
    .bind(environment.as_str())
    .fetch_optional(reader)
    .await?;
    row.map(|(number, work)| Ok((DeployNumber(number), cell::json(&work)?)))
        .transpose()
}

/// Who stopped deploys to an environment, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) by: String,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// The lock of an environment; the outer option is the environment.
pub(crate) async fn lock(
    reader: &Reader,
    (repo, environment): (RepoId, &EnvironmentName),
) -> sqlx::Result<Option<Option<Lock>>> {
    let row: Option<(Option<String>, Option<String>, Option<i64>)> = sqlx::query_as(
        "select locked_by, locked_reason, locked_at from environments
         where repo_id = ? and name = ?",
    )
    .bind(repo.0)
    .bind(environment.as_str())
    .fetch_optional(reader)
    .await?;
    Ok(row.map(|(by, reason, at)| {
        Some(Lock {
            by: by?,
            reason: reason.unwrap_or_default(),
            at: Timestamp(at?),
        })
    }))
}

/// Locks an environment, or opens it again. Whether there is one of that name.
pub(crate) async fn set_lock(
    tx: &mut Tx,
    (repo, environment): (RepoId, &EnvironmentName),
    lock: Option<&Lock>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update environments set locked_by = ?, locked_reason = ?, locked_at = ?
         where repo_id = ? and name = ?",
    )
    .bind(lock.map(|lock| lock.by.as_str()))
    .bind(lock.map(|lock| lock.reason.as_str()))
    .bind(lock.map(|lock| lock.at.0))
    .bind(repo.0)
    .bind(environment.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
