//! Who did what. Append-only: the database itself refuses changes.

use pipelines::timestamp::Timestamp;

use super::Tx;

/// Records that `actor` did `action` to `subject`, in the transaction that does it.
pub(crate) async fn record(
    tx: &mut Tx,
    now: Timestamp,
    (actor, action, subject): (&str, &str, &str),
    detail: &str,
) -> sqlx::Result<()> {
    sqlx::query("insert into audit (at, actor, action, subject, detail) values (?, ?, ?, ?, ?)")
        .bind(now.0)
        .bind(actor)
        .bind(action)
        .bind(subject)
        .bind(detail)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
