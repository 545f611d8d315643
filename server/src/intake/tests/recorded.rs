//! What is stored of decisions: concurrency groups, and schedules.

use pipelines::event::{ChangedPaths, EventKind, GitEvent, PullRequest};
use pipelines::ids::{DeliveryId, RepoId, RunId, RunNumber};
use pipelines::job::Outcome;
use pipelines::timestamp::Timestamp;

use super::text;
use crate::dispatch::why_queued;
use crate::intake::decide::decide;
use crate::intake::material::Material;
use crate::intake::record::{Batch, record};
use crate::intake::schedule::tick_at;
use crate::progress::tests::World;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::repos;
use crate::store::schedules::{self, Schedule};
use crate::web::tests::github_config;

const MINUTE: i64 = 60_000;

/// A pipeline of one job, in a concurrency group.
fn grouped(newest: &str) -> String {
    format!(
        "on: [push, pull_request]\nconcurrency: {{ group: '${{{{ branch }}}}', newest: {newest} }}\n\
         jobs: {{ test: {{ image: alpine, steps: [\"true\"] }} }}\n"
    )
}

/// A pipeline with a schedule.
fn scheduled(cron: &str) -> String {
    format!(
        "on: {{ push: , schedule: [{{ cron: \"{cron}\" }}] }}\n\
         jobs: {{ test: {{ image: alpine, steps: [\"true\"] }} }}\n"
    )
}

fn event(kind: EventKind, fork: Option<&str>) -> GitEvent {
    let pull_request = fork.map(|fork| PullRequest {
        number: 3,
        base: "main".parse().unwrap(),
        fork: Some(fork.parse().unwrap()),
    });
    GitEvent {
        kind,
        commit: "1f3c9e0b7a6d5c4b3a291807f6e5d4c3b2a19080".parse().unwrap(),
        before: None,
        branch: Some("main".parse().unwrap()),
        tag: None,
        pull_request,
        title: "Sell more".into(),
        author: "mira".into(),
        inputs: Default::default(),
    }
}

/// A delivery that is to be handled.
async fn delivered(world: &World, guid: &str) -> DeliveryId {
    let new = NewDelivery {
        guid,
        event: "push",
        body_digest: guid.as_bytes(),
        body: b"{}",
    };
    let now = world.app.clock.now();
    let mut tx = world.app.store.begin().await.unwrap();
    deliveries::insert(&mut tx, new, now).await.unwrap();
    tx.commit().await.unwrap();
    DeliveryId(world.ask("select max(id) from deliveries").await)
}

/// Stores what follows from one file, and returns the runs' numbers.
async fn happened(
    world: &World,
    file: &str,
    (event, delivery): (&GitEvent, Option<DeliveryId>),
    schedule: Option<(&Schedule, Timestamp)>,
) -> Vec<RunNumber> {
    let repo = repos::find(world.app.store.reader(), RepoId(7)).await;
    let repo = repo.unwrap().unwrap();
    let material = Material {
        files: vec![text(".seaworthy/ci.yml", file)],
        environments: None,
        templates: Default::default(),
        changed: ChangedPaths::Unknown,
    };
    let decided = decide(&material, &repo, event);
    let batch = Batch {
        delivery,
        moved: None,
        rerun_of: None,
        repo: &repo,
        event,
        schedule,
        decided: &decided,
    };
    record(&world.app, batch).await.unwrap()
}

async fn pushed(world: &World, file: &str, guid: &str) -> Vec<RunNumber> {
    let delivery = delivered(world, guid).await;
    let push = event(EventKind::Push, None);
    happened(world, file, (&push, Some(delivery)), None).await
}

async fn states(world: &World) -> Vec<(i64, String, Option<String>)> {
    sqlx::query_as("select number, state, reason from runs order by number")
        .fetch_all(world.app.store.reader())
        .await
        .unwrap()
}

/// The stored schedules: fields, and when they come next.
async fn plans(world: &World) -> Vec<(String, i64)> {
    sqlx::query_as("select cron, next_at from schedules order by cron")
        .fetch_all(world.app.store.reader())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_newer_push_takes_the_place_of_the_older_runs_of_its_group() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    pushed(&world, &grouped("wins"), "one").await;
    let running = world.claim(&runner).await.unwrap();
    pushed(&world, &grouped("wins"), "two").await;
    pushed(&world, &grouped("wins"), "three").await;
    let lease = (running.job, running.lease);
    let (_, reply) = world.heartbeat(&runner, lease, 0).await;
    assert_eq!(reply["stop"], "superseded by run #2");
    world.finish(&runner, &running, Outcome::Cancelled).await;
    let found = states(&world).await;
    let words: Vec<_> = found.iter().map(|(_, state, _)| state.as_str()).collect();
    assert_eq!(words, ["superseded", "superseded", "queued"]);
    assert_eq!(found[1].2.as_deref(), Some("superseded by run #3"));
    world.check_replay(RunId(1)).await;
}

