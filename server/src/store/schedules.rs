//! When pipelines start by themselves.

use pipelines::ids::RepoId;
use pipelines::names::PipelineName;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::{Reader, Tx, cell};

/// A schedule of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) repo: RepoId,
    pub(crate) pipeline: PipelineName,
    pub(crate) cron: String,
    pub(crate) zone: String,
    /// The moment it starts next.
    pub(crate) at: Timestamp,
}

#[derive(Debug, FromRow)]
struct Row {
    repo_id: i64,
    pipeline: String,
    cron: String,
    zone: String,
    next_at: i64,
}

/// The schedules whose moment has come, the longest overdue first.
pub(crate) async fn due(
    reader: &Reader,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<Schedule>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select repo_id, pipeline, cron, zone, next_at from schedules \
         where next_at <= ? order by next_at limit ?",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .fetch_all(reader)
    .await?;
    let schedule = |row: Row| {
        Ok(Schedule {
            repo: RepoId(row.repo_id),
            pipeline: cell::parse(&row.pipeline)?,
            cron: row.cron,
            zone: row.zone,
            at: Timestamp(row.next_at),
        })
    };
    rows.into_iter().map(schedule).collect()
}

/// Sets when a schedule starts next, if nobody else has meanwhile.
pub(crate) async fn advance(tx: &mut Tx, this: &Schedule, next: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "update schedules set next_at = ?1 \
         where repo_id = ?2 and pipeline = ?3 and cron = ?4 and zone = ?5 and next_at = ?6",
    )
    .bind(next.0)
    .bind(this.repo.0)
    .bind(this.pipeline.as_str())
    .bind(&this.cron)
    .bind(&this.zone)
    .bind(this.at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds a schedule, unless it is there: then it keeps the moment that it waits for.
pub(crate) async fn add(tx: &mut Tx, new: &Schedule) -> sqlx::Result<()> {
    sqlx::query(
        "insert into schedules (repo_id, pipeline, cron, zone, next_at) values (?, ?, ?, ?, ?) \
         on conflict (repo_id, pipeline, cron, zone) do nothing",
    )
    .bind(new.repo.0)
    .bind(new.pipeline.as_str())
    .bind(&new.cron)
    .bind(&new.zone)
    .bind(new.at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes the schedules of a repository but those that `keep` names: a JSON list of
/// `[pipeline, cron, zone]`, where a null for both of the last keeps all of a pipeline.
pub(crate) async fn remove_others(tx: &mut Tx, repo: RepoId, keep: &str) -> sqlx::Result<()> {
    sqlx::query(
        "delete from schedules where repo_id = ?1 and not exists ( \
             select 1 from json_each(?2) as kept \
             where json_extract(kept.value, '$[0]') = schedules.pipeline \
               and (json_extract(kept.value, '$[1]') is null \
                    or (json_extract(kept.value, '$[1]') = schedules.cron \
                        and json_extract(kept.value, '$[2]') = schedules.zone)))",
    )
    .bind(repo.0)
    .bind(keep)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
