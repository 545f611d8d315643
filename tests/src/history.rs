//! The server's database as it lies on disk, for what no page tells: that nothing was stored.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

/// A connection that cannot write, beside the server's own.
#[derive(Debug)]
pub struct History {
    pool: SqlitePool,
}

impl History {
    /// Opens the database of a data directory.
    pub async fn open(data: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(database(data)?)
            .read_only(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// The one number that a query gives.
    pub async fn number(&self, query: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// The texts that a query gives.
    pub async fn texts(&self, query: &'static str) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(query).fetch_all(&self.pool).await?)
    }

    /// Changes the database of a server that does not run, as time or a fault would have.
    pub async fn change(data: &Path, statement: &'static str) -> Result<()> {
        let options = SqliteConnectOptions::new().filename(database(data)?);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        sqlx::query(statement).execute(&pool).await?;
        pool.close().await;
        Ok(())
    }

    /// Holds on to what the database is now, as a long reader does.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let mut reading = self.pool.begin().await?;
        let read = sqlx::query("select count(*) from counters");
        read.execute(&mut *reading).await?;
        Ok(Snapshot { reading })
    }

    /// Closes the connection now, so that the file is the server's alone.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// A reader that does not end.
#[derive(Debug)]
pub struct Snapshot {
    reading: sqlx::SqliteTransaction<'static>,
}

impl Snapshot {
    /// Lets go.
    pub async fn end(self) -> Result<()> {
        Ok(self.reading.rollback().await?)
    }
}

fn database(data: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(data)?.filter_map(|entry| entry.ok().map(|e| e.path()));
    let file = entries
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "db"));
    file.with_context(|| format!("there is no database in {}", data.display()))
}
