//! The write transaction.

use std::ops::{Deref, DerefMut};

use sqlx::sqlite::{SqliteConnection, SqlitePoolOptions};

use crate::disk::Disk;

/// A write transaction, begun immediate. Dropped without [`Tx::commit`], it changes nothing.
#[derive(Debug)]
pub struct Tx {
    inner: sqlx::SqliteTransaction<'static>,
    disk: Disk,
}

impl Tx {
    pub(super) fn new(inner: sqlx::SqliteTransaction<'static>, disk: Disk) -> Self {
        Self { inner, disk }
    }

    /// Makes all of it durable, or nothing.
    pub async fn commit(self) -> sqlx::Result<()> {
        let committed = self.inner.commit().await;
        if let Err(error) = &committed {
            note(&self.disk, error);
        }
        committed
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

/// The extended codes of SQLite for a read, write, `fsync` or truncation that the disk failed, and
/// for content that is not what was written. A full disk has another code, or one of shared memory.
const FAILED: &[i32] = &[
    266, 522, 778, 1034, 1290, 1546, 8202, 8458, 11, 267, 523, 779,
];

/// Notes what a failed write says about the disk.
pub(super) fn note(disk: &Disk, error: &sqlx::Error) {
    let sqlx::Error::Database(database) = error else {
        return;
    };
    let code = database.code().and_then(|code| code.parse().ok());
    if code.is_some_and(|code| FAILED.contains(&code)) {
        disk.fail(format_args!("the database: {}", database.message()));
    }
}

/// A pool of one writer. SQLite ends a transaction by itself when the disk is full; sqlx does not
/// learn that, and would refuse to begin another one on this connection for ever.
pub(super) fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
        .after_release(|connection, _| {
            Box::pin(async move {
                use sqlx::Connection;
                // Waits until the rollback of a dropped transaction has been tried.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}
