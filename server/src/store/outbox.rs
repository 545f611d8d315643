//! What GitHub must still be told.

use pipelines::ids::RunId;
use pipelines::timestamp::Timestamp;

use super::{Reader, Tx};

/// Notes that GitHub should hear the state of a run. Call it in the transaction that changed the
/// run, and wake `app.wake.outbox` once that has committed.
///
/// What is sent is read from the run's row at the time of sending, so two notes are one message.
pub async fn enqueue_check(tx: &mut Tx, run: RunId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (subject, payload, created_at, next_at) values (?1, '{}', ?2, ?2)",
    )
    .bind(format!("check:{run}"))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How much GitHub must still be told.
pub(crate) async fn count_open(db: &Reader) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from outbox where done_at is null")
        .fetch_one(db)
        .await
}
