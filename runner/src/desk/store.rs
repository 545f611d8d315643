//! Caches and artifacts of runs without a server: plain files of this machine.
//!
//! A cache is a file `caches/HASH-OF-PREFIX/KEY.DIGEST`; the time of its last use is the file's own.
//! Its trust is that of the person who runs it, so there is only one kind.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use pipelines::ids::CacheId;
use pipelines::names::JobName;
use pipelines::wire::CacheFound;

use crate::clock;

/// Most bytes of all caches together; what was not used for longest goes first.
const CACHES_BYTES_MAX: u64 = 20 * 1024 * 1024 * 1024;

/// Where caches and artifacts are kept. Clones share one place.
#[derive(Debug, Clone)]
pub struct LocalStore {
    caches: Arc<Path>,
    artifacts: Option<Arc<Path>>,
    /// What has been found, by [`CacheId`].
    found: Arc<Mutex<Vec<PathBuf>>>,
}

impl LocalStore {
    /// Caches below `caches`; artifacts are copied below `artifacts`, a folder for each job, or
    /// only counted.
    pub fn new(caches: PathBuf, artifacts: Option<PathBuf>) -> Self {
        Self {
            caches: caches.into(),
            artifacts: artifacts.map(Into::into),
            found: Arc::default(),
        }
    }

    /// The cache with this key, or else the one of this prefix that was used last.
    pub fn find_cache(&self, prefix: &str, key: &str) -> io::Result<Option<CacheFound>> {
        let mut entries = entries(&self.folder(prefix))?;
        entries.sort_by_key(|entry| (entry.key == key, entry.used));
        let Some(entry) = entries.pop() else {
            return Ok(None);
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.push(entry.path);
        Ok(Some(CacheFound {
            id: CacheId(i64::try_from(found.len()).unwrap_or(i64::MAX)),
            key: entry.key,
            bytes: entry.bytes,
            digest: entry.digest,
        }))
    }

    /// The file of a cache that was found, marked as used now.
    pub fn open_cache(&self, id: CacheId) -> io::Result<fs::File> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(id.0 - 1).ok();
        let path = place.and_then(|place| found.get(place));
        let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let file = fs::File::open(path)?;
        // The order of eviction is all that suffers where it cannot be marked.
        let now = u64::try_from(clock::now().0).unwrap_or(0);
        let _ = file.set_modified(UNIX_EPOCH + Duration::from_millis(now));
        Ok(file)
    }

    /// Keeps a packed cache. A key that is there keeps its bytes.
    pub fn keep_cache(
        &self,
        (prefix, key): (&str, &str),
        digest: &str,
        from: &Path,
    ) -> io::Result<()> {
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain(key) || !plain(digest) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let folder = self.folder(prefix);
        if entries(&folder)?.iter().any(|entry| entry.key == key) {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        // Another process may look here, so that half a file must not have the name of a whole one.
        let draft = folder.join(format!(".{}-{key}", std::process::id()));
        let kept = fs::copy(from, &draft)
            .and_then(|_| fs::rename(&draft, folder.join(format!("{key}.{digest}"))));
        if kept.is_err() {
            let _ = fs::remove_file(&draft);
        }
        kept?;
        self.evict()
    }

    /// Copies an artifact, if somebody wants it.
    pub fn keep_artifact(&self, job: &JobName, path: &str, from: &Path) -> io::Result<()> {
        let Some(folder) = &self.artifacts else {
            return Ok(());
        };
        let relative = Path::new(path);
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !relative.components().all(is_plain) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let to = folder.join(job.as_str()).join(relative);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, to).map(|_| ())
    }

    fn folder(&self, prefix: &str) -> PathBuf {
        let hash = digest::digest(&digest::SHA256, prefix.as_bytes());
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        self.caches.join(hex.collect::<String>())
    }

    fn evict(&self) -> io::Result<()> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.caches)? {
            all.extend(entries(&folder?.path())?);
        }
        all.sort_by_key(|entry| entry.used);
        let mut bytes: u64 = all.iter().map(|entry| entry.bytes).sum();
        for entry in all {
            if bytes <= CACHES_BYTES_MAX {
                break;
            }
            fs::remove_file(&entry.path)?;
            bytes -= entry.bytes;
        }
        Ok(())
    }
}

struct Entry {
    key: String,
    digest: String,
    bytes: u64,
    used: SystemTime,
    path: PathBuf,
}

/// The caches of one prefix. What another process takes away meanwhile is left out.
fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((key, digest)) = name.split_once('.').filter(|(key, _)| !key.is_empty()) else {
            continue;
        };
        if let Ok(metadata) = path.metadata() {
            found.push(Entry {
                key: key.to_owned(),
                digest: digest.to_owned(),
                bytes: metadata.len(),
                used: metadata.modified()?,
                path: path.clone(),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> LocalStore {
        LocalStore::new(folder.join("caches"), Some(folder.join("artifacts")))
    }

    fn keep(store: &LocalStore, folder: &Path, key: &str) {
        let file = folder.join("packed");
        fs::write(&file, key).unwrap();
        store.keep_cache(("p", key), "d1", &file).unwrap();
    }

    #[test]
    fn the_very_key_is_found_before_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        keep(&store, folder.path(), "old");
        keep(&store, folder.path(), "new");
        let found = store.find_cache("p", "old").unwrap();
        assert_eq!(found.map(|found| found.key), Some("old".to_owned()));
    }

    #[test]
    fn without_the_key_a_cache_of_the_same_prefix_stands_in() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        keep(&store, folder.path(), "old");
        let found = |prefix| store.find_cache(prefix, "other").unwrap();
        let keys = [found("p"), found("q")].map(|found| found.map(|found| found.key));
        assert_eq!(keys, [Some("old".to_owned()), None]);
    }

    #[test]
    fn an_artifact_does_not_leave_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let file = folder.path().join("packed");
        fs::write(&file, "x").unwrap();
        let job = "test".parse().unwrap();
        let kept = ["a/b.txt", "../b.txt", "/b.txt"]
            .map(|path| store.keep_artifact(&job, path, &file).is_ok());
        assert_eq!(kept, [true, false, false]);
    }
}
