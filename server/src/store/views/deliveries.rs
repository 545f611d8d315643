//! What GitHub has sent, and what came of it.

use pipelines::ids::DeliveryId;

use super::StateCell;
use crate::store::Reader;

/// A delivery, without its body.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) id: i64,
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) bytes: i64,
    pub(crate) received_at: i64,
    pub(crate) handled_at: Option<i64>,
    pub(crate) next_at: i64,
    pub(crate) repeats: i64,
    pub(crate) state: String,
    pub(crate) outcome: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) found_by: String,
    /// `owner/name`, if it is about a repository that is known here.
    pub(crate) repository: Option<String>,
}

macro_rules! delivery_row {
    ($rest:literal) => {
        concat!(
            "select deliveries.id, guid, deliveries.event, length(body) as bytes, received_at,
                    handled_at, next_at, repeats, state, outcome, attempts, found_by,
                    repos.owner || '/' || repos.name as repository
             from deliveries left join repos on repos.id = deliveries.repository_id ",
            $rest
        )
    };
}

/// Which deliveries are wanted: none of a part wants all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) state: Option<&'a str>,
    pub(crate) event: Option<&'a str>,
    pub(crate) found_by: Option<&'a str>,
    /// `owner/name`.
    pub(crate) repository: Option<&'a str>,
    /// Only those before this one.
    pub(crate) before: Option<i64>,
}

/// Deliveries, newest first, from the cursor on.
pub(crate) async fn list(
    reader: &Reader,
    wanted: Wanted<'_>,
    limit: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    sqlx::query_as(delivery_row!(
        "where deliveries.id < coalesce(?1, 9223372036854775807)
           and (?2 is null or state = ?2) and (?3 is null or deliveries.event = ?3)
           and (?4 is null or found_by = ?4)
           and (?5 is null or repos.owner || '/' || repos.name = ?5 collate nocase)
         order by deliveries.id desc limit ?6"
    ))
    .bind(wanted.before)
    .bind(wanted.state)
    .bind(wanted.event)
    .bind(wanted.found_by)
    .bind(wanted.repository)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// One delivery.
pub(crate) async fn find(reader: &Reader, id: DeliveryId) -> sqlx::Result<Option<DeliveryRow>> {
    sqlx::query_as(delivery_row!("where deliveries.id = ?1"))
        .bind(id.0)
        .fetch_optional(reader)
        .await
}

/// The first bytes of what was delivered.
pub(crate) async fn body(reader: &Reader, id: DeliveryId, limit: i64) -> sqlx::Result<Vec<u8>> {
    sqlx::query_scalar("select substr(body, 1, ?2) from deliveries where id = ?1")
        .bind(id.0)
        .bind(limit)
        .fetch_one(reader)
        .await
}

/// A run that a delivery has made.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct MadeRow {
    pub(crate) delivery_id: i64,
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) number: i64,
    pub(crate) pipeline: String,
    pub(crate) state: StateCell,
}

/// The runs that these deliveries have made, a JSON list of their numbers.
pub(crate) async fn made(reader: &Reader, deliveries: &str) -> sqlx::Result<Vec<MadeRow>> {
    sqlx::query_as(
        "select delivery_id, owner, repos.name as repo, number, pipeline, state
         from runs join repos on repos.id = runs.repo_id
         where delivery_id in (select value from json_each(?1)) order by runs.id limit 1000",
    )
    .bind(deliveries)
    .fetch_all(reader)
    .await
}
