//! Caches: whose they are, under which key, and when they were last of use. Bytes are elsewhere.

use pipelines::ids::{CacheId, JobId, RepoId};
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx};

/// Most caches that one pass removes.
const REMOVED_MAX: i64 = 500;

/// Which jobs share caches: those of one repository that are trusted alike. Code of a pull request
/// from a fork sees only what the same pull request has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) repo: RepoId,
    /// `trusted`, or `fork:` and the number of the pull request.
    pub(crate) scope: String,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct CacheRow {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) object: String,
    pub(crate) bytes: i64,
    pub(crate) digest: String,
}

/// The cache with this key, else the newest one of the prefix.
pub(crate) async fn find(
    db: &Reader,
    place: &Place,
    (prefix, key): (&str, &str),
) -> sqlx::Result<Option<CacheRow>> {
    sqlx::query_as(
        "select id, key, object, bytes, digest from caches \
         where repo_id = ?1 and scope = ?2 and prefix = ?3 \
         order by key = ?4 desc, created_at desc, id desc limit 1",
    )
    .bind(place.repo.0)
    .bind(&place.scope)
    .bind(prefix)
    .bind(key)
    .fetch_optional(db)
    .await
}

/// Whether there is a cache with exactly this key.
pub(crate) async fn is_kept(
    db: &Reader,
    place: &Place,
    (prefix, key): (&str, &str),
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from caches \
         where repo_id = ? and scope = ? and prefix = ? and key = ?)",
    )
    .bind(place.repo.0)
    .bind(&place.scope)
    .bind(prefix)
    .bind(key)
    .fetch_one(db)
    .await
}

/// The cache with this number, if it is of this place, and notes that it is used.
pub(crate) async fn touch(
    tx: &mut Tx,
    place: &Place,
    id: CacheId,
    now: Timestamp,
) -> sqlx::Result<Option<CacheRow>> {
    sqlx::query_as(
        "update caches set used_at = ? where id = ? and repo_id = ? and scope = ? \
         returning id, key, object, bytes, digest",
    )
    .bind(now.0)
    .bind(id.0)
    .bind(place.repo.0)
    .bind(&place.scope)
    .fetch_optional(&mut **tx)
    .await
}

/// A cache to store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewCache<'a> {
    pub(crate) place: &'a Place,
    pub(crate) prefix: &'a str,
    pub(crate) key: &'a str,
    pub(crate) object: &'a str,
    pub(crate) bytes: u64,
    pub(crate) digest: &'a str,
    pub(crate) job: JobId,
}

/// Stores a cache; false if its key has one already, which stays.
pub(crate) async fn insert(tx: &mut Tx, new: NewCache<'_>, now: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into caches \
         (repo_id, scope, prefix, key, object, bytes, digest, job_id, created_at, used_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) \
         on conflict (repo_id, scope, prefix, key) do nothing",
    )
    .bind(new.place.repo.0)
    .bind(&new.place.scope)
    .bind(new.prefix)
    .bind(new.key)
    .bind(new.object)
    .bind(i64::try_from(new.bytes).map_err(sqlx::Error::decode)?)
    .bind(new.digest)
    .bind(new.job.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a cache.
pub(crate) async fn delete(tx: &mut Tx, id: i64) -> sqlx::Result<()> {
    sqlx::query("delete from caches where id = ?")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets caches that nobody has used since then. Returns their objects.
pub(crate) async fn delete_unused(tx: &mut Tx, since: Timestamp) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "delete from caches where id in \
         (select id from caches where used_at < ? order by used_at limit ?) returning object",
    )
    .bind(since.0)
    .bind(REMOVED_MAX)
    .fetch_all(&mut **tx)
    .await
}

/// Forgets what a repository has beyond its bound: first what forks have left, so that no pull
/// request pushes out a trusted cache, then what was used least recently. Returns their objects.
pub(crate) async fn delete_beyond(tx: &mut Tx, bytes_max: u64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "delete from caches where id in (select id from ( \
           select id, sum(bytes) over (partition by repo_id \
             order by scope = 'trusted' desc, used_at desc, id desc) as total from caches) \
         where total > ? limit ?) returning object",
    )
    .bind(i64::try_from(bytes_max).unwrap_or(i64::MAX))
    .bind(REMOVED_MAX)
    .fetch_all(&mut **tx)
    .await
}
