//! Processes that die in the middle of a step.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::docker::Docker;
use tests::require;
use tests::runners::{Runner, RunnerOptions};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);
/// The lease of the tests, and what a busy machine adds.
const LEASE_LIMIT: Duration = Duration::from_secs(20);

/// Waits until the log of job `work` of the first run has that text.
async fn log_has(world: &World, name: &str, text: &str) -> Result<()> {
    let title = format!("the log to have `{text}`");
    world
        .eventually(&title, SOON, async || {
            let log = world.api.log(name, 1, "work").await?;
            ensure!(log.contains(text), "it is:\n{log}");
            Ok(())
        })
        .await
}

/// F15
#[tokio::test]
async fn a_killed_runner_is_noticed_and_leaves_nothing_once_it_is_back() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("lost");
    let repository = world.repository(&name).await?;
    let mut runner = world.runner("r1", &[]).await?;
    let sha = repository
        .commit(
            "main",
            "Begin",
            &[(FILE, &steps(&["echo on it", "echo and on it\nsleep 600"])?)],
        )
        .await?;
    log_has(&world, &name, "and on it").await?;
    let docker = Docker::connect()?;
    runner.kill().await?;
    assert!(
        !docker.running_of(&name).await?.is_empty(),
        "the container outlives its runner"
    );

    let ended = world.eventually("the loss to be noticed", LEASE_LIMIT, async || {
        let run = world.api.run(&name, 1).await?;
        ensure!(run.is_final(), "{}", run.summary());
        Ok(run)
    });
    let run = ended.await?;
    assert_eq!(
        (run.commit.as_str(), run.state.as_str()),
        (&*sha, "infrastructure_error")
    );
    assert!(
        run.job("work")?.why().contains("r1"),
        "the reason names the runner: {}",
        run.summary()
    );

    runner.restart()?;
    world
        .eventually("the runner to sweep", SOON, async || {
            let left = docker.objects_of(&name).await?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
    // It is fit for work again.
    let sha = repository
        .commit("main", "Go on", &[(FILE, &steps(&["echo again"])?)])
        .await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    world.check_invariants().await
}

/// F17
#[tokio::test]
async fn a_killed_server_neither_fails_a_step_nor_loses_a_line() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("server");
    let repository = world.repository(&name).await?;
    let _runner = world.runner("r1", &[]).await?;
    let script = "n=1\nwhile [ $n -le 120 ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.05; done";
    let sha = repository
        .commit("main", "Begin", &[(FILE, &steps(&[script])?)])
        .await?;
    log_has(&world, &name, "line 10.").await?;
    world.kill_server().await?;
    world.start_server().await?;
    log_has(&world, &name, "line 60.").await?;
    world.kill_server().await?;
    world.start_server().await?;

    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let work = run.job("work")?;
    assert_eq!(work.attempt, 1, "it was not repeated");
    let log = world.api.log(&name, run.number, "work").await?;
    let lines = log.lines().filter_map(|line| {
        let (_, number) = line.rsplit_once("line ")?;
        number.strip_suffix('.')?.parse::<u32>().ok()
    });
    let lines: Vec<u32> = lines.collect();
    assert_eq!(
        lines,
        (1..=120).collect::<Vec<_>>(),
        "every line once, in order"
    );
    world.check_invariants().await
}

/// F16
#[tokio::test]
async fn a_runner_that_slept_through_its_lease_is_refused_and_stops() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let name = world.name("stale");
    let repository = world.repository(&name).await?;
    let runner = world.runner("r1", &[]).await?;
    let sha = repository
        .commit(
            "main",
            "Begin",
            &[(FILE, &steps(&["echo on it\nsleep 600"])?)],
        )
        .await?;
    log_has(&world, &name, "on it").await?;
    runner.freeze()?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "infrastructure_error", "{}", run.summary());
    let docker = Docker::connect()?;
    assert!(
        !docker.running_of(&name).await?.is_empty(),
        "nobody has stopped it yet"
    );

    runner.thaw()?;
    world
        .eventually("the runner to stop its container", SOON, async || {
            let left = docker.objects_of(&name).await?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
    let run = world.api.run(&name, run.number).await?;
    assert_eq!(
        (run.state.as_str(), run.job("work")?.attempt),
        ("infrastructure_error", 1)
    );
    world.check_invariants().await
}

/// Waits until a copy of a runner has been refused.
async fn refused(world: &World, clone: &mut Runner) -> Result<()> {
    world
        .eventually("the clone to be refused", SOON, async || {
            let said = clone.program().output();
            ensure!(said.contains("another process"), "it says: {said}");
            Ok(())
        })
        .await
}

/// F23
#[tokio::test]
async fn a_second_process_with_the_same_token_is_refused() -> Result<()> {
    let world = World::start_with(&[("SEAWORTHY_LEASE", "20")]).await?;
    let mut first = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let history = world.history().await?;
    world
        .eventually("the runner to be registered", SOON, async || {
            let seen = "select count(*) from runners where last_seen_at is not null";
            ensure!(history.number(seen).await? == 1, "it is not");
            Ok(())
        })
        .await?;
    let mut clone = first.clone_with_other_state()?;
    refused(&world, &mut clone).await?;
    // After a restart of the server the first one is slow: the copy asks first, and is refused again.
    world.kill_server().await?;
    first.freeze()?;
    world.start_server().await?;
    clone.restart()?;
    refused(&world, &mut clone).await?;
    first.thaw()?;
    let repository = world.repository("acme/shop").await?;
    let files = [(FILE, &*steps(&["echo hello"])?)];
    let sha = repository.commit("main", "Begin", &files).await?;
    world.run_of("acme/shop", &sha).await?;
    assert!(first.program().ended().is_none(), "the first goes on");
    Ok(())
}
