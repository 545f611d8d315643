//! The git database and refs: trees, blobs, commits, branches, tags.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Name, Paged, Params, Shared};
use super::commits::commit_json;
use super::contents::{blob_answer, wrapped_base64};
use super::hub::Hub;
use super::json::node_id;
use super::state::RepoRecord;

/// Owner, name, and the rest of the path.
type Rest = (String, String, String);

const CONTENTS: Need = Need::read("contents");

fn base(hub: &Hub, repo: &RepoRecord) -> String {
    format!("{}/repos/{}", hub.api_url(), repo.full_name())
}

/// `GET …/git/trees/{sha}[?recursive=1]`; a branch or a tag will do for the sha.
pub(super) async fn tree(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, sha)): Path<Rest>,
    Query(params): Params,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    let tree = match git.kind(&sha).await.as_deref() {
        Some("tree") => Some(sha.clone()),
        Some("blob") => None,
        _ => match git.commit_of(&sha).await {
            Some(commit) => git.object(&format!("{commit}^{{tree}}")).await,
            None => None,
        },
    };
    let tree = tree.ok_or_else(ApiError::not_found)?;
    // Any value means yes, even 0 and false: so the real one says in its manual.
    let entries = match params.contains_key("recursive") {
        true => git.list(&["-r", "-t", &tree]).await?,
        false => git.list(&[&tree]).await?,
    };
    const MOST: usize = 100_000;
    let truncated = entries.len() > MOST;
    let base = base(&hub, &repo);
    let line = |e: &super::git::Entry| {
        let mut line = json!({ "path": e.path, "mode": e.mode, "type": e.kind, "sha": e.sha });
        if let Some(size) = e.size {
            line["size"] = json!(size);
        }
        // A submodule's commit is in another repository, so it has no address here.
        if e.kind != "commit" {
            line["url"] = json!(format!("{base}/git/{}s/{}", e.kind, e.sha));
        }
        line
    };
    let lines: Vec<_> = entries.iter().take(MOST).map(line).collect();
    let url = format!("{base}/git/trees/{tree}");
    Ok(Json(
        json!({ "sha": tree, "url": url, "tree": lines, "truncated": truncated }),
    ))
}

pub(super) async fn blob(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, sha)): Path<Rest>,
    headers: HeaderMap,
) -> Answer {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    if git.kind(&sha).await.as_deref() != Some("blob") {
        return Err(ApiError::not_found());
    }
    let bytes = git.blob(&sha).await?;
    let value = json!({
        "sha": sha,
        "node_id": node_id("B", &sha),
        "size": bytes.len(),
        "encoding": "base64",
        "content": wrapped_base64(&bytes),
        "url": format!("{}/git/blobs/{sha}", base(&hub, &repo)),
    });
    Ok(blob_answer(&headers, bytes, value))
}

/// `GET …/git/commits/{sha}`: the commit alone, without its files.
pub(super) async fn commit(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, sha)): Path<Rest>,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    if git.kind(&sha).await.as_deref() != Some("commit") {
        return Err(ApiError::not_found());
    }
    let full = commit_json(&hub, &repo, &git.commit(&sha).await?);
    let mut value = full["commit"].clone();
    for field in ["sha", "node_id", "html_url", "parents"] {
        value[field] = full[field].clone();
    }
    Ok(Json(value))
}

/// `GET …/git/ref/heads/main` and `…/git/ref/tags/v1`
pub(super) async fn reference(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, rest)): Path<Rest>,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    let full = format!("refs/{rest}");
    let sha = git
        .refs()
        .await?
        .get(&full)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    let kind = git.kind(&sha).await.unwrap_or_default();
    Ok(Json(reference_json(&hub, &repo, (&full, &sha, &kind))))
}

/// `GET …/git/matching-refs/heads/`: all refs that begin so; never 404.
pub(super) async fn matching_references(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, rest)): Path<Rest>,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    let start = format!("refs/{rest}");
    let mut found = Vec::new();
    for (full, sha) in git
        .refs()
        .await?
        .iter()
        .filter(|(full, _)| full.starts_with(&start))
    {
        let kind = git.kind(sha).await.unwrap_or_default();
        found.push(reference_json(&hub, &repo, (full, sha, &kind)));
    }
    Ok(Json(Value::Array(found)))
}

fn reference_json(hub: &Hub, repo: &RepoRecord, (full, sha, kind): (&str, &str, &str)) -> Value {
    let base = base(hub, repo);
    json!({
        "ref": full,
        "node_id": node_id("REF", full),
        "url": format!("{base}/git/{full}"),
        "object": { "type": kind, "sha": sha, "url": format!("{base}/git/{kind}s/{sha}") },
    })
}

/// `GET …/branches/{branch}`
pub(super) async fn branch(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, branch)): Path<Rest>,
) -> Answer<Json<Value>> {
    let (repo, git) = hub.open(&caller, (&owner, &name), CONTENTS)?;
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "Branch not found");
    let refs = git.refs().await?;
    let sha = refs
        .get(&format!("refs/heads/{branch}"))
        .ok_or_else(missing)?;
    let commit = commit_json(&hub, &repo, &git.commit(sha).await?);
    Ok(Json(
        json!({ "name": branch, "commit": commit, "protected": false }),
    ))
}

pub(super) async fn branches(
    State(hub): Shared,
    caller: Caller,
    Path(name): Path<Name>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    named_refs(&hub, &caller, name, "refs/heads/", (uri, params)).await
}

pub(super) async fn tags(
    State(hub): Shared,
    caller: Caller,
    Path(name): Path<Name>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    named_refs(&hub, &caller, name, "refs/tags/", (uri, params)).await
}

async fn named_refs(
    hub: &Hub,
    caller: &Caller,
    (owner, name): Name,
    prefix: &str,
    (uri, params): (axum::http::Uri, HashMap<String, String>),
) -> Answer {
    let (repo, git) = hub.open(caller, (&owner, &name), CONTENTS)?;
    let mut found = Vec::new();
    for (full, sha) in git.refs().await? {
        let Some(short) = full.strip_prefix(prefix) else {
            continue;
        };
        // An annotated tag is told by the commit it stands for.
        let commit = git
            .object(&format!("{sha}^{{commit}}"))
            .await
            .unwrap_or(sha);
        found.push((short.to_owned(), commit));
    }
    let base = base(hub, &repo);
    let page = Paged::cut(hub, &uri, &params, found);
    Ok(page.answer(|_, items| {
        let line = |(name, sha): &(String, String)| {
            json!({
                "name": name,
                "commit": { "sha": sha, "url": format!("{base}/commits/{sha}") },
                "protected": false,
                "zipball_url": format!("{base}/zipball/{name}"),
                "tarball_url": format!("{base}/tarball/{name}"),
                "node_id": node_id("REF", name),
            })
        };
        items.iter().map(line).collect()
    }))
}
