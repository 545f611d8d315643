//! Rollouts on a real cluster: verified when they are good, explained when they are not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tests::api::{Deploy, Run};
use tests::require;
use tests::runners::RunnerOptions;
use tests::sample::GREETING;
use tests::shop::Shop;
use tests::traffic::{Traffic, ask};

const SOON: Duration = Duration::from_secs(30);
/// The evidence of a crash takes the kubelet a few seconds; a deadline would take minutes.
const VERDICT_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_release_goes_through_staging_to_production_without_a_lost_request() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let first = shop.release("shop 1").await?;
    shop.must_pass(&first)?;
    for namespace in [&shop.staging, &shop.production] {
        let address = namespace.service("shop").await?;
        let answer = shop
            .world
            .eventually("the service to answer", SOON, async || {
                ask(address, GREETING).await
            })
            .await?;
        let commit = answer.strip_prefix("shop 1, commit ").unwrap_or_default();
        assert!(
            commit.len() >= 7 && first.commit.starts_with(commit),
            "{answer}"
        );
    }
    promoted_unchanged(&shop, &first).await?;

    let traffic = Traffic::start(shop.staging.service("shop").await?, GREETING);
    let second = shop.release("shop 2").await?;
    let counts = traffic.stop().await?;
    shop.must_pass(&second)?;
    assert_eq!(
        counts.failed, 0,
        "of {} requests: {:?}",
        counts.sent, counts.failures
    );
    assert_eq!(
        counts.answers.len(),
        2,
        "both versions answered: {:?}",
        counts.answers
    );
    promoted_unchanged(&shop, &second).await?;
    assert_eq!(
        shop.staging.replica_sets().await?.len(),
        2,
        "one new ReplicaSet for one update"
    );
    recorded(&shop, &second).await
}

/// Production runs the digest of staging, as the same release, and nothing was built for it.
async fn promoted_unchanged(shop: &Shop, run: &Run) -> Result<()> {
    let (staging, production) = (
        shop.last_deploy("staging").await?,
        shop.last_deploy("production").await?,
    );
    assert_eq!(staging.release, production.release);
    assert_eq!(staging.images, production.images);
    let pinned = run
        .job("image")?
        .outputs
        .get("image")
        .context("the image has a name")?;
    for namespace in [&shop.staging, &shop.production] {
        let deployment = namespace.deployment("shop").await?;
        let template = deployment.spec.context("it has a spec")?.template;
        let containers = template.spec.context("pods have a spec")?.containers;
        assert_eq!(containers[0].image.as_ref(), Some(pinned));
    }
    assert_eq!(run.jobs.iter().filter(|job| job.kind == "build").count(), 1);
    Ok(())
}

/// The deploy's record and the objects themselves say what was done.
async fn recorded(shop: &Shop, run: &Run) -> Result<()> {
    let deploy = shop.last_deploy("staging").await?;
    assert_eq!(deploy.state, "passed", "{deploy:?}");
    let new: Vec<_> = deploy.pods.iter().filter(|pod| pod.new).collect();
    assert_eq!(new.len(), 2, "{:?}", deploy.pods);
    let metadata = shop.staging.deployment("shop").await?.metadata;
    let text = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref()
            .and_then(|map| map.get(key).cloned())
            .unwrap_or_default()
    };
    let label = text(&metadata.labels, "app.kubernetes.io/managed-by");
    assert_eq!(label, "seaworthy");
    let expected = [
        ("repository", shop.name.clone()),
        ("commit", run.commit.clone()),
        ("run", run.number.to_string()),
        ("deploy", deploy.number.to_string()),
        ("release", deploy.release.to_string()),
    ];
    for (name, value) in expected {
        assert_eq!(
            text(&metadata.annotations, &format!("seaworthy.dev/{name}")),
            value,
            "{name}"
        );
    }
    assert!(
        managers(&metadata).contains(&"seaworthy".to_owned()),
        "{:?}",
        managers(&metadata)
    );
    Ok(())
}

fn managers(metadata: &ObjectMeta) -> Vec<String> {
    let fields = metadata.managed_fields.iter().flatten();
    fields.filter_map(|entry| entry.manager.clone()).collect()
}

