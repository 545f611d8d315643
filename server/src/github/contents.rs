//! Files at a commit, and which paths a push changed.
//!
//! Files are read from git's own trees and blobs, not from the API of contents: that one follows
//! symbolic links and calls a submodule a file, so it cannot tell what is really there. What git
//! names by digest never changes, so it is kept, and most pushes cost one or two calls.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipelines::event::ChangedPaths;
use pipelines::limits::FILE_BYTES_MAX;
use pipelines::names::{BranchName, CommitSha};
use serde::Deserialize;
use serde_json::Value;

use super::{Call, GitHub, GitHubError, escape, lock};
use crate::store::repos::Repo;

/// The folder of pipeline files.
pub(crate) const FOLDER: &str = ".seaworthy";
/// The file of environments in that folder, without its ending.
pub(crate) const ENVIRONMENTS: &str = "environments";

/// GitHub lists no more changed files than this; then the list is not all.
const CHANGED_MAX: usize = 300;
/// How many folders and how many files are kept in memory.
const KEPT: usize = 128;

/// A file, by its path in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) content: Content,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A text.
    Text(Arc<str>),
    /// Nothing that could be read, for this reason.
    Unreadable(String),
}

/// An entry of a folder.
#[derive(Debug, Clone, Deserialize)]
struct Entry {
    path: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    sha: String,
    size: Option<usize>,
}

/// What has been read lately, by repository and digest: one repository's files are never shown for
/// another's, even where the digests are equal.
#[derive(Debug, Default)]
pub(super) struct Known {
    folders: Recent<Arc<[Entry]>>,
    files: Recent<Content>,
}

#[derive(Debug)]
struct Recent<T> {
    values: HashMap<(i64, String), T>,
    order: VecDeque<(i64, String)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Clone> Recent<T> {
    fn find(&self, key: &(i64, String)) -> Option<T> {
        self.values.get(key).cloned()
    }

    fn keep(&mut self, key: (i64, String), value: T) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }
}

