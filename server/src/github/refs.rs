//! Where heads stand at GitHub now.

use serde_json::Value;

use super::payload::HeadMove;
use super::{Call, GitHub, GitHubError, escape};
use crate::store::repos::Repo;

impl GitHub {
    /// Whether what an event brought is newer than an object that was handled before. Where the
    /// history does not tell, because of a forced push, the later event counts as the newer one: the
    /// head itself has the last word, and comes as an event or is found.
    pub(crate) async fn is_newer(
        &self,
        repo: &Repo,
        moved: &HeadMove,
        handled: &str,
    ) -> Result<bool, GitHubError> {
        match self.object_at(repo, &moved.name).await? {
            Some(object) if object == moved.after => return Ok(true),
            Some(object) if object == handled => return Ok(false),
            Some(_) | None => {}
        }
        let (older, newer) = (escape(&moved.after), escape(handled));
        let path = format!("/compare/{older}...{newer}?per_page=1");
        match self.call(repo, Call::get(&path)).await {
            Ok(value) => Ok(value.get("status").and_then(Value::as_str) != Some("ahead")),
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The object at a ref, by its full name; none if there is no such ref.
    async fn object_at(&self, repo: &Repo, name: &str) -> Result<Option<String>, GitHubError> {
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