/// Rolls out a broken release over a good one; gives the failed run, its deploy and how long the
/// verdict took.
async fn break_it(shop: &Shop, broken: &Break) -> Result<(Run, Deploy, Duration)> {
    let good = shop.release("shop 1").await?;
    shop.must_pass(&good)?;
    let change = shop.sample.clone().replacing(broken.old, broken.new);
    let sha = shop
        .repository
        .push(change.commit("main", "Break it"))
        .await?
        .sha;
    shop.world
        .run_when(&shop.name, &sha, "is at staging", |run| {
            run.job("staging").is_ok_and(|job| job.state == "running")
        })
        .await?;
    let began = Instant::now();
    let run = shop.world.run_of(&shop.name, &sha).await?;
    let took = began.elapsed();
    ensure!(took < VERDICT_LIMIT, "the verdict took {took:?}");
    assert_eq!(run.job("staging")?.state, "failed", "{}", run.summary());
    assert_eq!(run.job("production")?.state, "skipped", "{}", run.summary());
    // The old pods still serve: a new one was never ready.
    ask(shop.staging.service("shop").await?, GREETING).await?;
    let deploy = shop.last_deploy("staging").await?;
    assert_eq!(deploy.state, "failed");
    Ok((run, deploy, took))
}

/// A text of the sample and what breaks it.
struct Break {
    old: &'static str,
    new: &'static str,
}

#[tokio::test]
async fn a_crashing_container_is_named_with_its_code_and_last_words() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let crash = "echo cannot find the till; exit 3\nwait $web";
    let broken = Break {
        old: "wait $web",
        new: crash,
    };
    let (_, deploy, _) = break_it(&shop, &broken).await?;
    let reason = deploy.reason.unwrap_or_default();
    assert!(reason.contains('3') && reason.contains("shop"), "{reason}");
    let lines: Vec<&String> = deploy.causes.iter().flat_map(|one| &one.lines).collect();
    let told = format!("{reason} {lines:?}");
    assert!(told.contains("cannot find the till"), "{told}");
    Ok(())
}

#[tokio::test]
async fn an_image_that_no_registry_has_is_named() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let sidecar = "      containers:\n        - name: beside\n          image: 127.0.0.1:5050/acme/nobody-built-this:1\n";
    let (_, deploy, _) = break_it(
        &shop,
        &Break {
            old: "      containers:\n",
            new: sidecar,
        },
    )
    .await?;
    let reason = deploy.reason.unwrap_or_default();
    assert!(reason.contains("nobody-built-this"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_probe_that_never_answers_fails_the_rollout_and_says_which() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let mut shop = Shop::open().await?;
    let _runner = shop.runner("r1").await?;
    let broken = Break {
        old: "path: /version.txt",
        new: "path: /nothing-here",
    };
    let (patient, impatient) = (
        "strategy: rolling",
        "strategy: rolling\n      deadline: 12s",
    );
    shop.sample = shop.sample.replacing(patient, impatient);
    let (_, deploy, _) = break_it(&shop, &broken).await?;
    let reason = deploy.reason.unwrap_or_default().to_lowercase();
    assert!(
        reason.contains("ready") || reason.contains("readiness"),
        "{reason}"
    );
    Ok(())
}

#[tokio::test]
async fn a_runner_gets_deploys_of_its_own_environments_only() -> Result<()> {
    let _turn = require!(Docker, Cluster);
    let shop = Shop::open().await?;
    let _runner = shop
        .world
        .runner_with("r1", &["staging"], RunnerOptions::default())
        .await?;
    let sha = shop.push("Open the shop").await?;
    let at_production = |run: &Run| run.job("production").is_ok_and(|job| job.state == "queued");
    let run = shop
        .world
        .run_when(&shop.name, &sha, "waits for production", at_production)
        .await?;
    assert_eq!(run.job("staging")?.state, "passed");
    let second = shop.world.runner("r2", &["production"]).await?;
    let run = shop.world.run_of(&shop.name, &sha).await?;
    drop(second);
    shop.must_pass(&run)
}
