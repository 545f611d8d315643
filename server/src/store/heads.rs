//! Where branches, tags and open pull requests stood when they were last handled: what tells an
//! older event from a newer one, and what no webhook told.

use pipelines::ids::{DeliveryId, RepoId};
use pipelines::order::{self, HeadMove};
use pipelines::timestamp::Timestamp;

use super::{Reader, Tx};

/// A head as it was last handled.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Head {
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub(crate) name: String,
    /// The object it stood at; of an annotated tag the tag itself.
    pub(crate) sha: String,
    pub(crate) delivery_id: Option<i64>,
    event_at: Option<i64>,
}

impl Head {
    /// The delivery that brought it there; none if it was there when we first looked.
    pub(crate) fn delivery(&self) -> Option<DeliveryId> {
        self.delivery_id.map(DeliveryId)
    }

    /// What later events are compared with.
    pub(crate) fn handled(&self) -> order::Head {
        order::Head {
            object: self.sha.clone(),
            by: self.delivery(),
            at: self.event_at.map(Timestamp),
        }
    }
}

/// Where a head stood.
pub(crate) async fn find(db: &Reader, repo: RepoId, name: &str) -> sqlx::Result<Option<Head>> {
    sqlx::query_as(
        "select name, sha, delivery_id, event_at from heads where repo_id = ? and name = ?",
    )
    .bind(repo.0)
    .bind(name)
    .fetch_optional(db)
    .await
}

/// All heads of a repository: few people have more than some thousand branches and tags.
pub(crate) async fn of_repo(db: &Reader, repo: RepoId) -> sqlx::Result<Vec<Head>> {
    sqlx::query_as(
        "select name, sha, delivery_id, event_at from heads where repo_id = ? limit 200000",
    )
    .bind(repo.0)
    .fetch_all(db)
    .await
}

/// A delivery has been handled: the head stands there now.
pub(crate) async fn advance(
    tx: &mut Tx,
    (repo, moved): (RepoId, &HeadMove),
    delivery: DeliveryId,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into heads (repo_id, name, sha, delivery_id, event_at) values (?1, ?2, ?3, ?4, ?5) \
         on conflict (repo_id, name) do update set sha = ?3, delivery_id = ?4, event_at = ?5",
    )
    .bind(repo.0)
    .bind(&moved.name)
    .bind(&moved.after)
    .bind(delivery.0)
    .bind(moved.at.map(|at| at.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It has been told again that a head stands there: since when is the last time it came there.
pub(crate) async fn confirm(tx: &mut Tx, repo: RepoId, moved: &HeadMove) -> sqlx::Result<()> {
    sqlx::query(
        "update heads set event_at = max(coalesce(event_at, 0), ?4) \
         where repo_id = ?1 and name = ?2 and sha = ?3 and ?4 is not null",
    )
    .bind(repo.0)
    .bind(&moved.name)
    .bind(&moved.after)
    .bind(moved.at.map(|at| at.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A head is gone, if it still stood there.
pub(crate) async fn remove(
    tx: &mut Tx,
    (repo, name): (RepoId, &str),
    sha: &str,
) -> sqlx::Result<()> {
    sqlx::query("delete from heads where repo_id = ? and name = ? and sha = ?")
        .bind(repo.0)
        .bind(name)
        .bind(sha)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes the heads that are there at the first look, a JSON object of name and object, and that this
/// look has been. What a delivery has told meanwhile stays.
pub(crate) async fn note_first_look(
    tx: &mut Tx,
    (repo, heads): (RepoId, &str),
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into heads (repo_id, name, sha) select ?1, key, value from json_each(?2) where true \
         on conflict (repo_id, name) do nothing",
    )
    .bind(repo.0)
    .bind(heads)
    .execute(&mut **tx)
    .await?;
    sqlx::query("update repos set looked_at = ? where id = ?")
        .bind(now.0)
        .bind(repo.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether all heads of a repository have ever been noted.
pub(crate) async fn is_looked_at(db: &Reader, repo: RepoId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from repos where id = ? and looked_at is not null)")
        .bind(repo.0)
        .fetch_one(db)
        .await
}
