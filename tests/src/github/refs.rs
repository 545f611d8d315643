//! What follows from changed refs, however they changed: over git, or in a story.

use std::sync::Arc;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use super::events::{self, RefChange};
use super::git::{Refs, ZERO};
use super::hub::Hub;
use super::state::{Person, RepoRecord, State};

/// Above this many branches in one push GitHub sends nothing at all.
const MOST_BRANCHES: usize = 5000;
/// Above this many tags in one push GitHub sends nothing for tags.
const MOST_TAGS: usize = 3;

/// Whether the webhook hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Fire,
    Silent,
}

/// The refs that differ.
pub(super) fn differences(before: &Refs, after: &Refs) -> Vec<RefChange> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let at =
        |refs: &Refs, name: &String| refs.get(name).cloned().unwrap_or_else(|| ZERO.to_owned());
    names
        .into_iter()
        .map(|name| RefChange {
            name: name.clone(),
            before: at(before, name),
            after: at(after, name),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

impl Hub {
    /// Sends events for what changed since `before`, and brings pull requests up to date. Gives the
    /// deliveries. Call it under the repository's push lock.
    pub(super) async fn after_push(
        self: &Arc<Self>,
        id: u64,
        before: &Refs,
        pusher: &Person,
        hook: Hook,
    ) -> Result<Vec<u64>> {
        let changes = differences(before, &self.git(id).refs().await?);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.change(|state| {
            state.people.insert(pusher.login.clone(), pusher.clone());
            if let Some(repo) = state.repositories.get_mut(&id) {
                repo.pushed_at = Timestamp::now();
            }
        });
        let repo = self.repo(id)?;
        let mut sent = Vec::new();
        if hook == Hook::Fire {
            for change in announced(&changes) {
                sent.extend(self.announce(&repo, change, pusher).await?);
            }
        }
        for change in &changes {
            sent.extend(self.refresh_pulls(&repo, change, pusher, hook).await?);
        }
        Ok(sent)
    }

    /// The events of one changed ref, for an App that is installed there.
    pub(super) async fn announce(
        &self,
        repo: &RepoRecord,
        change: &RefChange,
        pusher: &Person,
    ) -> Result<Vec<u64>> {
        let payload = events::push(self, repo, &self.git(repo.id), change, pusher).await?;
        let head = payload["head_commit"].clone();
        let Some(payload) = events::addressed(self, repo, pusher, payload) else {
            return Ok(Vec::new());
        };
        let mut sent: Vec<u64> = self.emit("push", &payload).into_iter().collect();
        if let Some((event, payload)) = events::came_or_went(repo, change) {
            let payload = events::addressed(self, repo, pusher, payload);
            sent.extend(payload.and_then(|payload| self.emit(event, &payload)));
        }
        if self.options.check_suites && !change.deleted() && change.branch().is_some() {
            let suite = json!({
                "action": "requested",
                "check_suite": {
                    "id": self.change(State::new_id),
                    "head_branch": change.branch(),
                    "head_sha": change.after,
                    "before": change.before,
                    "after": change.after,
                    "status": "queued",
                    "conclusion": null,
                    "head_commit": head,
                    "pull_requests": [],
                },
            });
            let suite = events::addressed(self, repo, pusher, suite);
            sent.extend(suite.and_then(|suite| self.emit("check_suite", &suite)));
        }
        Ok(sent)
    }
}

/// The changes of one push that GitHub tells anyone about.
fn announced(changes: &[RefChange]) -> Vec<&RefChange> {
    let (branches, tags): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| change.branch().is_some());
    let mut told = Vec::new();
    if branches.len() <= MOST_BRANCHES {
        told.extend(branches);
    }
    if tags.len() <= MOST_TAGS {
        told.extend(tags);
    }
    told
}
