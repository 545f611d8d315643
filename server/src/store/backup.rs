//! The database as a file of its own, and what a look at all of it finds.

use std::path::Path;

use pipelines::ids::RunId;
use pipelines::timestamp::Timestamp;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};

use super::{Reader, Store, Tx};

/// Fences that a server may have given out between a backup and its loss: none of them is ever given
/// out again, so that a runner of that time is never taken for one of now.
const FENCES_SKIPPED: i64 = 1_000_000_000;
/// The same for the numbers of deploys, which the objects in clusters carry.
const DEPLOYS_SKIPPED: i64 = 1_000;

/// A stored artifact: where its bytes are, how many, and their SHA-256 in hex.
pub(crate) type ArtifactBytes = (String, i64, String);

/// Copies the database as it is at this moment into a new file. Nobody waits for it: readers and the
/// writer go on.
pub(crate) async fn copy(store: &Store, to: &Path) -> sqlx::Result<()> {
    sqlx::query("vacuum into ?")
        .bind(to.to_string_lossy())
        .execute(&store.writer)
        .await?;
    Ok(())
}

/// A copy, opened alone.
pub(crate) async fn open(copy: &Path) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(copy)
        .journal_mode(SqliteJournalMode::Delete);
    SqliteConnection::connect_with(&options).await
}

/// Makes a copy what a server can begin with: without caches, whose bytes are not copied, and with a
/// mark that says of when it is.
pub(crate) async fn prepare(copy: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("delete from caches")
        .execute(&mut *copy)
        .await?;
    sqlx::query("update counters set value = value + ? where name = 'fence'")
        .bind(FENCES_SKIPPED)
        .execute(&mut *copy)
        .await?;
    // What the cluster has seen since must not look newer than what is deployed next.
    sqlx::query("update repos set last_deploy_number = last_deploy_number + ?")
        .bind(DEPLOYS_SKIPPED)
        .execute(&mut *copy)
        .await?;
    sqlx::query("insert or replace into counters (name, value) values ('restored', ?)")
        .bind(now.0)
        .execute(&mut *copy)
        .await?;
    Ok(())
}

/// What is wrong with a database as such, in words; empty if nothing is.
pub(crate) async fn problems(db: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let said: Vec<String> = sqlx::query_scalar("pragma integrity_check(20)")
        .fetch_all(&mut *db)
        .await?;
    let mut problems: Vec<String> = said.into_iter().filter(|line| line != "ok").collect();
    let dangling: Vec<(String, Option<i64>, String, i64)> =
        sqlx::query_as("pragma foreign_key_check")
            .fetch_all(&mut *db)
            .await?;
    for (table, row, parent, _) in dangling.into_iter().take(20) {
        let row = row.map_or_else(String::new, |row| format!(" {row}"));
        problems.push(format!(
            "row{row} of {table} names a row of {parent} that is not there"
        ));
    }
    Ok(problems)
}

/// Every artifact and report whose bytes are there.
pub(crate) async fn artifacts(db: &mut SqliteConnection) -> sqlx::Result<Vec<ArtifactBytes>> {
    sqlx::query_as(
        "select object, bytes, digest from artifacts where deleted_at is null order by object",
    )
    .fetch_all(db)
    .await
}

/// An attempt, and what is known of its log.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Logged {
    pub(crate) job_id: i64,
    pub(crate) attempt: u32,
    pub(crate) is_ended: bool,
    pub(crate) is_deleted: bool,
    /// Once it is packed.
    pub(crate) log_bytes: Option<i64>,
}

/// Every attempt that was begun.
pub(crate) async fn attempts(db: &mut SqliteConnection) -> sqlx::Result<Vec<Logged>> {
    sqlx::query_as(
        "select job_id, attempt, finished_at is not null as is_ended, \
         log_deleted_at is not null as is_deleted, log_bytes from attempts",
    )
    .fetch_all(db)
    .await
}

/// When the backup was made that this database was restored from, if that is still to be told to its
/// runs.
pub(crate) async fn restored(db: &Reader) -> sqlx::Result<Option<Timestamp>> {
    let at: Option<i64> = sqlx::query_scalar("select value from counters where name = 'restored'")
        .fetch_optional(db)
        .await?;
    Ok(at.map(Timestamp))
}

/// It has been told.
pub(crate) async fn forget_restored(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query("delete from counters where name = 'restored'")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Every run that has not ended.
pub(crate) async fn open_runs(db: &Reader) -> sqlx::Result<Vec<RunId>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "select id from runs where state in ('waiting', 'queued', 'running') order by id",
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(RunId).collect())
}
