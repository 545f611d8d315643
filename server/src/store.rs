//! The history in SQLite: one writer, many readers, every commit durable.
//!
//! All SQL of the project stands below this module. Functions that write take `&mut Tx`, functions
//! that read take a [`Reader`], so a signature says whether anything may change.
//!
//! Statements are checked by a test, not by sqlx's macros: a build then needs neither a database nor
//! a prepared cache beside the code. The test `every_statement_is_valid` hands each statement of this
//! module to a freshly migrated database.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipelines::timestamp::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::disk::Disk;

pub mod access;
pub(crate) mod api;
pub(crate) mod artifacts;
pub(crate) mod assignments;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod blobs;
pub(crate) mod caches;
mod cell;
pub(crate) mod deliveries;
pub(crate) mod deploys;
pub(crate) mod environments;
pub(crate) mod heads;
pub(crate) mod jobs;
pub(crate) mod late;
pub(crate) mod outbox;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod redeploys;
pub(crate) mod releases;
pub(crate) mod repos;
pub(crate) mod retention;
pub(crate) mod runners;
pub(crate) mod runs;
pub(crate) mod schedules;
pub mod secrets;
pub(crate) mod standing;
pub(crate) mod test_reports;
mod tx;
pub(crate) mod views;

#[cfg(test)]
mod tests;

pub use tx::Tx;

/// Connections that cannot write.
pub type Reader = SqlitePool;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
/// Older versions can lose a committed write in WAL mode (fixed in 3.51.3).
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// The open database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    disk: Disk,
    /// Held by the server alone; administration from beside it holds none.
    _lock: Option<std::sync::Arc<File>>,
}

/// Why the data directory was refused. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server uses it.
    #[error("another server process is using {0}: stop it first, or choose another --data")]
    Locked(PathBuf),
    /// The files are not what they should be.
    #[error(
        "the database {path} is damaged: {what}; put back a copy of the data directory; nothing was changed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// Made by a newer program.
    #[error(
        "the database {0} was made by a newer seaworthy: use that version, or put back a copy of the data directory"
    )]
    Newer(PathBuf),
    /// Not there, or not yet of this version.
    #[error(
        "{0} holds no database of this version: start this version's server on it once, or name another --data"
    )]
    Unprepared(PathBuf),
    /// The linked SQLite is one that can lose commits.
    #[error("SQLite {0} can lose committed writes: this build needs 3.51.3 or newer")]
    UnsafeSqlite(String),
    /// The system refused.
    #[error("cannot open {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the database: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// A migration failed; it has been rolled back.
    #[error("cannot migrate the database: {0}")]
    Migrate(sqlx::migrate::MigrateError),
}

