//! Keeps the history within its rules: logs that have ended are packed, and logs and artifacts that
//! are old enough go. What a log or a file was stays known: its row keeps its size, and says when it
//! was deleted.
//!
//! Rows first, then bytes, and a repeat finds what a kill has left of either.

use std::io;

use pipelines::timestamp::Timestamp;

use crate::app::App;
use crate::store::retention;
use crate::tasks::Did;

/// A log is packed this long after its attempt has ended: until then it is read most.
const PACK_AFTER_MS: i64 = 10 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Logs packed, and rows deleted of a kind, in one pass.
const BATCH: u32 = 50;

/// One pass.
pub(crate) async fn tick(app: &App) -> anyhow::Result<Did> {
    tick_at(app, app.clock.now()).await
}

/// One pass, as of this moment. Something goes before more comes: packing needs room.
pub(crate) async fn tick_at(app: &App, now: Timestamp) -> anyhow::Result<Did> {
    let before = |days: u32| Timestamp(now.0 - i64::from(days) * DAY_MS);
    let mut done = 0;
    if let Some(days) = app.config.artifact_days {
        done += delete_artifacts(app, before(days), now).await?;
    }
    if let Some(days) = app.config.log_days {
        done += delete_logs(app, before(days), now).await?;
    }
    done += remove_deleted_logs(app).await?;
    done += pack(app, Timestamp(now.0 - PACK_AFTER_MS)).await?;
    Ok(if done > 0 {
        Did::Something
    } else {
        Did::Nothing
    })
}

async fn delete_artifacts(app: &App, before: Timestamp, now: Timestamp) -> anyhow::Result<usize> {
    let mut tx = app.store.begin().await?;
    let objects = retention::delete_artifacts(&mut tx, before, now, BATCH).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "retention.artifacts");
    let count = objects.len();
    if count > 0 {
        // Should this fail, the daily look finds bytes that no row names.
        app.blobs.remove(objects).await?;
        tracing::info!(count, "artifacts were deleted: they are old enough");
    }
    Ok(count)
}

async fn delete_logs(app: &App, before: Timestamp, now: Timestamp) -> anyhow::Result<usize> {
    let mut tx = app.store.begin().await?;
    let count = retention::delete_logs(&mut tx, before, now, BATCH).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "retention.logs");
    if count > 0 {
        tracing::info!(count, "logs were deleted: they are old enough");
    }
    Ok(usize::try_from(count)?)
}

async fn remove_deleted_logs(app: &App) -> anyhow::Result<usize> {
    let logs = retention::deleting(app.store.reader(), BATCH).await?;
    for log in &logs {
        app.objects.delete(log.0, log.1).await?;
        let mut tx = app.store.begin().await?;
        retention::gone(&mut tx, *log).await?;
        tx.commit().await?;
    }
    Ok(logs.len())
}

/// Packs logs. One that cannot be packed stays as it is, and the others are packed all the same.
async fn pack(app: &App, before: Timestamp) -> anyhow::Result<usize> {
    let (mut count, mut refused) = (0, None::<io::Error>);
    for log in retention::unpacked(app.store.reader(), before, BATCH).await? {
        match app.objects.pack(log.0, log.1).await {
            Ok(size) => {
                let mut tx = app.store.begin().await?;
                retention::packed(&mut tx, log, size).await?;
                tx.commit().await?;
                count += 1;
            }
            Err(error) => {
                tracing::warn!(job = log.0.0, attempt = log.1.0, %error, "a log cannot be packed");
                refused = Some(error);
            }
        }
    }
    match refused {
        Some(error) if count == 0 => Err(error.into()),
        _ => Ok(count),
    }
}

#[cfg(test)]
mod tests;
