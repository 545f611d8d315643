//! Bytes in files, as the server keeps them by default. A bucket has its story in `tests/it`.

use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use pipelines::timestamp::Timestamp;

use super::*;
use crate::blobs::sweep::{Removed, tick_at};
use crate::progress::tests::{World, steps};
use crate::store::caches::{self, NewCache, Place};

fn blobs(folder: &Path) -> Blobs {
    Blobs::new(&ObjectsConfig::Folder(folder.to_owned())).unwrap()
}

fn announced(content: &[u8], bytes_max: u64) -> Announced {
    Announced {
        kind: Kind::Artifact,
        repo: RepoId(7),
        digest: hex(digest::digest(&digest::SHA256, content).as_ref()),
        bytes_max,
    }
}

type Chunk = Result<Bytes, &'static str>;

fn chunks(content: &[u8]) -> impl Stream<Item = Chunk> + Unpin {
    let chunks: Vec<Chunk> = content
        .chunks(1 << 20)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    stream::iter(chunks)
}

async fn read(blobs: &Blobs, object: &str) -> Option<Vec<u8>> {
    let (bytes, content) = blobs.read(object).await.unwrap()?;
    let all: Vec<Bytes> = content.try_collect().await.unwrap();
    let all = all.concat();
    assert_eq!(all.len() as u64, bytes);
    Some(all)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn what_is_stored_is_read_back_byte_for_byte_small_or_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    for size in [0, 1, PART_BYTES - 1, PART_BYTES, 3 * PART_BYTES + 5] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let kept = blobs
            .keep(&announced(&content, 1 << 30), chunks(&content))
            .await
            .unwrap();
        assert_eq!(kept.bytes, size as u64);
        assert!(
            read(&blobs, &kept.object).await.unwrap() == content,
            "{size}"
        );
    }
}

#[tokio::test]
async fn what_is_not_as_announced_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    let content = vec![7; 2 * PART_BYTES];
    let large = blobs
        .keep(&announced(&content, 100), chunks(&content))
        .await;
    let other = blobs
        .keep(&announced(b"another", 1 << 30), chunks(&content))
        .await;
    let mut broken: Vec<Chunk> = vec![Ok(Bytes::from(content.clone()))];
    broken.push(Err("connection reset"));
    let broken = blobs
        .keep(&announced(&content, 1 << 30), stream::iter(broken))
        .await;
    let told = [large, other, broken].map(|refused| refused.unwrap_err().to_string());
    assert_eq!(told[0], "it has more than 100 bytes");
    assert!(told[1].starts_with("its digest is "), "{}", told[1]);
    assert_eq!(told[2], "it broke off: connection reset");
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn removing_what_is_gone_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    let kept = blobs.keep(&announced(b"x", 9), chunks(b"x")).await.unwrap();
    for _ in 0..2 {
        blobs.remove(vec![kept.object.clone()]).await.unwrap();
    }
    assert_eq!(read(&blobs, &kept.object).await, None);
}

#[tokio::test]
async fn a_place_belongs_to_one_installation_and_a_crash_leaves_no_unfinished_file() {
    let folder = tempfile::tempdir().unwrap();
    let (blobs, config) = (
        blobs(folder.path()),
        ObjectsConfig::Folder(folder.path().to_owned()),
    );
    let unfinished = folder.path().join("caches/7/01ABC#1");
    std::fs::create_dir_all(unfinished.parent().unwrap()).unwrap();
    std::fs::write(&unfinished, "half").unwrap();
    blobs.prepare(&config, "4711").await.unwrap();
    blobs.prepare(&config, "4711").await.unwrap();
    assert!(!unfinished.exists());
    let other = blobs.prepare(&config, "4712").await.unwrap_err();
    assert!(matches!(other, OpenError::Taken { .. }), "{other}");
}

/// Stores a cache of so many bytes that was last used at that moment.
async fn cache(world: &World, scope: &str, key: &str, (bytes, used_at): (usize, i64)) {
    let content = vec![7; bytes];
    let announced = Announced {
        kind: Kind::Cache,
        ..announced(&content, 1 << 30)
    };
    let kept = world
        .app
        .blobs
        .keep(&announced, chunks(&content))
        .await
        .unwrap();
    let new = NewCache {
        place: &Place {
            repo: RepoId(7),
            scope: scope.to_owned(),
        },
        prefix: "p",
        key,
        object: &kept.object,
        bytes: kept.bytes,
        digest: &announced.digest,
        job: pipelines::ids::JobId(1),
    };
    let mut tx = world.app.store.begin().await.unwrap();
    assert!(
        caches::insert(&mut tx, new, Timestamp(used_at))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
}

async fn keys(world: &World) -> String {
    let keys: Option<String> = world
        .ask("select group_concat(key, ' ') from (select key from caches order by key)")
        .await;
    keys.unwrap_or_default()
}

#[tokio::test]
async fn a_repository_keeps_so_many_bytes_and_a_fork_pushes_out_nothing_trusted() {
    let world = World::with(|config| config.cache_bytes = 100).await;
    world.run(vec![steps("unit", &[])]).await;
    let now = Timestamp(1_000_000_000_000);
    cache(&world, "trusted", "old", (60, now.0 - 3)).await;
    cache(&world, "trusted", "new", (60, now.0 - 2)).await;
    cache(&world, "fork:5", "newest", (60, now.0 - 1)).await;
    let removed = tick_at(&world.app, now, world.app.clock.monotonic())
        .await
        .unwrap();
    assert_eq!((removed.caches, keys(&world).await.as_str()), (2, "new"));
    assert_eq!(files(&world.app.data.join("objects")).len(), 1);
}

#[tokio::test]
async fn a_cache_that_nobody_uses_goes_after_a_month() {
    let world = World::new().await;
    world.run(vec![steps("unit", &[])]).await;
    let (now, day) = (Timestamp(1_000_000_000_000), 24 * 60 * 60 * 1000);
    cache(&world, "trusted", "unused", (1, now.0 - 31 * day)).await;
    cache(&world, "trusted", "used", (1, now.0 - 29 * day)).await;
    tick_at(&world.app, now, world.app.clock.monotonic())
        .await
        .unwrap();
    assert_eq!(keys(&world).await, "used");
}

#[tokio::test]
async fn bytes_that_no_row_names_are_removed_but_not_while_they_are_stored() {
    let world = World::new().await;
    world.run(vec![steps("unit", &[])]).await;
    cache(&world, "trusted", "named", (1, i64::MAX)).await;
    let kept = world
        .app
        .blobs
        .keep(&announced(b"x", 9), chunks(b"x"))
        .await
        .unwrap();
    let clock = world.app.clock.monotonic();
    let first = tick_at(&world.app, Timestamp(0), clock).await.unwrap();
    assert_eq!(first, Removed::default());
    drop(kept);
    // As if the lease had been taken away, or the process had died, before the row was written.
    let soon = tick_at(&world.app, Timestamp(0), clock).await.unwrap();
    assert_eq!(soon, Removed::default());
    let next_day = clock + Duration::from_secs(24 * 60 * 60);
    let later = tick_at(&world.app, Timestamp(0), next_day).await.unwrap();
    assert_eq!(
        (later.unnamed, files(&world.app.data.join("objects")).len()),
        (1, 1)
    );
}
