//! A repository in a story.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::GitHub;
use super::change::{Change, Committed};
use super::check_run::CheckRun;
use super::deployments::Deployment;
use super::events::RefChange;
use super::git::ZERO;
use super::pulls::PullRequest;
use super::refs::Hook;
use super::state::{Person, RepoRecord};
use super::webhooks::Delivery;

/// A handle to one repository; it stays right when the repository is renamed.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) github: GitHub,
    id: u64,
}

impl Repository {
    pub(super) fn new(github: GitHub, id: u64) -> Self {
        Self { github, id }
    }

    pub(super) fn record(&self) -> Result<RepoRecord> {
        self.github.hub.repo(self.id)
    }

    /// The number that never changes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// `owner/name`, as it is now.
    pub fn full_name(&self) -> Result<String> {
        Ok(self.record()?.full_name())
    }

    /// The address to clone, without credentials.
    pub fn clone_url(&self) -> Result<String> {
        Ok(format!(
            "{}/{}.git",
            self.github.web_url(),
            self.full_name()?
        ))
    }

    /// The address with which that developer clones and pushes.
    pub fn push_url(&self, login: &str) -> Result<String> {
        let token = super::DEVELOPER_TOKEN;
        Ok(self
            .clone_url()?
            .replacen("://", &format!("://{login}:{token}@"), 1))
    }

    /// The bare repository on disk, to look into; change it only through this handle or a push.
    pub fn git_dir(&self) -> PathBuf {
        self.github.hub.git(self.id).dir().to_owned()
    }

    /// The commit of a branch.
    pub async fn head(&self, branch: &str) -> Result<String> {
        let head = self.github.hub.git(self.id).branch(branch).await;
        head.with_context(|| format!("there is no branch {branch}"))
    }

    /// Commits files to a branch; returns when the webhook has answered.
    pub async fn commit(
        &self,
        branch: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<String> {
        Ok(self
            .push(with_files(Change::on(branch).message(message), files))
            .await?
            .sha)
    }

    /// Commits without any event, as if GitHub had lost it. See [`Repository::announce`].
    pub async fn commit_silently(
        &self,
        branch: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<String> {
        let change = with_files(Change::on(branch).message(message), files).silently();
        Ok(self.push(change).await?.sha)
    }

    /// Commits a change and pushes it; returns when the webhook has answered.
    pub async fn push(&self, change: Change) -> Result<Committed> {
        let hub = &self.github.hub;
        let one_push = hub.push_lock(self.id).await;
        let before = hub.git(self.id).refs().await?;
        let sha = hub.import(self.id, &change).await?;
        let sent = hub
            .after_push(self.id, &before, change.pusher(), change.hook)
            .await?;
        drop(one_push);
        Ok(Committed {
            sha,
            deliveries: self.github.answered(sent).await,
        })
    }

    /// Moves, makes and (with none) removes refs in one push, by their full names: forced pushes,
    /// tags, deletions, many at once.
    pub async fn push_refs(&self, refs: &[(&str, Option<&str>)]) -> Result<Vec<Delivery>> {
        let hub = &self.github.hub;
        let one_push = hub.push_lock(self.id).await;
        let git = hub.git(self.id);
        let before = git.refs().await?;
        let mut input = String::new();
        for (name, sha) in refs {
            ensure!(
                name.starts_with("refs/"),
                "{name} is not the full name of a ref"
            );
            input.push_str(&match sha {
                Some(sha) => format!("update {name} {sha}\n"),
                None => format!("delete {name}\n"),
            });
        }
        git.feed(&["update-ref", "--stdin"], input.as_bytes())
            .await?;
        let sent = hub
            .after_push(self.id, &before, &Person::default(), Hook::Fire)
            .await?;
        drop(one_push);
        Ok(self.github.answered(sent).await)
    }

    /// Pushes a lightweight tag.
    pub async fn tag(&self, name: &str, sha: &str) -> Result<Vec<Delivery>> {
        self.push_refs(&[(&format!("refs/tags/{name}"), Some(sha))])
            .await
    }

    /// Removes a branch.
    pub async fn delete_branch(&self, name: &str) -> Result<Vec<Delivery>> {
        self.push_refs(&[(&format!("refs/heads/{name}"), None)])
            .await
    }

    /// Moves a branch to any commit there is.
    pub async fn force_push(&self, branch: &str, sha: &str) -> Result<Vec<Delivery>> {
        self.push_refs(&[(&format!("refs/heads/{branch}"), Some(sha))])
            .await
    }

    /// Sends the events of a push that may have happened long ago; `before` or `after` none for a
    /// creation or a deletion.
    pub async fn announce(
        &self,
        name: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<Vec<Delivery>> {
        let change = RefChange {
            name: name.to_owned(),
            before: before.unwrap_or(ZERO).to_owned(),
            after: after.unwrap_or(ZERO).to_owned(),
        };
        let hub = &self.github.hub;
        let sent = hub
            .announce(&self.record()?, &change, &Person::default())
            .await?;
        Ok(self.github.answered(sent).await)
    }

    /// A fork under another owner, in which the App is not installed.
    pub async fn fork(&self, full_name: &str) -> Result<Self> {
        let hub = &self.github.hub;
        let id = hub.create_fork(self.id, full_name).await?;
        Ok(Self::new(self.github.clone(), id))
    }

    /// Opens a pull request between two branches of this repository.
    pub async fn open_pull_request(&self, head: &str, base: &str) -> Result<PullRequest> {
        self.open_pull_request_from(self, head, base, &Person::default())
            .await
    }

    /// Opens a pull request from a branch of a fork, by someone of there.
    pub async fn open_pull_request_from(
        &self,
        fork: &Self,
        head: &str,
        base: &str,
        author: &Person,
    ) -> Result<PullRequest> {
        let hub = &self.github.hub;
        let title = format!("Pull {head}");
        let (pull, sent) = hub
            .open_pull((self.id, base), (fork.id, head), author, &title)
            .await?;
        let opened = self.github.answered(sent).await.pop();
        Ok(PullRequest::new(self.clone(), pull.number, opened))
    }

    /// A pull request opened before, also before a restart.
    pub fn pull_request(&self, number: u64) -> Result<PullRequest> {
        let pull = self.github.hub.pull(self.id, number);
        pull.with_context(|| format!("there is no pull request {number}"))?;
        Ok(PullRequest::new(self.clone(), number, None))
    }

    /// The check runs of a commit, oldest first, with all their states.
    pub fn check_runs(&self, sha: &str) -> Vec<CheckRun> {
        self.github.hub.check_runs(self.id, sha)
    }

    /// The newest check run of that name on a commit.
    pub fn check_run(&self, sha: &str, name: &str) -> Option<CheckRun> {
        self.check_runs(sha)
            .into_iter()
            .rfind(|run| run.name == name)
    }

    /// The deployments, oldest first, with all their statuses.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.github.hub.deployments(self.id)
    }
}

fn with_files(change: Change, files: &[(&str, &str)]) -> Change {
    files
        .iter()
        .fold(change, |change, (path, text)| change.file(path, *text))
}

impl GitHub {
    /// The deliveries of those numbers, once they have been answered (or are held).
    pub(super) async fn answered(&self, ids: Vec<u64>) -> Vec<Delivery> {
        self.hub.settled().await;
        ids.into_iter()
            .filter_map(|id| self.hub.delivery(id))
            .collect()
    }
}