#[tokio::test]
async fn an_older_event_handled_late_takes_nobodys_place() {
    let world = World::new().await;
    let late = delivered(&world, "late").await;
    pushed(&world, &grouped("wins"), "newer").await;
    let push = event(EventKind::Push, None);
    happened(&world, &grouped("wins"), (&push, Some(late)), None).await;
    let words: Vec<_> = states(&world).await;
    assert!(
        words.iter().all(|(_, state, _)| state == "queued"),
        "{words:?}"
    );
}

#[tokio::test]
async fn a_fork_touches_no_trusted_run_of_a_group_of_the_same_name() {
    let world = World::new().await;
    pushed(&world, &grouped("wins"), "one").await;
    let request = event(EventKind::PullRequest, Some("mallory/shop"));
    let delivery = delivered(&world, "two").await;
    happened(&world, &grouped("wins"), (&request, Some(delivery)), None).await;
    let words: Vec<_> = states(&world).await;
    assert!(
        words.iter().all(|(_, state, _)| state == "queued"),
        "{words:?}"
    );
}

#[tokio::test]
async fn a_group_that_waits_gives_its_next_run_once_the_older_has_ended() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    pushed(&world, &grouped("waits"), "one").await;
    pushed(&world, &grouped("waits"), "two").await;
    let first = world.claim(&runner).await.unwrap();
    assert!(world.claim(&runner).await.is_none());
    let why = why_queued(&world.app, Some(RunId(2))).await.unwrap();
    let why: Vec<_> = why.into_values().collect();
    assert!(why[0].starts_with("waits for run #1"), "{why:?}");
    world.finish(&runner, &first, Outcome::Passed).await;
    assert_eq!(world.claim(&runner).await.unwrap().run.number, RunNumber(2));
}

#[tokio::test]
async fn the_default_branch_says_when_pipelines_start_and_unchanged_ones_keep_their_moment() {
    let world = World::new().await;
    pushed(&world, &scheduled("30 4 * * *"), "one").await;
    let first = plans(&world).await;
    assert!(first[0].1 > world.app.clock.now().0, "{first:?}");
    let mut tx = world.app.store.begin().await.unwrap();
    let known = schedules::due(world.app.store.reader(), Timestamp(i64::MAX), 9).await;
    let known = known.unwrap().remove(0);
    schedules::advance(&mut tx, &known, Timestamp(5))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    pushed(&world, &scheduled("30 4 * * *"), "two").await;
    assert_eq!(plans(&world).await, [("30 4 * * *".to_owned(), 5)]);
    // A file that cannot be read keeps what it said before; one that says something else replaces it.
    pushed(&world, "jobs: [", "three").await;
    assert_eq!(plans(&world).await, [("30 4 * * *".to_owned(), 5)]);
    pushed(&world, &scheduled("0 6 * * 1"), "four").await;
    let last: Vec<_> = plans(&world)
        .await
        .into_iter()
        .map(|(cron, _)| cron)
        .collect();
    assert_eq!(last, ["0 6 * * 1"]);
}

/// F36
#[tokio::test]
async fn a_moment_starts_one_run_however_often_it_is_handled() {
    let world = World::new().await;
    let file = scheduled("30 4 * * *");
    pushed(&world, &file, "one").await;
    let due = schedules::due(world.app.store.reader(), Timestamp(i64::MAX), 9).await;
    let due = due.unwrap().remove(0);
    let come = event(EventKind::Schedule, None);
    let next = Timestamp(due.at.0 + MINUTE);
    let first = happened(&world, &file, (&come, None), Some((&due, next))).await;
    let again = happened(&world, &file, (&come, None), Some((&due, next))).await;
    assert_eq!((first.len(), again.len()), (1, 0));
    assert_eq!(plans(&world).await[0].1, next.0);
    let at: i64 = world
        .ask("select schedule_at from runs where number = 2")
        .await;
    assert_eq!(at, due.at.0);
}

#[tokio::test]
async fn a_schedule_stays_due_while_github_is_away() {
    // Nobody listens there.
    let world =
        World::with(|config| config.github = Some(github_config("http://127.0.0.1:9"))).await;
    pushed(&world, &scheduled("30 4 * * *"), "one").await;
    let at = plans(&world).await[0].1;
    tick_at(&world.app, Timestamp(at + MINUTE)).await.unwrap();
    assert_eq!(plans(&world).await[0].1, at);
    let runs: i64 = world.ask("select count(*) from runs").await;
    assert_eq!(runs, 1);
}
