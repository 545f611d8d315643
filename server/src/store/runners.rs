//! Runners as they introduce themselves. Their tokens are made in `store/access.rs`.

use pipelines::ids::RunnerId;
use pipelines::schedule::RunnerOffer;
use pipelines::timestamp::Timestamp;
use pipelines::wire::Register;
use sqlx::FromRow;
use ulid::Ulid;

use super::cell;
use super::{Reader, Tx};

/// A runner found by the public part of its token.
#[derive(Debug, FromRow)]
pub(crate) struct FoundRunner {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) token_hash: Vec<u8>,
}

/// The live runner whose token has this public part.
pub(crate) async fn find_by_token(
    reader: &Reader,
    token_id: &str,
) -> sqlx::Result<Option<FoundRunner>> {
    sqlx::query_as(
        "select id, name, token_hash from runners where token_id = ? and revoked_at is null",
    )
    .bind(token_id)
    .fetch_optional(reader)
    .await
}

/// Stores what a runner says of itself.
pub(crate) async fn introduce(
    tx: &mut Tx,
    runner: RunnerId,
    register: &Register,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "update runners set instance = ?, labels = ?, environments = ?, slots = ?, version = ?,
             engine = ?, last_seen_at = ?
         where id = ?",
    )
    .bind(register.instance.to_string())
    .bind(cell::to_json(&register.labels)?)
    .bind(cell::to_json(&register.environments)?)
    .bind(i64::from(register.slots))
    .bind(&register.version)
    .bind(&register.engine)
    .bind(now.0)
    .bind(runner.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The process that each live runner last introduced itself as.
pub(crate) async fn instances(reader: &Reader) -> sqlx::Result<Vec<(RunnerId, Ulid)>> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "select id, instance from runners where instance is not null and revoked_at is null
         order by last_seen_at desc limit 10000",
    )
    .fetch_all(reader)
    .await?;
    let known = rows.into_iter().filter_map(|(id, instance)| {
        // One that cannot be read is nobody's.
        Some((RunnerId(id), instance.parse().ok()?))
    });
    Ok(known.collect())
}

/// Stores that a runner was heard from.
pub(crate) async fn note_seen(tx: &mut Tx, runner: RunnerId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("update runners set last_seen_at = ? where id = ?")
        .bind(now.0)
        .bind(runner.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a runner may be given; none once its token is revoked.
pub(crate) async fn find_offer<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    runner: RunnerId,
) -> sqlx::Result<Option<RunnerOffer>> {
    let text: Option<String> =
        sqlx::query_scalar("select environments from runners where id = ? and revoked_at is null")
            .bind(runner.0)
            .fetch_optional(executor)
            .await?;
    text.map(|text| offer(&text)).transpose()
}

/// What the runners offer that were heard from since this moment.
pub(crate) async fn offers(reader: &Reader, since: Timestamp) -> sqlx::Result<Vec<RunnerOffer>> {
    let texts: Vec<String> = sqlx::query_scalar(
        "select environments from runners where last_seen_at >= ? and revoked_at is null
         order by id limit 10000",
    )
    .bind(since.0)
    .fetch_all(reader)
    .await?;
    texts.iter().map(|text| offer(text)).collect()
}

fn offer(environments: &str) -> sqlx::Result<RunnerOffer> {
    Ok(RunnerOffer {
        environments: cell::json(environments)?,
    })
}
