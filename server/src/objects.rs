//! Logs: bytes outside the database, one file of records per attempt (`pipelines::log`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use pipelines::ids::{Attempt, JobId};

mod errors;
mod index;
mod search;

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
        }
    }

    fn path(&self, job: JobId, attempt: Attempt) -> PathBuf {
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
        match tokio::fs::metadata(self.path(job, attempt)).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
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
        let mut file = match File::open(self.path(job, attempt)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(offset)).await?;
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
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
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .await?;
        let length = file.metadata().await?.len();
        if offset > length {
            return Err(AppendError::Gap(length));
        }
        let known = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let Some(new) = chunk.get(known..).filter(|new| !new.is_empty()) else {
            // An earlier call may have written this and failed before it was durable.
            file.sync_data().await?;
            return Ok(length);
        };
        file.write_all(new).await?;
        file.flush().await?;
        tracing::trace!(target: "failpoint", "log.written");
        file.sync_data().await?;
        tracing::trace!(target: "failpoint", "log.durable");
        Ok(length + new.len() as u64)
    }
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
