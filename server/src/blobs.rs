//! The bytes of caches and artifacts: opaque, named by us, in files or in a bucket.
//!
//! Nothing here is ever unpacked or read as anything but bytes. What is written becomes visible at
//! once and whole, and only then may a row name it: a crash leaves bytes that no row names, which
//! `sweep` removes, and never a row without its bytes. Logs are not kept here but in `objects.rs`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use pipelines::ids::RepoId;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::config::ObjectsConfig;
use crate::token::hex;

mod open;
pub(crate) mod sweep;

#[cfg(test)]
mod tests;

pub use open::OpenError;

/// A sender that sends nothing for this long is given up.
const BODY_IDLE_MAX: Duration = Duration::from_secs(60);
/// The store must take a part, or give the next one, within this time.
const PART_MAX: Duration = Duration::from_secs(120);
/// The store must make an upload durable within this time.
const FINISH_MAX: Duration = Duration::from_secs(600);
/// Bytes of a part: what an upload holds in memory, times [`PARTS_AT_ONCE`]. A bucket takes 10,000
/// parts, so this also bounds the largest object: 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one upload on their way at once.
const PARTS_AT_ONCE: usize = 2;

/// Why bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// The store refused, or cannot be reached.
    #[error("the object store refused: {0}")]
    Store(#[from] object_store::Error),
    /// The disk or the network refused.
    #[error("the object store refused: {0}")]
    Io(#[from] std::io::Error),
    /// The store does not answer.
    #[error("the object store did not answer in time")]
    Late,
}

/// Why what a caller sent was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// There is more of it than may be.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// It is not what was announced.
    #[error("its digest is {is}, not {said}")]
    OtherDigest {
        /// What the caller said.
        said: String,
        /// What came.
        is: String,
    },
    /// It ended before its end.
    #[error("it broke off: {0}")]
    BrokenOff(String),
    /// Nothing came any more.
    #[error("nothing came for {} seconds", BODY_IDLE_MAX.as_secs())]
    Stalled,
    /// Ours to solve.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// What kind of bytes, and the first part of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cache.
    Cache,
    /// An artifact or a report.
    Artifact,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Cache => "caches",
            Self::Artifact => "artifacts",
        }
    }
}

/// What is about to come.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub(crate) kind: Kind,
    /// Whose it is.
    pub(crate) repo: RepoId,
    /// SHA-256 in lower-case hex.
    pub(crate) digest: String,
    pub(crate) bytes_max: u64,
}

/// Bytes that are stored, durably, and that no row names yet. While this lives, `sweep` leaves
/// them alone.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) object: String,
    pub(crate) bytes: u64,
    _fresh: Fresh,
}

/// The bytes of an object, and how many.
pub(crate) type Content = (u64, BoxStream<'static, std::io::Result<Bytes>>);

/// The store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Our place in a bucket that others may use, too.
    base: ObjectPath,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
    /// What is being written, or not named by a row yet.
    fresh: Arc<Mutex<HashSet<String>>>,
    /// When all objects were last compared with the rows.
    looked: Arc<Mutex<Option<Instant>>>,
}

/// The place of an object in the set of fresh ones.
#[derive(Debug)]
struct Fresh {
    all: Arc<Mutex<HashSet<String>>>,
    object: String,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.object);
    }
}

impl Blobs {
    /// The store that the configuration means. Nothing is asked or written yet.
    pub fn new(config: &ObjectsConfig) -> Result<Self, OpenError> {
        let (store, base) = open::open(config)?;
        Ok(Self {
            store,
            base,
            folder: match config {
                ObjectsConfig::Folder(folder) => Some(folder.clone()),
                ObjectsConfig::Bucket(_) => None,
            },
            fresh: Arc::default(),
            looked: Arc::default(),
        })
    }

    /// Whether they lie on another disk than the folder `data`.
    pub(crate) fn are_apart(&self, data: &Path) -> bool {
        let folder = self.folder.as_deref();
        folder.is_some_and(|folder| crate::disk::are_apart(folder, data))
    }

    fn path(&self, object: &str) -> ObjectPath {
        let ours = object.split('/').map(Into::into);
        self.base.parts().chain(ours).collect()
    }

