//! Caches and artifacts in files and in a bucket of a real S3 server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use pipelines::job::Outcome;
use pipelines::wire::{Assignment, Report};
use reqwest::Method;
use serde_json::Value;
use tests::caller::{Caller, sum};
use tests::s3::S3;
use tests::world::World;

use crate::files::{FILE, steps};

const START: Duration = Duration::from_secs(30);
const CONFIGURATION: i32 = 3;
const KEY: &str = "0123456789abcdef";

/// A job at work.
async fn job(world: &World, caller: &Caller) -> Result<Assignment> {
    let repository = world.repository("acme/shop").await?;
    repository
        .commit("main", "Begin", &[(FILE, &steps(&["true"])?)])
        .await?;
    caller.claim().await
}

/// Bytes that no compression makes small, in three parts and a bit.
fn content() -> Bytes {
    let mut state = 1_u64;
    let bytes = (0..26_000_001).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_le_bytes()[7]
    });
    bytes.collect()
}

/// What a job keeps is there for the next, and for people, byte for byte.
async fn all_bytes_come_back(world: &World) -> Result<()> {
    let caller = Caller::register(world, "r1").await?;
    let (mine, content) = (job(world, &caller).await?, content());
    let cache = ("cache", "prefix=p&key=0123456789abcdef");
    for bytes in [content.clone(), Bytes::from("other")] {
        ensure!(caller.send(&mine, cache, bytes).await? == 204);
    }
    let found = caller
        .find(&mine, ("p", KEY))
        .await?
        .context("it is found")?;
    ensure!((found.bytes, &found.digest) == (content.len() as u64, &sum(&content)));
    ensure!(
        caller.fetch(&mine, &found).await? == content,
        "other bytes came back"
    );
    for (name, bytes) in [
        ("large.bin", content.clone()),
        ("small.txt", Bytes::from("small")),
        ("empty", Bytes::new()),
    ] {
        let place = format!("kind=artifact&path=out/{name}");
        ensure!(
            caller.send(&mine, ("artifact", &place), bytes).await? == 204,
            "{name}"
        );
    }
    let finished = Report::Finished {
        outcome: Outcome::Passed,
        reason: None,
        exit_code: None,
        outputs: Default::default(),
    };
    caller.report(&mine, finished).await?;
    let list = "/api/v1/repos/acme/shop/runs/1/artifacts";
    let told: Value = world.api.read(list).await?;
    let items = told["items"].as_array().context("a list")?;
    ensure!(items.len() == 3, "{told}");
    let path = format!("{list}/{}", items[0]["id"]);
    let answer = world.api.call(Method::GET, &path).send().await?;
    ensure!(answer.headers()["content-length"] == content.len().to_string().as_str());
    ensure!(
        answer.bytes().await? == content,
        "other bytes were downloaded"
    );
    Ok(())
}

#[tokio::test]
async fn caches_and_artifacts_are_kept_in_files_unless_told_otherwise() -> Result<()> {
    let world = World::start().await?;
    all_bytes_come_back(&world).await?;
    ensure!(world.data().join("objects/artifacts").is_dir());
    Ok(())
}

#[tokio::test]
async fn caches_and_artifacts_are_kept_in_a_bucket() -> Result<()> {
    let _turn = tests::require!(S3);
    let s3 = S3::of_the_tests()?;
    let prefix = format!("story/{}", ulid::Ulid::generate());
    let settings = s3.settings(&prefix);
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let world = World::start_with(&settings).await?;
    all_bytes_come_back(&world).await?;
    ensure!(
        !world.data().join("objects").exists(),
        "bytes are on the disk"
    );
    // Another installation would take these bytes for left-overs.
    let other = World::start().await?;
    let mut refused = other.second_server_on("other-data", &settings)?;
    let status = refused.exit(START).await?;
    ensure!(
        status.code() == Some(CONFIGURATION),
        "{status}: {}",
        refused.tail(9)
    );
    ensure!(
        refused.output().contains("belongs to another installation"),
        "{}",
        refused.tail(9)
    );
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_refused_at_the_start() -> Result<()> {
    let _turn = tests::require!(S3);
    let s3 = S3::of_the_tests()?;
    let world = World::start().await?;
    let wrong = [
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_ACCESS_KEY_ID", "wrong"),
        ("SEAWORTHY_OBJECTS_URL", "s3://no-such-bucket/x"),
    ];
    for wrong in wrong {
        let right = s3.settings("refused");
        let mut settings = right
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()))
            .to_vec();
        settings.push(wrong);
        let mut refused = world.second_server_on("other-data", &settings)?;
        let status = refused.exit(START).await?;
        ensure!(
            status.code() == Some(CONFIGURATION),
            "{wrong:?}: {status}: {}",
            refused.tail(9)
        );
        ensure!(
            refused
                .output()
                .contains("SEAWORTHY_OBJECTS_URL: cannot use s3://"),
            "{}",
            refused.tail(9)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_away_leaves_the_rest_of_the_server_at_work() -> Result<()> {
    let settings = [
        ("SEAWORTHY_OBJECTS_URL", "s3://builds/ci"),
        // Nothing listens on this port.
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let world = World::start_with(&settings).await?;
    let caller = Caller::register(&world, "r1").await?;
    let mine = job(&world, &caller).await?;
    let cache = ("cache", "prefix=p&key=0123456789abcdef");
    let status = caller.send(&mine, cache, Bytes::from("x")).await?;
    ensure!(status == 503, "{status}");
    ensure!(caller.find(&mine, ("p", KEY)).await?.is_none());
    Ok(())
}
