//! Caches and artifacts over a desk: whole files of this machine, in and out.

use std::io;
use std::path::Path;

use pipelines::names::JobName;
use pipelines::wire::{ArtifactKind, CacheFound};

use super::{Desk, LocalStore};
use crate::client::{CallError, KeptCache, KeptFile};

impl Desk {
    /// Looks for a cache: the one of this key, or else the newest of this prefix.
    pub async fn find_cache(
        &self,
        prefix: &str,
        key: &str,
    ) -> Result<Option<CacheFound>, CallError> {
        match self {
            Self::Server(client) => client.find_cache(prefix, key).await,
            Self::Local(local) => {
                let (prefix, key) = (prefix.to_owned(), key.to_owned());
                stored(local.store(), move |store| store.find_cache(&prefix, &key)).await
            }
        }
    }

    /// Fetches a cache into a new file at `to`.
    pub async fn fetch_cache(&self, found: &CacheFound, to: &Path) -> Result<(), CallError> {
        match self {
            Self::Server(client) => client.fetch_cache(found, to).await,
            Self::Local(local) => {
                let (id, to) = (found.id, to.to_owned());
                let copy = move |store: LocalStore| {
                    io::copy(&mut store.open_cache(id)?, &mut std::fs::File::create(to)?)
                };
                stored(local.store(), copy).await.map(|_| ())
            }
        }
    }

    /// Hands over a cache: the file at `from`.
    pub async fn keep_cache(&self, cache: &KeptCache, from: &Path) -> Result<(), CallError> {
        match self {
            Self::Server(client) => client.keep_cache(cache, from).await,
            Self::Local(local) => {
                let (cache, from) = (cache.clone(), from.to_owned());
                let keep = move |store: LocalStore| {
                    store.keep_cache((&cache.prefix, &cache.key), &cache.digest, &from)
                };
                stored(local.store(), keep).await
            }
        }
    }

    /// Hands over an artifact or report of a job: the file at `from`.
    pub async fn keep_artifact(
        &self,
        job: &JobName,
        artifact: &KeptFile,
        from: &Path,
    ) -> Result<(), CallError> {
        match self {
            Self::Server(client) => client.keep_artifact(artifact, from).await,
            Self::Local(local) => {
                // What a report says has been told; the file itself nobody asks for here.
                if artifact.kind == ArtifactKind::Junit {
                    return Ok(());
                }
                let (job, path, from) = (job.clone(), artifact.path.clone(), from.to_owned());
                let keep = move |store: LocalStore| {
                    store.keep_artifact(&job, &path, &from)?;
                    from.metadata()
                };
                let kept = stored(local.store(), keep).await?;
                local.kept(artifact.path.clone(), kept.len());
                Ok(())
            }
        }
    }
}

/// Does something with the files of this machine, which may take a while.
async fn stored<T: Send + 'static>(
    store: &LocalStore,
    work: impl FnOnce(LocalStore) -> io::Result<T> + Send + 'static,
) -> Result<T, CallError> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(store)).await;
    let done = done.map_err(io::Error::other).flatten();
    done.map_err(|error| CallError::Refused {
        status: 200,
        message: format!("it cannot be kept on this machine: {error}"),
    })
}
