//! What happens to pull requests: opened, pushed to, merged, closed.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::events::{RefChange, addressed};
use super::hub::{Hub, lock};
use super::pull_state::{Pull, PullStatus, full_pull_json};
use super::refs::Hook;
use super::state::{Person, RepoRecord};

impl Hub {
    pub(super) fn pull(&self, repo: u64, number: u64) -> Option<Pull> {
        let state = lock(&self.state);
        state
            .pulls
            .iter()
            .find(|p| p.base_repository == repo && p.number == number)
            .cloned()
    }

    pub(super) fn change_pull(&self, id: u64, change: impl FnOnce(&mut Pull)) {
        self.change(|state| {
            if let Some(pull) = state.pulls.iter_mut().find(|pull| pull.id == id) {
                pull.updated_at = Timestamp::now();
                change(pull);
            }
        });
    }

    /// Opens one; both branches must be there, and no other may be open for the same pair.
    pub(super) async fn open_pull(
        self: &Arc<Self>,
        (base_repo, base): (u64, &str),
        (head_repo, head): (u64, &str),
        author: &Person,
        title: &str,
    ) -> Result<(Pull, Vec<u64>)> {
        let repo = self.repo(base_repo)?;
        let head_sha = self.git(head_repo).branch(head).await;
        let head_sha = head_sha.with_context(|| format!("no branch {head} to pull from"))?;
        let base_sha = self.git(base_repo).branch(base).await;
        let base_sha = base_sha.with_context(|| format!("no branch {base} to pull into"))?;
        if head_sha == base_sha {
            bail!("No commits between {base} and {head}");
        }
        let pull = self.change(|state| {
            let same = |p: &&Pull| {
                p.is_open()
                    && (p.base_repository, p.head_repository) == (base_repo, head_repo)
                    && p.head == head
                    && p.base == base
            };
            if let Some(other) = state.pulls.iter().find(same) {
                bail!(
                    "A pull request already exists for {head}: #{}",
                    other.number
                );
            }
            state.people.insert(author.login.clone(), author.clone());
            let id = state.new_id();
            let record = state
                .repositories
                .get_mut(&base_repo)
                .context("it was there above")?;
            let pull = Pull {
                id,
                number: record.next_number,
                base_repository: base_repo,
                head_repository: head_repo,
                base: base.to_owned(),
                head: head.to_owned(),
                head_sha,
                base_sha,
                merge_sha: None,
                title: title.to_owned(),
                body: String::new(),
                draft: false,
                author: author.clone(),
                status: PullStatus::Open,
                created_at: Timestamp::now(),
                updated_at: Timestamp::now(),
                closed_at: None,
            };
            record.next_number += 1;
            state.pulls.push(pull.clone());
            Ok(pull)
        })?;
        self.bring_in(&pull).await?;
        let sent = self
            .pull_event(&repo, pull.id, author, json!({ "action": "opened" }))
            .await?;
        Ok((pull, sent))
    }

    /// Brings the head's commits into the base repository under `refs/pull/N/head`, and tries the
    /// merge, as GitHub does for every push to either side.
    pub(super) async fn bring_in(&self, pull: &Pull) -> Result<()> {
        let git = self.git(pull.base_repository);
        let own = format!("refs/pull/{}", pull.number);
        let source = self.git(pull.head_repository);
        let source = source.dir().to_string_lossy().into_owned();
        let refspec = format!("+refs/heads/{}:{own}/head", pull.head);
        git.run(&["fetch", "--quiet", "--no-tags", &source, &refspec])
            .await?;
        let head = git
            .object(&format!("{own}/head"))
            .await
            .context("it was fetched just now")?;
        let base = git
            .branch(&pull.base)
            .await
            .unwrap_or_else(|| pull.base_sha.clone());
        let merge = self.try_merge(pull, [&base, &head], "Merge").await?;
        if let Some(merge) = &merge {
            git.run(&["update-ref", &format!("{own}/merge"), merge])
                .await?;
        }
        self.change_pull(pull.id, |pull| {
            pull.head_sha = head;
            pull.base_sha = base;
            pull.merge_sha = merge;
        });
        Ok(())
    }

