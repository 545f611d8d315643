//! Whether the disks keep what they were given.
//!
//! A full disk is passing: the write is refused, and may be tried again. A disk that fails a write or
//! an `fsync` is not: Linux forgets what it could not write, so that the next `fsync` succeeds and
//! the bytes are gone all the same. From then on nothing more may be acknowledged by this process:
//! it ends (exit code 5), and the next start reads what really is on the disk.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The exit code of a server whose disk failed.
pub const EXIT_DISK: u8 = 5;

/// What a disk answers that has lost something.
const EIO: i32 = 5;

/// Shared by all that write.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    failed: CancellationToken,
    why: Arc<OnceLock<String>>,
}

/// The disk failed; nothing is written any more.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the disk failed: {0}; nothing was acknowledged that is not stored")]
pub struct DiskFailed(String);

impl Disk {
    /// Nothing more is written from now on.
    pub(crate) fn fail(&self, what: impl std::fmt::Display) {
        let why = what.to_string();
        tracing::error!(why, "the disk failed: this process ends");
        // The first cause counts.
        let _ = self.why.set(why);
        self.failed.cancel();
    }

    /// Notes what the system said about bytes that had to be durable.
    pub(crate) fn note(&self, what: &str, error: &(dyn Error + 'static)) {
        if io_error(error).is_some_and(|error| error.raw_os_error() == Some(EIO)) {
            self.fail(format_args!("{what}: {error}"));
        }
    }

    /// Refuses once it has failed.
    pub(crate) fn check(&self) -> Result<(), DiskFailed> {
        match self.failed.is_cancelled() {
            true => Err(self.failure()),
            false => Ok(()),
        }
    }

    /// Waits until it fails.
    pub(crate) async fn failed(&self) -> DiskFailed {
        self.failed.cancelled().await;
        self.failure()
    }

    fn failure(&self) -> DiskFailed {
        DiskFailed(self.why.get().cloned().unwrap_or_default())
    }
}

/// Whether more room on the disk would help.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    io_error(error).is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
}

/// Whether two folders lie on different disks.
pub(crate) fn are_apart(one: &Path, other: &Path) -> bool {
    let disk = |path: &Path| Some(path.metadata().ok()?.dev());
    matches!((disk(one), disk(other)), (Some(one), Some(other)) if one != other)
}

/// What the system said, somewhere below what libraries made of it.
fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        next = match error.downcast_ref::<io::Error>() {
            Some(error) if error.raw_os_error().is_some() => return Some(error),
            Some(error) => error
                .get_ref()
                .map(|inner| -> &(dyn Error + 'static) { inner }),
            None => error.source(),
        };
    }
    None
}
