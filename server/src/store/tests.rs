//! What is refused at the door, and whether every statement is one.

use std::path::Path;

use pipelines::ids::RepoId;
use pipelines::timestamp::Timestamp;

use super::repos::{self, Repo};
use super::{OpenError, Store};

mod start;
mod statements;

async fn made(folder: &Path) -> Store {
    Store::open(folder).await.unwrap()
}

/// The bytes of the database and of nothing else: SQLite may leave an empty log beside it.
fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("seaworthy.db")).unwrap()
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = made(folder.path()).await;
    let second = Store::open(folder.path()).await;
    assert!(matches!(second, Err(OpenError::Locked(_))), "{second:?}");
    first.close(folder.path()).await;
    drop(first);
    made(folder.path()).await;
}

/// F43
#[tokio::test]
async fn a_damaged_database_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    store.close(folder.path()).await;
    drop(store);
    let path = folder.path().join("seaworthy.db");
    let mut content = std::fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + 4096].fill(0xA5);
    std::fs::write(&path, &content).unwrap();
    // As after a power cut: only a clean stop spares the check.
    std::fs::remove_file(folder.path().join("clean")).unwrap();
    let opened = Store::open(folder.path()).await;
    assert!(
        matches!(opened, Err(OpenError::Damaged { .. })),
        "{opened:?}"
    );
    assert_eq!(bytes(folder.path()), content);
}

/// F43
#[tokio::test]
async fn what_is_no_database_is_refused_and_unchanged() {
    for content in [
        &b""[..],
        b"this is not a database, but it is long enough to look at",
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("seaworthy.db"), content).unwrap();
        let opened = Store::open(folder.path()).await;
        assert!(
            matches!(opened, Err(OpenError::Damaged { .. })),
            "{opened:?}"
        );
        assert_eq!(bytes(folder.path()), content);
    }
}

/// F48
#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let mut tx = store.begin().await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    store.close(folder.path()).await;
    drop(store);
    let before = bytes(folder.path());
    let opened = Store::open(folder.path()).await;
    assert!(matches!(opened, Err(OpenError::Newer(_))), "{opened:?}");
    let attached = Store::attach(folder.path()).await;
    assert!(
        matches!(attached, Err(OpenError::Unprepared(_))),
        "{attached:?}"
    );
    assert_eq!(bytes(folder.path()), before);
}

#[tokio::test]
async fn administration_works_beside_a_server_but_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::attach(folder.path()).await;
    assert!(
        matches!(missing, Err(OpenError::Unprepared(_))),
        "{missing:?}"
    );
    assert!(!folder.path().join("seaworthy.db").exists());
    let _server = made(folder.path()).await;
    Store::attach(folder.path()).await.unwrap();
}

/// F37
#[tokio::test]
async fn after_a_full_disk_the_next_write_works_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let mut tx = store.begin().await.unwrap();
    // A full disk as one connection sees it: the database may not grow any more.
    sqlx::query("pragma max_page_count = 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    let fill = "insert into counters values (hex(randomblob(9000)), 1)";
    let filled = sqlx::query(fill).execute(&mut *tx).await;
    let error = filled.unwrap_err();
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("13"), "{error}");
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    sqlx::query(fill).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let written = sqlx::query("delete from counters")
        .execute(store.reader())
        .await;
    assert!(written.is_err());
}

#[tokio::test]
async fn whoever_loses_a_long_name_keeps_one_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let mut tx = store.begin().await.unwrap();
    for id in [i64::MAX, 2] {
        let repo = Repo {
            id: RepoId(id),
            installation: 1,
            name: format!("acme/{}", "x".repeat(100)).parse().unwrap(),
            default_branch: "main".parse().unwrap(),
            private: false,
        };
        repos::upsert(&mut tx, &repo, Timestamp(1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let former = repos::find(store.reader(), RepoId(i64::MAX)).await;
    assert!(former.unwrap().is_some());
}
