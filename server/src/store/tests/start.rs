//! What a start makes of a data directory that something has happened to.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;

use super::super::{MIGRATIONS, OpenError, Store, is_safe, options, writer};
use super::{bytes, made};

/// A directory that was used and then cut off: its log of writes holds a commit that is not yet in
/// the database.
async fn cut_off() -> tempfile::TempDir {
    let used = tempfile::tempdir().unwrap();
    let store = made(used.path()).await;
    let mut tx = store.begin().await.unwrap();
    sqlx::query("insert into counters values ('acknowledged', 1)")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // A copy of the files is what a power cut leaves: nothing has been closed.
    let left = tempfile::tempdir().unwrap();
    for name in ["seaworthy.db", "seaworthy.db-wal", "seaworthy.db-shm"] {
        std::fs::copy(used.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

async fn acknowledged(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from counters where name = 'acknowledged'")
        .fetch_one(store.reader())
        .await
        .unwrap()
}

/// F43
#[tokio::test]
async fn after_a_power_cut_what_was_committed_is_there() {
    let folder = cut_off().await;
    assert_eq!(acknowledged(&made(folder.path()).await).await, 1);
}

/// F43
#[tokio::test]
async fn without_its_shared_memory_the_database_is_whole() {
    let folder = cut_off().await;
    std::fs::remove_file(folder.path().join("seaworthy.db-shm")).unwrap();
    assert_eq!(acknowledged(&made(folder.path()).await).await, 1);
}

/// F43: SQLite takes the log of writes up to where it is whole. That what was behind it is lost, nothing
/// in the files says.
#[tokio::test]
async fn a_log_of_writes_that_was_cut_costs_its_end_and_no_more() {
    let folder = cut_off().await;
    let log = folder.path().join("seaworthy.db-wal");
    let length = std::fs::metadata(&log).unwrap().len();
    let file = std::fs::File::options().write(true).open(&log).unwrap();
    file.set_len(length - 1000).unwrap();
    let store = made(folder.path()).await;
    assert_eq!(acknowledged(&store).await, 0);
    let counters: i64 = sqlx::query_scalar("select count(*) from counters")
        .fetch_one(store.reader())
        .await
        .unwrap();
    assert!(counters > 0, "what was committed before is there");
}

/// What a database that is gone leaves behind.
fn remains(folder: &Path, name: &str) {
    match name {
        "logs" => {
            std::fs::create_dir_all(folder.join("logs/0")).unwrap();
            std::fs::write(folder.join("logs/0/1.1.log"), "1 0 o hello\n").unwrap();
        }
        _ => std::fs::write(folder.join(name), "").unwrap(),
    }
}

/// F43
#[tokio::test]
async fn a_database_that_is_gone_is_never_replaced_by_an_empty_one() {
    for name in ["logs", "clean", "seaworthy.db-wal", "seaworthy.db.partial"] {
        let folder = tempfile::tempdir().unwrap();
        remains(folder.path(), name);
        let opened = Store::open(folder.path()).await;
        let Err(OpenError::Damaged { what, .. }) = opened else {
            panic!("{name}: {opened:?}");
        };
        assert!(what.contains("missing"), "{what}");
        assert!(!folder.path().join("seaworthy.db").exists());
    }
}

/// F43
#[tokio::test]
async fn an_empty_database_beside_logs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    remains(folder.path(), "logs");
    std::fs::write(folder.path().join("seaworthy.db"), "").unwrap();
    let opened = Store::open(folder.path()).await;
    assert!(
        matches!(opened, Err(OpenError::Damaged { .. })),
        "{opened:?}"
    );
    assert_eq!(bytes(folder.path()), b"");
}

/// Tables and indexes as they were written down.
async fn schema(store: &Store) -> Vec<String> {
    let sql = "select coalesce(sql, name) from sqlite_schema order by 1";
    sqlx::query_scalar(sql)
        .fetch_all(store.reader())
        .await
        .unwrap()
}

fn first(count: usize) -> Migrator {
    Migrator::with_migrations(MIGRATIONS.iter().take(count).cloned().collect())
}

/// F48
#[tokio::test]
async fn whatever_migration_a_start_was_killed_after_the_next_start_goes_on() {
    let whole = tempfile::tempdir().unwrap();
    let expected = schema(&made(whole.path()).await).await;
    for count in 0..=MIGRATIONS.iter().count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seaworthy.db");
        let pool = writer(&path, options(&path).create_if_missing(true))
            .await
            .unwrap();
        first(count).run(&pool).await.unwrap();
        pool.close().await;
        assert_eq!(
            schema(&made(folder.path()).await).await,
            expected,
            "after {count}"
        );
    }
}

/// F48: every migration is cut in its middle, statement by statement: nothing of it may stay.
#[tokio::test]
async fn a_migration_that_is_cut_off_leaves_nothing_behind() {
    let mut cuts = 0;
    for (done, migration) in MIGRATIONS.iter().enumerate() {
        let sql = migration.sql.as_str();
        let ends = sql.match_indices(";\n").map(|(end, _)| end + 1);
        // Three cuts of each are enough: what is looked for is a transaction around all of it.
        for end in ends
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .step_by(9)
            .take(3)
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("seaworthy.db");
            let pool = writer(&path, options(&path).create_if_missing(true))
                .await
                .unwrap();
            first(done).run(&pool).await.unwrap();
            let mut broken: Vec<_> = MIGRATIONS.iter().take(done + 1).cloned().collect();
            let torn = format!("{}\nselect nothing from nowhere;", &sql[..end]);
            if let Some(last) = broken.last_mut() {
                last.sql = sqlx::SqlStr::from_static(torn.leak());
            }
            assert!(Migrator::with_migrations(broken).run(&pool).await.is_err());
            pool.close().await;
            made(folder.path()).await;
            cuts += 1;
        }
    }
    assert!(cuts > 3, "only {cuts} cuts");
}

#[test]
fn versions_of_sqlite_that_lose_commits_are_told_from_those_that_do_not() {
    let versions = [
        "3.51.3", "3.51.10", "3.52.0", "4.0.0", "3.51.2", "3.46.1", "2.9.9", "",
    ];
    let safe = versions.map(is_safe);
    assert_eq!(safe, [true, true, true, true, false, false, false, false]);
}

/// F43: found, and nothing is written.
#[tokio::test]
async fn flipped_bytes_are_found_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let pages: i64 = sqlx::query_scalar(AssertSqlSafe("pragma page_count"))
        .fetch_one(store.reader())
        .await
        .unwrap();
    store.close(folder.path()).await;
    drop(store);
    std::fs::remove_file(folder.path().join("clean")).unwrap();
    let path = folder.path().join("seaworthy.db");
    let sound = std::fs::read(&path).unwrap();
    let page = sound.len() / usize::try_from(pages).unwrap();
    for number in [0, 1, sound.len() / page / 2, sound.len() / page - 1] {
        let mut content = sound.clone();
        // The head of the page, which says what is in it and where.
        let head = number * page + if number == 0 { 100 } else { 0 };
        content[head..head + 8]
            .iter_mut()
            .for_each(|byte| *byte ^= 0x55);
        std::fs::write(&path, &content).unwrap();
        let opened = Store::open(folder.path()).await;
        assert!(
            matches!(opened, Err(OpenError::Damaged { .. })),
            "page {number}: {opened:?}"
        );
        assert_eq!(bytes(folder.path()), content, "page {number}");
    }
}
