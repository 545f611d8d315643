//! The queue: jobs that could start now, and the count of leases given.

use pipelines::ids::{Fence, JobId, RunId, RunNumber};
use pipelines::names::{EnvironmentName, JobName};
use pipelines::schedule::QueuedJob;
use sqlx::FromRow;

use super::Tx;
use super::cell;

/// A queued job, as the scheduler sees it, and where it belongs.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) run: RunId,
    pub(crate) name: JobName,
    pub(crate) attempt: u32,
    pub(crate) job: QueuedJob,
}

#[derive(Debug, FromRow)]
struct QueuedRow {
    id: i64,
    run_id: i64,
    name: String,
    kind: String,
    attempt: i64,
    environment: Option<String>,
    trust: String,
    environment_busy: bool,
    locked: Option<String>,
    /// The number of the oldest run that this one waits for.
    group_busy: Option<i64>,
}

/// Which part of the queue is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// What a runner that serves these environments could have: what it could never have must not
    /// fill the window.
    For(&'a [EnvironmentName]),
    /// The jobs of one run.
    Run(RunId),
    /// All of it.
    All,
}

/// The oldest queued jobs, the oldest first. One that cannot be read is left out, and told of in the
/// log: it must not keep all others waiting.
pub(crate) async fn oldest<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    part: Part<'_>,
    limit: u32,
) -> sqlx::Result<Vec<Queued>> {
    let (environments, run) = match part {
        Part::For(environments) => (Some(cell::to_json(&environments)?), None),
        Part::Run(run) => (None, Some(run.0)),
        Part::All => (None, None),
    };
    let rows: Vec<QueuedRow> = sqlx::query_as(
        "select jobs.id, jobs.run_id, jobs.name, jobs.kind, jobs.attempt, jobs.environment,
                runs.trust,
                exists (select 1 from jobs as other join runs as theirs on theirs.id = other.run_id
                        where other.state = 'running' and other.environment = jobs.environment
                          and theirs.repo_id = runs.repo_id) as environment_busy,
                case when json_extract(jobs.work, '$.deploy.source.stored') is null
                          and not exists (select 1 from deploys where job_id = jobs.id) then
                    (select name || ' is locked by ' || locked_by || ': ' || locked_reason
                     from environments where repo_id = runs.repo_id
                       and name = jobs.environment and locked_by is not null) end as locked,
                (select min(older.number) from runs as older
                    where runs.concurrency_newest = 'waits' and older.repo_id = runs.repo_id
                      and older.concurrency_group = runs.concurrency_group
                      and older.number < runs.number and older.trust = runs.trust
                      and older.state in ('waiting', 'queued', 'running')) as group_busy
         from jobs join runs on runs.id = jobs.run_id
         where jobs.state = 'queued'
           and (?1 is null
                or (jobs.environment is null
                    and (runs.trust = 'trusted' or json_array_length(?1) = 0))
                or jobs.environment in (select value from json_each(?1)))
           and (?2 is null or jobs.run_id = ?2)
         order by jobs.queued_at, jobs.id limit ?3",
    )
    .bind(environments)
    .bind(run)
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    let queued = |row: &QueuedRow| -> sqlx::Result<Queued> {
        Ok(Queued {
            run: RunId(row.run_id),
            name: cell::parse(&row.name)?,
            attempt: cell::count(row.attempt)?,
            job: QueuedJob {
                id: JobId(row.id),
                kind: cell::word(&row.kind)?,
                trust: cell::word(&row.trust)?,
                environment: cell::parse_option(row.environment.as_deref())?,
                environment_busy: row.environment_busy,
                locked: row.locked.clone(),
                group_busy: row.group_busy.map(RunNumber),
            },
        })
    };
    let readable = |row: &QueuedRow| match queued(row) {
        Ok(queued) => Some(queued),
        Err(error) => {
            tracing::error!(job = row.id, %error, "a queued job cannot be read");
            None
        }
    };
    Ok(rows.iter().filter_map(readable).collect())
}

/// A queued deploy whose place a newer run has taken.
#[derive(Debug, Clone)]
pub(crate) struct Outdated {
    pub(crate) run: RunId,
    pub(crate) name: JobName,
    /// The newer run.
    pub(crate) newer: RunNumber,
}

#[derive(Debug, FromRow)]
struct OutdatedRow {
    run_id: i64,
    name: String,
    newer: i64,
}

/// Queued deploys that a newer run of the same pipeline does, or has done, to the same environment.
/// Only the same job counts: two parts of a repository may share an environment.
pub(crate) async fn outdated(tx: &mut Tx, limit: u32) -> sqlx::Result<Vec<Outdated>> {
    let rows: Vec<OutdatedRow> = sqlx::query_as(
        "select * from (
             select jobs.run_id, jobs.name,
                    (select max(theirs.number) from runs as theirs
                     join jobs as other on other.run_id = theirs.id
                     where theirs.repo_id = runs.repo_id and theirs.number > runs.number
                       and theirs.pipeline = runs.pipeline and other.name = jobs.name
                       and other.environment = jobs.environment
                       and other.state in ('queued', 'running', 'passed')) as newer
             from jobs join runs on runs.id = jobs.run_id
             where jobs.state = 'queued' and jobs.environment is not null
             order by jobs.queued_at, jobs.id)
         where newer is not null limit ?",
    )
    .bind(i64::from(limit))
    .fetch_all(&mut **tx)
    .await?;
    // A name that cannot be read is no job's that could be claimed: `oldest` tells of it.
    let outdated = |row: OutdatedRow| {
        Some(Outdated {
            run: RunId(row.run_id),
            name: cell::parse(&row.name).ok()?,
            newer: RunNumber(row.newer),
        })
    };
    Ok(rows.into_iter().filter_map(outdated).collect())
}

/// A fencing token that no lease has had.
pub(crate) async fn next_fence(tx: &mut Tx) -> sqlx::Result<Fence> {
    sqlx::query_scalar("update counters set value = value + 1 where name = 'fence' returning value")
        .fetch_one(&mut **tx)
        .await
        .map(Fence)
}
