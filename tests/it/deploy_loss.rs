//! Processes that die in the middle of a rollout: it is adopted, never repeated.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::api::Run;
use tests::require;
use tests::shop::Shop;

const SOON: Duration = Duration::from_secs(60);

/// Pushes a second version and waits until its pods are being rolled out to staging.
async fn rolling(shop: &Shop) -> Result<String> {
    shop.must_pass(&shop.release("shop 1").await?)?;
    let change = shop
        .sample
        .commit("main", "Serve shop 2")
        .file(tests::sample::VERSION, "shop 2\n");
    let sha = shop.repository.push(change).await?.sha;
    shop.world
        .eventually("the rollout to be under way", SOON, async || {
            let sets = shop.staging.replica_sets().await?;
            ensure!(sets.len() > 1, "there is no second ReplicaSet yet");
            Ok(())
        })
        .await?;
    let deployment = shop.staging.deployment("shop").await?;
    let status = deployment.status.context("it has a status")?;
    // A status that has not seen the new template yet still counts the old pods as updated.
    let is_seen = status.observed_generation == deployment.metadata.generation;
    ensure!(
        !is_seen || status.updated_replicas < status.replicas,
        "the rollout was over too soon to be interrupted"
    );
    Ok(sha)
}

/// It passed, with one new ReplicaSet for the second version in each environment.
async fn applied_once(shop: &Shop, run: &Run) -> Result<()> {
    shop.must_pass(run)?;
    for namespace in [&shop.staging, &shop.production] {
        let sets = namespace.replica_sets().await?;
        assert_eq!(
            sets.len(),
            2,
            "{}: one ReplicaSet for each version",
            namespace.name
        );
        let generation = namespace.deployment("shop").await?.metadata.generation;
        assert_eq!(
            generation,
            Some(2),
            "{}: written once for each version",
            namespace.name
        );
    }
    assert_eq!(shop.last_deploy("staging").await?.state, "passed");
    Ok(())
}

#[tokio::test]
async fn a_server_killed_during_a_rollout_takes_it_up_again() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let sha = rolling(&shop).await?;
    shop.world.kill_server().await?;
    shop.world.start_server().await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    applied_once(&shop, &run).await?;
    assert_eq!(
        run.job("staging")?.attempt,
        1,
        "the runner never lost its lease"
    );
    Ok(())
}

#[tokio::test]
async fn a_rollout_whose_runner_dies_is_adopted_by_another() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let mut first = shop.runner("r1").await?;
    let sha = rolling(&shop).await?;
    first.kill().await?;
    let _second = shop.runner("r2").await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    applied_once(&shop, &run).await?;
    assert_eq!(
        run.job("staging")?.attempt,
        2,
        "every retry is a new, visible attempt"
    );
    Ok(())
}

#[tokio::test]
async fn a_rollout_whose_runner_dies_is_adopted_by_the_same_once_it_is_back() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let mut runner = shop.runner("r1").await?;
    let sha = rolling(&shop).await?;
    runner.kill().await?;
    runner.restart()?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    applied_once(&shop, &run).await
}