impl Store {
    /// Locks `data`, opens or makes its database and brings it to this version's schema.
    pub async fn open(data: &Path) -> Result<Self, OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        std::fs::create_dir_all(data).map_err(io(data))?;
        let lock = lock(data)?;
        let path = data.join("seaworthy.db");
        let existed = path.exists();
        let clean = data.join("clean");
        if existed && std::fs::metadata(&path).map_err(io(&path))?.len() == 0 {
            return Err(OpenError::Damaged {
                path,
                what: "it is empty (if this directory was never used, delete the file)".into(),
            });
        }
        if !existed {
            look_for_remains(data, &path)?;
        }
        let options = options(&path).create_if_missing(!existed);
        let writer = writer(&path, options.clone()).await?;
        check_version(&writer).await?;
        if existed && !clean.exists() {
            quick_check(&writer, &path).await?;
        }
        migrate(&writer, &path).await?;
        // From here on the database is in use; a stop that does not come by here leaves no mark.
        match std::fs::remove_file(&clean) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io(&clean)(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            writer,
            reader: reader(options).await?,
            disk: Disk::default(),
            _lock: Some(std::sync::Arc::new(lock)),
        })
    }

    /// Opens the database of `data` beside a server that may be running: without its lock, and only
    /// if it has this version's schema already, for another one is the server's to migrate.
    pub async fn attach(data: &Path) -> Result<Self, OpenError> {
        let path = data.join("seaworthy.db");
        if !path.exists() {
            return Err(OpenError::Unprepared(data.to_owned()));
        }
        let options = options(&path).create_if_missing(false);
        let writer = writer(&path, options.clone()).await?;
        check_version(&writer).await?;
        check_schema(&writer, data).await?;
        Ok(Self {
            writer,
            reader: reader(options).await?,
            disk: Disk::default(),
            _lock: None,
        })
    }

    /// Begins the one write transaction; others wait their turn.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        self.disk
            .check()
            .map_err(|failed| sqlx::Error::Io(io::Error::other(failed)))?;
        let begun = self.writer.begin_with("begin immediate").await;
        let begun = begun.inspect_err(|error| tx::note(&self.disk, error))?;
        Ok(Tx::new(begun, self.disk.clone()))
    }

    /// What is known of the disk.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Writes a word, durably, to see that this can be done; at most every two seconds, so that
    /// whoever asks often does not wear the disk.
    pub(crate) async fn probe(&self, now: Timestamp) -> sqlx::Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into counters (name, value) values ('probe', ?1) \
             on conflict (name) do update set value = ?1 where abs(value - ?1) > 2000",
        )
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The readers.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Moves what the log of writes holds into the database itself. Nobody waits for it, and what
    /// readers still need stays.
    pub(crate) async fn checkpoint(&self) -> sqlx::Result<()> {
        let mut writer = self.writer.acquire().await?;
        let done = sqlx::query("pragma wal_checkpoint(passive)")
            .execute(&mut *writer)
            .await;
        done.inspect_err(|error| tx::note(&self.disk, error))?;
        Ok(())
    }

    /// Closes the database and marks it clean, so that the next start need not check it.
    pub async fn close(&self, data: &Path) {
        self.reader.close().await;
        let written = self.checkpoint().await;
        self.writer.close().await;
        if written.is_ok() && self.disk.check().is_ok() {
            let _ = std::fs::write(data.join("clean"), "");
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // `Store::checkpoint` does it, and hears when the disk fails: SQLite's own would not say so.
        .pragma("wal_autocheckpoint", "0")
        // After a long reader the log of writes gives its room back.
        .pragma("journal_size_limit", "16777216")
}

/// What only a server with a database leaves behind: a new, empty one would hide that it is gone.
fn look_for_remains(data: &Path, path: &Path) -> Result<(), OpenError> {
    let refuse = |what: String| {
        Err(OpenError::Damaged {
            path: path.to_owned(),
            what,
        })
    };
    if data.join("seaworthy.db.partial").exists() {
        let again = "empty the directory and restore it again";
        return refuse(format!(
            "it is missing, and a restore was not finished: {again}"
        ));
    }
    let remains = ["seaworthy.db-wal", "clean"];
    if let Some(name) = remains.into_iter().find(|name| data.join(name).exists()) {
        return refuse(format!(
            "it is missing, and `{name}` is beside where it was"
        ));
    }
    let logs = crate::backup::files(&data.join("logs")).unwrap_or_default();
    let is_log = |path: &PathBuf| path.to_string_lossy().contains(".log");
    match logs.iter().any(is_log) {
        true => refuse("it is missing, and there are logs beside where it was".into()),
        false => Ok(()),
    }
}

async fn writer(path: &Path, options: SqliteConnectOptions) -> Result<SqlitePool, OpenError> {
    tx::pool()
        .connect_with(options)
        .await
        .map_err(|error| damage(path, error))
}

async fn reader(options: SqliteConnectOptions) -> Result<SqlitePool, OpenError> {
    let options = options.read_only(true).pragma("query_only", "on");
    let pool = SqlitePoolOptions::new().max_connections(8);
    Ok(pool.connect_with(options).await?)
}

fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("lock");
    let io = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(data.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

fn damage(path: &Path, error: sqlx::Error) -> OpenError {
    match &error {
        // 11 is SQLITE_CORRUPT, 26 SQLITE_NOTADB.
        sqlx::Error::Database(database)
            if matches!(
                database.code().as_deref(),
                Some("11" | "26" | "267" | "523")
            ) =>
        {
            OpenError::Damaged {
                path: path.to_owned(),
                what: database.message().to_owned(),
            }
        }
        _ => OpenError::Sqlite(error),
    }
}

async fn check_version(pool: &SqlitePool) -> Result<(), OpenError> {
    let version: String = sqlx::query_scalar("select sqlite_version()")
        .fetch_one(pool)
        .await?;
    match is_safe(&version) {
        true => Ok(()),
        false => Err(OpenError::UnsafeSqlite(version)),
    }
}

fn is_safe(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= SQLITE_VERSION_MIN
}

async fn quick_check(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let answer: String = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_one(pool)
        .await
        .map_err(|error| damage(path, error))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path: path.to_owned(),
        what: answer,
    })
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    use sqlx::migrate::MigrateError;
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) => {
            Err(OpenError::Newer(path.to_owned()))
        }
        Err(MigrateError::Execute(error)) => Err(damage(path, error)),
        Err(error) => Err(OpenError::Migrate(error)),
    }
}

/// Whether exactly this version's migrations have been applied.
async fn check_schema(pool: &SqlitePool, data: &Path) -> Result<(), OpenError> {
    let unprepared = || OpenError::Unprepared(data.to_owned());
    let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select version, checksum from _sqlx_migrations where success order by version",
    )
    .fetch_all(pool)
    .await
    .map_err(|error| match damage(&data.join("seaworthy.db"), error) {
        // There is no such table: the file was not made by a server.
        OpenError::Sqlite(sqlx::Error::Database(_)) => unprepared(),
        other => other,
    })?;
    let ours = MIGRATIONS
        .iter()
        .map(|known| (known.version, known.checksum.to_vec()));
    match ours.eq(applied) {
        true => Ok(()),
        false => Err(unprepared()),
    }
}
