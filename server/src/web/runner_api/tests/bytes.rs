//! Caches and artifacts on the wire: whose they are, and what is refused.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::StatusCode;
use pipelines::ids::RunId;
use pipelines::job::Outcome;
use pipelines::limits::{ARTIFACTS_MAX, JUNIT_BYTES_MAX};
use pipelines::wire::{Assignment, LeaseProof};
use serde_json::json;

use crate::progress::tests::{Runner, World, steps};
use crate::token::hex;

const KEY: &str = "0123456789abcdef";

fn sum(content: &str) -> String {
    hex(digest(&SHA256, content.as_bytes()).as_ref())
}

/// Changes a run that has just been made, as if it had come from elsewhere.
async fn change(world: &World, run: RunId, sql: &'static str) {
    let mut tx = world.app.store.begin().await.unwrap();
    sqlx::query(sql)
        .bind(run.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

const FORK_5: &str = "update runs set trust = 'fork', pull_request = 5 where id = ?";
const FORK_6: &str = "update runs set trust = 'fork', pull_request = 6 where id = ?";
const OTHER_REPO: &str = "update runs set repo_id = 8, number = 1 where id = ?";

/// A job at work, of a run of this repository after that change.
async fn job(world: &World, runner: &Runner, sql: Option<&'static str>) -> Assignment {
    let run = world.run(vec![steps("unit", &[])]).await;
    if let Some(sql) = sql {
        change(world, run, sql).await;
    }
    world.claim(runner).await.unwrap()
}

async fn world() -> (World, Runner) {
    let world = World::new().await;
    let mut tx = world.app.store.begin().await.unwrap();
    let sql = "insert into repos (id, installation_id, owner, name, default_branch, private, \
               created_at) values (8, 1, 'acme', 'tools', 'main', 1, 1)";
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let runner = world.runner("ada", &[]).await;
    (world, runner)
}

fn lease(LeaseProof { attempt, fence }: LeaseProof) -> String {
    format!("attempt={attempt}&fence={fence}")
}

async fn keep(world: &World, runner: &Runner, job: &Assignment, content: &str) -> StatusCode {
    let (lease, digest) = (lease(job.lease), sum(content));
    let path = format!(
        "jobs/{}/cache?{lease}&prefix=p&key={KEY}&digest={digest}",
        job.job
    );
    world.post(runner, &path, content.to_owned()).await.0
}

async fn find(world: &World, runner: &Runner, job: &Assignment, key: &str) -> Option<i64> {
    let query = json!({ "lease": job.lease, "prefix": "p", "key": key });
    let path = format!("jobs/{}/cache/find", job.job);
    let (status, found) = world.call(runner, &path, &query).await;
    assert!(
        matches!(status, StatusCode::OK | StatusCode::NO_CONTENT),
        "{status}: {found}"
    );
    found["id"].as_i64()
}

async fn fetch(world: &World, runner: &Runner, job: &Assignment, id: i64) -> (StatusCode, String) {
    let path = format!("jobs/{}/cache/{id}?{}", job.job, lease(job.lease));
    world.fetch(runner, &path).await
}

#[tokio::test]
async fn a_cache_is_found_by_its_key_or_stands_in_by_its_prefix_and_keeps_its_bytes() {
    let (world, runner) = world().await;
    let one = job(&world, &runner, None).await;
    assert_eq!(find(&world, &runner, &one, KEY).await, None);
    assert_eq!(
        keep(&world, &runner, &one, "first").await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        keep(&world, &runner, &one, "second").await,
        StatusCode::NO_CONTENT
    );
    let id = find(&world, &runner, &one, KEY).await.unwrap();
    assert_eq!(
        find(&world, &runner, &one, "fedcba9876543210").await,
        Some(id)
    );
    let fetched = fetch(&world, &runner, &one, id).await;
    assert_eq!(fetched, (StatusCode::OK, "first".to_owned()));
    let text = world.app.metrics.render(&Default::default());
    for outcome in ["hit", "stand_in", "miss"] {
        let line = format!("seaworthy_cache_lookups_total{{outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[tokio::test]
async fn no_job_sees_a_cache_of_another_repository_or_of_other_trust() {
    let (world, runner) = world().await;
    let changes = [None, Some(FORK_5), Some(FORK_6), Some(OTHER_REPO)];
    let mut ids = Vec::new();
    for (at, change) in changes.into_iter().enumerate() {
        let mine = job(&world, &runner, change).await;
        // What all those before have kept is not there for this one, by key, prefix or number.
        assert_eq!(find(&world, &runner, &mine, KEY).await, None, "{at}");
        for id in &ids {
            let (status, _) = fetch(&world, &runner, &mine, *id).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{at} fetches {id}");
        }
        let content = format!("of {at}");
        assert_eq!(
            keep(&world, &runner, &mine, &content).await,
            StatusCode::NO_CONTENT
        );
        let id = find(&world, &runner, &mine, KEY).await.unwrap();
        assert_eq!(fetch(&world, &runner, &mine, id).await.1, content);
        ids.push(id);
        world.finish(&runner, &mine, Outcome::Passed).await;
    }
}

#[tokio::test]
async fn bytes_under_a_lease_that_is_not_held_are_neither_taken_nor_given() {
    let (world, runner) = world().await;
    let other = world.runner("bob", &[]).await;
    let mine = job(&world, &runner, None).await;
    keep(&world, &runner, &mine, "first").await;
    let id = find(&world, &runner, &mine, KEY).await.unwrap();
    let artifact = format!(
        "jobs/{}/artifact?{}&path=a&kind=artifact&digest={}",
        mine.job,
        lease(mine.lease),
        sum("x")
    );
    assert_eq!(
        fetch(&world, &other, &mine, id).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(keep(&world, &other, &mine, "x").await, StatusCode::CONFLICT);
    assert_eq!(
        world.post(&other, &artifact, "x".into()).await.0,
        StatusCode::CONFLICT
    );
    world.finish(&runner, &mine, Outcome::Passed).await;
    assert_eq!(
        fetch(&world, &runner, &mine, id).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(
        world.post(&runner, &artifact, "x".into()).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(world.ask::<i64>("select count(*) from artifacts").await, 0);
}

/// F16
#[tokio::test]
async fn bytes_whose_lease_is_taken_away_while_they_come_leave_nothing() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    let path = format!(
        "jobs/{}/cache?{}&prefix=p&key={KEY}&digest={}",
        mine.job,
        lease(mine.lease),
        sum("late")
    );
    let sent = world.post_when(&runner, &path, "late", async {
        world.finish(&runner, &mine, Outcome::Passed).await;
    });
    assert_eq!(sent.await, StatusCode::CONFLICT);
    assert_eq!(world.ask::<i64>("select count(*) from caches").await, 0);
    let folder = world.app.data.join("objects/caches/7");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test]
async fn a_cache_whose_bytes_are_gone_is_forgotten() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    keep(&world, &runner, &mine, "first").await;
    let id = find(&world, &runner, &mine, KEY).await.unwrap();
    let object: String = world.ask("select object from caches").await;
    world.app.blobs.remove(vec![object]).await.unwrap();
    assert_eq!(
        fetch(&world, &runner, &mine, id).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(find(&world, &runner, &mine, KEY).await, None);
}

#[tokio::test]
async fn what_is_fetched_counts_as_used() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    keep(&world, &runner, &mine, "first").await;
    change(&world, RunId(1), "update caches set used_at = ?").await;
    let id = find(&world, &runner, &mine, KEY).await.unwrap();
    fetch(&world, &runner, &mine, id).await;
    let used: i64 = world.ask("select used_at from caches").await;
    assert!(used > 1_000_000_000_000, "{used}");
}

async fn leave(
    world: &World,
    runner: &Runner,
    job: &Assignment,
    (path, content): (&str, &str),
) -> StatusCode {
    let path = url::form_urlencoded::byte_serialize(path.as_bytes()).collect::<String>();
    let path = format!(
        "jobs/{}/artifact?{}&path={path}&kind=artifact&digest={}",
        job.job,
        lease(job.lease),
        sum(content)
    );
    world.post(runner, &path, content.to_owned()).await.0
}

#[tokio::test]
async fn an_artifact_is_kept_once_and_its_place_belongs_to_its_bytes() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    for _ in 0..2 {
        let status = leave(&world, &runner, &mine, ("target/shop", "bytes")).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let other = leave(&world, &runner, &mine, ("target/shop", "other")).await;
    assert_eq!(other, StatusCode::UNPROCESSABLE_ENTITY);
    let rows: String = world
        .ask("select group_concat(kind || ' ' || path || ' ' || bytes || ' ' || attempt) from artifacts")
        .await;
    assert_eq!(rows, "artifact target/shop 5 1");
}

#[tokio::test]
async fn a_path_that_leads_out_of_the_workspace_is_refused() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    let long = "x".repeat(1025);
    for path in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/",
        "a\\..\\b",
        "a\nb",
        "a\0b",
        &long,
    ] {
        let status = leave(&world, &runner, &mine, (path, "x")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path:?}");
    }
    for path in ["a b/ü;$(id).txt", ".hidden", "..a/b..", &long[..1024]] {
        let status = leave(&world, &runner, &mine, (path, "x")).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{path:?}");
    }
}

#[tokio::test]
async fn what_is_too_much_or_not_as_announced_is_refused_and_leaves_nothing() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    let place = format!(
        "jobs/{}/artifact?{}&path=a&kind=junit",
        mine.job,
        lease(mine.lease)
    );
    let wrong = format!("{place}&digest={}", sum("other"));
    let status = world.post(&runner, &wrong, "x".into()).await.0;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for digest in ["", "abc", &"Z".repeat(64), &sum("x").to_uppercase()] {
        let status = world
            .post(&runner, &format!("{place}&digest={digest}"), "x".into())
            .await
            .0;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{digest}");
    }
    let large = "x".repeat(usize::try_from(JUNIT_BYTES_MAX).unwrap() + 1);
    let path = format!("{place}&digest={}", sum(&large));
    let status = world.post(&runner, &path, large).await.0;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let unsafe_key = format!(
        "jobs/{}/cache?{}&prefix=p&key=..%2F&digest={}",
        mine.job,
        lease(mine.lease),
        sum("x")
    );
    let status = world.post(&runner, &unsafe_key, "x".into()).await.0;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let rows: i64 = world
        .ask("select (select count(*) from artifacts) + (select count(*) from caches)")
        .await;
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_job_leaves_so_many_files_and_no_more() {
    let (world, runner) = world().await;
    let mine = job(&world, &runner, None).await;
    let mut tx = world.app.store.begin().await.unwrap();
    let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?) \
               insert into artifacts (job_id, attempt, kind, path, object, bytes, digest, created_at) \
               select 1, 1, 'artifact', i, i, 1, 'd', 1 from n";
    let count = i64::try_from(ARTIFACTS_MAX).unwrap();
    sqlx::query(sql)
        .bind(count)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let status = leave(&world, &runner, &mine, ("one more", "x")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
