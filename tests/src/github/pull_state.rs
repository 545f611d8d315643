//! A pull request as it is kept, and as GitHub tells it.

use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hub::Hub;
use super::json::{self, node_id, time};
use super::state::{Person, RepoRecord};

/// Whether it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PullStatus {
    Open,
    Closed,
    Merged,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pull {
    pub(super) id: u64,
    pub(super) number: u64,
    /// The repository it is opened in, and the one it comes from: another for a fork.
    pub(super) base_repository: u64,
    pub(super) head_repository: u64,
    pub(super) base: String,
    pub(super) head: String,
    pub(super) head_sha: String,
    pub(super) base_sha: String,
    /// A trial merge, unless there are conflicts; the real merge once merged.
    pub(super) merge_sha: Option<String>,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) draft: bool,
    pub(super) author: Person,
    pub(super) status: PullStatus,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
}

impl Pull {
    pub(super) fn is_open(&self) -> bool {
        self.status == PullStatus::Open
    }
}

fn side(hub: &Hub, repo: Option<&RepoRecord>, branch: &str, sha: &str) -> Value {
    let owner = repo.map_or("unknown", |repo| repo.owner.as_str());
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": repo.map(|repo| json::owner(hub, &repo.owner)),
        // Null when the fork has been deleted.
        "repo": repo.map(|repo| json::repository(hub, repo)),
    })
}

/// All but the counts, as in lists.
pub(super) fn pull_json(hub: &Hub, base: &RepoRecord, pull: &Pull) -> Value {
    let html = format!("{}/{}/pull/{}", hub.web_url, base.full_name(), pull.number);
    let repository = format!("{}/repos/{}", hub.api_url(), base.full_name());
    let url = format!("{repository}/pulls/{}", pull.number);
    let issue = format!("{repository}/issues/{}", pull.number);
    let head = hub.repo(pull.head_repository).ok();
    let merged = pull.status == PullStatus::Merged;
    let association = if pull.head_repository == base.id {
        "MEMBER"
    } else {
        "NONE"
    };
    json!({
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "number": pull.number,
        "url": url,
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue,
        "commits_url": format!("{url}/commits"),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": format!("{repository}/statuses/{}", pull.head_sha),
        "state": if pull.is_open() { "open" } else { "closed" },
        "locked": false,
        "draft": pull.draft,
        "title": pull.title,
        "body": pull.body,
        "user": json::person(hub, &pull.author),
        "labels": [],
        "milestone": null,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "author_association": association,
        "auto_merge": null,
        "head": side(hub, head.as_ref(), &pull.head, &pull.head_sha),
        "base": side(hub, Some(base), &pull.base, &pull.base_sha),
        "merge_commit_sha": pull.merge_sha,
        "created_at": time(pull.created_at),
        "updated_at": time(pull.updated_at),
        "closed_at": pull.closed_at.map(time),
        "merged_at": pull.closed_at.filter(|_| merged).map(time),
    })
}

/// With the counts, as by itself and in webhooks.
pub(super) async fn full_pull_json(hub: &Hub, base: &RepoRecord, pull: &Pull) -> Result<Value> {
    let git = hub.git(base.id);
    let mut value = pull_json(hub, base, pull);
    let start = git
        .text(&["merge-base", &pull.base_sha, &pull.head_sha])
        .await;
    let files = match &start {
        Ok(start) => git.changes(start, &pull.head_sha).await?,
        Err(_) => Vec::new(),
    };
    let range = format!("{}..{}", pull.base_sha, pull.head_sha);
    let commits: u64 = git
        .text(&["rev-list", "--count", &range])
        .await?
        .parse()
        .unwrap_or(0);
    let merged = pull.status == PullStatus::Merged;
    let mergeable = pull.merge_sha.is_some();
    let more = json!({
        "merged": merged,
        "mergeable": if merged { Value::Null } else { json!(mergeable) },
        "rebaseable": if merged { Value::Null } else { json!(mergeable) },
        "mergeable_state": match (merged, mergeable) {
            (true, _) => "unknown",
            (false, true) => "clean",
            (false, false) => "dirty",
        },
        "merged_by": merged.then(|| json::person(hub, &pull.author)),
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": pull.head_repository != base.id,
        "commits": commits,
        "changed_files": files.len(),
        "additions": files.iter().map(|file| file.added).sum::<u64>(),
        "deletions": files.iter().map(|file| file.deleted).sum::<u64>(),
    });
    if let (Some(value), Some(more)) = (value.as_object_mut(), more.as_object()) {
        value.extend(more.clone());
    }
    Ok(value)
}
