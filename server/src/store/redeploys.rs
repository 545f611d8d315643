//! What a person can choose for an environment: releases that it has verified, and its lock.

use pipelines::ids::{DeployNumber, ReleaseNumber, RepoId, RunId, RunNumber};
use pipelines::names::{BranchName, CommitSha, EnvironmentName, JobName};
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
    /// Whether it is of the same part of the repository as the newest deploy, and older.
    pub(crate) is_before: bool,
    /// The job that made it: deploys of one part of a repository have the same.
    pub(crate) job: JobName,
    /// How that part was rolled out here last.
    pub(crate) work: Work,
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
    is_before: bool,
    job: String,
    work: String,
}

/// The releases that an environment has verified, the last verified one first.
pub(crate) async fn verified(
    reader: &Reader,
    (repo, environment): (RepoId, &EnvironmentName),
    limit: u32,
) -> sqlx::Result<Vec<Verified>> {
    let rows: Vec<VerifiedRow> = sqlx::query_as(
        "select releases.number, releases.commit_sha, releases.title, runs.branch, releases.images,
                runs.number as run, deploys.finished_at as at, origin.name as job, jobs.work,
                exists (select 1 from deploys as newest
                        join releases as its on its.id = newest.release_id
                        join jobs as made on made.id = its.job_id
                        join runs as begun on begun.id = its.run_id
                        where newest.id = (select max(id) from deploys where repo_id = ?1
                                           and environment = ?2)
                          and made.name = origin.name and begun.pipeline = runs.pipeline
                          and its.number > releases.number) as is_before
         from deploys join releases on releases.id = deploys.release_id
         join jobs on jobs.id = deploys.job_id
         join runs on runs.id = releases.run_id join jobs as origin on origin.id = releases.job_id
         where deploys.repo_id = ?1 and deploys.environment = ?2 and deploys.state = 'passed'
           and releases.bundle is not null
           and not exists (select 1 from deploys as later
                           where later.repo_id = ?1 and later.environment = ?2
                             and later.state = 'passed' and later.id > deploys.id
                             and later.release_id = deploys.release_id)
         order by deploys.id desc limit ?3",
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
            is_before: row.is_before,
            job: cell::parse(&row.job)?,
            work: cell::json(&row.work)?,
        })
    };
    rows.into_iter().map(verified).collect()
}

/// The newest deploy to an environment.
pub(crate) async fn newest(
    reader: &Reader,
    (repo, environment): (RepoId, &EnvironmentName),
) -> sqlx::Result<Option<DeployNumber>> {
    let number: Option<i64> = sqlx::query_scalar(
        "select number from deploys where repo_id = ? and environment = ?
         order by id desc limit 1",
    )
    .bind(repo.0)
    .bind(environment.as_str())
    .fetch_optional(reader)
    .await?;
    Ok(number.map(DeployNumber))
}

/// The release that a run deploys because a person has chosen it, and where; no pipeline file knows
/// of such a run.
pub(crate) async fn chosen(
    reader: &Reader,
    run: RunId,
) -> sqlx::Result<Option<(ReleaseNumber, String)>> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "select json_extract(work, '$.deploy.source.stored.release'), environment from jobs
         where run_id = ? and json_extract(work, '$.deploy.source.stored') is not null limit 1",
    )
    .bind(run.0)
    .fetch_optional(reader)
    .await?;
    Ok(row.map(|(number, environment)| (ReleaseNumber(number), environment)))
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
