//! The server's database as it lies on disk, for what no page tells: that nothing was stored.

use std::path::Path;

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
        let entries = std::fs::read_dir(data)?.filter_map(|entry| entry.ok().map(|e| e.path()));
        let file = entries
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "db"));
        let file = file.with_context(|| format!("there is no database in {}", data.display()))?;
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
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

    /// Closes the connection now, so that the file is the server's alone.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
