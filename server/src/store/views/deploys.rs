//! Deploys, the releases they roll out, and environments.

use pipelines::ids::RepoId;

use super::StateCell;
use crate::store::Reader;

/// A deploy with its release.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeployRow {
    pub(crate) id: i64,
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) number: i64,
    pub(crate) environment: String,
    pub(crate) namespace: String,
    pub(crate) state: StateCell,
    pub(crate) verdict: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) progress: Option<String>,
    pub(crate) requests_probed: Option<i64>,
    pub(crate) requests_failed: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) release: i64,
    pub(crate) commit_sha: String,
    pub(crate) title: String,
    pub(crate) images: String,
    pub(crate) run: i64,
    pub(crate) job: String,
    pub(crate) author: String,
    pub(crate) event: String,
    pub(crate) branch: Option<String>,
    /// Whether it is what the environment runs.
    pub(crate) live: bool,
}

macro_rules! deploy_row {
    ($rest:literal) => {
        concat!(
            "select deploys.id, repos.owner, repos.name as repo, deploys.number,
                    deploys.environment, deploys.namespace, deploys.state, deploys.verdict,
                    deploys.reason, deploys.progress, deploys.requests_probed,
                    deploys.requests_failed, deploys.created_at, deploys.started_at,
                    deploys.finished_at, releases.number as release, releases.commit_sha,
                    releases.title, releases.images, runs.number as run, jobs.name as job,
                    runs.author, runs.event, runs.branch,
                    exists (select 1 from environments where environments.repo_id = deploys.repo_id
                            and environments.live_deploy_id = deploys.id) as live
             from deploys join repos on repos.id = deploys.repo_id
             join releases on releases.id = deploys.release_id
             join runs on runs.id = deploys.run_id join jobs on jobs.id = deploys.job_id ",
            $rest
        )
    };
}

/// The deploy of that number.
pub(crate) async fn find(
    reader: &Reader,
    repo: RepoId,
    number: i64,
) -> sqlx::Result<Option<DeployRow>> {
    sqlx::query_as(deploy_row!(
        "where deploys.repo_id = ?1 and deploys.number = ?2"
    ))
    .bind(repo.0)
    .bind(number)
    .fetch_optional(reader)
    .await
}

/// Deploys to an environment, newest first, from the cursor on.
pub(crate) async fn history(
    reader: &Reader,
    repo: RepoId,
    environment: &str,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<DeployRow>> {
    sqlx::query_as(deploy_row!(
        "where deploys.repo_id = ?1 and deploys.environment = ?2
           and deploys.number < coalesce(?3, 9223372036854775807)
         order by deploys.number desc limit ?4"
    ))
    .bind(repo.0)
    .bind(environment)
    .bind(before)
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// The deploy of a repository that is live in an environment.
pub(crate) async fn live(
    reader: &Reader,
    repo: RepoId,
    environment: &str,
) -> sqlx::Result<Option<DeployRow>> {
    sqlx::query_as(deploy_row!(
        "where deploys.id = (select live_deploy_id from environments
                             where repo_id = ?1 and name = ?2)"
    ))
    .bind(repo.0)
    .bind(environment)
    .fetch_optional(reader)
    .await
}

/// For each of these repositories' environments the deploy that is live and the newest one.
pub(crate) async fn current(
    reader: &Reader,
    repo: Option<RepoId>,
    limit: i64,
) -> sqlx::Result<Vec<DeployRow>> {
    sqlx::query_as(deploy_row!(
        "where deploys.id in (
             select live_deploy_id from environments
                 where live_deploy_id is not null and (?1 is null or repo_id = ?1)
             union
             select (select max(id) from deploys newest where newest.repo_id = environments.repo_id
                     and newest.environment = environments.name)
                 from environments where ?1 is null or repo_id = ?1)
         order by deploys.id limit ?2"
    ))
    .bind(repo.map(|repo| repo.0))
    .bind(limit)
    .fetch_all(reader)
    .await
}

/// An environment of a repository.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EnvironmentRow {
    pub(crate) owner: String,
    pub(crate) repo: String,
    pub(crate) name: String,
    pub(crate) position: i64,
    pub(crate) namespace: String,
    pub(crate) branches: String,
    pub(crate) after_environment: Option<String>,
    pub(crate) locked_by: Option<String>,
    pub(crate) locked_reason: Option<String>,
    pub(crate) locked_at: Option<i64>,
}

/// Environments, by repository and in promotion order.
pub(crate) async fn environments(
    reader: &Reader,
    repo: Option<RepoId>,
    limit: i64,
) -> sqlx::Result<Vec<EnvironmentRow>> {
    sqlx::query_as(
        "select repos.owner, repos.name as repo, environments.name, environments.position,
                environments.namespace, environments.branches, environments.after_environment,
                environments.locked_by, environments.locked_reason, environments.locked_at
         from environments join repos on repos.id = environments.repo_id
         where ?1 is null or environments.repo_id = ?1
         order by repos.owner collate nocase, repos.name collate nocase, environments.position
         limit ?2",
    )
    .bind(repo.map(|repo| repo.0))
    .bind(limit)
    .fetch_all(reader)
    .await
}
