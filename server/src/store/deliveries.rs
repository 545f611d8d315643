//! Webhook deliveries, as they came.

use pipelines::ids::{DeliveryId, RepoId};
use pipelines::timestamp::Timestamp;

use super::{Reader, Tx};
use crate::github::payload::repository_of;

/// A delivery to store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDelivery<'a> {
    pub(crate) guid: &'a str,
    pub(crate) event: &'a str,
    pub(crate) body_digest: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// What storing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is new, or it came to nothing before and is to be handled anew.
    New,
    /// It was there already, under this id or with this very body.
    Repeat,
}

/// Stores a delivery once. GitHub signs the body but not the id, so the same body under another id
/// is a replay and counts as the same delivery. One that has failed or was ignored is opened again:
/// so a person who has put the cause right can let GitHub redeliver it.
pub(crate) async fn insert(
    tx: &mut Tx,
    new: NewDelivery<'_>,
    now: Timestamp,
) -> sqlx::Result<Stored> {
    let repeated = sqlx::query(
        "update deliveries set repeats = repeats + 1 \
         where guid = ?1 or (event = ?2 and body_digest = ?3)",
    )
    .bind(new.guid)
    .bind(new.event)
    .bind(new.body_digest)
    .execute(&mut **tx)
    .await?;
    if repeated.rows_affected() > 0 {
        let opened = reopen(tx, new, now).await?;
        return Ok(if opened { Stored::New } else { Stored::Repeat });
    }
    sqlx::query(
        "insert into deliveries \
         (guid, event, body_digest, body, repository_id, received_at, next_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )
    .bind(new.guid)
    .bind(new.event)
    .bind(new.body_digest)
    .bind(new.body)
    .bind(repository_of(new.body).map(|repo| repo.0))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(Stored::New)
}

/// Opens a delivery that came to nothing, as if it had been received now. What made runs is done and
/// stays so.
async fn reopen(tx: &mut Tx, new: NewDelivery<'_>, now: Timestamp) -> sqlx::Result<bool> {
    let opened = sqlx::query(
        "update deliveries set state = 'stored', attempts = 0, received_at = ?4, next_at = ?4, \
         handled_at = null, outcome = null \
         where (guid = ?1 or (event = ?2 and body_digest = ?3)) and state in ('ignored', 'failed')",
    )
    .bind(new.guid)
    .bind(new.event)
    .bind(new.body_digest)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(opened.rows_affected() > 0)
}

/// Whether a person may have a delivery handled again: one that has ended, and from which only runs
/// follow, which are never made twice. What ends runs, as a lost access, would end those of today.
pub(crate) fn can_replay(event: &str, state: &str) -> bool {
    state != "stored" && matches!(event, "push" | "pull_request" | "check_run")
}

/// Opens a delivery as if it had been received now, because a person wants it.
pub(crate) async fn replay(tx: &mut Tx, id: DeliveryId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "update deliveries set state = 'stored', attempts = 0, received_at = ?2, next_at = ?2, \
         handled_at = null, outcome = null where id = ?1 and state <> 'stored'",
    )
    .bind(id.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores a delivery that no webhook brought. One that is there already, under this id or with this
/// very body, stays as it is. Says whether it is new.
pub(crate) async fn insert_found(
    tx: &mut Tx,
    new: NewDelivery<'_>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let stored = sqlx::query(
        "insert into deliveries \
         (guid, event, body_digest, body, repository_id, received_at, next_at, found_by) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'reconciliation') on conflict do nothing",
    )
    .bind(new.guid)
    .bind(new.event)
    .bind(new.body_digest)
    .bind(new.body)
    .bind(repository_of(new.body).map(|repo| repo.0))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// A delivery to handle.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Delivery {
    id: i64,
    /// The repository it is about; none if it is about no single one.
    pub(crate) repository_id: Option<i64>,
    pub(crate) event: String,
    pub(crate) body: Vec<u8>,
    received_at: i64,
    pub(crate) attempts: i64,
    found_by: String,
}

impl Delivery {
    /// Whether no webhook brought it: then what it says of the repository may be old.
    pub(crate) fn is_found(&self) -> bool {
        self.found_by != "webhook"
    }

    pub(crate) fn id(&self) -> DeliveryId {
        DeliveryId(self.id)
    }

    pub(crate) fn received_at(&self) -> Timestamp {
        Timestamp(self.received_at)
    }
}

/// The oldest deliveries that are to be handled now, at most one of each repository: one that must
/// wait holds up the later ones of its repository, else the older commit would get the higher run
/// number, and its deploy the last word.
pub(crate) async fn next_open(
    db: &Reader,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as(
        "select id, repository_id, event, body, received_at, attempts, found_by \
         from deliveries as this \
         where state = 'stored' and next_at <= ? and not exists \
         (select 1 from deliveries as older where older.state = 'stored' \
         and older.repository_id = this.repository_id and older.id < this.id) \
         order by id limit ?",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .fetch_all(db)
    .await
}

/// Whether a delivery is still to be handled; asked again inside the transaction that handles it.
pub(crate) async fn is_open(tx: &mut Tx, id: DeliveryId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from deliveries where id = ? and state = 'stored')")
        .bind(id.0)
        .fetch_one(&mut **tx)
        .await
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Runs were made, or the words say why none.
    Done,
    /// It is of no interest.
    Ignored,
    /// It could not be handled.
    Failed,
}

impl End {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }
}

