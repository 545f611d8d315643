//! The claims of this runner that are not settled, on disk: one empty file for each, named by its key.
//!
//! A claim can be repeated, and brings the same job for as long as this runner holds it. So a runner
//! that was killed finds its jobs again by repeating its claims: also one whose answer it never heard.

use std::fs::File;
use std::path::{Path, PathBuf};

use ulid::Ulid;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Claims {
    folder: PathBuf,
}

impl Claims {
    /// The claims below a state folder, and the keys that a former life has left there.
    pub(crate) fn open(state: &Path) -> std::io::Result<(Self, Vec<Ulid>)> {
        let folder = state.join("claims");
        std::fs::create_dir_all(&folder)?;
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            keys.extend(name.to_str().and_then(|name| name.parse::<Ulid>().ok()));
        }
        keys.sort();
        Ok((Self { folder }, keys))
    }

    /// A key for a new claim.
    pub(crate) fn begin(&self) -> std::io::Result<Ulid> {
        let key = Ulid::generate();
        File::create(self.folder.join(key.to_string()))?;
        Ok(key)
    }

    /// The claim brought nothing, or its job is done and told.
    pub(crate) fn end(&self, key: Ulid) {
        // One that stays is repeated once more at the next start, and brings nothing.
        let _ = std::fs::remove_file(self.folder.join(key.to_string()));
    }
}
