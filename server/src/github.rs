//! stub
use crate::clock::Clock;
use crate::config::GitHubConfig;
/// GitHub.
#[derive(Debug, Clone)]
pub struct GitHub {}
/// Why.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitHubError {
    /// x
    #[error("x")]
    NotFound(String),
}
impl GitHub {
    /// new
    pub fn new(config: &GitHubConfig, clock: Clock) -> Result<Self, GitHubError> {
        let _ = (config, clock);
        Ok(Self {})
    }
    /// checkout
    pub async fn checkout(&self, repo: &crate::store::repos::Repo) -> Result<pipelines::wire::Checkout, GitHubError> {
        let _ = repo;
        Err(GitHubError::NotFound("x".into()))
    }
}
