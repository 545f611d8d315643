//! Back to what was verified: by itself after a failure, and by a person's hand.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipelines::deploy::RollbackState;
use serde_json::json;
use tests::api::Run;
use tests::require;
use tests::sample::GREETING;
use tests::shop::Shop;
use tests::traffic::{Traffic, ask};

const SOON: Duration = Duration::from_secs(30);

/// The version that the service of staging answers with, at once or soon.
async fn serves(shop: &Shop, version: &str) -> Result<()> {
    let address = shop.staging.service("shop").await?;
    shop.world
        .eventually(&format!("{version} to be served"), SOON, async || {
            let answer = ask(address, GREETING).await?;
            ensure!(answer.starts_with(version), "{answer}");
            Ok(())
        })
        .await
}

/// The image that staging is to run.
async fn image(shop: &Shop) -> Result<String> {
    let deployment = shop.staging.deployment("shop").await?;
    let template = deployment.spec.context("it has a spec")?.template;
    let containers = template.spec.context("pods have a spec")?.containers;
    containers[0].image.clone().context("it has an image")
}

#[tokio::test]
async fn a_release_that_fails_is_left_by_itself_without_a_lost_request() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let good = shop.release("shop 1").await?;
    shop.must_pass(&good)?;
    let before = image(&shop).await?;
    let traffic = Traffic::start(shop.staging.service("shop").await?, GREETING);
    let crash = "echo cannot find the till; exit 3\nwait $web";
    let broken = shop.sample.clone().replacing("wait $web", crash);
    let change = broken.commit("main", "Break it");
    let sha = shop.repository.push(change).await?.sha;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    let counts = traffic.stop().await?;
    assert_eq!(run.job("staging")?.state, "failed", "{}", run.summary());
    let deploy = shop.last_deploy("staging").await?;
    let reason = deploy.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("code 3") && reason.contains("Rolled back"),
        "{reason}"
    );
    let rollback = deploy.rollback.context("it was rolled back")?;
    assert_eq!(rollback.state, RollbackState::Verified, "{reason}");
    assert_eq!(image(&shop).await?, before);
    assert_eq!(
        counts.failed, 0,
        "of {}: {:?}",
        counts.sent, counts.failures
    );
    let (_, page) = shop
        .world
        .api
        .get(&format!("/repos/{}/environments/staging", shop.name))
        .await?;
    let words = format!("rolled back. Live is still {}", &good.commit[..7]);
    assert!(page.contains(&words), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_person_goes_back_and_deploys_wait_until_they_are_allowed_again() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    shop.must_pass(&shop.release("shop 1").await?)?;
    shop.must_pass(&shop.release("shop 2").await?)?;
    serves(&shop, "shop 2").await?;
    let own = format!("/api/v1/repos/{}/environments/staging", shop.name);
    let call = async |what: &str, body| shop.world.api.post(&format!("{own}/{what}"), &body).await;
    let (status, body) = call("rollback", json!({ "reason": "the till is wrong" })).await?;
    assert_eq!(status, 201, "{body}");
    let number: serde_json::Value = serde_json::from_str(&body)?;
    let number = number["number"].as_u64().context("no number")?;
    let run = shop
        .world
        .eventually("the way back to end", Duration::from_secs(90), async || {
            let run = shop.world.api.run(&shop.name, number).await?;
            ensure!(run.is_final(), "{}", run.summary());
            Ok(run)
        })
        .await?;
    shop.must_pass(&run)?;
    serves(&shop, "shop 1").await?;
    let sha = shop.push("Serve on").await?;
    let waits = |run: &Run| {
        let reason = run.job("staging").ok().and_then(|job| job.reason.clone());
        reason.is_some_and(|reason| reason.contains("is locked by") && reason.contains("till"))
    };
    shop.world
        .run_when(&shop.name, &sha, "waits for the lock", waits)
        .await?;
    let (status, body) = call("lock", json!({ "locked": false })).await?;
    assert_eq!(status, 204, "{body}");
    let run = shop.world.run_of(&shop.name, &sha).await?;
    shop.must_pass(&run)
}
