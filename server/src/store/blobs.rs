//! Which stored bytes the rows of caches and artifacts name.

use super::{Reader, Store};

/// The number of this installation, made once: it tells ours from another's in a shared bucket.
pub(crate) async fn installation(store: &Store, new: i64) -> sqlx::Result<i64> {
    let mut tx = store.begin().await?;
    let number = sqlx::query_scalar(
        "insert into counters (name, value) values ('installation', ?) \
         on conflict (name) do update set value = value returning value",
    )
    .bind(new)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(number)
}

/// Those of these objects that no row names; `objects` is a JSON list of names.
pub(crate) async fn unnamed(db: &Reader, objects: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select value from json_each(?) \
         where value not in (select object from caches where object = value) \
         and value not in (select object from artifacts where object = value \
             and deleted_at is null)",
    )
    .bind(objects)
    .fetch_all(db)
    .await
}

/// How many bytes there are: of caches, and of artifacts.
pub(crate) async fn total_bytes(db: &Reader) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "select (select coalesce(sum(bytes), 0) from caches), \
         (select coalesce(sum(bytes), 0) from artifacts where deleted_at is null)",
    )
    .fetch_one(db)
    .await
}
