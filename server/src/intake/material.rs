//! What must be read at GitHub before anything can be decided.

use pipelines::event::{ChangedPaths, GitEvent};
use pipelines::limits::FILES_MAX;

use crate::github::contents::{Content, Found};
use crate::github::{GitHub, GitHubError};
use crate::store::repos::Repo;

/// The files of a commit, and what goes with them.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// Pipeline files, by path; one more than allowed if there are too many.
    pub(super) files: Vec<Found>,
    /// The environments file of the default branch.
    pub(super) environments: Option<Found>,
    /// Which paths the event changed.
    pub(super) changed: ChangedPaths,
}

/// Reads it all.
pub(super) async fn fetch(
    github: &GitHub,
    repo: &Repo,
    event: &GitEvent,
) -> Result<Material, GitHubError> {
    let files = github
        .pipeline_files(repo, &event.commit, FILES_MAX)
        .await?;
    if files.is_empty() {
        return Ok(Material {
            files,
            environments: None,
            changed: ChangedPaths::Unknown,
        });
    }
    let environments = github.environments_file(repo, &repo.default_branch).await?;
    let changed = match &event.before {
        Some(before) if files.iter().any(asks_for_paths) => {
            github.changed_paths(repo, before, &event.commit).await?
        }
        Some(_) | None => ChangedPaths::Unknown,
    };
    Ok(Material {
        files,
        environments,
        changed,
    })
}

/// Whether a file could have a filter of paths. Looking for the word saves most pushes a call, and
/// where it is found for another reason the call does no harm.
fn asks_for_paths(file: &Found) -> bool {
    match &file.content {
        Content::Text(text) => text.contains("paths"),
        Content::Unreadable(_) => false,
    }
}