    /// A merge commit of two commits that no branch points to yet; none if there are conflicts.
    pub(super) async fn try_merge(
        &self,
        pull: &Pull,
        [base, head]: [&str; 2],
        verb: &str,
    ) -> Result<Option<String>> {
        let git = self.git(pull.base_repository);
        let Ok(tree) = git.text(&["merge-tree", "--write-tree", base, head]).await else {
            return Ok(None);
        };
        // The date of the head, so that the same two commits give the same merge.
        let date = git.commit(head).await?.committer.date;
        let message = format!("{verb} {head} into {base}");
        let args = ["commit-tree", &tree, "-p", base, "-p", head, "-m", &message];
        let mut command = git.command(&args);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), &pull.author.name);
            command.env(format!("GIT_{role}_EMAIL"), &pull.author.email);
            command.env(format!("GIT_{role}_DATE"), &date);
        }
        let output = command
            .output()
            .await
            .context("cannot run git commit-tree")?;
        if !output.status.success() {
            bail!(
                "git commit-tree: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(Some(
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ))
    }

    /// What one changed branch means for the pull requests that come from it or go into it.
    pub(super) async fn refresh_pulls(
        self: &Arc<Self>,
        repo: &RepoRecord,
        change: &RefChange,
        pusher: &Person,
        hook: Hook,
    ) -> Result<Vec<u64>> {
        let Some(branch) = change.branch() else {
            return Ok(Vec::new());
        };
        let touched = |pull: &&Pull| {
            pull.is_open()
                && ((pull.head_repository == repo.id && pull.head == branch)
                    || (pull.base_repository == repo.id && pull.base == branch))
        };
        let pulls: Vec<Pull> = lock(&self.state)
            .pulls
            .iter()
            .filter(touched)
            .cloned()
            .collect();
        let mut sent = Vec::new();
        for pull in pulls {
            let base = self.repo(pull.base_repository)?;
            let from_head = pull.head_repository == repo.id && pull.head == branch;
            let payload = if change.deleted() {
                self.end_pull(pull.id, PullStatus::Closed);
                json!({ "action": "closed" })
            } else if from_head {
                self.bring_in(&pull).await?;
                let (before, after) = (&change.before, &change.after);
                json!({ "action": "synchronize", "before": before, "after": after })
            } else if self
                .git(base.id)
                .is_ancestor(&pull.head_sha, &change.after)
                .await?
            {
                let merge = change.after.clone();
                self.change_pull(pull.id, |pull| pull.merge_sha = Some(merge));
                self.end_pull(pull.id, PullStatus::Merged);
                json!({ "action": "closed" })
            } else {
                // The base went on: the trial merge is another, but nobody is told.
                self.bring_in(&pull).await?;
                continue;
            };
            if hook == Hook::Fire {
                sent.extend(self.pull_event(&base, pull.id, pusher, payload).await?);
            }
        }
        Ok(sent)
    }

    pub(super) fn end_pull(&self, id: u64, status: PullStatus) {
        self.change_pull(id, |pull| {
            pull.status = status;
            pull.closed_at = Some(Timestamp::now());
        });
    }

    /// Sends a `pull_request` event, to the base repository's App only. `payload` has the action and
    /// what belongs to it.
    pub(super) async fn pull_event(
        &self,
        base: &RepoRecord,
        id: u64,
        sender: &Person,
        mut payload: Value,
    ) -> Result<Vec<u64>> {
        let pull = lock(&self.state)
            .pulls
            .iter()
            .find(|pull| pull.id == id)
            .cloned();
        let pull = pull.context("a pull request is never forgotten")?;
        payload["number"] = json!(pull.number);
        payload["pull_request"] = full_pull_json(self, base, &pull).await?;
        let payload = addressed(self, base, sender, payload);
        Ok(payload
            .and_then(|payload| self.emit("pull_request", &payload))
            .into_iter()
            .collect())
    }
}
