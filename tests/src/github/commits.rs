//! Commits, their changed files, and comparisons: read from git, told as GitHub tells them.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Paged, Params, Shared};
use super::checks;
use super::git::Git;
use super::hub::{Hub, lock};
use super::json::{self, node_id};
use super::state::{Person, RepoRecord};

/// A commit as git has it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) sha: String,
    pub(super) tree: String,
    pub(super) parents: Vec<String>,
    pub(super) author: Signature,
    pub(super) committer: Signature,
    pub(super) message: String,
}

/// Who and when.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) date: String,
}

/// One changed file.
#[derive(Clone, Debug)]
pub(super) struct FileChange {
    pub(super) status: &'static str,
    pub(super) path: String,
    pub(super) former_path: Option<String>,
    pub(super) sha: String,
    pub(super) added: u64,
    pub(super) deleted: u64,
}

/// Fields end with NUL and so do records, so a commit is just ten of them.
const FORMAT: &str =
    "--format=tformat:%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";

impl Git {
    /// The commits `range` names, in the order `args` ask for.
    pub(super) async fn commits(&self, args: &[&str]) -> Result<Vec<Commit>> {
        let mut all = vec!["log", "-z", FORMAT];
        all.extend(args);
        let bytes = self.run(&all).await?;
        let text = String::from_utf8_lossy(&bytes);
        let fields: Vec<&str> = text.split_terminator('\0').collect();
        fields.chunks(10).map(parse_commit).collect()
    }

    pub(super) async fn commit(&self, sha: &str) -> Result<Commit> {
        let mut found = self.commits(&["-1", sha, "--"]).await?;
        found
            .pop()
            .with_context(|| format!("git shows no commit {sha}"))
    }

    /// The files that differ between two commits (or trees), renames found.
    pub(super) async fn changes(&self, old: &str, new: &str) -> Result<Vec<FileChange>> {
        let base = ["-r", "-z", "-M", "--root", "--no-commit-id"];
        let mut raw = vec!["diff-tree", "--raw", "--no-abbrev"];
        let mut counts = vec!["diff-tree", "--numstat"];
        for args in [&mut raw, &mut counts] {
            args.extend(base);
            args.extend([old, new].iter().filter(|rev| !rev.is_empty()));
        }
        let (raw, counts) = (self.run(&raw).await?, self.run(&counts).await?);
        let raw = String::from_utf8_lossy(&raw);
        let mut files = parse_raw(&raw)?;
        let counts = String::from_utf8_lossy(&counts);
        for (file, (added, deleted)) in files.iter_mut().zip(parse_counts(&counts)) {
            (file.added, file.deleted) = (added, deleted);
        }
        Ok(files)
    }
}

fn parse_commit(fields: &[&str]) -> Result<Commit> {
    let [sha, tree, parents, an, ae, ad, cn, ce, cd, message] = fields else {
        anyhow::bail!("git log printed {} fields for a commit", fields.len());
    };
    let who = |name: &str, email: &str, date: &str| Signature {
        name: name.to_owned(),
        email: email.to_owned(),
        date: date.to_owned(),
    };
    Ok(Commit {
        sha: (*sha).to_owned(),
        tree: (*tree).to_owned(),
        parents: parents.split_whitespace().map(str::to_owned).collect(),
        author: who(an, ae, ad),
        committer: who(cn, ce, cd),
        message: message.trim_end().to_owned(),
    })
}

/// `:old-mode new-mode old-sha new-sha STATUS NUL path NUL [path NUL]`
fn parse_raw(text: &str) -> Result<Vec<FileChange>> {
    let mut parts = text.split_terminator('\0');
    let mut files = Vec::new();
    while let Some(head) = parts.next() {
        let words: Vec<&str> = head.split_whitespace().collect();
        let [_, _, old, new, status] = words[..] else {
            anyhow::bail!("git diff-tree printed {head:?}");
        };
        let first = parts.next().context("a path follows")?.to_owned();
        let renamed = status.starts_with(['R', 'C']);
        let (former_path, path) = match renamed {
            true => (
                Some(first),
                parts.next().context("a second path follows")?.to_owned(),
            ),
            false => (None, first),
        };
        let status = match status.as_bytes().first() {
            Some(b'A') => "added",
            Some(b'D') => "removed",
            Some(b'R') => "renamed",
            Some(b'C') => "copied",
            Some(b'T') => "changed",
            _ => "modified",
        };
        let sha = if status == "removed" { old } else { new }.to_owned();
        files.push(FileChange {
            status,
            path,
            former_path,
            sha,
            added: 0,
            deleted: 0,
        });
    }
    Ok(files)
}

