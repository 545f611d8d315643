//! What would have happened: the event that a plan is made for, from the command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use pipelines::event::{ChangedPaths, EventKind, GitEvent, PullRequest};
use pipelines::names::{BranchName, CommitSha, RepoName, TagName};

use super::files;

/// The event, and what belongs to it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EventArgs {
    /// What to act upon: push, push:BRANCH, tag:NAME, `pull_request:BASE`, schedule or manual.
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Option<EventSpec>,
    /// An input of a manual run.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// A path that the event changed; without any, every path filter matches.
    #[arg(long = "changed", value_name = "PATH")]
    pub(crate) changed: Vec<String>,
    /// The repository, where the remote `origin` does not say it.
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<RepoName>,
}

/// An event in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventSpec {
    /// A push of this branch, or of the one that is checked out.
    Push(Option<BranchName>),
    /// A push of this tag.
    Tag(TagName),
    /// A pull request into this branch.
    PullRequest(BranchName),
    /// Its time has come.
    Schedule,
    /// A person asks for it.
    Manual,
}

impl FromStr for EventSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let words = |error: pipelines::names::InvalidName| error.to_string();
        match (kind, name) {
            ("push", None) => Ok(Self::Push(None)),
            ("push", Some(name)) => Ok(Self::Push(Some(name.parse().map_err(words)?))),
            ("tag", Some(name)) => Ok(Self::Tag(name.parse().map_err(words)?)),
            ("pull_request", Some(name)) => Ok(Self::PullRequest(name.parse().map_err(words)?)),
            ("schedule", None) => Ok(Self::Schedule),
            ("manual", None) => Ok(Self::Manual),
            _ => Err(
                "it must be push, push:BRANCH, tag:NAME, pull_request:BASE, schedule or manual"
                    .to_owned(),
            ),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// What git says of a working tree; what it does not say has a plain stand-in.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The commit that is checked out.
    pub(crate) commit: CommitSha,
    /// The branch that is checked out.
    pub(crate) branch: BranchName,
    /// The first line of the commit's message.
    pub(crate) title: String,
    /// Whoever works here.
    pub(crate) author: String,
    /// The repository, by its remote `origin`.
    pub(crate) repository: RepoName,
}

impl Facts {
    /// Asks git about the tree at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let commit = git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]);
        let commit = commit.and_then(|text| text.parse().ok());
        let branch = git(root, &["symbolic-ref", "--short", "--quiet", "HEAD"]);
        let branch = branch.and_then(|text| text.parse().ok());
        let origin = git(root, &["remote", "get-url", "origin"]);
        let repository = origin.as_deref().and_then(repository_of);
        let stand_in = || "a name was refused that is always good".to_owned();
        Ok(Self {
            commit: commit.or_else(files::no_commit).ok_or_else(stand_in)?,
            branch: match branch {
                Some(branch) => branch,
                None => "main".parse().map_err(|_| stand_in())?,
            },
            title: git(root, &["log", "-1", "--format=%s"]).unwrap_or_default(),
            author: git(root, &["config", "user.name"]).unwrap_or_else(|| "you".to_owned()),
            repository: match repository {
                Some(repository) => repository,
                None => local_name(root).map_err(|_| stand_in())?,
            },
        })
    }

    /// The event that `spec` means here.
    pub(crate) fn event(&self, spec: &EventSpec, inputs: &[(String, String)]) -> GitEvent {
        let (kind, branch, tag, base) = match spec {
            EventSpec::Push(branch) => {
                let branch = branch.clone().unwrap_or_else(|| self.branch.clone());
                (EventKind::Push, Some(branch), None, None)
            }
            EventSpec::Tag(tag) => (EventKind::Push, None, Some(tag.clone()), None),
            EventSpec::PullRequest(base) => {
                let head = Some(self.branch.clone());
                (EventKind::PullRequest, head, None, Some(base.clone()))
            }
            EventSpec::Schedule => (EventKind::Schedule, Some(self.branch.clone()), None, None),
            EventSpec::Manual => (EventKind::Manual, Some(self.branch.clone()), None, None),
        };
        let request = |base| PullRequest {
            number: 0,
            base,
            fork: None,
        };
        GitEvent {
            kind,
            commit: self.commit.clone(),
            before: None,
            branch,
            tag,
            pull_request: base.map(request),
            title: self.title.clone(),
            author: self.author.clone(),
            inputs: inputs.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }
}

/// The paths that were named, or that nobody knows.
pub(crate) fn changed(paths: &[String]) -> ChangedPaths {
    match paths {
        [] => ChangedPaths::Unknown,
        paths => ChangedPaths::Known(paths.to_vec()),
    }
}

/// One answer of git, if it has one.
pub(crate) fn git(root: &Path, args: &[&str]) -> Option<String> {
    let done = Command::new("git").arg("-C").arg(root).args(args).output();
    let done = done.ok().filter(|done| done.status.success())?;
    let text = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The last two parts of a remote's address: `git@github.com:acme/shop.git`.
fn repository_of(address: &str) -> Option<RepoName> {
    let address = address.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = address.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    format!("{owner}/{name}").parse().ok()
}

/// `local/FOLDER`, for a tree that came from nowhere.
fn local_name(root: &Path) -> Result<RepoName, pipelines::names::InvalidName> {
    let folder = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let local = format!("local/{name}").parse();
    local.or_else(|_| "local/here".parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_from_every_form_of_address() {
        let forms = [
            "git@github.com:acme/shop.git",
            "https://github.com/acme/shop",
            "ssh://git@github.com/acme/shop.git/",
        ];
        let names = forms.map(|form| repository_of(form).map(|name| name.to_string()));
        assert_eq!(
            names,
            [const { Some("acme/shop") }; 3].map(|name| name.map(str::to_owned))
        );
    }

    #[test]
    fn an_event_that_is_none_is_refused_with_the_list() {
        let refused = ["pushed", "tag", "schedule:x", "push:a b"].map(|text| {
            let parsed: Result<EventSpec, String> = text.parse();
            parsed.is_err()
        });
        assert_eq!(refused, [true; 4]);
    }
}
