//! Leases that run out, and those that must not.

use std::time::Duration;

use axum::http::StatusCode;
use pipelines::job::Outcome;

use super::{Swept, tick, tick_at};
use crate::progress::tests::{World, steps};

const LEASE: Duration = Duration::from_secs(30);

/// F15, F16
#[tokio::test]
async fn a_silent_runner_loses_its_job_after_a_lease_and_a_late_result_changes_nothing() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    assert_eq!(tick(&world.app).await.unwrap(), Swept::default());
    let later = world.app.clock.monotonic() + LEASE;
    let swept = tick_at(&world.app, later).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            jobs: 1,
            runners: 1
        }
    );
    let (state, reason) = world.job(run, "unit").await;
    assert_eq!(state, "infrastructure_error");
    assert_eq!(
        reason.unwrap(),
        "runner ada was lost: nothing heard for 30 s"
    );
    let before = world.everything().await;
    let late = world.finish(&runner, &unit, Outcome::Passed).await;
    assert_eq!(late, StatusCode::CONFLICT);
    assert_eq!(world.everything().await, before);
    assert_eq!(tick_at(&world.app, later).await.unwrap(), Swept::default());
    world.check_replay(run).await;
}

#[tokio::test]
async fn a_heartbeat_renews_the_lease() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let (now, fence) = (world.app.clock.monotonic(), unit.lease.fence);
    let soon = now + LEASE / 2;
    // As if the runner had last been heard almost a lease ago.
    let then = now.checked_sub(LEASE - Duration::from_secs(1)).unwrap();
    world.app.leases.renew(unit.job, fence, then);
    assert!(world.app.leases.is_expired(unit.job, fence, soon));
    let (status, reply) = world.heartbeat(&runner, (unit.job, unit.lease), 0).await;
    assert_eq!((status, reply["stop"].is_null()), (StatusCode::OK, true));
    assert!(!world.app.leases.is_expired(unit.job, fence, soon));
}

/// F17
#[tokio::test]
async fn a_restart_keeps_running_jobs_and_gives_each_a_fresh_lease() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    world
        .log(&runner, (unit.job, unit.lease), (0, "1 0 o one\n"))
        .await;
    let world = world.restart().await;
    let up = world.app.clock.monotonic();
    // However long the server was away: its own silence is not the runner's.
    assert_eq!(tick_at(&world.app, up).await.unwrap(), Swept::default());
    let just = up + LEASE.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(tick_at(&world.app, just).await.unwrap(), Swept::default());
    let (_, known) = world.register(&runner, &[]).await;
    assert_eq!(known["jobs"][0]["job"], unit.job.0);
    assert_eq!(known["jobs"][0]["fence"], unit.lease.fence.0);
    let (_, ack) = world
        .log(
            &runner,
            (unit.job, unit.lease),
            (0, "1 0 o one\n2 0 o two\n"),
        )
        .await;
    assert_eq!(ack["offset"], 20);
    let done = world.finish(&runner, &unit, Outcome::Passed).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
    assert_eq!(world.states(run).await.0, "passed");
    let attempts: i64 = world.ask("select count(*) from attempts").await;
    assert_eq!(attempts, 1);
    world.check_replay(run).await;
}
