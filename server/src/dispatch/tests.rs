//! Who gets which job, and what comes with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pipelines::ids::{RepoId, RunId};
use pipelines::job::Outcome;
use pipelines::wire::{AssignedDeploy, AssignedWork, Assignment, Bundle, Claim, Report};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::{ClaimError, claim, why_queued};
use crate::progress::tests::{Runner, World, build, deploy, deploy_only, promote, steps};
use crate::store::access;
use crate::store::redeploys::{self, Lock};
use crate::sweep;

mod late;

fn deploy_of(assigned: &Assignment) -> &AssignedDeploy {
    match &assigned.work {
        AssignedWork::Deploy(deploy) => deploy,
        AssignedWork::Steps(_) | AssignedWork::Build(_) => panic!("no deploy: {assigned:?}"),
    }
}

fn bundle() -> Bundle {
    Bundle {
        objects: vec![json!({ "kind": "Deployment" })],
    }
}

/// Builds and deploys to staging, and ends the deploy like this.
async fn ship(world: &World, runner: &Runner, with_bundle: bool) -> Assignment {
    let image = world.claim(runner).await.unwrap();
    world.finish(runner, &image, Outcome::Passed).await;
    let ship = world.claim(runner).await.unwrap();
    if with_bundle {
        let report = Report::Bundle(bundle());
        world.report(runner, (ship.job, ship.lease), report).await;
    }
    world.finish(runner, &ship, Outcome::Passed).await;
    ship
}

/// F13
#[tokio::test]
async fn a_repeated_claim_gets_the_same_job_and_no_other() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("one", &[]), steps("two", &[])]).await;
    let key = Ulid::generate();
    let first = world.claim_as(&runner, key).await.unwrap();
    assert_eq!(world.claim_as(&runner, key).await.unwrap(), first);
    assert_eq!(first.run.url, "http://127.0.0.1:0/repos/acme/shop/runs/1");
    let attempts: i64 = world.ask("select count(*) from attempts").await;
    assert_eq!(attempts, 1);
    // Another runner that uses the key gets nothing, and so does the same once the job is over.
    let other = world.runner("bob", &[]).await;
    assert!(world.claim_as(&other, key).await.is_none());
    world.finish(&runner, &first, Outcome::Passed).await;
    assert!(world.claim_as(&runner, key).await.is_none());
    assert_eq!(world.claim(&runner).await.unwrap().name.as_str(), "two");
}

/// F31
#[tokio::test]
async fn fifty_claims_at_once_get_each_job_once() {
    let world = Arc::new(World::new().await);
    let names: Vec<_> = (0..50).map(|number| format!("job{number}")).collect();
    world
        .run(names.iter().map(|name| steps(name, &[])).collect())
        .await;
    let mut claims = JoinSet::new();
    for number in 0..50 {
        let runner = world.runner(&format!("runner{number}"), &[]).await;
        let world = Arc::clone(&world);
        claims.spawn(async move { world.claim(&runner).await.unwrap() });
    }
    let mut jobs = HashSet::new();
    let mut fences = HashSet::new();
    while let Some(assigned) = claims.join_next().await {
        let assigned = assigned.unwrap();
        jobs.insert(assigned.job);
        fences.insert(assigned.lease.fence);
    }
    assert_eq!((jobs.len(), fences.len()), (50, 50));
    let attempts: i64 = world.ask("select count(*) from attempts").await;
    assert_eq!(attempts, 50);
}

#[tokio::test]
async fn a_waiting_claim_is_answered_when_a_job_becomes_ready() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let waiting = Claim {
        instance: runner.instance,
        key: Ulid::generate(),
        wait_seconds: 20,
    };
    let stays = CancellationToken::new();
    let (assigned, run) = tokio::join!(
        claim(&world.app, runner.id, &waiting, &stays),
        world.run(vec![steps("unit", &[])])
    );
    assert_eq!(assigned.unwrap().unwrap().name.as_str(), "unit");
    assert_eq!(world.states(run).await.0, "running");
}

/// F46
#[tokio::test]
async fn a_claim_whose_caller_has_gone_takes_nothing() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let waiting = Claim {
        instance: runner.instance,
        key: Ulid::generate(),
        wait_seconds: 20,
    };
    let gone = CancellationToken::new();
    gone.cancel();
    let run = world.run(vec![steps("unit", &[])]).await;
    let nothing = claim(&world.app, runner.id, &waiting, &gone).await;
    assert!(nothing.unwrap().is_none());
    assert_eq!(world.states(run).await.0, "queued");
}

