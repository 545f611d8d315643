//! What GitHub's webhooks say, in our words.
//!
//! Fields we do not know are fine, and events we do not know are ignored with words. A name that is
//! no name by our rules is ignored as well: it can neither run nor harm.

use std::collections::BTreeMap;

use pipelines::event::{EventKind, GitEvent, PullRequest};
use pipelines::ids::{RepoId, RunId};
use pipelines::names::{BranchName, CommitSha, InvalidName, RepoName, TagName};
use pipelines::order::HeadMove;
use serde::Deserialize;
use serde_json::Value;

use crate::store::repos::Repo;

mod head;

pub(crate) use head::pull_head;

/// What a delivery means for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Something happened in git that may start runs.
    Git(Repo, Box<GitEvent>, Box<HeadMove>),
    /// A branch, tag or pull request is gone; `after` is where it stood last.
    Gone(Repo, Box<HeadMove>, String),
    /// A repository has another name, owner, visibility or default branch.
    Repository(Repo),
    /// A person wants a run again, at GitHub.
    Rerun(Repo, RunId),
    /// The App may not see these repositories any more.
    Lost(Lost),
    /// Nothing, for this reason.
    Ignored(String),
}

/// What the App was taken out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// All repositories of an installation.
    Installation(u64),
    /// Some repositories.
    Repositories(Vec<RepoId>),
}

/// A payload that is not what GitHub sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload of this `{event}` cannot be read: {why}")]
pub(crate) struct Unreadable {
    event: String,
    why: String,
}

/// Titles are for one line of a table.
const TITLE_CHARS: usize = 200;

#[derive(Debug, Deserialize)]
struct Payload {
    action: Option<String>,
    repository: Option<Repository>,
    installation: Option<Numbered>,
    sender: Option<Account>,
    // Of a push.
    #[serde(rename = "ref")]
    reference: Option<String>,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<Commit>,
    // Of a pull request.
    pull_request: Option<Proposal>,
    // Of a check.
    check_run: Option<CheckRun>,
    /// When we found it, of what no webhook told.
    found_at: Option<Value>,
    // Of an installation.
    #[serde(default)]
    repositories_removed: Vec<RepositoryNumber>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    id: i64,
    full_name: String,
    #[serde(default)]
    private: bool,
    default_branch: String,
    pushed_at: Option<Value>,
}

/// The repository a payload is about; none if it is about none, or cannot be read.
pub(crate) fn repository_of(body: &[u8]) -> Option<RepoId> {
    #[derive(Deserialize)]
    struct About {
        repository: RepositoryNumber,
    }
    let about: About = serde_json::from_slice(body).ok()?;
    Some(RepoId(about.repository.id))
}

#[derive(Debug, Deserialize)]
struct Numbered {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct RepositoryNumber {
    id: i64,
}

#[derive(Debug, Deserialize)]
struct Account {
    login: String,
}

#[derive(Debug, Deserialize)]
struct Commit {
    id: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Proposal {
    number: u64,
    #[serde(default)]
    title: String,
    head: Side,
    base: Side,
    updated_at: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
    /// Null once the fork has been deleted.
    repo: Option<SideRepository>,
}

#[derive(Debug, Deserialize)]
struct SideRepository {
    id: i64,
    full_name: String,
}

#[derive(Debug, Deserialize)]
struct CheckRun {
    external_id: Option<String>,
}

impl Incoming {
    /// Reads the body of an event.
    pub(crate) fn parse(event: &str, body: &[u8]) -> Result<Self, Unreadable> {
        match event {
            "push"
            | "pull_request"
            | "repository"
            | "check_run"
            | "installation"
            | "installation_repositories" => {}
            other => return Ok(Self::Ignored(why_ignored(other))),
        }
        let payload: Payload = serde_json::from_slice(body).map_err(|error| Unreadable {
            event: event.to_owned(),
            why: error.to_string(),
        })?;
        if event.starts_with("installation") {
            return Ok(installation(event, &payload));
        }
        let repo = match payload.repo() {
            Ok(repo) => repo,
            Err(reason) => return Ok(Self::Ignored(reason)),
        };
        let incoming = match event {
            "push" => push(repo, &payload),
            "pull_request" => pull_request(repo, &payload),
            "check_run" => Ok(check_run(repo, &payload)),
            _ => Ok(repository(repo, &payload)),
        };
        Ok(incoming.unwrap_or_else(|invalid| Self::Ignored(invalid.to_string())))
    }
}

fn why_ignored(event: &str) -> String {
    match event {
        "ping" => "GitHub has found this server".into(),
        "create" | "delete" => "the push that belongs to it says the same".into(),
        "check_suite" => "runs start on pushes and pull requests".into(),
        other => format!("events of kind `{other}` start nothing"),
    }
}

impl Payload {
    /// The repository, or why the event is not for us.
    fn repo(&self) -> Result<Repo, String> {
        let Some(repository) = &self.repository else {
            return Err("it is about no repository".into());
        };
        let Some(installation) = &self.installation else {
            return Err("it was not sent by an installation of the App".into());
        };
        let invalid = |error: InvalidName| error.to_string();
        Ok(Repo {
            id: RepoId(repository.id),
            installation: installation.id,
            name: repository.full_name.parse().map_err(invalid)?,
            default_branch: repository.default_branch.parse().map_err(invalid)?,
            private: repository.private,
        })
    }

