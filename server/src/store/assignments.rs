//! What a runner, and whoever reads the record of an action, is told about a run.

use pipelines::ids::{RepoId, RunId, RunNumber};
use pipelines::wire::RunFacts;
use sqlx::FromRow;

use super::cell;

/// A run's facts, without the address of its page, and whose run it is.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) repo: RepoId,
    pub(crate) run: RunFacts,
}

#[derive(Debug, FromRow)]
struct FactsRow {
    repo_id: i64,
    owner: String,
    name: String,
    number: i64,
    commit_sha: String,
    branch: Option<String>,
    tag: Option<String>,
    pull_request: Option<i64>,
    event: String,
    author: String,
}

/// The facts of a run.
pub(crate) async fn find_facts<'e>(
    executor: impl sqlx::SqliteExecutor<'e>,
    run: RunId,
) -> sqlx::Result<Option<Facts>> {
    let row: Option<FactsRow> = sqlx::query_as(
        "select runs.repo_id, repos.owner, repos.name, runs.number, runs.commit_sha, runs.branch,
                runs.tag, runs.pull_request, runs.event, runs.author
         from runs join repos on repos.id = runs.repo_id where runs.id = ?",
    )
    .bind(run.0)
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        let pull_request = row.pull_request.map(u64::try_from).transpose();
        Ok(Facts {
            repo: RepoId(row.repo_id),
            run: RunFacts {
                repository: cell::parse(&format!("{}/{}", row.owner, row.name))?,
                number: RunNumber(row.number),
                commit: cell::parse(&row.commit_sha)?,
                branch: cell::parse_option(row.branch.as_deref())?,
                tag: cell::parse_option(row.tag.as_deref())?,
                pull_request: pull_request.map_err(sqlx::Error::decode)?,
                event: cell::word(&row.event)?,
                author: row.author,
                url: String::new(),
            },
        })
    })
    .transpose()
}
