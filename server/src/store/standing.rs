//! What a job is to its server: whose it is, how far it is trusted, and what it was planned to do.
//! Everything it may have follows from this, and nothing from what its runner says.

use pipelines::event::Trust;
use pipelines::ids::{JobId, RepoId};
use pipelines::plan::{JobKind, Work};
use sqlx::FromRow;

use super::caches::Place;
use super::cell;

/// A job's standing.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) repo: RepoId,
    /// `owner/name`, for sentences.
    pub(crate) repository: String,
    pub(crate) trust: Trust,
    /// The branch it was started for; of a pull request its head branch.
    pub(crate) branch: Option<String>,
    pub(crate) pull_request: Option<i64>,
    /// Where a deploy goes.
    pub(crate) environment: Option<String>,
    pub(crate) work: Work,
}

impl Standing {
    /// Which kind of job it is.
    pub(crate) fn kind(&self) -> JobKind {
        self.work.kind()
    }

    /// Which caches it sees; none for a fork's run whose pull request is not known.
    pub(crate) fn caches(&self) -> Option<Place> {
        let scope = match self.trust {
            Trust::Trusted => "trusted".to_owned(),
            Trust::Fork => format!("fork:{}", self.pull_request?),
        };
        Some(Place {
            repo: self.repo,
            scope,
        })
    }
}

#[derive(Debug, FromRow)]
struct Row {
    repo_id: i64,
    repository: String,
    trust: String,
    branch: Option<String>,
    pull_request: Option<i64>,
    environment: Option<String>,
    work: String,
}

/// The standing of a job.
pub(crate) async fn find<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    job: JobId,
) -> sqlx::Result<Option<Standing>> {
    let row: Option<Row> = sqlx::query_as(
        "select runs.repo_id, repos.owner || '/' || repos.name as repository, runs.trust, \
         runs.branch, runs.pull_request, jobs.environment, jobs.work \
         from jobs join runs on runs.id = jobs.run_id join repos on repos.id = runs.repo_id \
         where jobs.id = ?",
    )
    .bind(job.0)
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        Ok(Standing {
            repo: RepoId(row.repo_id),
            repository: row.repository,
            trust: cell::word(&row.trust)?,
            branch: row.branch,
            pull_request: row.pull_request,
            environment: row.environment,
            work: cell::json(&row.work)?,
        })
    })
    .transpose()
}
