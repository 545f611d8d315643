//! What must be read at GitHub before anything can be decided.

use pipelines::definition::Definition;
use pipelines::event::{ChangedPaths, GitEvent};
use pipelines::limits::{EXTENDS_DEPTH_MAX, FILES_MAX, TEMPLATE_FILES_MAX};
use pipelines::names::{CommitSha, PipelineName};
use pipelines::template::{Fetched, TemplateSource, Templates};

use crate::github::contents::{Content, Found};
use crate::github::templates::Resolved;
use crate::github::{GitHub, GitHubError};
use crate::store::repos::Repo;

/// The files of a commit, and what goes with them.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// Pipeline files, by path; one more than allowed if there are too many.
    pub(super) files: Vec<Found>,
    /// The environments file of the default branch.
    pub(super) environments: Option<Found>,
    /// The files of other repositories that those files take templates from.
    pub(super) templates: Templates,
    /// Which paths the event changed.
    pub(super) changed: ChangedPaths,
}

impl Material {
    /// The pipelines by name, as far as their files can be read.
    pub(super) fn definitions(
        &self,
    ) -> impl Iterator<Item = (PipelineName, Option<Definition>)> + '_ {
        self.files.iter().map(|found| {
            let definition = match &found.content {
                Content::Text(text) => Definition::parse_with(text, &self.templates).ok(),
                Content::Unreadable(_) => None,
            };
            (super::decide::name(&found.path).0, definition)
        })
    }
}

/// The pipelines at a commit, by name, as far as their files can be read.
pub(super) async fn files(
    github: &GitHub,
    repo: &Repo,
    commit: &CommitSha,
) -> Result<Vec<(PipelineName, Option<Definition>)>, GitHubError> {
    let files = github.pipeline_files(repo, commit, FILES_MAX).await?;
    let material = Material {
        templates: templates(github, repo, &files).await?,
        files,
        environments: None,
        changed: ChangedPaths::Unknown,
    };
    Ok(material.definitions().collect())
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
    with(github, repo, event, files).await
}

/// Reads what goes with files that are at hand.
pub(super) async fn with(
    github: &GitHub,
    repo: &Repo,
    event: &GitEvent,
    files: Vec<Found>,
) -> Result<Material, GitHubError> {
    if files.is_empty() {
        return Ok(Material {
            files,
            environments: None,
            templates: Templates::new(),
            changed: ChangedPaths::Unknown,
        });
    }
    let environments = github.environments_file(repo, &repo.default_branch).await?;
    let templates = templates(github, repo, &files).await?;
    let changed = match &event.before {
        Some(before) if asks_for_paths(&files, &templates) => {
            github.changed_paths(repo, before, &event.commit).await?
        }
        Some(_) | None => ChangedPaths::Unknown,
    };
    Ok(Material {
        files,
        environments,
        templates,
        changed,
    })
}

/// Fetches what the files want, and what that wants, until nothing is missing. The limit holds for
/// all files of the commit together: a push must not cost hundreds of calls.
async fn templates(
    github: &GitHub,
    repo: &Repo,
    files: &[Found],
) -> Result<Templates, GitHubError> {
    let mut templates = Templates::new();
    let mut resolved = Resolved::default();
    for _ in 0..EXTENDS_DEPTH_MAX {
        let texts = files.iter().filter_map(|file| match &file.content {
            Content::Text(text) => Some(text),
            Content::Unreadable(_) => None,
        });
        let mut wanted: Vec<TemplateSource> = texts
            .flat_map(|text| Definition::wanted(text, &templates))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            break;
        }
        for source in wanted {
            let fetched = match templates.len() < TEMPLATE_FILES_MAX {
                true => github.template(repo, &source, &mut resolved).await?,
                false => Fetched::Missing(format!(
                    "templates come from more than {TEMPLATE_FILES_MAX} files, which is the limit"
                )),
            };
            templates.insert(source, fetched);
        }
    }
    Ok(templates)
}

/// Whether a file could have a filter of paths. Looking for the word saves most pushes a call, and
/// where it is found for another reason the call does no harm.
fn asks_for_paths(files: &[Found], templates: &Templates) -> bool {
    let asks = |text: &str| text.contains("path");
    let in_files = files.iter().any(|file| match &file.content {
        Content::Text(text) => asks(text),
        Content::Unreadable(_) => false,
    });
    in_files
        || templates.values().any(|fetched| match fetched {
            Fetched::File { text, .. } => asks(text),
            Fetched::Missing(_) => false,
        })
}
