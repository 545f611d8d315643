//! `/repos/{owner}/{repo}/check`: what would the server make of this file, before it is a commit?

use askama::Template;
use axum::extract::{Form, Path};
use axum::response::Response;
use pipelines::definition::Problem;
use pipelines::limits::FILE_BYTES_MAX;
use pipelines::names::BranchName;
use pipelines::names::RepoName;
use serde::Deserialize;

use super::ask::{Ask, missing};
use super::frame::{Frame, Place};
use super::links;
use super::run::file::{self, FileLine};
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::intake::StartError;
use crate::intake::inspect::{Inspected, Subject, inspect};
use crate::store::repos;

#[derive(Template)]
#[template(path = "check.html")]
struct Check {
    f: Frame,
    status: Status,
    repo: String,
    href: String,
    branch: String,
    default_branch: String,
    text: String,
    /// Why nothing could be looked at.
    refused: Option<String>,
    checked: Vec<Checked>,
}

/// A file that was looked at.
struct Checked {
    status: Status,
    pipeline: String,
    file: Vec<FileLine>,
    problems: usize,
    reason: Option<String>,
    plan: Option<String>,
}

/// What a person sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    text: String,
}

type RepoPath = Path<(String, String)>;

/// Answers `GET /repos/{owner}/{repo}/check`: the form, or the files of `?branch=`.
pub(crate) async fn page(ask: Ask, path: RepoPath) -> Result<Response, PageError> {
    let branch = ask.get("branch").map(str::to_owned);
    show(ask, path, branch, String::new()).await
}

/// Answers `POST /repos/{owner}/{repo}/check`: the text that was sent. Nothing is stored.
pub(crate) async fn text(
    ask: Ask,
    path: RepoPath,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    ask.viewer.check(&sent.csrf)?;
    show(ask, path, None, sent.text).await
}

async fn show(
    ask: Ask,
    Path((owner, name)): RepoPath,
    branch: Option<String>,
    text: String,
) -> Result<Response, PageError> {
    let row = ask.repo(&owner, &name).await?;
    let full = format!("{}/{}", row.owner, row.name);
    let known: RepoName = full
        .parse()
        .map_err(|_| missing("there is no such repository"))?;
    let repo = repos::find_by_name(ask.reader(), &known).await?;
    let repo = repo.ok_or_else(|| missing("there is no such repository"))?;
    let looked = match &branch {
        Some(branch) => match branch.parse::<BranchName>() {
            Ok(branch) => {
                inspect(&ask.app, &repo, Subject::Branch(&branch), &ask.viewer.user).await
            }
            Err(error) => Err(StartError::Refused(error.to_string())),
        },
        None if text.trim().is_empty() => Ok(Vec::new()),
        None if text.len() > FILE_BYTES_MAX => Err(StartError::Refused(format!(
            "the text is larger than {FILE_BYTES_MAX} bytes, which is the limit of a file"
        ))),
        None => inspect(&ask.app, &repo, Subject::Text(&text), &ask.viewer.user).await,
    };
    let (checked, refused) = match looked {
        Ok(files) => (files.into_iter().map(checked).collect(), None),
        Err(StartError::Fault(error)) => return Err(PageError(error.into())),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let refused = refused.or_else(|| {
        let none = branch.is_some() && checked.is_empty();
        none.then(|| "there is no pipeline file under `.seaworthy/` on that branch".to_owned())
    });
    let status = status(&checked, refused.is_some());
    let title = format!("{} · {full}", status.word);
    let href = links::repo(&row.owner, &row.name);
    let page = Check {
        f: ask
            .frame(Place::Overview, status.family, &title)
            .under(&[("Overview", "/".into()), (&full, href.clone())]),
        status,
        href,
        branch: branch.unwrap_or_default(),
        default_branch: row.default_branch,
        text,
        refused,
        checked,
        repo: full.clone(),
    };
    ask.show(&page)
}

/// The heading: what is worst.
fn status(checked: &[Checked], refused: bool) -> Status {
    if refused
        || checked
            .iter()
            .any(|one| one.status.family == Family::Failed)
    {
        words::CHECK_FAILED
    } else if checked.is_empty() {
        words::CHECK
    } else {
        words::CHECK_PASSED
    }
}

fn checked(one: Inspected) -> Checked {
    let problems: Vec<Problem> = one.problems;
    let is_bad = !problems.is_empty() || (one.plan.is_none() && one.file.is_empty());
    Checked {
        status: match is_bad {
            true => words::CHECK_FAILED,
            false => words::CHECK_PASSED,
        },
        pipeline: one.pipeline,
        problems: problems.len(),
        file: file::lines(Some(&one.file), problems),
        reason: one.reason,
        plan: one.plan,
    }
}
