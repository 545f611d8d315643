//! Logs: bytes outside the database, one file of records per attempt (`pipelines::log`), packed some
//! time after its attempt has ended.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use pipelines::ids::{Attempt, JobId};

use crate::clock::Clock;
use crate::disk::{Disk, are_apart, is_full};

mod errors;
mod index;
mod packed;
mod search;

use packed::LogFile;

pub(crate) use errors::is_error;
pub use index::{Index, Window};
pub use search::{Found, Pattern};

/// The folder of logs.
#[derive(Debug, Clone)]
pub struct Objects {
    root: PathBuf,
    indexes: index::Indexes,
    /// Two calls that append to one log would both measure it first; jobs share these by number.
    appends: Arc<[Mutex<()>; 32]>,
    searches: Arc<Semaphore>,
    disk: Disk,
    /// Since when the disk has had no room for any log.
    full_since: Arc<StdMutex<Option<Instant>>>,
}

/// Searches at once.
const SEARCHES_MAX: usize = 2;

/// Why a chunk was not stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The chunk begins behind the end: send from this offset on.
    #[error("the log ends at {0}, before this chunk")]
    Gap(u64),
    /// The disk refused.
    #[error("cannot write the log: {0}")]
    Io(#[from] io::Error),
}

impl Objects {
    /// Logs under `data`.
    pub fn new(data: &Path) -> Self {
        Self {
            root: data.join("logs"),
            indexes: index::Indexes::default(),
            appends: Arc::default(),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            disk: Disk::default(),
            full_since: Arc::default(),
        }
    }

    /// The same, telling `disk` what goes wrong with it.
    #[must_use]
    pub fn watched(self, disk: Disk) -> Self {
        Self { disk, ..self }
    }

    /// How long the disk has had no room for any log, if that is another disk than that of `data`.
    pub(crate) fn full_apart(&self, data: &Path) -> Option<Duration> {
        let since = *self
            .full_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since
            .filter(|_| are_apart(&self.root, data))
            .map(|since| Clock.monotonic().saturating_duration_since(since))
    }

    /// Notes that the disk refused.
    fn refused(&self, error: &io::Error) {
        self.disk.note("a log", error);
        if is_full(error) {
            let mut since = self
                .full_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            since.get_or_insert_with(|| Clock.monotonic());
        }
    }

    /// Where the log of an attempt is while it is not packed.
    pub(crate) fn path(&self, job: JobId, attempt: Attempt) -> PathBuf {
        // A thousand jobs a folder keeps folders listable.
        self.root
            .join((job.0 / 1000).to_string())
            .join(format!("{job}.{attempt}.log"))
    }

    /// Waits until nobody else appends to the logs of this job.
    pub async fn alone(&self, job: JobId) -> Alone<'_> {
        let place = job.0.unsigned_abs() as usize % self.appends.len();
        Alone {
            objects: self,
            job,
            _guard: self.appends[place].lock().await,
        }
    }

    /// The log's length in bytes; 0 if there is none.
    pub async fn length(&self, job: JobId, attempt: Attempt) -> io::Result<u64> {
        let path = self.path(job, attempt);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                blocking(move || or_none(LogFile::open(&path).and_then(|file| file.length()))).await
            }
            Err(error) => Err(error),
        }
    }

    /// Up to `max` bytes of records from `offset` on.
    pub async fn read(
        &self,
        (job, attempt): (JobId, Attempt),
        offset: u64,
        max: u64,
    ) -> io::Result<Vec<u8>> {
        let path = self.path(job, attempt);
        let read = move || {
            let mut file = LogFile::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(max).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        blocking(move || or_none(read())).await
    }

    /// Packs the log of an attempt that has ended; one that is packed stays as it is. A process that
    /// is killed leaves the plain log, the packed one, or both, and a repeat goes on from there.
    pub async fn pack(&self, job: JobId, attempt: Attempt) -> io::Result<Size> {
        let path = self.path(job, attempt);
        let twin = packed::twin(&path);
        if tokio::fs::try_exists(&path).await? {
            let plain = path.clone();
            let (packed, length) = blocking(move || packed::pack(&plain)).await?;
            tracing::trace!(target: "failpoint", "log.packed");
            // What is being appended at this moment must be in the packed log too.
            let _alone = self.alone(job).await;
            if tokio::fs::metadata(&path).await?.len() != length {
                return Err(io::Error::other("the log has grown while it was packed"));
            }
            tokio::fs::rename(&packed, &twin).await?;
            if let Some(folder) = path.parent() {
                File::open(folder).await?.sync_all().await?;
            }
            tracing::trace!(target: "failpoint", "log.replaced");
            tokio::fs::remove_file(&path).await?;
        }
        let stored = tokio::fs::metadata(&twin).await.map(|file| file.len());
        Ok(Size {
            bytes: self.length(job, attempt).await?,
            stored: or_none(stored)?,
        })
    }

    /// Deletes a log, if there is one.
    pub async fn delete(&self, job: JobId, attempt: Attempt) -> io::Result<()> {
        let path = self.path(job, attempt);
        let twin = packed::twin(&path);
        for path in [path, twin] {
            or_none(tokio::fs::remove_file(path).await)?;
        }
        Ok(())
    }
}

/// How large a packed log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of its records.
    pub bytes: u64,
    /// Bytes on the disk.
    pub stored: u64,
}