    fn fresh(&self, object: &str) -> Fresh {
        let mut all = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(object.to_owned());
        Fresh {
            all: Arc::clone(&self.fresh),
            object: object.to_owned(),
        }
    }

    fn is_fresh(&self, object: &str) -> bool {
        let all = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains(object)
    }

    /// Stores what comes, if it is what was announced. Memory stays flat however much it is. An
    /// object that is not complete is never seen by anybody.
    pub(crate) async fn keep<E: std::fmt::Display>(
        &self,
        announced: &Announced,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Kept, KeepError> {
        let (kind, id) = (announced.kind.folder(), ulid::Ulid::generate());
        let object = format!("{kind}/{}/{id}", announced.repo);
        let fresh = self.fresh(&object);
        let (store, path) = (Arc::clone(&self.store), self.path(&object));
        let writer = BufWriter::with_capacity(store, path, PART_BYTES);
        let mut writer = writer.with_max_concurrency(PARTS_AT_ONCE);
        let bytes = match write(&mut writer, announced, body).await {
            Ok(bytes) => bytes,
            Err(error) => {
                // What was sent so far is taken back; if this fails too, the bucket's own rule for
                // uploads that were never finished has to do it.
                if let Err(error) = writer.abort().await {
                    tracing::debug!(%error, object, "an unfinished upload could not be taken back");
                }
                return Err(error);
            }
        };
        let finished = timeout(FINISH_MAX, writer.shutdown()).await;
        let finished = finished.map_err(|_| BlobError::Late)?;
        finished.map_err(BlobError::from)?;
        Ok(Kept {
            object,
            bytes,
            _fresh: fresh,
        })
    }

    /// The bytes of an object; none if they are gone.
    pub(crate) async fn read(&self, object: &str) -> Result<Option<Content>, BlobError> {
        let path = self.path(object);
        let asked = timeout(PART_MAX, self.store.get(&path)).await;
        let found = match asked.map_err(|_| BlobError::Late)? {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = found.meta.size;
        let stream = found.into_stream().map_err(std::io::Error::other);
        Ok(Some((bytes, stream.boxed())))
    }

    /// Removes objects. One that is gone already is no error.
    pub(crate) async fn remove(&self, objects: Vec<String>) -> Result<(), BlobError> {
        let paths: Vec<_> = objects.iter().map(|object| Ok(self.path(object))).collect();
        let mut removed = self
            .store
            .delete_stream(futures_util::stream::iter(paths).boxed());
        while let Some(one) = removed.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The names of the objects of a kind that exist and are not fresh.
    fn list(&self, kind: Kind) -> BoxStream<'static, Result<String, object_store::Error>> {
        let (this, place) = (self.clone(), self.path(kind.folder()));
        let all = self.store.list(Some(&place));
        let named = move |found: object_store::ObjectMeta| {
            let parts = found.location.prefix_match(&this.base)?;
            let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            let object = parts.join("/");
            (!this.is_fresh(&object)).then_some(object)
        };
        all.try_filter_map(move |found| std::future::ready(Ok(named(found))))
            .boxed()
    }
}

/// Writes all of it, and compares it with what was announced.
async fn write<E: std::fmt::Display>(
    writer: &mut BufWriter,
    announced: &Announced,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<u64, KeepError> {
    let mut sum = digest::Context::new(&digest::SHA256);
    let mut bytes = 0_u64;
    loop {
        let next = timeout(BODY_IDLE_MAX, body.next()).await;
        let Some(chunk) = next.map_err(|_| KeepError::Stalled)? else {
            break;
        };
        let chunk = chunk.map_err(|error| KeepError::BrokenOff(error.to_string()))?;
        bytes += chunk.len() as u64;
        if bytes > announced.bytes_max {
            return Err(KeepError::TooLarge(announced.bytes_max));
        }
        sum.update(&chunk);
        let put = timeout(PART_MAX, writer.put(chunk)).await;
        put.map_err(|_| BlobError::Late)?.map_err(BlobError::from)?;
    }
    let is = hex(sum.finish().as_ref());
    if is != announced.digest {
        let said = announced.digest.clone();
        return Err(KeepError::OtherDigest { said, is });
    }
    Ok(bytes)
}

/// The files of uploads that a crash has cut off: nobody else can be writing them now.
fn remove_unfinished(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_unfinished(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
