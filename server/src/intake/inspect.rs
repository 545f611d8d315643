//! What the server would make of files, without making a run of it: for the page on which people
//! check them.

use std::collections::BTreeMap;

use pipelines::definition::Problem;
use pipelines::event::{EventKind, GitEvent};
use pipelines::names::BranchName;

use super::decide::{Verdict, decide};
use super::material;
use super::start::{StartError, connected};
use crate::app::App;
use crate::github::contents::{Content, Found};
use crate::store::repos::Repo;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The files at the head of a branch.
    Branch(&'a BranchName),
    /// A text that somebody wrote, as if it were pushed to the default branch.
    Text(&'a str),
}

/// What became of one file.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    /// The pipeline it would be.
    pub(crate) pipeline: String,
    /// The file as it was read.
    pub(crate) file: String,
    /// What is wrong in it.
    pub(crate) problems: Vec<Problem>,
    /// Why there is no plan, if there is none.
    pub(crate) reason: Option<String>,
    /// The plan for a push to the branch, in words.
    pub(crate) plan: Option<String>,
}

/// Looks at files as if their branch had just been pushed.
pub(crate) async fn inspect(
    app: &App,
    repo: &Repo,
    subject: Subject<'_>,
    by: &str,
) -> Result<Vec<Inspected>, StartError> {
    let github = connected(app)?;
    let branch = match subject {
        Subject::Branch(branch) => branch,
        Subject::Text(_) => &repo.default_branch,
    };
    let head = github.head(repo, branch).await?;
    let commit = head.ok_or_else(|| StartError::NotFound(format!("branch `{branch}`")))?;
    let event = GitEvent {
        kind: EventKind::Push,
        commit,
        before: None,
        branch: Some(branch.clone()),
        tag: None,
        pull_request: None,
        title: String::new(),
        author: by.to_owned(),
        inputs: BTreeMap::new(),
    };
    let material = match subject {
        Subject::Branch(_) => material::fetch(github, repo, &event).await?,
        Subject::Text(text) => {
            let pasted = Found {
                path: ".seaworthy/pasted.yml".to_owned(),
                content: Content::Text(text.into()),
            };
            material::with(github, repo, &event, vec![pasted]).await?
        }
    };
    let decisions = decide(&material, repo, &event).decisions.into_iter();
    let inspected = decisions.map(|decision| {
        let (problems, reason, plan) = match decision.verdict {
            Verdict::Run(plan) => (Vec::new(), None, Some(plan.to_string())),
            Verdict::Broken(reason, problems) => (problems, Some(reason), None),
            Verdict::NotTriggered(reason) => (Vec::new(), Some(reason), None),
        };
        Inspected {
            pipeline: decision.pipeline.to_string(),
            file: decision.file,
            problems,
            reason,
            plan,
        }
    });
    Ok(inspected.collect())
}
