//! `GET …/contents/{path}`: files and folders at a commit.
//!
//! With the oddities of the real one: a link to a file shows that file, a submodule in a listing
//! says it is a file, and above one megabyte there is no content.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Params, Shared};
use super::git::{Entry, Git};
use super::hub::Hub;
use super::json;
use super::state::RepoRecord;

const MEGABYTE: u64 = 1 << 20;

/// A repository at one commit.
struct At<'a> {
    hub: &'a Arc<Hub>,
    repo: &'a RepoRecord,
    git: &'a Git,
    commit: String,
    /// The `ref` of the call, which addresses in the answer repeat.
    asked: String,
}

/// How the caller wants it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Raw,
    Object,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let has = |kind: &str| accept.contains("application/vnd.github.") && accept.contains(kind);
        match () {
            () if has("raw") => Self::Raw,
            () if has("object") => Self::Object,
            () => Self::Json,
        }
    }
}

pub(super) async fn root(
    state: Shared,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Answer {
    show(
        state,
        caller,
        Path((owner, name, String::new())),
        params,
        headers,
    )
    .await
}

pub(super) async fn show(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, path)): Path<(String, String, String)>,
    Query(params): Params,
    headers: HeaderMap,
) -> Answer {
    let (repo, git) = hub.open(&caller, (&owner, &name), Need::read("contents"))?;
    let asked = params
        .get("ref")
        .cloned()
        .unwrap_or_else(|| repo.default_branch.clone());
    let no_commit = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            format!("No commit found for the ref {asked}"),
        )
    };
    let commit = git.commit_of(&asked).await.ok_or_else(no_commit)?;
    let at = At {
        hub: &hub,
        repo: &repo,
        git: &git,
        commit,
        asked,
    };
    let path = path.trim_matches('/');
    let media = Media::of(&headers);
    if path.is_empty() {
        return at.folder("", "", media).await;
    }
    let entry = at.entry(path).await?.ok_or_else(ApiError::not_found)?;
    match entry.kind.as_str() {
        "tree" => at.folder(path, &entry.sha, media).await,
        "commit" => Ok(Json(at.submodule(&entry).await).into_response()),
        _ if entry.mode == "120000" => at.link(path, &entry, media).await,
        _ => at.file(path, &entry, media).await,
    }
}

impl At<'_> {
    async fn entry(&self, path: &str) -> Answer<Option<Entry>> {
        // git would refuse these with a failure; to GitHub they are just not there.
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Ok(None);
        }
        Ok(self.git.list(&[&self.commit, "--", path]).await?.pop())
    }

    async fn folder(&self, path: &str, sha: &str, media: Media) -> Answer {
        let tree = if path.is_empty() { &self.commit } else { sha };
        let entries = self.git.list(&[tree]).await?;
        let mut items = Vec::new();
        for mut entry in entries.into_iter().take(1000) {
            if !path.is_empty() {
                entry.path = format!("{path}/{}", entry.path);
            }
            let kind = match (entry.kind.as_str(), entry.mode.as_str()) {
                ("tree", _) => "dir",
                ("blob", "120000") => "symlink",
                // Also submodules, "for backwards compatibility".
                _ => "file",
            };
            items.push(self.describe(&entry, kind));
        }
        if media != Media::Object {
            return Ok(Json(items).into_response());
        }
        let name = path.rsplit('/').next().unwrap_or("");
        let folder = json!({ "type": "dir", "size": 0, "name": name, "path": path, "sha": sha, "entries": items });
        Ok(Json(folder).into_response())
    }

    async fn file(&self, path: &str, entry: &Entry, media: Media) -> Answer {
        let size = entry.size.unwrap_or(0);
        if size > 100 * MEGABYTE {
            return Err(ApiError::forbidden(
                "This API returns blobs up to 100 MB in size. The requested blob is too large.",
            ));
        }
        let bytes = self.git.blob(&entry.sha).await?;
        if media == Media::Raw {
            let kind = (
                header::CONTENT_TYPE,
                "application/vnd.github.raw; charset=utf-8",
            );
            return Ok(([kind], bytes).into_response());
        }
        let mut value = self.describe(entry, "file");
        value["path"] = json!(path);
        let (encoding, content) = match size > MEGABYTE {
            true => ("none", String::new()),
            false => ("base64", wrapped_base64(&bytes)),
        };
        value["encoding"] = json!(encoding);
        value["content"] = json!(content);
        Ok(Json(value).into_response())
    }

    /// A link that ends at a file of the repository shows that file; any other shows itself.
    async fn link(&self, path: &str, entry: &Entry, media: Media) -> Answer {
        let target = self.git.blob(&entry.sha).await?;
        let target = String::from_utf8_lossy(&target).into_owned();
        if let Some(end) = follow(path, &target) {
            let found = self.entry(&end).await?;
            if let Some(found) = found.filter(|e| e.kind == "blob" && e.mode != "120000") {
                return self.file(path, &found, media).await;
            }
        }
        let mut value = self.describe(entry, "symlink");
        value["target"] = json!(target);
        Ok(Json(value).into_response())
    }

    async fn submodule(&self, entry: &Entry) -> Value {
        let mut value = self.describe(entry, "submodule");
        value["submodule_git_url"] = json!(self.submodule_address(&entry.path).await);
        value
    }

    async fn submodule_address(&self, path: &str) -> Option<String> {
        let blob = format!("{}:.gitmodules", self.commit);
        let text = self
            .git
            .text(&["config", "--blob", &blob, "--list"])
            .await
            .ok()?;
        let is_path = |line: &&str| line.ends_with(&format!(".path={path}"));
        let section = text
            .lines()
            .find(is_path)?
            .strip_suffix(&format!(".path={path}"))?;
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{section}.url=")))
            .map(str::to_owned)
    }

    fn describe(&self, entry: &Entry, kind: &str) -> Value {
        let (hub, name) = (self.hub, self.repo.full_name());
        let path = json::escape(&entry.path);
        let url = format!(
            "{}/repos/{name}/contents/{path}?ref={}",
            hub.api_url(),
            json::escape(&self.asked)
        );
        let noun = if kind == "dir" { "tree" } else { "blob" };
        let html = format!("{}/{name}/{noun}/{}/{path}", hub.web_url, self.asked);
        let object = format!("{}/repos/{name}/git/{noun}s/{}", hub.api_url(), entry.sha);
        let download = (noun == "blob" && entry.kind == "blob")
            .then(|| format!("{}/{name}/raw/{}/{path}", hub.web_url, self.asked));
        json!({
            "type": kind,
            "name": entry.path.rsplit('/').next(),
            "path": entry.path,
            "sha": entry.sha,
            "size": entry.size.unwrap_or(0),
            "url": url,
            "html_url": html,
            "git_url": object,
            "download_url": download,
            "_links": { "self": url, "git": object, "html": html },
        })
    }
}

/// Where a relative link leads within the repository; none if out of it.
fn follow(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// GitHub breaks base64 into lines of sixty.
pub(super) fn wrapped_base64(bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / 60 + 1);
    for start in (0..text.len()).step_by(60) {
        lines.push_str(&text[start..text.len().min(start + 60)]);
        lines.push('\n');
    }
    lines
}

/// Raw bytes or JSON, for a blob by its sha.
pub(super) fn blob_answer(headers: &HeaderMap, bytes: Vec<u8>, json: Value) -> Response {
    if Media::of(headers) == Media::Raw {
        let kind = (
            header::CONTENT_TYPE,
            "application/vnd.github.raw; charset=utf-8",
        );
        return ([kind], bytes).into_response();
    }
    Json(json).into_response()
}
