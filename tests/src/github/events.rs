//! The payloads of `push`, `create` and `delete`, and what all payloads share.

use anyhow::Result;
use serde_json::{Value, json};

use super::commits::{Commit, account_of};
use super::git::{Git, ZERO};
use super::hub::{Hub, lock};
use super::json;
use super::state::{Person, RepoRecord};

/// One ref that changed.
#[derive(Clone, Debug)]
pub(super) struct RefChange {
    /// The full name, `refs/heads/main`.
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
}

impl RefChange {
    pub(super) fn created(&self) -> bool {
        self.before == ZERO
    }

    pub(super) fn deleted(&self) -> bool {
        self.after == ZERO
    }

    pub(super) fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }
}

/// Adds repository, sender, organization and installation to a payload; none when the App is not
/// installed there and so hears nothing.
pub(super) fn addressed(
    hub: &Hub,
    repo: &RepoRecord,
    sender: &Person,
    mut payload: Value,
) -> Option<Value> {
    let installation = lock(&hub.state).installation_of(repo)?;
    payload["repository"] = json::repository(hub, repo);
    if payload.get("pusher").is_some() {
        // In a push, and nowhere else, this is a number.
        payload["repository"]["pushed_at"] = repo.pushed_at.as_second().into();
    }
    payload["sender"] = json::person(hub, sender);
    payload["installation"] =
        json!({ "id": installation, "node_id": json::node_id("I", installation) });
    let owner = &payload["repository"]["owner"];
    let (login, id) = (owner["login"].clone(), owner["id"].clone());
    let url = format!("{}/orgs/{}", hub.api_url(), repo.owner);
    payload["organization"] = json!({
        "login": login,
        "id": id,
        "node_id": owner["node_id"],
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": owner["avatar_url"],
        "description": null,
    });
    Some(payload)
}

/// The `push` payload of one changed ref.
pub(super) async fn push(
    hub: &Hub,
    repo: &RepoRecord,
    git: &Git,
    change: &RefChange,
    pusher: &Person,
) -> Result<Value> {
    let html = format!("{}/{}", hub.web_url, repo.full_name());
    let commits = new_commits(hub, repo, git, change).await?;
    let head = match change.deleted() {
        true => Value::Null,
        false => match git.object(&format!("{}^{{commit}}", change.after)).await {
            Some(sha) => {
                let mut told = told(hub, repo, git, vec![git.commit(&sha).await?]).await?;
                told.pop().unwrap_or(Value::Null)
            }
            None => Value::Null,
        },
    };
    let moved = !change.created() && !change.deleted();
    let forced = moved
        && !git
            .is_ancestor(&change.before, &change.after)
            .await
            .unwrap_or(false);
    let compare = match (change.created(), change.deleted()) {
        (false, false) => {
            format!(
                "{html}/compare/{}...{}",
                &change.before[..12],
                &change.after[..12]
            )
        }
        _ => format!("{html}/compare/{}", json::escape(&change.name)),
    };
    Ok(json!({
        "ref": change.name,
        "before": change.before,
        "after": change.after,
        "base_ref": null,
        "created": change.created(),
        "deleted": change.deleted(),
        "forced": forced,
        "compare": compare,
        "commits": commits,
        "head_commit": head,
        "pusher": { "name": pusher.login, "email": pusher.email },
    }))
}

/// The commits a push brings, oldest first: those not under any other branch when it is new.
async fn new_commits(
    hub: &Hub,
    repo: &RepoRecord,
    git: &Git,
    change: &RefChange,
) -> Result<Vec<Value>> {
    let Some(branch) = change.branch() else {
        return Ok(Vec::new());
    };
    if change.deleted() {
        return Ok(Vec::new());
    }
    let limit = "--max-count=2048";
    let commits = if change.created() {
        let except = format!("--exclude=refs/heads/{branch}");
        let args = [
            limit,
            "--reverse",
            &change.after,
            "--not",
            &except,
            "--branches",
            "--",
        ];
        git.commits(&args).await?
    } else {
        let range = format!("{}..{}", change.before, change.after);
        git.commits(&[limit, "--reverse", &range, "--"]).await?
    };
    told(hub, repo, git, commits).await
}

/// Commits in the form of webhooks: with the paths they touched.
async fn told(hub: &Hub, repo: &RepoRecord, git: &Git, commits: Vec<Commit>) -> Result<Vec<Value>> {
    let shas: String = commits
        .iter()
        .map(|commit| format!("{}\n", commit.sha))
        .collect();
    let args = [
        "diff-tree",
        "--stdin",
        "-r",
        "-z",
        "--root",
        "--name-status",
        "--no-renames",
    ];
    let output = git.feed(&args, shas.as_bytes()).await?;
    let output = String::from_utf8_lossy(&output);
    let mut parts = output.split_terminator('\0').peekable();
    let mut all = Vec::new();
    for commit in commits {
        let (mut added, mut removed, mut modified) = (vec![], vec![], vec![]);
        // A commit that touches nothing (a merge) is not in the output at all.
        if parts.peek() == Some(&commit.sha.as_str()) {
            parts.next();
            while let Some(status) = parts.next_if(|part| part.len() == 1) {
                let path = parts.next().unwrap_or_default();
                match status {
                    "A" => added.push(path),
                    "D" => removed.push(path),
                    _ => modified.push(path),
                }
            }
        }
        let who = |s: &super::commits::Signature| {
            let mut who = json!({ "name": s.name, "email": s.email, "date": s.date });
            if let Some(person) = account_of(hub, &s.email) {
                who["username"] = json!(person.login);
            }
            who
        };
        all.push(json!({
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": true,
            "message": commit.message,
            "timestamp": commit.committer.date,
            "url": format!("{}/{}/commit/{}", hub.web_url, repo.full_name(), commit.sha),
            "author": who(&commit.author),
            "committer": who(&commit.committer),
            "added": added,
            "removed": removed,
            "modified": modified,
        }));
    }
    Ok(all)
}

/// `create` or `delete`, for a ref that came or went.
pub(super) fn came_or_went(repo: &RepoRecord, change: &RefChange) -> Option<(&'static str, Value)> {
    let (kind, name) = match change.branch() {
        Some(name) => ("branch", name),
        None => ("tag", change.name.strip_prefix("refs/tags/")?),
    };
    let mut payload = json!({ "ref": name, "ref_type": kind, "pusher_type": "user" });
    if change.created() {
        payload["master_branch"] = json!(repo.default_branch);
        payload["description"] = Value::Null;
        return Some(("create", payload));
    }
    change.deleted().then_some(("delete", payload))
}
