//! A Docker engine that is restarted in the middle of a step.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::api::Run;
use tests::daemon::Daemon;
use tests::half_open::Line;
use tests::require;
use tests::runners::RunnerOptions;
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);

/// Restarts the engine under a step of four seconds; answers the run and its log.
async fn restart_under_a_step(live_restore: bool) -> Result<(Run, String, Duration)> {
    let image = tests::engines::busybox()?;
    let mut daemon = Daemon::start(live_restore, &image).await?;
    let world = World::start().await?;
    let name = world.name("engine");
    let repository = world.repository(&name).await?;
    let own = RunnerOptions::env("DOCKER_HOST", &daemon.host());
    let _runner = world.runner_with("r1", &[], own).await?;
    let script = "n=1\nwhile [ $n -le 80 ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.05; done";
    let file = steps(&[script])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let shown = world.eventually("the step to be at work", SOON, async || {
        let log = world.api.log(&name, 1, "work").await?;
        ensure!(log.contains("line 10."), "{log}");
        Ok(())
    });
    shown.await?;
    let began = Instant::now();
    daemon.stop().await?;
    daemon.run().await?;
    let run = world.run_of(&name, &sha).await?;
    let log = world.api.log(&name, run.number, "work").await?;
    Ok((run, log, began.elapsed()))
}

/// F24, with live-restore: the step does not notice.
#[tokio::test]
async fn a_step_outlives_a_restart_of_its_engine_with_live_restore() -> Result<()> {
    let _turn = require!(Docker);
    let (run, log, _) = restart_under_a_step(true).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    let lines = log.lines().filter_map(|line| line.rsplit_once("line "));
    let lines: Vec<&str> = lines.map(|(_, number)| number).collect();
    let expected: Vec<String> = (1..=80).map(|number| format!("{number}.")).collect();
    assert_eq!(lines, expected, "every line once, in order");
    Ok(())
}

/// F24, without: the engine ends the step, and nobody is blamed for it.
#[tokio::test]
async fn a_step_that_its_engine_has_ended_is_no_failure_of_its_author() -> Result<()> {
    let _turn = require!(Docker);
    let (run, _, took) = restart_under_a_step(false).await?;
    assert_eq!(run.state, "infrastructure_error", "{}", run.summary());
    let why = run.job("work")?.why().to_owned();
    assert!(why.contains("the Docker engine was restarted"), "{why}");
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    Ok(())
}

/// F24: the engine's connections are half-open.
#[tokio::test]
async fn a_step_whose_output_gets_stuck_ends_soon_with_all_of_its_log() -> Result<()> {
    let _turn = require!(Docker);
    let engine = std::env::var("DOCKER_HOST")?;
    let socket = engine.strip_prefix("unix://").context("a local engine")?;
    let line = Line::start(socket.into()).await?;
    let world = World::start_with(&[("SEAWORTHY_LEASE", "20")]).await?;
    let name = world.name("stuck");
    let repository = world.repository(&name).await?;
    let host = format!("tcp://{}", line.address());
    let own = RunnerOptions::env("DOCKER_HOST", &host);
    let _runner = world.runner_with("r1", &[], own).await?;
    let file = steps(&["echo first words\nsleep 3\necho last words\nexit 3"])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let shown = world.eventually("the step to be at work", SOON, async || {
        let log = world.api.log(&name, 1, "work").await?;
        ensure!(log.contains("first words"), "{log}");
        Ok(())
    });
    shown.await?;
    line.silence();
    let began = Instant::now();
    let run = world.run_of(&name, &sha).await?;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    assert_eq!(run.state, "failed", "{}", run.summary());
    assert!(
        run.job("work")?.why().contains("exit code 3"),
        "{}",
        run.summary()
    );
    let log = world.api.log(&name, 1, "work").await?;
    assert_eq!(log.matches("first words").count(), 1, "{log}");
    assert_eq!(log.matches("last words").count(), 1, "{log}");
    world.check_invariants().await
}
