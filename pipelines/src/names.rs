//! Names that can only be made valid: `FromStr` (and `TryFrom<String>`, for serde) is the only door.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a valid name, with the rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What kind of name was wanted, in the words of the documentation.
    pub what: &'static str,
    /// The text that was refused, shortened to 80 characters.
    pub text: String,
    /// The rule, as a phrase a person can act on.
    pub rule: &'static str,
}

fn refuse(what: &'static str, text: &str, rule: &'static str) -> InvalidName {
    InvalidName {
        what,
        text: text.chars().take(80).collect(),
        rule,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(refuse($what, text, $rule)) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 63
        && bytes.next().is_some_and(first)
        && bytes.all(|b| first(b) || b == b'_' || b == b'-')
}

fn is_secret_name(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase();
    text.len() <= 63
        && text.bytes().next().is_some_and(first)
        && text
            .bytes()
            .all(|b| first(b) || b.is_ascii_digit() || b == b'_')
        && !is_taken_variable(text)
}

/// Whether the variable of a secret called so would change how the shell or the loader works, or
/// would stand where Seaworthy tells a step about its run.
fn is_taken_variable(name: &str) -> bool {
    const TAKEN: [&str; 14] = [
        "bash_env",
        "cdpath",
        "ci",
        "env",
        "globignore",
        "home",
        "hostname",
        "ifs",
        "oldpwd",
        "path",
        "ps4",
        "pwd",
        "shell",
        "shellopts",
    ];
    TAKEN.contains(&name) || name.starts_with("ld_") || name.starts_with("seaworthy_")
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The rules of `git check-ref-format` that matter to us, plus: never looks like an option.
fn is_ref(text: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !text.is_empty()
        && text.len() <= 255
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.contains(forbidden)
}

fn is_dns_label(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| ok(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `[host[:port]/]path`, lower case, without tag or digest.
fn is_image_repository(text: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && p.starts_with(|c: char| c.is_ascii_alphanumeric())
            && p.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let host = |h: &str| {
        let (name, port) = h.split_once(':').unwrap_or((h, "80"));
        part(name) && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    };
    if text.is_empty() || text.len() > 255 {
        return false;
    }
    match text.split_once('/') {
        None => part(text),
        Some((first, rest)) => (host(first) || part(first)) && rest.split('/').all(part),
    }
}

/// Whether this names an image to pull: a repository with or without tag and digest. Looser than
/// [`ImageRepository`], because the engine has the last word on what it pulls.
pub fn is_image_reference(text: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
    (1..=512).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(is_fit)
        && !text.contains("//")
}

/// Whether this is a tag of an image.
pub fn is_image_tag(text: &str) -> bool {
    let is_first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_fit = |b: u8| is_first(b) || b == b'.' || b == b'-';
    (1..=128).contains(&text.len()) && text.bytes().all(is_fit) && is_first(text.as_bytes()[0])
}

name!(
    /// A job of a pipeline.
    JobName, "job name",
    "use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit", is_word
);
name!(
    /// A pipeline: the stem of its file.
    PipelineName, "pipeline name",
    "use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit", is_word
);
name!(
    /// A deploy target of a repository.
    EnvironmentName, "environment name",
    "use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit", is_word
);
name!(
    /// A label by which jobs choose runners.
    Label, "runner label",
    "use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter or digit", is_word
);
name!(
    /// A service beside the steps of a job: its name on the job's network.
    ServiceName, "service name",
    "use 1 to 63 of a-z, 0-9, `-`, not beginning or ending with `-`", is_dns_label
);
name!(
    /// A secret: how files and variables of steps are called that hold it.
    SecretName, "secret name",
    "use 1 to 63 of a-z, 0-9, `_`, beginning with a letter; not the name of a variable that \
     already means something, as `path`, `home`, `ld_…` or `seaworthy_…`", is_secret_name
);
name!(
    /// A Kubernetes namespace.
    Namespace, "Kubernetes namespace",
    "use 1 to 63 of a-z, 0-9, `-`, not beginning or ending with `-`", is_dns_label
);
name!(
    /// A git branch, without `refs/heads/`.
    BranchName, "branch name",
    "it must follow git's rules for references and not begin with `-`", is_ref
);
name!(
    /// A git tag, without `refs/tags/`.
    TagName, "tag name",
    "it must follow git's rules for references and not begin with `-`", is_ref
);
name!(
    /// A git commit id, in full.
    CommitSha, "commit",
    "it must be 40 (or 64) lower-case hexadecimal digits",
    |t| matches!(t.len(), 40 | 64) && is_hex(t)
);
name!(
    /// The digest of an image manifest in a registry.
    Digest, "image digest",
    "it must be `sha256:` and 64 lower-case hexadecimal digits",
    |t| t.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_hex(hex))
);
name!(
    /// An image repository, without tag or digest.
    ImageRepository, "image repository",
    "use `registry.example/path/name`, lower case, without tag or digest", is_image_repository
);

impl CommitSha {
    /// The first seven digits, as people write them.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

/// An image in a registry, pinned by digest: `repository@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PinnedImage {
    /// Where it is.
    pub repository: ImageRepository,
    /// Which it is.
    pub digest: Digest,
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

/// A repository on the forge: `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// The account that owns it.
    pub fn owner(&self) -> &str {
        &self.owner
    }
    /// Its name within the account.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepoName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let part = |p: &str| {
            (1..=100).contains(&p.len())
                && p != "."
                && p != ".."
                && p.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(refuse("repository", text, "it must be `owner/name`")),
        }
    }
}
impl TryFrom<String> for RepoName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}
impl From<RepoName> for String {
    fn from(repo: RepoName) -> String {
        repo.to_string()
    }
}
impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl SecretName {
    /// The variable of a step that holds it: the name in upper case.
    pub fn variable(&self) -> String {
        self.0.to_ascii_uppercase()
    }
}

#[cfg(test)]
mod tests;
