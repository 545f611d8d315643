//! A build context: which files of the checkout the builder gets, and nothing from outside it.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use crate::archive::{self, Builder, Rights};
use crate::image::ignore::{Ignore, slashed};

/// The name under which a Dockerfile travels that lies outside its context.
const FOREIGN_DOCKERFILE: &str = ".seaworthy.Dockerfile";

/// Largest `.dockerignore`.
const IGNORE_BYTES_MAX: u64 = 256 * 1024;
/// Most patterns in one.
const IGNORE_PATTERNS_MAX: usize = 5000;

/// A context, found and read as far as needed to send it.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    ignore: Ignore,
    /// Files that are sent whatever the patterns say, relative to the folder.
    always: Vec<PathBuf>,
    /// A Dockerfile outside the folder.
    foreign: Option<PathBuf>,
    /// What the builder is told the Dockerfile is called.
    dockerfile: String,
}

/// Why there is no context. All of it is the pipeline's fault, but for I/O.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The pipeline, or the repository, is wrong.
    #[error("{0}")]
    Work(String),
    /// The checkout cannot be read.
    #[error("cannot read the checkout: {0}")]
    Read(#[from] io::Error),
}

impl Context {
    /// Finds the context and the Dockerfile, both relative to `checkout`, and reads the patterns.
    pub fn find(checkout: &Path, context: &str, dockerfile: &str) -> Result<Self, ContextError> {
        let root = checkout.canonicalize()?;
        let folder = inside(&root, context, "context")?;
        if !folder.is_dir() {
            let text = format!("the build context `{context}` is not a folder");
            return Err(ContextError::Work(text));
        }
        let file = inside(&root, dockerfile, "dockerfile")?;
        if !file.is_file() {
            let text = format!("the Dockerfile `{dockerfile}` is not a file");
            return Err(ContextError::Work(text));
        }
        let (ignore, ignore_path) = read_ignore(&root, &folder, &file)?;
        let within = file.strip_prefix(&folder).ok().map(Path::to_owned);
        let mut always: Vec<PathBuf> = within.iter().cloned().collect();
        always.extend(ignore_path.and_then(|p| p.strip_prefix(&folder).ok().map(Path::to_owned)));
        let (dockerfile, foreign) = match &within {
            Some(path) => (slashed(path), None),
            None => (FOREIGN_DOCKERFILE.to_owned(), Some(file)),
        };
        Ok(Self {
            folder,
            ignore,
            always,
            foreign,
            dockerfile,
        })
    }

    /// What the builder is told the Dockerfile is called.
    pub fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// Writes the context. Folders come when something in them does, or when they are kept
    /// themselves; symlinks stay symlinks.
    pub fn write(&self, builder: &mut Builder) -> io::Result<()> {
        self.write_folder(builder, Path::new(""), &mut Vec::new())?;
        if let Some(file) = &self.foreign {
            archive::append(builder, file, Path::new(FOREIGN_DOCKERFILE), Rights::Usual)?;
        }
        Ok(())
    }

    /// `pending`: folders above that were left out so far, and are needed once a file in them is kept.
    fn write_folder(
        &self,
        builder: &mut Builder,
        relative: &Path,
        pending: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        for name in self.names(relative)? {
            let path = relative.join(name);
            let absolute = self.folder.join(&path);
            let is_folder = std::fs::symlink_metadata(&absolute)?.is_dir();
            let kept = !self.ignore.leaves_out(&slashed(&path)) || self.always.contains(&path);
            if kept {
                for folder in pending.drain(..) {
                    let above = self.folder.join(&folder);
                    archive::append(builder, &above, &folder, Rights::Usual)?;
                }
                archive::append(builder, &absolute, &path, Rights::Usual)?;
            }
            if is_folder && (kept || self.may_hold_kept(&path)) {
                let waits = pending.len();
                if !kept {
                    pending.push(path.clone());
                }
                self.write_folder(builder, &path, pending)?;
                pending.truncate(waits);
            }
        }
        Ok(())
    }

    fn may_hold_kept(&self, folder: &Path) -> bool {
        self.ignore.brings_back() || self.always.iter().any(|path| path.starts_with(folder))
    }

    /// Git's own folder is left out, as BuildKit does for contexts that come from git: it is no
    /// part of the commit and differs with every checkout, so nothing would ever be cached.
    fn names(&self, relative: &Path) -> io::Result<Vec<OsString>> {
        let mut names = archive::sorted_names(&self.folder.join(relative))?;
        if relative.as_os_str().is_empty() {
            let foreign = self.foreign.is_some();
            names.retain(|name| name != ".git" && !(foreign && name == FOREIGN_DOCKERFILE));
        }
        Ok(names)
    }
}

/// A path of the pipeline file as one on this machine, symlinks resolved, proven to be in the
/// checkout.
fn inside(root: &Path, given: &str, what: &str) -> Result<PathBuf, ContextError> {
    let path = Path::new(given);
    let leaves = path.components().any(|part| match part {
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => true,
        Component::CurDir | Component::Normal(_) => false,
    });
    let escape = || {
        ContextError::Work(format!(
            "the {what} `{given}` leads out of the repository: give a path within it"
        ))
    };
    if leaves {
        return Err(escape());
    }
    let found = root.join(path).canonicalize().map_err(|_| {
        ContextError::Work(format!("the {what} `{given}` is not in the repository"))
    })?;
    if found.starts_with(root) {
        Ok(found)
    } else {
        Err(escape())
    }
}

/// `Dockerfile.dockerignore` beside the Dockerfile, or else `.dockerignore` in the context.
fn read_ignore(
    root: &Path,
    folder: &Path,
    dockerfile: &Path,
) -> Result<(Ignore, Option<PathBuf>), ContextError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), folder.join(".dockerignore")] {
        let Ok(real) = path.canonicalize() else {
            continue;
        };
        if !real.starts_with(root) || !real.is_file() {
            let text = "the .dockerignore file leads out of the repository, or is no file";
            return Err(ContextError::Work(text.into()));
        }
        let text = read_patterns(&real)?;
        let ignore = Ignore::parse(&text)
            .map_err(|error| ContextError::Work(format!(".dockerignore: {error}")))?;
        return Ok((ignore, Some(path)));
    }
    Ok((Ignore::default(), None))
}

/// The text of a `.dockerignore`, if it is not beyond measure: every pattern is tried on every file.
fn read_patterns(path: &Path) -> Result<String, ContextError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(IGNORE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > IGNORE_BYTES_MAX {
        return Err(ContextError::Work(format!(
            ".dockerignore is larger than {} KB: name folders instead of files",
            IGNORE_BYTES_MAX / 1024
        )));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let is_pattern = |line: &&str| !line.starts_with('#') && !line.trim().is_empty();
    if text.lines().filter(is_pattern).count() > IGNORE_PATTERNS_MAX {
        return Err(ContextError::Work(format!(
            ".dockerignore has more than {IGNORE_PATTERNS_MAX} patterns: name folders instead of files"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
