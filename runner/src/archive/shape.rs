//! What may be in a cache: files, folders, and links that stay inside, each once, below a folder
//! that is one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use pipelines::limits::{ARCHIVE_ENTRIES_MAX, ARCHIVE_PATH_BYTES_MAX};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    /// With its target, as it is written.
    Symlink(Vec<u8>),
    /// With the whole path of the file it is another name of.
    Hardlink(Vec<u8>),
}

/// What of an entry has to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Folder,
    File,
    Symlink,
}

/// The shape of an archive as far as it is known.
pub(super) struct Shape {
    roots: Vec<Vec<u8>>,
    /// Paths by a keyed hash, so that a million of them stay small and nobody can make two meet.
    seen: HashMap<u64, Seen>,
    keyed: RandomState,
}

/// Where links may lead, besides the paths that are kept.
const WORKSPACE: &[u8] = b"workspace";

impl Shape {
    /// A shape with nothing in it yet. `roots` are absolute paths.
    pub(super) fn new(roots: &[String]) -> Self {
        let roots = roots.iter();
        let roots = roots.map(|root| root.trim_start_matches('/').as_bytes().to_vec());
        Self {
            roots: roots.collect(),
            seen: HashMap::new(),
            keyed: RandomState::new(),
        }
    }

    /// Takes an entry in, or says what is wrong with it. `path` has no `/` before or behind.
    pub(super) fn admit(&mut self, path: &[u8], kind: &Kind) -> Result<(), String> {
        let shown = String::from_utf8_lossy(path).escape_debug().to_string();
        if self.seen.len() as u64 >= ARCHIVE_ENTRIES_MAX {
            return Err(format!("it has more than {ARCHIVE_ENTRIES_MAX} entries"));
        }
        if !is_plain(path) {
            return Err(format!("the path `{shown}` is not a plain one"));
        }
        if !self.roots.iter().any(|root| is_within(path, root)) {
            return Err(format!("`{shown}` is not one of the paths it keeps"));
        }
        let is_root = self.roots.iter().any(|root| root == path);
        if !is_root && self.find(parent(path)) != Some(Seen::Folder) {
            return Err(format!("`{shown}` is in nothing that is a folder"));
        }
        let seen = match kind {
            Kind::Folder => Seen::Folder,
            Kind::File => Seen::File,
            Kind::Symlink(target) if self.stays_inside(path, target) => Seen::Symlink,
            Kind::Symlink(_) => return Err(format!("the symlink `{shown}` leads out")),
            Kind::Hardlink(target) if self.find(target) == Some(Seen::File) => Seen::File,
            Kind::Hardlink(_) => {
                return Err(format!("`{shown}` is a link to nothing that came before"));
            }
        };
        let hash = self.keyed.hash_one(path);
        match self.seen.insert(hash, seen) {
            None => Ok(()),
            Some(_) => Err(format!("`{shown}` is there twice")),
        }
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.seen.len() as u64
    }

    fn find(&self, path: &[u8]) -> Option<Seen> {
        self.seen.get(&self.keyed.hash_one(path)).copied()
    }

    /// Whether a symlink leads into the workspace or a path that is kept. By its letters alone: what
    /// it leads to may be a link as well, but nothing is ever written through one.
    fn stays_inside(&self, path: &[u8], target: &[u8]) -> bool {
        let mut parts: Vec<&[u8]> = match target.starts_with(b"/") {
            true => Vec::new(),
            false => parent(path).split(|byte| *byte == b'/').collect(),
        };
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if parts.pop().is_none() => return false,
                b".." => {}
                part => parts.push(part),
            }
        }
        let resolved = parts.join(&b'/');
        let length = target.len() as u64;
        (1..=ARCHIVE_PATH_BYTES_MAX).contains(&length)
            && !target.contains(&0)
            && (is_within(&resolved, WORKSPACE)
                || self.roots.iter().any(|root| is_within(&resolved, root)))
    }
}

fn is_plain(path: &[u8]) -> bool {
    path.len() as u64 <= ARCHIVE_PATH_BYTES_MAX
        && !path.contains(&0)
        && path
            .split(|byte| *byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."))
}

fn is_within(path: &[u8], root: &[u8]) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The folder a path is in; nothing for what is at the top.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    &path[..end.unwrap_or(0)]
}