#[tokio::test]
async fn a_waiting_claim_ends_when_the_server_drains_or_the_token_is_revoked() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let waiting = Claim {
        instance: runner.instance,
        key: Ulid::generate(),
        wait_seconds: 20,
    };
    let revoke = async {
        let mut tx = world.app.store.begin().await.unwrap();
        let now = world.app.clock.now();
        assert!(access::revoke_runner(&mut tx, "ada", now).await.unwrap());
        tx.commit().await.unwrap();
        world.run(vec![steps("unit", &[])]).await
    };
    let stays = CancellationToken::new();
    let (refused, _) = tokio::join!(claim(&world.app, runner.id, &waiting, &stays), revoke);
    assert!(matches!(refused, Err(ClaimError::Revoked)));
    let other = world.runner("bob", &["staging"]).await;
    world.app.draining.cancel();
    let drained = claim(&world.app, other.id, &waiting, &stays).await;
    assert!(drained.unwrap().is_none());
}

#[tokio::test]
async fn a_lost_deploy_is_taken_over_with_the_same_deploy_release_and_objects() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let run = world
        .run(vec![build("image"), deploy("ship", "image")])
        .await;
    let image = world.claim(&runner).await.unwrap();
    world.finish(&runner, &image, Outcome::Passed).await;
    let first = world.claim(&runner).await.unwrap();
    let (number, release) = (deploy_of(&first).number, deploy_of(&first).release);
    let pinned = &deploy_of(&first).images["shop"];
    let wanted = format!("registry.example/shop@sha256:{}", "a".repeat(64));
    assert_eq!(pinned.to_string(), wanted);
    assert_eq!(deploy_of(&first).bundle, None);
    let report = Report::Bundle(bundle());
    world
        .report(&runner, (first.job, first.lease), report)
        .await;
    let later = world.app.clock.monotonic() + Duration::from_secs(31);
    sweep::tick_at(&world.app, later).await.unwrap();
    let state: String = world.ask("select state from deploys").await;
    assert_eq!(state, "queued");
    let other = world.runner("bob", &["staging"]).await;
    let second = world.claim(&other).await.unwrap();
    assert_eq!((second.job, second.lease.attempt.0), (first.job, 2));
    assert_eq!(deploy_of(&second).number, number);
    assert_eq!(deploy_of(&second).release, release);
    assert_eq!(deploy_of(&second).bundle, Some(bundle()));
    world.finish(&other, &second, Outcome::Passed).await;
    let rows: i64 = world
        .ask("select (select count(*) from deploys) + (select count(*) from releases)")
        .await;
    assert_eq!(rows, 2);
    world.check_replay(run).await;
}

#[tokio::test]
async fn a_promotion_rolls_out_the_very_release_that_was_verified() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging", "production"]).await;
    let plan = vec![
        build("image"),
        deploy("ship", "image"),
        promote("live", "ship"),
    ];
    world.run(plan).await;
    let shipped = ship(&world, &runner, true).await;
    let live = world.claim(&runner).await.unwrap();
    assert_eq!(deploy_of(&live).release, deploy_of(&shipped).release);
    assert_ne!(deploy_of(&live).number, deploy_of(&shipped).number);
    assert_eq!(deploy_of(&live).images, deploy_of(&shipped).images);
    assert_eq!(deploy_of(&live).bundle, Some(bundle()));
    let releases: i64 = world.ask("select count(*) from releases").await;
    assert_eq!(releases, 1);
}

#[tokio::test]
async fn a_deploy_comes_with_what_its_environment_has_verified_last() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let plan = || vec![build("image"), deploy("ship", "image")];
    world.run(plan()).await;
    let first = ship(&world, &runner, true).await;
    assert_eq!(deploy_of(&first).fallback, None);
    world.run(plan()).await;
    let image = world.claim(&runner).await.unwrap();
    world.finish(&runner, &image, Outcome::Passed).await;
    let second = world.claim(&runner).await.unwrap();
    let fallback = deploy_of(&second).fallback.clone().unwrap();
    assert_eq!(fallback.release, deploy_of(&first).release);
    assert_eq!((fallback.run.0, fallback.bundle), (1, bundle()));
    // What has failed is nothing to return to.
    let report = Report::Bundle(bundle());
    world
        .report(&runner, (second.job, second.lease), report)
        .await;
    world.finish(&runner, &second, Outcome::Failed).await;
    world.run(plan()).await;
    let image = world.claim(&runner).await.unwrap();
    world.finish(&runner, &image, Outcome::Passed).await;
    let third = world.claim(&runner).await.unwrap();
    let fallback = deploy_of(&third).fallback.clone().unwrap();
    assert_eq!(fallback.release, deploy_of(&first).release);
}

