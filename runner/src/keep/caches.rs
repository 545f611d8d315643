//! Caches: found and put in before the steps, packed and stored after them.
//!
//! A cache saves time and decides nothing: whatever goes wrong with one is a note in the log, and the
//! job goes on as if it had not been there.

use std::fs::File;
use std::path::{Path, PathBuf};

use pipelines::plan::Cache;
use pipelines::wire::CacheFound;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;

use super::{Keeper, checkout, paths, patiently, words};
use crate::archive;
use crate::archive::cache::{self, Packer};
use crate::client::{CallError, KeptCache};
use crate::clock;
use crate::engine::Engine;
use crate::logs::StepLog;

/// Bytes read from a file at once.
const PIECE_BYTES: usize = 128 * 1024;

/// A cache of the job, once its key is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    cache: Cache,
    key: String,
    /// Whether it was there under its own key: then there is nothing to store.
    pub(super) is_exact: bool,
}

/// Finds the caches of a job and puts them where the steps see them.
pub(crate) async fn restore<E: Engine>(
    keeper: &Keeper<'_, E>,
    checkout: &Path,
    log: &StepLog,
) -> Vec<Wanted> {
    let mut all = Vec::new();
    for cache in &keeper.work.caches {
        let name = cache.paths.join(", ");
        let (folder, files) = (checkout.to_owned(), cache.files.clone());
        let keyed = tokio::task::spawn_blocking(move || checkout::key(&folder, &files)).await;
        let key = match keyed.map_err(std::io::Error::other).flatten() {
            Ok(key) => key,
            Err(error) => {
                let text = format!("cache {name}: not used, its key files cannot be read: {error}");
                log.note(&text).await;
                continue;
            }
        };
        if key.files == 0 {
            let text = format!("cache {name}: no file makes its key, so it never changes");
            log.note(&text).await;
        }
        let mut wanted = Wanted {
            cache: cache.clone(),
            key: key.text,
            is_exact: false,
        };
        let told = restore_one(keeper, &mut wanted).await;
        log.note(&format!("cache {name}: {told}")).await;
        all.push(wanted);
    }
    all
}

async fn restore_one<E: Engine>(keeper: &Keeper<'_, E>, wanted: &mut Wanted) -> String {
    let job = keeper.job;
    let began = clock::monotonic();
    let asked = patiently(job, || {
        job.desk.find_cache(&wanted.cache.prefix, &wanted.key)
    })
    .await;
    let found = match asked {
        Ok(Some(found)) => found,
        Ok(None) => return format!("miss, there is none yet (key {})", words::key(&wanted.key)),
        Err(error) => return format!("miss, {}", why(error)),
    };
    let file = scratch(keeper);
    let fetched = patiently(job, || job.desk.fetch_cache(&found, &file)).await;
    let put = match fetched {
        Ok(()) => put(keeper, &wanted.cache, &found, &file).await,
        Err(error) => Err(why(error)),
    };
    remove(&file).await;
    match put {
        Err(why) => format!("miss, the one that was found is not used: {why}"),
        Ok(content) => {
            wanted.is_exact = found.key == wanted.key;
            let hit = match wanted.is_exact {
                true => format!("hit (key {}", words::key(&wanted.key)),
                false => format!(
                    "no hit for key {}, but an older one (key {}",
                    words::key(&wanted.key),
                    words::key(&found.key)
                ),
            };
            let (packed, size) = (words::size(found.bytes), words::size(content.bytes));
            let time = words::time(began.elapsed());
            format!("{hit}, {packed} packed, {size}, {time})")
        }
    }
}

/// Checks the whole of a cache first, then puts it in: of one that is refused nothing arrives.
async fn put<E: Engine>(
    keeper: &Keeper<'_, E>,
    cache: &Cache,
    found: &CacheFound,
    file: &Path,
) -> Result<cache::Content, String> {
    let roots = paths::roots(&cache.paths);
    let (bytes, own) = (found.bytes, roots.clone());
    let opened = tokio::fs::File::open(file).await;
    let packed =
        ReaderStream::with_capacity(opened.map_err(|error| error.to_string())?, PIECE_BYTES);
    let checked = archive::consume(packed, move |reader| cache::check(reader, bytes, &own)).await;
    let content = checked.map_err(|error| error.to_string())?;
    let packed = file.to_owned();
    let files = archive::stream(move |builder| {
        cache::copy(File::open(packed)?, bytes, &roots, builder).map(|_| ())
    });
    let written = keeper.engine.write_files(keeper.key, Box::pin(files)).await;
    written.map_err(|error| error.to_string())?;
    Ok(content)
}

/// Packs and stores the caches that were not there under their own keys.
pub(super) async fn store<E: Engine>(keeper: &Keeper<'_, E>, all: &[Wanted], log: &StepLog) {
    for wanted in all.iter().filter(|wanted| !wanted.is_exact) {
        let file = scratch(keeper);
        let told = match store_one(keeper, wanted, &file).await {
            Ok(told) => told,
            Err(why) => format!("not kept: {why}"),
        };
        remove(&file).await;
        let name = wanted.cache.paths.join(", ");
        log.note(&format!("cache {name}: {told}")).await;
    }
}

async fn store_one<E: Engine>(
    keeper: &Keeper<'_, E>,
    wanted: &Wanted,
    file: &Path,
) -> Result<String, String> {
    let began = clock::monotonic();
    let roots = paths::roots(&wanted.cache.paths);
    let packer = Packer::create(file, &roots);
    let mut packer = packer.map_err(|error| error.to_string())?;
    for root in &roots {
        let files = keeper.engine.read_files(keeper.key, root).await;
        let Some(files) = files.map_err(|error| error.to_string())? else {
            continue;
        };
        let root = root.clone();
        let add = move |reader| packer.add(reader, &root).map(|()| packer);
        let added = archive::consume(files, add).await;
        packer = added.map_err(|error| error.to_string())?;
    }
    let packed = tokio::task::spawn_blocking(move || packer.finish()).await;
    let packed = packed
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| error.to_string())?;
    if packed.content.entries == 0 {
        return Err("none of its paths is there".into());
    }
    let kept = KeptCache {
        prefix: wanted.cache.prefix.clone(),
        key: wanted.key.clone(),
        digest: packed.file.digest,
    };
    let job = keeper.job;
    let sent = patiently(job, || job.desk.keep_cache(&kept, file)).await;
    sent.map_err(why)?;
    let (size, content) = (packed.file.bytes, packed.content);
    let left_out = packed.left_out.map(|why| format!("; left out: {why}"));
    Ok(format!(
        "kept (key {}, {} packed, {} in {} files and folders, {}){}",
        words::key(&wanted.key),
        words::size(size),
        words::size(content.bytes),
        content.entries,
        words::time(began.elapsed()),
        left_out.unwrap_or_default()
    ))
}

/// Why a call did not do what it should, without the status of one that was answered.
fn why(error: CallError) -> String {
    match error {
        CallError::Refused {
            status: 200,
            message,
        } => message,
        CallError::Refused { .. }
        | CallError::Stale(_)
        | CallError::Unauthorized(_)
        | CallError::Upgrade(_)
        | CallError::Unreachable(_) => error.to_string(),
    }
}

/// A file of the job's own folder; there is one at a time.
fn scratch<E>(keeper: &Keeper<'_, E>) -> PathBuf {
    keeper.job.folder.join("cache")
}

async fn remove(file: &Path) {
    // It may never have been made; and it goes with the job's folder.
    let _ = tokio::fs::remove_file(file).await;
}