/// Nothing, where there is no such file.
fn or_none<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        result => result,
    }
}

/// Reads and writes files without holding up others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// The right to append to the logs of one job, which nobody else has meanwhile.
#[derive(Debug)]
pub struct Alone<'a> {
    objects: &'a Objects,
    job: JobId,
    _guard: MutexGuard<'a, ()>,
}

impl Alone<'_> {
    /// Stores the part of `chunk` that is new and returns the log's length, durably.
    pub async fn append(
        &self,
        attempt: Attempt,
        offset: u64,
        chunk: &[u8],
    ) -> Result<u64, AppendError> {
        let path = self.objects.path(self.job, attempt);
        let refused = |error: &io::Error| self.objects.refused(error);
        let mut file = open(&path).await.inspect_err(refused)?;
        let length = file.metadata().await?.len();
        if offset > length {
            return Err(AppendError::Gap(length));
        }
        let known = usize::try_from(length - offset).unwrap_or(usize::MAX);
        // Also if nothing is new: an earlier process may have been killed before this was durable.
        let new = chunk.get(known..).unwrap_or_default();
        if let Err(error) = write(&mut file, new).await {
            // A repeat must not find here what the disk may have dropped.
            let _ = file.set_len(length).await;
            refused(&error);
            return Err(error.into());
        }
        *self
            .objects
            .full_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        tracing::trace!(target: "failpoint", "log.durable");
        Ok(length + new.len() as u64)
    }
}

/// Opens the file, and makes it durably if it is not there.
async fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true);
    match options.open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let folders = path.ancestors().skip(1).take(2);
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let file = options.create(true).open(path).await?;
    // Its name is part of the folder, and the folder's of the one above.
    for folder in folders {
        File::open(folder).await?.sync_all().await?;
    }
    Ok(file)
}

/// Writes all of it, durably.
async fn write(file: &mut File, new: &[u8]) -> io::Result<()> {
    file.write_all(new).await?;
    file.flush().await?;
    tracing::trace!(target: "failpoint", "log.written");
    file.sync_data().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn append(
        objects: &Objects,
        (job, attempt): (JobId, Attempt),
        offset: u64,
        chunk: &[u8],
    ) -> Result<u64, AppendError> {
        objects
            .alone(job)
            .await
            .append(attempt, offset, chunk)
            .await
    }

    #[tokio::test]
    async fn a_chunk_sent_twice_is_stored_once_and_a_gap_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, log) = (Objects::new(folder.path()), (JobId(7), Attempt(1)));
        assert_eq!(append(&objects, log, 0, b"one\n").await.unwrap(), 4);
        assert_eq!(append(&objects, log, 0, b"one\ntwo\n").await.unwrap(), 8);
        assert_eq!(append(&objects, log, 4, b"two\n").await.unwrap(), 8);
        assert!(matches!(
            append(&objects, log, 9, b"x").await,
            Err(AppendError::Gap(8))
        ));
        assert_eq!(objects.read(log, 0, 100).await.unwrap(), b"one\ntwo\n");
    }

    #[tokio::test]
    async fn a_packed_log_reads_as_before_and_packing_goes_on_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, log) = (Objects::new(folder.path()), (JobId(7), Attempt(1)));
        let path = objects.path(log.0, log.1);
        let chunk = b"1 0 o some line\n".repeat(60_000);
        append(&objects, log, 0, &chunk).await.unwrap();
        let before = objects.index(log.0, log.1).await.unwrap();
        // Killed while packing, and killed before the plain log was removed.
        std::fs::write(path.with_extension("log.zst.new"), b"half").unwrap();
        std::fs::write(packed::twin(&path), b"of a plain log that is there").unwrap();
        assert_eq!(objects.index(log.0, log.1).await.unwrap(), before);
        let size = objects.pack(log.0, log.1).await.unwrap();
        assert_eq!(size.bytes, chunk.len() as u64);
        assert!(size.stored < size.bytes / 50, "{size:?}");
        assert_eq!(objects.pack(log.0, log.1).await.unwrap(), size);
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "only the packed log is left");
        let again = Objects::new(folder.path());
        let index = again.index(log.0, log.1).await.unwrap();
        assert_eq!(index, before);
        let lines = again.lines(log, index, 30_000, 2).await.unwrap();
        assert_eq!(lines, b"1 0 o some line\n".repeat(2));
        assert_eq!(again.read(log, 0, u64::MAX).await.unwrap(), chunk);
        again.delete(log.0, log.1).await.unwrap();
        assert_eq!(again.index(log.0, log.1).await.unwrap().lines, 0);
        let none = objects.pack(log.0, log.1).await.unwrap();
        assert_eq!((none.bytes, none.stored), (0, 0));
    }

    #[tokio::test]
    async fn a_chunk_sent_twice_at_the_same_moment_is_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, log) = (Objects::new(folder.path()), (JobId(7), Attempt(1)));
        let chunk = b"one\n".repeat(10_000);
        let sends = (0..8).map(|_| append(&objects, log, 0, &chunk));
        for stored in futures_util::future::join_all(sends).await {
            assert_eq!(stored.unwrap(), chunk.len() as u64);
        }
        assert_eq!(objects.read(log, 0, 100_000).await.unwrap(), chunk);
    }
}