#[tokio::test]
async fn a_deploy_returns_to_no_release_of_another_part_of_the_repository() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    world.run(vec![deploy_only("shop")]).await;
    let shop = world.claim(&runner).await.unwrap();
    let report = Report::Bundle(bundle());
    world.report(&runner, (shop.job, shop.lease), report).await;
    world.finish(&runner, &shop, Outcome::Passed).await;
    world.run(vec![deploy_only("till")]).await;
    let till = world.claim(&runner).await.unwrap();
    assert_eq!(deploy_of(&till).fallback, None);
}

#[tokio::test]
async fn a_lock_keeps_nobody_from_taking_over_a_deploy_that_has_begun() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    world.run(vec![deploy_only("ship")]).await;
    let first = world.claim(&runner).await.unwrap();
    let lock = Lock {
        by: "mira".into(),
        reason: "a leak".into(),
        at: world.app.clock.now(),
    };
    let place = (RepoId(7), &"staging".parse().unwrap());
    let mut tx = world.app.store.begin().await.unwrap();
    let locked = redeploys::set_lock(&mut tx, place, Some(&lock)).await;
    assert!(locked.unwrap());
    tx.commit().await.unwrap();
    let later = world.app.clock.monotonic() + Duration::from_secs(31);
    sweep::tick_at(&world.app, later).await.unwrap();
    let other = world.runner("bob", &["staging"]).await;
    let second = world.claim(&other).await.unwrap();
    assert_eq!((second.job, second.lease.attempt.0), (first.job, 2));
}

#[tokio::test]
async fn a_promotion_without_rendered_objects_fails_with_words_and_the_claim_goes_on() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging", "production"]).await;
    let plan = vec![
        build("image"),
        deploy("ship", "image"),
        promote("live", "ship"),
    ];
    let run = world.run(plan).await;
    ship(&world, &runner, false).await;
    world.run(vec![steps("unit", &[])]).await;
    let next = world.claim(&runner).await.unwrap();
    assert_eq!(next.name.as_str(), "unit");
    let (state, reason) = world.job(run, "live").await;
    assert_eq!(state, "failed");
    assert_eq!(
        reason.unwrap(),
        "the rendered objects of release #1 are missing, so it cannot be promoted unchanged"
    );
    world.check_replay(run).await;
}

#[tokio::test]
async fn only_the_newest_of_queued_deploys_is_rolled_out_and_one_at_a_time() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let first = world.run(vec![deploy_only("ship")]).await;
    let running = world.claim(&runner).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(world.run(vec![deploy_only("ship")]).await);
    }
    assert!(
        world.claim(&runner).await.is_none(),
        "the environment is busy"
    );
    let why = why_queued(&world.app, Some(runs[4])).await.unwrap();
    let words: Vec<_> = why.values().map(String::as_str).collect();
    assert_eq!(words, ["another deploy to this environment is running"]);
    world.finish(&runner, &running, Outcome::Passed).await;
    assert_eq!(world.states(first).await.0, "passed");
    let newest = world.claim(&runner).await.unwrap();
    assert_eq!(newest.run.number.0, 6);
    for run in &runs[..4] {
        let (state, reason) = world.job(*run, "ship").await;
        assert_eq!(state, "superseded");
        assert_eq!(reason.unwrap(), "run #6 deploys to the same environment");
    }
}

#[tokio::test]
async fn a_deploy_waits_for_a_runner_that_serves_its_environment() {
    let world = World::new().await;
    let run = world.run(vec![deploy_only("ship")]).await;
    let words = async || {
        let why = why_queued(&world.app, Some(run)).await.unwrap();
        why.into_values().next().unwrap()
    };
    assert_eq!(words().await, "no runner is connected");
    let runner = world.runner("ada", &["production"]).await;
    assert!(world.claim(&runner).await.is_none());
    assert_eq!(
        words().await,
        "no connected runner serves environment `staging`"
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_read_keeps_no_other_waiting() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let spoil = async |run: RunId, sql: &'static str| {
        let mut tx = world.app.store.begin().await.unwrap();
        sqlx::query(sql)
            .bind(run.0)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let planless = world.run(vec![steps("planless", &[])]).await;
    spoil(planless, "update jobs set work = '{}' where run_id = ?").await;
    let nameless = world.run(vec![steps("nameless", &[])]).await;
    spoil(
        nameless,
        "update jobs set name = 'NO NAME' where run_id = ?",
    )
    .await;
    let needless = world.run(vec![steps("needless", &[])]).await;
    spoil(needless, "update jobs set needs = '{}' where run_id = ?").await;
    world.run(vec![steps("good", &[])]).await;
    assert_eq!(world.claim(&runner).await.unwrap().name.as_str(), "good");
    let (state, reason) = world.job(planless, "planless").await;
    assert_eq!(state, "failed");
    assert!(reason.unwrap().contains("cannot be read"));
    assert_eq!(world.states(needless).await.0, "queued");
}