/// `added TAB deleted TAB path NUL`, or with an empty path and two more for a rename.
fn parse_counts(text: &str) -> Vec<(u64, u64)> {
    let mut parts = text.split_terminator('\0');
    let mut counts = Vec::new();
    while let Some(part) = parts.next() {
        let mut columns = part.split('\t');
        // Binary files have a dash: no lines.
        let mut number = || columns.next().and_then(|c| c.parse().ok()).unwrap_or(0);
        counts.push((number(), number()));
        if columns.next() == Some("") {
            let (_old, _new) = (parts.next(), parts.next());
        }
    }
    counts
}

/// The account behind an address in a commit; null for one GitHub does not know.
pub(super) fn account_of(hub: &Hub, email: &str) -> Option<Person> {
    let default = Person::default();
    if default.email == email {
        return Some(default);
    }
    lock(&hub.state)
        .people
        .values()
        .find(|person| person.email == email)
        .cloned()
}

pub(super) fn file_json(hub: &Hub, repo: &RepoRecord, sha: &str, file: &FileChange) -> Value {
    let path = json::escape(&file.path);
    let html = format!("{}/{}", hub.web_url, repo.full_name());
    let mut value = json!({
        "sha": file.sha,
        "filename": file.path,
        "status": file.status,
        "additions": file.added,
        "deletions": file.deleted,
        "changes": file.added + file.deleted,
        "blob_url": format!("{html}/blob/{sha}/{path}"),
        "raw_url": format!("{html}/raw/{sha}/{path}"),
        "contents_url": format!("{}/repos/{}/contents/{path}?ref={sha}", hub.api_url(), repo.full_name()),
    });
    if let Some(former) = &file.former_path {
        value["previous_filename"] = json!(former);
    }
    value
}

pub(super) fn commit_json(hub: &Hub, repo: &RepoRecord, commit: &Commit) -> Value {
    let api = format!("{}/repos/{}", hub.api_url(), repo.full_name());
    let html = format!("{}/{}/commit", hub.web_url, repo.full_name());
    let account = |email: &str| account_of(hub, email).map(|person| json::person(hub, &person));
    let who = |s: &Signature| json!({ "name": s.name, "email": s.email, "date": s.date });
    let parent = |sha: &String| json!({ "sha": sha, "url": format!("{api}/commits/{sha}"), "html_url": format!("{html}/{sha}") });
    let sha = &commit.sha;
    json!({
        "sha": sha,
        "node_id": node_id("C", sha),
        "url": format!("{api}/commits/{sha}"),
        "html_url": format!("{html}/{sha}"),
        "comments_url": format!("{api}/commits/{sha}/comments"),
        "author": account(&commit.author.email),
        "committer": account(&commit.committer.email),
        "parents": commit.parents.iter().map(parent).collect::<Vec<_>>(),
        "commit": {
            "url": format!("{api}/git/commits/{sha}"),
            "author": who(&commit.author),
            "committer": who(&commit.committer),
            "message": commit.message,
            "comment_count": 0,
            "tree": { "sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree) },
            "verification":
                { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
        },
    })
}

/// `GET …/commits/{ref}` and `…/commits/{ref}/check-runs`: a ref may have slashes, so one route
/// takes both.
pub(super) async fn show(
    state: Shared,
    caller: Caller,
    Path((owner, name, rest)): Path<(String, String, String)>,
    uri: OriginalUri,
    params: Params,
) -> Answer {
    let names = (owner.as_str(), name.as_str());
    if let Some(commit) = rest.strip_suffix("/check-runs") {
        return checks::list_for_commit(state, caller, names, commit, (uri, params)).await;
    }
    let State(hub) = state;
    let (repo, git) = hub.open(&caller, names, Need::read("contents"))?;
    let commit = find(&git, &rest).await?;
    let files = match commit.parents.first() {
        Some(parent) => git.changes(parent, &commit.sha).await?,
        None => git.changes("", &commit.sha).await?,
    };
    let (added, deleted) = files
        .iter()
        .fold((0, 0), |(a, d), f| (a + f.added, d + f.deleted));
    let mut value = commit_json(&hub, &repo, &commit);
    value["stats"] = json!({ "additions": added, "deletions": deleted, "total": added + deleted });
    value["files"] = files
        .iter()
        .take(300)
        .map(|file| file_json(&hub, &repo, &commit.sha, file))
        .collect();
    Ok(axum::response::IntoResponse::into_response(Json(value)))
}

async fn find(git: &Git, name: &str) -> Answer<Commit> {
    let missing = || ApiError::invalid(format!("No commit found for SHA: {name}"));
    let sha = git.commit_of(name).await.ok_or_else(missing)?;
    Ok(git.commit(&sha).await?)
}

/// `GET …/commits?sha=`: the history, newest first.
pub(super) async fn history(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, git) = hub.open(&caller, (&owner, &name), Need::read("contents"))?;
    let start = params.get("sha").unwrap_or(&repo.default_branch);
    let sha = git.commit_of(start).await.ok_or_else(ApiError::not_found)?;
    let mut args = vec![sha.as_str(), "--"];
    args.extend(params.get("path").map(String::as_str));
    let page = Paged::cut(&hub, &uri, &params, git.commits(&args).await?);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|commit| commit_json(&hub, &repo, commit))
            .collect()
    }))
}

