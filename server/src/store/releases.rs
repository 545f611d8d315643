//! Releases: images by digest, the commit, and the rendered objects once a runner has made them.

use std::collections::BTreeMap;

use pipelines::ids::{JobId, ReleaseId, ReleaseNumber, RepoId, RunId, RunNumber};
use pipelines::names::PinnedImage;
use pipelines::timestamp::Timestamp;
use pipelines::wire::{Bundle, Fallback};
use sqlx::FromRow;

use super::Tx;
use super::cell;

/// What can be rolled out.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: ReleaseId,
    pub(crate) number: ReleaseNumber,
    /// Image name in the manifests → what takes its place.
    pub(crate) images: BTreeMap<String, PinnedImage>,
    pub(crate) bundle: Option<Bundle>,
}

#[derive(Debug, FromRow)]
struct ReleaseRow {
    number: i64,
    images: String,
    bundle: Option<String>,
}

/// The release of a repository with this number.
pub(crate) async fn find_numbered(
    tx: &mut Tx,
    repo: RepoId,
    number: ReleaseNumber,
) -> sqlx::Result<Option<Release>> {
    let id: Option<i64> =
        sqlx::query_scalar("select id from releases where repo_id = ? and number = ?")
            .bind(repo.0)
            .bind(number.0)
            .fetch_optional(&mut **tx)
            .await?;
    match id {
        Some(id) => find(tx, ReleaseId(id)).await,
        None => Ok(None),
    }
}

/// The release with this id.
pub(crate) async fn find(tx: &mut Tx, id: ReleaseId) -> sqlx::Result<Option<Release>> {
    let row: Option<ReleaseRow> =
        sqlx::query_as("select number, images, bundle from releases where id = ?")
            .bind(id.0)
            .fetch_optional(&mut **tx)
            .await?;
    row.map(|row| {
        let texts: BTreeMap<String, String> = cell::json(&row.images)?;
        let images = texts
            .into_iter()
            .map(|(name, text)| Ok((name, pinned(&text)?)));
        Ok(Release {
            id,
            number: ReleaseNumber(row.number),
            images: images.collect::<sqlx::Result<_>>()?,
            bundle: row.bundle.as_deref().map(cell::json).transpose()?,
        })
    })
    .transpose()
}

#[derive(Debug, FromRow)]
struct FallbackRow {
    number: i64,
    run: i64,
    commit_sha: String,
    bundle: String,
}

/// Where the deploy of a job returns to if it fails: the last verified release of the same part of
/// the repository (several jobs may deploy to one environment) at the same place.
pub(crate) async fn find_fallback(tx: &mut Tx, job: JobId) -> sqlx::Result<Option<Fallback>> {
    let row: Option<FallbackRow> = sqlx::query_as(
        "select releases.number, runs.number as run, releases.commit_sha, releases.bundle
         from deploys as mine
         join releases as ours on ours.id = mine.release_id
         join jobs as origin on origin.id = ours.job_id
         join runs as begun on begun.id = ours.run_id
         join deploys as verified on verified.repo_id = mine.repo_id
              and verified.environment = mine.environment
              and verified.namespace = mine.namespace and verified.state = 'passed'
         join releases on releases.id = verified.release_id and releases.id <> ours.id
              and releases.bundle is not null
         join jobs as theirs on theirs.id = releases.job_id and theirs.name = origin.name
         join runs on runs.id = releases.run_id and runs.pipeline = begun.pipeline
         where mine.job_id = ? order by verified.id desc limit 1",
    )
    .bind(job.0)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Fallback {
            release: ReleaseNumber(row.number),
            run: RunNumber(row.run),
            commit: cell::parse(&row.commit_sha)?,
            bundle: cell::json(&row.bundle)?,
        })
    })
    .transpose()
}

fn pinned(text: &str) -> sqlx::Result<PinnedImage> {
    let (repository, digest) = text.split_once('@').unwrap_or((text, ""));
    Ok(PinnedImage {
        repository: cell::parse(repository)?,
        digest: cell::parse(digest)?,
    })
}

/// What a release is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRelease<'a> {
    pub(crate) repo: RepoId,
    pub(crate) run: RunId,
    pub(crate) job: JobId,
    pub(crate) images: &'a BTreeMap<String, PinnedImage>,
}

/// Stores a release of the run's commit under the repository's next number.
pub(crate) async fn create(
    tx: &mut Tx,
    new: NewRelease<'_>,
    now: Timestamp,
) -> sqlx::Result<Release> {
    let texts = new
        .images
        .iter()
        .map(|(name, image)| (name, image.to_string()));
    let texts: BTreeMap<_, _> = texts.collect();
    let number: i64 = sqlx::query_scalar(
        "update repos set last_release_number = last_release_number + 1 where id = ?
         returning last_release_number",
    )
    .bind(new.repo.0)
    .fetch_one(&mut **tx)
    .await?;
    let id: i64 = sqlx::query_scalar(
        "insert into releases (repo_id, number, run_id, job_id, commit_sha, title, images, created_at)
         select repo_id, ?2, id, ?3, commit_sha, title, ?4, ?5 from runs where id = ?1
         returning id",
    )
    .bind(new.run.0)
    .bind(number)
    .bind(new.job.0)
    .bind(cell::to_json(&texts)?)
    .bind(now.0)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Release {
        id: ReleaseId(id),
        number: ReleaseNumber(number),
        images: new.images.clone(),
        bundle: None,
    })
}

/// Keeps the rendered objects of the release that a job rolls out. The first ones stay: they may
/// have been applied.
pub(crate) async fn keep_bundle(tx: &mut Tx, job: JobId, bundle: &Bundle) -> sqlx::Result<()> {
    sqlx::query(
        "update releases set bundle = ?
         where id = (select release_id from deploys where job_id = ?) and bundle is null",
    )
    .bind(cell::to_json(bundle)?)
    .bind(job.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