    fn author(&self) -> String {
        let login = self.sender.as_ref().map(|sender| sender.login.as_str());
        one_line(login.unwrap_or("unknown"))
    }

    fn action(&self) -> &str {
        self.action.as_deref().unwrap_or("none")
    }
}

fn push(repo: Repo, payload: &Payload) -> Result<Incoming, InvalidName> {
    let reference = payload.reference.as_deref().unwrap_or("");
    let after = payload.after.as_deref().unwrap_or("");
    if payload.deleted || is_zero(after) {
        let words = format!("`{reference}` was deleted");
        return Ok(Incoming::Gone(repo, Box::new(payload.deleted()), words));
    }
    let (branch, tag): (Option<BranchName>, Option<TagName>) =
        if let Some(branch) = reference.strip_prefix("refs/heads/") {
            (Some(branch.parse()?), None)
        } else if let Some(tag) = reference.strip_prefix("refs/tags/") {
            (None, Some(tag.parse()?))
        } else {
            let words = format!("`{reference}` is neither a branch nor a tag");
            return Ok(Incoming::Ignored(words));
        };
    // After the push of an annotated tag, `after` names the tag itself; the commit stands here.
    let commit = payload.head_commit.as_ref();
    let before = payload.before.as_deref().filter(|sha| !is_zero(sha));
    let event = GitEvent {
        kind: EventKind::Push,
        commit: commit.map_or(after, |commit| &commit.id).parse()?,
        before: before.map(str::parse).transpose()?,
        branch,
        tag,
        pull_request: None,
        title: one_line(commit.map_or("", |commit| &commit.message)),
        author: payload.author(),
        inputs: BTreeMap::new(),
    };
    let moved = Box::new(payload.pushed());
    Ok(Incoming::Git(repo, Box::new(event), moved))
}

fn pull_request(repo: Repo, payload: &Payload) -> Result<Incoming, InvalidName> {
    let Some(proposal) = &payload.pull_request else {
        return Ok(Incoming::Ignored("it holds no pull request".into()));
    };
    let moved = Box::new(payload.proposed(proposal));
    match payload.action() {
        "opened" | "reopened" | "synchronize" => {}
        other => {
            let words = format!("a pull request that is `{other}` has no new commits");
            return Ok(match other {
                "closed" => Incoming::Gone(repo, moved, words),
                _ => Incoming::Ignored(words),
            });
        }
    }
    let event = GitEvent {
        kind: EventKind::PullRequest,
        commit: proposal.head.sha.parse()?,
        // The paths of a pull request are those of all its commits, so they are compared with what
        // it wants to go into.
        before: Some(proposal.base.sha.parse::<CommitSha>()?),
        branch: Some(proposal.head.reference.parse()?),
        tag: None,
        pull_request: Some(PullRequest {
            number: proposal.number,
            base: proposal.base.reference.parse()?,
            fork: fork(&repo, &proposal.head)?,
        }),
        title: one_line(&proposal.title),
        author: payload.author(),
        inputs: BTreeMap::new(),
    };
    Ok(Incoming::Git(repo, Box::new(event), moved))
}

/// The fork a pull request comes from. What cannot be shown to be our own is a fork.
fn fork(repo: &Repo, head: &Side) -> Result<Option<RepoName>, InvalidName> {
    match &head.repo {
        Some(source) if source.id == repo.id.0 => Ok(None),
        Some(source) => Ok(Some(source.full_name.parse()?)),
        None => Ok(Some("unknown/unknown".parse()?)),
    }
}

fn repository(repo: Repo, payload: &Payload) -> Incoming {
    match payload.action() {
        "renamed" | "transferred" | "edited" | "privatized" | "publicized" => {
            Incoming::Repository(repo)
        }
        "deleted" => Incoming::Lost(Lost::Repositories(vec![repo.id])),
        other => Incoming::Ignored(format!("a repository that is `{other}` starts nothing")),
    }
}

fn installation(event: &str, payload: &Payload) -> Incoming {
    let number = payload
        .installation
        .as_ref()
        .map(|installation| installation.id);
    match (event, payload.action(), number) {
        ("installation", "deleted" | "suspend", Some(id)) => Incoming::Lost(Lost::Installation(id)),
        ("installation_repositories", "removed", _) => {
            let removed = payload.repositories_removed.iter();
            Incoming::Lost(Lost::Repositories(
                removed.map(|repo| RepoId(repo.id)).collect(),
            ))
        }
        _ => Incoming::Ignored("a repository is known here from its first push on".into()),
    }
}

fn check_run(repo: Repo, payload: &Payload) -> Incoming {
    let external = payload.check_run.as_ref();
    let external = external.and_then(|check| check.external_id.as_deref()?.parse().ok());
    match (payload.action(), external) {
        ("rerequested", Some(run)) => Incoming::Rerun(repo, RunId(run)),
        ("rerequested", None) => Incoming::Ignored("that check is not one of ours".into()),
        (other, _) => Incoming::Ignored(format!("a check that is `{other}` starts nothing")),
    }
}

fn is_zero(sha: &str) -> bool {
    sha.bytes().all(|byte| byte == b'0')
}

/// The first line, without what could disturb a terminal or a table.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    line.chars().map(printable).take(TITLE_CHARS).collect()
}

#[cfg(test)]
mod tests;
