//! Templates that live in other repositories: `acme/pipelines@v3:rust.yml#test`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::names::{BranchName, CommitSha, InvalidName, RepoName};

/// A file of templates in another repository, at a reference: `acme/pipelines@v3:rust.yml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateSource {
    /// The repository.
    pub repository: RepoName,
    /// A branch, tag or commit of it.
    pub reference: String,
    /// The file, relative to its root.
    pub path: String,
}

/// The rule, for messages.
const RULE: &str = "it must be `owner/name@reference:path`";

impl FromStr for TemplateSource {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let refuse = || InvalidName {
            what: "source of templates",
            text: text.chars().take(80).collect(),
            rule: RULE,
        };
        let (repository, rest) = text.split_once('@').ok_or_else(refuse)?;
        let (reference, path) = rest.split_once(':').ok_or_else(refuse)?;
        let repository: RepoName = repository.parse().map_err(|_| refuse())?;
        // Branches and tags follow the same rules, and a commit id follows them too.
        reference.parse::<BranchName>().map_err(|_| refuse())?;
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_path = !path.contains(['\\', '#'])
            && !path.chars().any(char::is_control)
            && path.len() <= 255
            && path.split('/').all(is_plain);
        match is_path {
            true => Ok(Self {
                repository,
                reference: reference.to_owned(),
                path: path.to_owned(),
            }),
            false => Err(refuse()),
        }
    }
}

impl fmt::Display for TemplateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.repository, self.reference, self.path)
    }
}

/// Files of other repositories, as far as they have been fetched.
pub type Templates = BTreeMap<TemplateSource, Fetched>;

/// What was found under a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file.
    File {
        /// The commit that the reference meant.
        commit: CommitSha,
        /// Its content.
        text: String,
    },
    /// Nothing that can be used, for this reason, as a sentence.
    Missing(String),
}
