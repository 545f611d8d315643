//! The folder of one `seaworthy exec`, and the broom for those that were killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ulid::Ulid;

use crate::config::RunnerConfig;
use crate::engine;

/// The folder of a run; removed when this is dropped. Everything of the run on the engine carries
/// its instance, so that runs side by side never meet.
#[derive(Debug)]
pub struct LocalFolder {
    path: PathBuf,
    instance: Ulid,
    // Held for as long as the run lives: a folder whose lock is free has none.
    _lock: File,
}

impl LocalFolder {
    /// Makes a folder of its own below `base`.
    pub fn create(base: &Path) -> anyhow::Result<Self> {
        let instance = Ulid::generate();
        let path = runs(base).join(instance.to_string());
        let lock = std::fs::create_dir_all(&path).and_then(|()| File::create(path.join("lock")));
        let lock = lock.with_context(|| format!("cannot make a folder at {}", path.display()))?;
        lock.try_lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self {
            path,
            instance,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The instance.
    pub fn instance(&self) -> Ulid {
        self.instance
    }
}

impl Drop for LocalFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, folder = %self.path.display(), "a folder could not be removed");
        }
    }
}

fn runs(base: &Path) -> PathBuf {
    base.join("runs")
}

/// Removes what killed runs have left below `base` and on the engine; answers how many there were.
pub async fn sweep(base: &Path, config: &RunnerConfig) -> usize {
    let mut swept = 0;
    let Ok(folders) = std::fs::read_dir(runs(base)) else {
        return 0;
    };
    for folder in folders.flatten().map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let Ok(instance) = name.parse::<Ulid>() else {
            continue;
        };
        let Ok(lock) = File::open(folder.join("lock")) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        let cleaned = match engine::connect(config).await {
            Ok(engine) => engine.sweep(instance, &|_, _| false).await,
            Err(error) => Err(error),
        };
        // Without an engine the folder stays, as the only one who knows of the rest.
        if cleaned.is_ok() && std::fs::remove_dir_all(&folder).is_ok() {
            swept += 1;
        }
    }
    swept
}