/// `GET …/compare/{base}...{head}`
pub(super) async fn compare(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, pair)): Path<(String, String, String)>,
    Query(params): Params,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), Need::read("contents"))?;
    let (base, head) = pair.split_once("...").ok_or_else(ApiError::not_found)?;
    let side = |text: &str| {
        text.strip_prefix(&format!("{}:", repo.owner))
            .map(str::to_owned)
    };
    let base = side(base).unwrap_or_else(|| base.to_owned());
    let head = side(head).unwrap_or_else(|| head.to_owned());
    let base = git.commit_of(&base).await.ok_or_else(ApiError::not_found)?;
    let head = git.commit_of(&head).await.ok_or_else(ApiError::not_found)?;
    let number = |name: &str| params.get(name).and_then(|text| text.parse::<usize>().ok());
    let page = number("page").unwrap_or(1).max(1);
    let size = number("per_page").unwrap_or(250).clamp(1, 250);
    let both = [base.as_str(), head.as_str()];
    Ok(Json(
        comparison(&hub, &repo, &git, both, (page, size)).await?,
    ))
}

async fn comparison(
    hub: &Arc<Hub>,
    repo: &RepoRecord,
    git: &Git,
    [base, head]: [&str; 2],
    (page, size): (usize, usize),
) -> Answer<Value> {
    let unrelated = |_| {
        let message = format!("No common ancestor between {base} and {head}.");
        ApiError::new(axum::http::StatusCode::NOT_FOUND, message)
    };
    let merge_base = git
        .text(&["merge-base", base, head])
        .await
        .map_err(unrelated)?;
    let ahead = git
        .commits(&["--reverse", &format!("{base}..{head}"), "--"])
        .await?;
    let behind = git
        .text(&["rev-list", "--count", &format!("{head}..{base}")])
        .await?;
    let behind: usize = behind.parse().unwrap_or(0);
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let files = git.changes(&merge_base, head).await?;
    // Files come with the first page only, and never more than 300: for more, ask the trees.
    let shown = if page == 1 { 300 } else { 0 };
    let html = format!(
        "{}/{}/compare/{base}...{head}",
        hub.web_url,
        repo.full_name()
    );
    Ok(json!({
        "url": format!("{}/repos/{}/compare/{base}...{head}", hub.api_url(), repo.full_name()),
        "html_url": html,
        "permalink_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "base_commit": commit_json(hub, repo, &git.commit(base).await?),
        "merge_base_commit": commit_json(hub, repo, &git.commit(&merge_base).await?),
        "status": status,
        "ahead_by": ahead.len(),
        "behind_by": behind,
        "total_commits": ahead.len(),
        "commits": ahead.iter().skip((page - 1).saturating_mul(size)).take(size)
            .map(|commit| commit_json(hub, repo, commit)).collect::<Vec<_>>(),
        "files": files.iter().take(shown)
            .map(|file| file_json(hub, repo, head, file)).collect::<Vec<_>>(),
    }))
}