/// Closes a delivery, with words about what came of it.
pub(crate) async fn close(
    tx: &mut Tx,
    id: DeliveryId,
    (end, outcome): (End, &str),
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "update deliveries set state = ?, outcome = ?, handled_at = ? \
         where id = ? and state = 'stored'",
    )
    .bind(end.as_str())
    .bind(outcome)
    .bind(now.0)
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Leaves a delivery open, to be tried again later; the words say what stood in the way.
pub(crate) async fn postpone(
    tx: &mut Tx,
    id: DeliveryId,
    (why, next): (&str, Timestamp),
) -> sqlx::Result<()> {
    sqlx::query(
        "update deliveries set attempts = attempts + 1, outcome = ?, next_at = ? \
         where id = ? and state = 'stored'",
    )
    .bind(why)
    .bind(next.0)
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many deliveries are not handled yet.
pub(crate) async fn count_open(db: &Reader) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from deliveries where state = 'stored'")
        .fetch_one(db)
        .await
}

/// Which of these ids, a JSON list, no delivery here has.
pub(crate) async fn unknown(db: &Reader, guids: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select value from json_each(?) where not exists \
         (select 1 from deliveries where guid = json_each.value)",
    )
    .bind(guids)
    .fetch_all(db)
    .await
}

/// The newest delivery; 0 if there is none.
pub(crate) async fn newest(db: &Reader) -> sqlx::Result<DeliveryId> {
    let id: Option<i64> = sqlx::query_scalar("select max(id) from deliveries")
        .fetch_one(db)
        .await?;
    Ok(DeliveryId(id.unwrap_or(0)))
}

/// Whether something about that repository is still to be handled.
pub(crate) async fn is_any_open(db: &Reader, repo: RepoId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from deliveries where repository_id = ? and state = 'stored')",
    )
    .bind(repo.0)
    .fetch_one(db)
    .await
}

/// Up to which moment GitHub's list of what it sent has been compared with this table; none if it
/// has never been.
pub(crate) async fn find_compared(db: &Reader) -> sqlx::Result<Option<Timestamp>> {
    let at: i64 = sqlx::query_scalar("select value from counters where name = 'hooks'")
        .fetch_one(db)
        .await?;
    Ok((at > 0).then_some(Timestamp(at)))
}

/// It has been compared up to that moment.
pub(crate) async fn set_compared(tx: &mut Tx, at: Timestamp) -> sqlx::Result<()> {
    sqlx::query("update counters set value = ? where name = 'hooks'")
        .bind(at.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
