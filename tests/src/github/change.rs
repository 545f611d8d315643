//! Commits that stories make, put straight into the bare repository by `git fast-import`.

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::hub::Hub;
use super::refs::Hook;
use super::state::Person;
use super::webhooks::Delivery;

/// One commit to come: `Change::on("main").message("Add the shop").file("Dockerfile", "FROM …")`.
#[derive(Clone, Debug)]
pub struct Change {
    pub(super) branch: String,
    message: String,
    author: Person,
    date: Option<Timestamp>,
    parent: Option<String>,
    edits: Vec<Edit>,
    pub(super) hook: Hook,
}

#[derive(Clone, Debug)]
enum Edit {
    Put {
        mode: &'static str,
        path: String,
        bytes: Vec<u8>,
    },
    Submodule {
        path: String,
        commit: String,
    },
    Remove {
        path: String,
    },
}

/// What a change became.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The new commit.
    pub sha: String,
    /// The events it set off, with their answers.
    pub deliveries: Vec<Delivery>,
}

impl Change {
    /// A commit on top of that branch; the branch begins with it if there is none.
    pub fn on(branch: &str) -> Self {
        Self {
            branch: branch.to_owned(),
            message: "Change something".to_owned(),
            author: Person::default(),
            date: None,
            parent: None,
            edits: Vec::new(),
            hook: Hook::Fire,
        }
    }

    /// The commit's message.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = message.to_owned();
        self
    }

    /// Who wrote and pushed it.
    #[must_use]
    pub fn author(mut self, author: Person) -> Self {
        self.author = author;
        self
    }

    /// When it was written; otherwise the stand-in's commit clock says.
    #[must_use]
    pub fn date(mut self, date: Timestamp) -> Self {
        self.date = Some(date);
        self
    }

    /// Puts it on that commit instead of the branch's own: a force push, or the start of a branch.
    #[must_use]
    pub fn parent(mut self, sha: &str) -> Self {
        self.parent = Some(sha.to_owned());
        self
    }

    /// Adds or replaces a file.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.put("100644", path, bytes.into())
    }

    /// Adds or replaces a program.
    #[must_use]
    pub fn executable(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.put("100755", path, bytes.into())
    }

    /// Adds or replaces a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.put("120000", path, target.as_bytes().to_vec())
    }

    /// Adds a submodule at a commit of elsewhere; `.gitmodules` is the story's to write.
    #[must_use]
    pub fn submodule(mut self, path: &str, commit: &str) -> Self {
        let (path, commit) = (path.to_owned(), commit.to_owned());
        self.edits.push(Edit::Submodule { path, commit });
        self
    }

    /// Removes a file or a folder.
    #[must_use]
    pub fn remove(mut self, path: &str) -> Self {
        self.edits.push(Edit::Remove {
            path: path.to_owned(),
        });
        self
    }

    /// No webhook hears of it, as if the delivery was lost.
    #[must_use]
    pub fn silently(mut self) -> Self {
        self.hook = Hook::Silent;
        self
    }

    pub(super) fn pusher(&self) -> &Person {
        &self.author
    }

    fn put(mut self, mode: &'static str, path: &str, bytes: Vec<u8>) -> Self {
        self.edits.push(Edit::Put {
            mode,
            path: path.to_owned(),
            bytes,
        });
        self
    }

    /// The change in the language of `git fast-import`.
    fn stream(&self, date: Timestamp, parent: Option<&str>) -> Vec<u8> {
        let (who, seconds) = (&self.author, date.as_second());
        let mut out = format!("commit refs/heads/{}\n", self.branch).into_bytes();
        for role in ["author", "committer"] {
            let line = format!("{role} {} <{}> {seconds} +0000\n", who.name, who.email);
            out.extend(line.into_bytes());
        }
        data(&mut out, self.message.as_bytes());
        if let Some(parent) = parent {
            out.extend(format!("from {parent}\n").into_bytes());
        }
        for edit in &self.edits {
            match edit {
                Edit::Put { mode, path, bytes } => {
                    out.extend(format!("M {mode} inline {}\n", quoted(path)).into_bytes());
                    data(&mut out, bytes);
                }
                Edit::Submodule { path, commit } => {
                    out.extend(format!("M 160000 {commit} {}\n", quoted(path)).into_bytes());
                }
                Edit::Remove { path } => out.extend(format!("D {}\n", quoted(path)).into_bytes()),
            }
        }
        out.extend(b"\ndone\n");
        out
    }
}

fn data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(format!("data {}\n", bytes.len()).into_bytes());
    out.extend(bytes);
    out.push(b'\n');
}

fn quoted(path: &str) -> String {
    let path = path
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{path}\"")
}

impl Hub {
    /// Makes the commit and moves the branch. Call it under the repository's push lock.
    pub(super) async fn import(&self, repo: u64, change: &Change) -> Result<String> {
        let git = self.git(repo);
        let date = change.date.unwrap_or_else(|| self.next_commit_date());
        let parent = match &change.parent {
            Some(sha) => Some(sha.clone()),
            None => git.branch(&change.branch).await,
        };
        let stream = change.stream(date, parent.as_deref());
        // `--force`: a change on another parent is a force push.
        let args = [
            "fast-import",
            "--quiet",
            "--force",
            "--done",
            "--date-format=raw",
        ];
        git.feed(&args, &stream).await?;
        git.branch(&change.branch)
            .await
            .context("the branch was made just now")
    }
}
