//! A run as one line of a list, the same in every list.

use pipelines::timestamp::Timestamp;

use super::links;
use super::moments::{Lasting, When};
use super::words::{self, Status};
use crate::store::views::runs::RunRow;

/// A run in a list.
#[derive(Debug, Clone)]
pub(crate) struct RunLine {
    pub(crate) status: Status,
    pub(crate) href: String,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) repo: String,
    pub(crate) repo_href: String,
    /// The branch, tag or pull request, and the list of its runs.
    pub(crate) reference: Option<(String, String)>,
    pub(crate) event: String,
    pub(crate) pipeline: String,
    pub(crate) commit: String,
    pub(crate) author: String,
    pub(crate) lasting: Option<Lasting>,
    pub(crate) created: When,
    /// The job that failed and where its log is.
    pub(crate) failed: Option<(String, String)>,
    pub(crate) reason: Option<String>,
}

impl RunLine {
    /// As the list shows it now.
    pub(crate) fn new(row: &RunRow, now: Timestamp) -> Self {
        let (owner, repo) = (&row.owner, &row.repo);
        let failed = row
            .failed_job
            .as_ref()
            .map(|job| (job.clone(), links::job(owner, repo, row.number, job)));
        Self {
            status: words::of_state(*row.state),
            href: links::run(owner, repo, row.number),
            number: row.number,
            title: row.title.clone(),
            repo: format!("{owner}/{repo}"),
            repo_href: links::repo(owner, repo),
            reference: reference(row),
            event: words::of_event(&row.event).to_owned(),
            pipeline: row.pipeline.clone(),
            commit: links::short(&row.commit_sha).to_owned(),
            author: row.author.clone(),
            lasting: Lasting::new(row.started_at, row.finished_at, now),
            created: row.created_at.into(),
            failed,
            reason: row.reason.clone(),
        }
    }
}

/// What a run was made for, in a word, with the list of such runs.
pub(crate) fn reference(row: &RunRow) -> Option<(String, String)> {
    let list = links::repo(&row.owner, &row.repo);
    let name = row.tag.as_deref().or(row.branch.as_deref());
    let href = links::query(&list, &[("branch", name.unwrap_or_default())]);
    match (row.pull_request, name) {
        (Some(number), _) => Some((format!("pull request {number}"), href)),
        (None, Some(name)) => Some((name.to_owned(), href)),
        (None, None) => None,
    }
}
