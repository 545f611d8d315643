//! Keeps the stored bytes within their bounds: caches that are too many or too old go, and so do
//! bytes that no row names, which a crash or a lost lease has left.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::TryStreamExt;
use pipelines::timestamp::Timestamp;

use super::Kind;
use crate::app::App;
use crate::store::{blobs, caches};

/// A cache that nobody has used for this long goes.
const UNUSED_DAYS: i64 = 30;
/// All objects are looked at this often: listing a large bucket takes time, and costs money.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Names compared with the database at once.
const NAMES: usize = 1000;

/// What a pass removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Caches, with their bytes.
    pub(crate) caches: usize,
    /// Objects that no row named.
    pub(crate) unnamed: usize,
}

/// One pass.
pub(crate) async fn tick(app: &App) -> anyhow::Result<Removed> {
    tick_at(app, app.clock.now(), app.clock.monotonic()).await
}

/// One pass, as of this moment.
pub(crate) async fn tick_at(app: &App, now: Timestamp, clock: Instant) -> anyhow::Result<Removed> {
    let mut removed = Removed {
        caches: evict(app, now).await?,
        unnamed: 0,
    };
    let last = *app
        .blobs
        .looked
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| clock.saturating_duration_since(last) >= LOOK_EVERY) {
        for kind in [Kind::Cache, Kind::Artifact] {
            removed.unnamed += remove_unnamed(app, kind).await?;
        }
        // Only a look that came to its end counts.
        *app.blobs
            .looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(clock);
    }
    if removed != Removed::default() {
        let Removed { caches, unnamed } = removed;
        tracing::info!(caches, unnamed, "stored bytes were removed");
    }
    Ok(removed)
}

/// Forgets caches that are too old or too many. The rows go first: a crash then leaves bytes that
/// nobody names, and not a row that promises what is gone.
async fn evict(app: &App, now: Timestamp) -> anyhow::Result<usize> {
    let since = Timestamp(now.0 - UNUSED_DAYS * 24 * 60 * 60 * 1000);
    let mut tx = app.store.begin().await?;
    let mut objects = caches::delete_unused(&mut tx, since).await?;
    objects.extend(caches::delete_beyond(&mut tx, app.config.cache_bytes).await?);
    tx.commit().await?;
    let count = objects.len();
    let removed = app.blobs.remove(objects).await;
    removed.context("the bytes of caches could not be removed")?;
    Ok(count)
}

/// Removes what no row names. What is being stored right now is not listed, so a row that comes
/// between the list and the question is found by the question.
async fn remove_unnamed(app: &App, kind: Kind) -> anyhow::Result<usize> {
    let mut count = 0;
    let mut chunks = app.blobs.list(kind).try_chunks(NAMES);
    while let Some(names) = chunks.try_next().await.map_err(|error| error.1)? {
        let names = serde_json::to_string(&names)?;
        let unnamed = blobs::unnamed(app.store.reader(), &names).await?;
        count += unnamed.len();
        app.blobs.remove(unnamed).await?;
    }
    Ok(count)
}
