//! What happened on the forge, in our words, and how far it is trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{BranchName, CommitSha, RepoName, TagName};

/// Something that may start runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitEvent {
    /// What kind of thing happened.
    pub kind: EventKind,
    /// The commit to build.
    pub commit: CommitSha,
    /// The commit before it, where there is one: the base for changed paths.
    pub before: Option<CommitSha>,
    /// The branch pushed to; for a pull request, its head branch.
    pub branch: Option<BranchName>,
    /// The tag pushed.
    pub tag: Option<TagName>,
    /// The pull request.
    pub pull_request: Option<PullRequest>,
    /// First line of the commit message, or the pull request's title.
    pub title: String,
    /// Who did it: the login on the forge.
    pub author: String,
    /// What a person gave along, by input; only for [`EventKind::Manual`].
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

/// The kinds of event a pipeline can be started by (`on:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A branch or tag was pushed.
    Push,
    /// A pull request was opened, reopened or got new commits.
    PullRequest,
    /// Its time had come.
    Schedule,
    /// A person asked for it.
    Manual,
}

impl EventKind {
    /// The word used in files, tables, pages and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::PullRequest => "pull_request",
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

/// The pull request an event belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The branch it wants to go into.
    pub base: BranchName,
    /// The repository its commits come from, when that is another one.
    pub fork: Option<RepoName>,
}

/// How far the code of an event is trusted. Work of a fork meets no secret and no protected runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Written by someone who may push to the repository.
    Trusted,
    /// Comes from a fork.
    Fork,
}

impl Trust {
    /// The word used in tables and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Fork => "fork",
        }
    }
}

impl GitEvent {
    /// How far this event's code is trusted.
    pub fn trust(&self) -> Trust {
        match &self.pull_request {
            Some(PullRequest { fork: Some(_), .. }) => Trust::Fork,
            Some(PullRequest { fork: None, .. }) | None => Trust::Trusted,
        }
    }
}

/// Which paths an event changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangedPaths {
    /// These and no others.
    Known(Vec<String>),
    /// Not known (a new branch, or more than the forge lists): every path filter matches.
    Unknown,
}
