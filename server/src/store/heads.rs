//! Where branches, tags and open pull requests stood when they were last handled: what tells an
//! older event from a newer one, and what no webhook told.

use pipelines::ids::{DeliveryId, RepoId};

use super::{Reader, Tx};

/// A head as it was last handled.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Head {
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub(crate) name: String,
    /// The object it stood at; of an annotated tag the tag itself.
    pub(crate) sha: String,
    delivery_id: Option<i64>,
}

impl Head {
    /// The delivery that brought it there; none if it was there when we first looked.
    pub(crate) fn delivery(&self) -> Option<DeliveryId> {
        self.delivery_id.map(DeliveryId)
    }
}

/// Where a head stood.
pub(crate) async fn find(db: &Reader, repo: RepoId, name: &str) -> sqlx::Result<Option<Head>> {
    sqlx::query_as("select name, sha, delivery_id from heads where repo_id = ? and name = ?")
        .bind(repo.0)
        .bind(name)
        .fetch_optional(db)
        .await
}

/// A delivery has been handled: the head stands there now.
pub(crate) async fn advance(
    tx: &mut Tx,
    (repo, name): (RepoId, &str),
    (sha, delivery): (&str, DeliveryId),
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into heads (repo_id, name, sha, delivery_id) values (?1, ?2, ?3, ?4) \
         on conflict (repo_id, name) do update set sha = ?3, delivery_id = ?4",
    )
    .bind(repo.0)
    .bind(name)
    .bind(sha)
    .bind(delivery.0)
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

#[cfg(test)]
impl Head {
    /// A head for a test of what follows from one.
    pub(crate) fn new(name: &str, sha: &str, delivery_id: Option<i64>) -> Self {
        Self {
            name: name.into(),
            sha: sha.into(),
            delivery_id,
        }
    }
}