impl GitHub {
    /// The pipeline files at a commit, by path: `.seaworthy.yml` and `.seaworthy/*.yml`, without
    /// the environments. At most `max`, and one more if there are more.
    pub(crate) async fn pipeline_files(
        &self,
        repo: &Repo,
        commit: &CommitSha,
        max: usize,
    ) -> Result<Vec<Found>, GitHubError> {
        let root = self.folder(repo, commit.as_str()).await?;
        let mut entries = Vec::new();
        for entry in root
            .iter()
            .filter(|entry| stem(&entry.path) == Some(FOLDER))
        {
            entries.push((entry.path.clone(), entry.clone()));
        }
        for entry in self.inner(repo, &root).await?.iter() {
            if stem(&entry.path).is_some_and(|stem| stem != ENVIRONMENTS) {
                entries.push((format!("{FOLDER}/{}", entry.path), entry.clone()));
            }
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut files = Vec::new();
        for (path, entry) in entries.into_iter().take(max + 1) {
            let content = self.file(repo, &entry).await?;
            files.push(Found { path, content });
        }
        Ok(files)
    }

    /// The environments file at the head of a branch, if there is one.
    pub(crate) async fn environments_file(
        &self,
        repo: &Repo,
        branch: &BranchName,
    ) -> Result<Option<Found>, GitHubError> {
        let Some(head) = self.head(repo, branch).await? else {
            return Ok(None);
        };
        let root = self.folder(repo, head.as_str()).await?;
        let folder = self.inner(repo, &root).await?;
        let entry = folder
            .iter()
            .find(|entry| stem(&entry.path) == Some(ENVIRONMENTS));
        match entry {
            Some(entry) => Ok(Some(Found {
                path: format!("{FOLDER}/{}", entry.path),
                content: self.file(repo, entry).await?,
            })),
            None => Ok(None),
        }
    }

    /// The commit at the head of a branch, if there is such a branch.
    pub(crate) async fn head(
        &self,
        repo: &Repo,
        branch: &BranchName,
    ) -> Result<Option<CommitSha>, GitHubError> {
        let path = format!("/git/ref/heads/{}", escape(branch.as_str()));
        let value = match self.call(repo, Call::get(&path)).await {
            Ok(value) => value,
            Err(GitHubError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sha = value.pointer("/object/sha").and_then(Value::as_str);
        let sha = sha.unwrap_or_default().parse();
        sha.map(Some)
            .map_err(|error| GitHubError::Unavailable(format!("{error}")))
    }

    /// The first line of a commit's message, and who wrote it.
    pub(crate) async fn commit(
        &self,
        repo: &Repo,
        commit: &CommitSha,
    ) -> Result<(String, String), GitHubError> {
        let path = format!("/git/commits/{commit}");
        let value = self.call(repo, Call::get(&path)).await?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let title = text("/message").unwrap_or_default();
        Ok((
            title.lines().next().unwrap_or_default().to_owned(),
            text("/author/name").unwrap_or_default().to_owned(),
        ))
    }

    /// Which paths changed from `base` to `head`.
    pub(crate) async fn changed_paths(
        &self,
        repo: &Repo,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedPaths, GitHubError> {
        // The list of files is the same on every page; that of commits is not asked for.
        let path = format!("/compare/{base}...{head}?per_page=1");
        let value = match self.call(repo, Call::get(&path)).await {
            Ok(value) => value,
            // After a forced push the former commit may be gone, or have nothing in common.
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => {
                return Ok(ChangedPaths::Unknown);
            }
            Err(error) => return Err(error),
        };
        let Some(files) = value.get("files").and_then(Value::as_array) else {
            return Ok(ChangedPaths::Unknown);
        };
        if files.len() >= CHANGED_MAX {
            return Ok(ChangedPaths::Unknown);
        }
        let names = ["filename", "previous_filename"];
        let paths = files.iter().flat_map(|file| {
            names
                .iter()
                .filter_map(|name| Some(file.get(name)?.as_str()?.to_owned()))
        });
        Ok(ChangedPaths::Known(paths.collect()))
    }

    /// The entries of our folder, if the root has one.
    async fn inner(&self, repo: &Repo, root: &[Entry]) -> Result<Arc<[Entry]>, GitHubError> {
        let is_folder = |entry: &&Entry| entry.path == FOLDER && entry.kind == "tree";
        match root.iter().find(is_folder) {
            Some(entry) => self.folder(repo, &entry.sha).await,
            None => Ok(Arc::from([])),
        }
    }

    async fn folder(&self, repo: &Repo, sha: &str) -> Result<Arc<[Entry]>, GitHubError> {
        let key = (repo.id.0, sha.to_owned());
        let known = lock(&self.parts.known).folders.find(&key);
        if let Some(entries) = known {
            return Ok(entries);
        }
        let path = format!("/git/trees/{sha}");
        let mut value = self.call(repo, Call::get(&path)).await?;
        let tree = value.get_mut("tree").map(Value::take).unwrap_or_default();
        let entries: Vec<Entry> = serde_json::from_value(tree)
            .map_err(|error| GitHubError::Unavailable(format!("{path}: {error}")))?;
        // Only what can concern us is kept: a root may hold a hundred thousand files.
        let ours = |entry: &Entry| entry.path == FOLDER || stem(&entry.path).is_some();
        let entries: Arc<[Entry]> = entries.into_iter().filter(ours).collect();
        lock(&self.parts.known).folders.keep(key, entries.clone());
        Ok(entries)
    }

    async fn file(&self, repo: &Repo, entry: &Entry) -> Result<Content, GitHubError> {
        if let Some(reason) = why_unreadable(entry) {
            return Ok(Content::Unreadable(reason));
        }
        let key = (repo.id.0, entry.sha.clone());
        let known = lock(&self.parts.known).files.find(&key);
        if let Some(content) = known {
            return Ok(content);
        }
        let path = format!("/git/blobs/{}", entry.sha);
        let value = self.call(repo, Call::get(&path)).await?;
        let content =
            decode(&value).ok_or_else(|| GitHubError::Unavailable(format!("{path}: no base64")))?;
        lock(&self.parts.known).files.keep(key, content.clone());
        Ok(content)
    }
}

/// The name of a YAML file without its ending.
pub(crate) fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".yml")
        .or_else(|| name.strip_suffix(".yaml"))
}

fn why_unreadable(entry: &Entry) -> Option<String> {
    if entry.kind != "blob" || !matches!(entry.mode.as_str(), "100644" | "100755") {
        // A link would let a file outside of review decide what runs.
        return Some("it is not a regular file, but a link, a folder or a submodule".into());
    }
    let size = entry.size.unwrap_or(0);
    (size > FILE_BYTES_MAX)
        .then(|| format!("it has {size} bytes; at most {FILE_BYTES_MAX} are read"))
}

/// The content of a blob; none if GitHub's answer makes no sense.
fn decode(blob: &Value) -> Option<Content> {
    let text = blob.get("content")?.as_str()?;
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(compact).ok()?;
    if bytes.len() > FILE_BYTES_MAX {
        return Some(Content::Unreadable("it is too large".into()));
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => Content::Text(text.into()),
        Err(_) => Content::Unreadable("it is not UTF-8 text".into()),
    })
}
