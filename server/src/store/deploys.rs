//! Deploys: one for each deploy job, whatever number of attempts it takes.

use pipelines::deploy::DeployProgress;
use pipelines::ids::{DeployId, DeployNumber, JobId, ReleaseId, RepoId, RunId};
use pipelines::job::State;
use pipelines::plan::DeployWork;
use pipelines::timestamp::Timestamp;
use sqlx::FromRow;

use super::Tx;
use super::attempts::Ended;
use super::cell;

/// A deploy and what it rolls out.
#[derive(Debug, Clone)]
pub(crate) struct Deploy {
    pub(crate) number: DeployNumber,
    pub(crate) release: ReleaseId,
    pub(crate) state: State,
}

#[derive(Debug, FromRow)]
struct DeployRow {
    number: i64,
    release_id: i64,
    state: String,
}

/// The deploy of a job, if it has begun.
pub(crate) async fn find_by_job(tx: &mut Tx, job: JobId) -> sqlx::Result<Option<Deploy>> {
    let row: Option<DeployRow> =
        sqlx::query_as("select number, release_id, state from deploys where job_id = ?")
            .bind(job.0)
            .fetch_optional(&mut **tx)
            .await?;
    row.map(|row| {
        Ok(Deploy {
            number: DeployNumber(row.number),
            release: ReleaseId(row.release_id),
            state: cell::word(&row.state)?,
        })
    })
    .transpose()
}

/// Where a deploy belongs and what it rolls out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDeploy<'a> {
    pub(crate) repo: RepoId,
    pub(crate) run: RunId,
    pub(crate) job: JobId,
    pub(crate) release: ReleaseId,
    pub(crate) work: &'a DeployWork,
}

/// Stores a deploy under the repository's next number.
pub(crate) async fn create(
    tx: &mut Tx,
    new: NewDeploy<'_>,
    now: Timestamp,
) -> sqlx::Result<DeployNumber> {
    let number: i64 = sqlx::query_scalar(
        "update repos set last_deploy_number = last_deploy_number + 1 where id = ?
         returning last_deploy_number",
    )
    .bind(new.repo.0)
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query(
        "insert into deploys (repo_id, number, environment, namespace, release_id, run_id, job_id,
                              state, created_at)
         values (?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
    )
    .bind(new.repo.0)
    .bind(number)
    .bind(new.work.environment.as_str())
    .bind(new.work.namespace.as_str())
    .bind(new.release.0)
    .bind(new.run.0)
    .bind(new.job.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(DeployNumber(number))
}

/// Keeps a deploy in step with its job.
pub(crate) async fn step(
    tx: &mut Tx,
    job: JobId,
    now: Ended<'_>,
) -> sqlx::Result<Option<DeployId>> {
    let id: Option<i64> = sqlx::query_scalar(
        "update deploys set state = ?1, reason = ?2,
             started_at = case when ?1 = 'running' then coalesce(started_at, ?3) else started_at end,
             finished_at = case when ?4 then coalesce(finished_at, ?3) end
         where job_id = ?5 returning id",
    )
    .bind(now.state.as_str())
    .bind(now.reason)
    .bind(now.at.0)
    .bind(now.state.is_final())
    .bind(job.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(DeployId))
}

/// A verified deploy is what its environment now runs.
pub(crate) async fn set_live(tx: &mut Tx, deploy: DeployId) -> sqlx::Result<()> {
    sqlx::query(
        "update environments set live_deploy_id = deploys.id from deploys
         where deploys.id = ? and environments.repo_id = deploys.repo_id
           and environments.name = deploys.environment",
    )
    .bind(deploy.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the newest picture of a rollout.
pub(crate) async fn set_progress(
    tx: &mut Tx,
    job: JobId,
    progress: &DeployProgress,
) -> sqlx::Result<Option<DeployId>> {
    let id: Option<i64> = sqlx::query_scalar(
        "update deploys set progress = ?, verdict = ? where job_id = ? returning id",
    )
    .bind(cell::to_json(progress)?)
    .bind(&progress.verdict)
    .bind(job.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(DeployId))
}
