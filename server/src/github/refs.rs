//! Where heads stand at GitHub now.

use serde_json::Value;

use super::{Call, GitHub, GitHubError, escape};
use crate::store::repos::Repo;

impl GitHub {
    /// Whether one object is an ancestor of another; not where one of them is gone.
    pub(crate) async fn is_ancestor(
        &self,
        repo: &Repo,
        older: &str,
        newer: &str,
    ) -> Result<bool, GitHubError> {
        let path = format!("/compare/{}...{}?per_page=1", escape(older), escape(newer));
        match self.call(repo, Call::get(&path)).await {
            Ok(value) => Ok(value.get("status").and_then(Value::as_str) == Some("ahead")),
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The object at a ref, by its full name; none if there is no such ref.
    pub(crate) async fn object_at(
        &self,
        repo: &Repo,
        name: &str,
    ) -> Result<Option<String>, GitHubError> {
        let short = name.strip_prefix("refs/").unwrap_or(name);
        let path = format!("/git/ref/{}", escape(short));
        match self.call(repo, Call::get(&path)).await {
            Ok(value) => {
                let sha = value.pointer("/object/sha").and_then(Value::as_str);
                Ok(sha.map(str::to_owned))
            }
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
