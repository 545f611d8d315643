//! Files of templates in other repositories.
//!
//! Only repositories that the same installation of the App can read: what a pipeline file names must
//! not let its author read anything that its repository could not be given.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use pipelines::ids::RepoId;
use pipelines::limits::FILE_BYTES_MAX;
use pipelines::names::{CommitSha, RepoName};
use pipelines::template::{Fetched, TemplateSource};

use super::app::APP_ITSELF;
use super::{Call, GitHub, GitHubError, escape, message};
use crate::store::repos::Repo;

/// What the references named so far mean, so that all files of one intake are of the same commits.
#[derive(Debug, Default)]
pub(crate) struct Resolved(BTreeMap<(RepoName, String), Result<(Repo, CommitSha), String>>);

impl GitHub {
    /// The file that a pipeline file of `base` names, at the commit its reference means now. What
    /// cannot be used says why; an error is something that may be better later.
    pub(crate) async fn template(
        &self,
        base: &Repo,
        source: &TemplateSource,
        resolved: &mut Resolved,
    ) -> Result<Fetched, GitHubError> {
        let key = (source.repository.clone(), source.reference.clone());
        let found = match resolved.0.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.resolve(base, source).await?;
                resolved.0.insert(key, found.clone());
                found
            }
        };
        let (repo, commit) = match found {
            Ok(found) => found,
            Err(reason) => return Ok(Fetched::Missing(reason)),
        };
        let path = format!("/contents/{}?ref={commit}", escape(&source.path));
        match self.call(&repo, Call::get(&path)).await {
            Ok(value) => Ok(match text(&value) {
                Ok(text) => Fetched::File { commit, text },
                Err(reason) => Fetched::Missing(reason),
            }),
            Err(GitHubError::NotFound(_)) => Ok(Fetched::Missing(format!(
                "there is no file `{}` at {}",
                source.path,
                commit.short()
            ))),
            Err(GitHubError::NoAccess(words)) => Ok(Fetched::Missing(words)),
            Err(error) => Err(error),
        }
    }

    /// The repository and the commit that a source means, or why it means none.
    async fn resolve(
        &self,
        base: &Repo,
        source: &TemplateSource,
    ) -> Result<Result<(Repo, CommitSha), String>, GitHubError> {
        let Some(repo) = self.neighbour(base, source).await? else {
            let name = &source.repository;
            return Ok(Err(format!(
                "the App's installation for {} cannot read {name}: add that repository to it",
                base.name
            )));
        };
        let path = format!("/commits/{}", escape(&source.reference));
        let commit = match self.call(&repo, Call::get(&path)).await {
            Ok(value) => sha(&value),
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => None,
            Err(GitHubError::NoAccess(words)) => return Ok(Err(words)),
            Err(error) => return Err(error),
        };
        let reference = &source.reference;
        let missing = || format!("there is no branch, tag or commit `{reference}`");
        Ok(commit.map(|commit| (repo, commit)).ok_or_else(missing))
    }

    /// Another repository of the installation of `base`; none if it has none of that name.
    async fn neighbour(
        &self,
        base: &Repo,
        source: &TemplateSource,
    ) -> Result<Option<Repo>, GitHubError> {
        let name = &source.repository;
        if !name.owner().eq_ignore_ascii_case(base.name.owner()) {
            return Ok(None);
        }
        let claim = self.parts.key.claim(self.parts.clock.now())?;
        let body = json!({
            "repositories": [name.name()],
            "permissions": { "contents": "read", "metadata": "read" },
        });
        let path = format!("/app/installations/{}/access_tokens", base.installation);
        let call = Call::change(&Method::POST, &path, &body);
        let answer = self.send(APP_ITSELF, &claim, call).await?;
        match answer.status {
            status if status.is_success() => {
                let found = answer.body.pointer("/repositories/0");
                Ok(found.and_then(|found| read_repo(found, base)))
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => {
                Ok(None)
            }
            status => Err(GitHubError::Unavailable(format!(
                "{status}: {}",
                message(&answer.body)
            ))),
        }
    }
}

fn read_repo(value: &Value, base: &Repo) -> Option<Repo> {
    Some(Repo {
        id: RepoId(value.get("id")?.as_i64()?),
        installation: base.installation,
        name: value.get("full_name")?.as_str()?.parse().ok()?,
        default_branch: value.get("default_branch")?.as_str()?.parse().ok()?,
        private: value.get("private")?.as_bool()?,
    })
}

fn sha(value: &Value) -> Option<CommitSha> {
    value.get("sha")?.as_str()?.parse().ok()
}

/// The text of a file, or why it has none.
fn text(value: &Value) -> Result<String, String> {
    let is_file = value.get("type").and_then(Value::as_str) == Some("file");
    if !is_file {
        return Err("it is not a regular file".into());
    }
    let size = value.get("size").and_then(Value::as_u64).unwrap_or(0);
    if size > FILE_BYTES_MAX as u64 {
        return Err(format!(
            "it has {size} bytes; at most {FILE_BYTES_MAX} are read"
        ));
    }
    let content = value.get("content").and_then(Value::as_str).unwrap_or("");
    let compact: String = content.split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(compact);
    let bytes = bytes.map_err(|_| "GitHub's answer makes no sense".to_owned())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".into())
}
