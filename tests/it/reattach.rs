//! Runners that die or are replaced while they work, and go on.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::api::Run;
use tests::campaign::scale;
use tests::docker::Docker;
use tests::require;
use tests::runners::RunnerOptions;
use tests::world::World;

use crate::files::{FILE, job, steps};

const SOON: Duration = Duration::from_secs(30);

/// Longer than the usual lease of stories: the runner is away for a while, and busy machines are slow.
const PATIENT: [(&str, &str); 1] = [("SEAWORTHY_LEASE", "20")];

/// A job with a step that is long enough to be killed in, and what it should have said.
fn script(lines: u32) -> String {
    format!(
        "echo nonce >> nonces\nn=1\nwhile [ $n -le {lines} ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.05; done"
    )
}

/// Fails unless the log has each of the lines once and in order, and each step started once.
async fn assert_whole(
    world: &World,
    name: &str,
    (run, job): (&Run, &str),
    lines: u32,
) -> Result<()> {
    let log = world.api.log(name, run.number, job).await?;
    let numbers = log.lines().filter_map(|line| {
        let (_, number) = line.rsplit_once("line ")?;
        number.strip_suffix('.')?.parse::<u32>().ok()
    });
    let numbers: Vec<u32> = numbers.collect();
    ensure!(
        numbers == (1..=lines).collect::<Vec<_>>(),
        "its lines:\n{log}"
    );
    ensure!(log.contains("nonces: 1"), "started once:\n{log}");
    Ok(())
}

async fn log_has(world: &World, name: &str, text: &str) -> Result<()> {
    let title = format!("the log to have `{text}`");
    let asked = world.eventually(&title, SOON, async || {
        let log = world.api.log(name, 1, "work").await?;
        ensure!(log.contains(text), "it is:\n{log}");
        Ok(())
    });
    asked.await
}

/// F14
#[tokio::test]
async fn a_killed_runner_goes_on_with_its_step_and_the_log_has_no_gap() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start_with(&PATIENT).await?;
    let name = world.name("again");
    let repository = world.repository(&name).await?;
    let mut runner = world.runner("r1", &[]).await?;
    let count = "echo nonces: $(wc -l < nonces)";
    let file = steps(&[&script(120), count])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    for line in ["line 10.", "line 50."] {
        log_has(&world, &name, line).await?;
        runner.kill().await?;
        runner.restart()?;
    }
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    assert_eq!(run.job("work")?.attempt, 1, "it was not repeated");
    assert_whole(&world, &name, (&run, "work"), 120).await?;
    world.check_invariants().await
}

/// F14: the step ended while nobody watched.
#[tokio::test]
async fn the_exit_code_of_a_step_that_ended_meanwhile_is_collected() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start_with(&PATIENT).await?;
    let name = world.name("meanwhile");
    let repository = world.repository(&name).await?;
    let mut runner = world.runner("r1", &[]).await?;
    let file = steps(&["echo on it\nsleep 2\necho last words\nexit 7", "echo never"])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    log_has(&world, &name, "on it").await?;
    runner.kill().await?;
    let docker = Docker::connect()?;
    let ends = world.eventually("the step to end", SOON, async || {
        let running = docker.running_of(&name).await?;
        ensure!(running.is_empty(), "{running:?}");
        Ok(())
    });
    ends.await?;
    runner.restart()?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "failed", "{}", run.summary());
    assert!(
        run.job("work")?.why().contains("exit code 7"),
        "{}",
        run.summary()
    );
    let log = world.api.log(&name, 1, "work").await?;
    assert_eq!(log.matches("last words").count(), 1, "{log}");
    assert_eq!(log.matches("on it").count(), 1, "{log}");
    world.check_invariants().await
}

/// F34, the runner's part: an update is a hand-over.
#[tokio::test]
async fn a_runner_that_is_asked_to_end_leaves_its_step_to_the_next() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start_with(&PATIENT).await?;
    let name = world.name("update");
    let repository = world.repository(&name).await?;
    let mut runner = world.runner("r1", &[]).await?;
    let count = "echo nonces: $(wc -l < nonces)";
    let file = steps(&[&script(60), count])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    log_has(&world, &name, "line 10.").await?;
    let began = std::time::Instant::now();
    let status = runner.stop().await?;
    assert!(status.success() && began.elapsed() < Duration::from_secs(5));
    assert_eq!(Docker::connect()?.running_of(&name).await?.len(), 1);
    runner.restart()?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    assert_whole(&world, &name, (&run, "work"), 60).await?;
    world.check_invariants().await
}

/// A pipeline of jobs that each print lines, and count how often they were started.
fn printers(jobs: u32, lines: u32) -> Result<String> {
    let count = "echo nonces: $(wc -l < nonces)";
    let mut file = "on: { push: {} }\njobs:\n".to_owned();
    for number in 1..=jobs {
        file.push_str(&job(
            &format!("work-{number}"),
            "",
            &[&script(lines), count],
        )?);
    }
    Ok(file)
}

/// F34: server and runner are replaced while steps run.
#[tokio::test]
async fn an_update_of_server_and_runner_fails_and_repeats_no_running_step() -> Result<()> {
    let _turn = require!(Docker);
    let (jobs, lines) = scale((3, 80), (50, 400));
    let world = World::start_with(&PATIENT).await?;
    let name = world.name("replaced");
    let repository = world.repository(&name).await?;
    let options = RunnerOptions {
        arguments: vec!["--slots".into(), jobs.to_string()],
        ..RunnerOptions::default()
    };
    let mut runner = world.runner_with("r1", &[], options).await?;
    let file = printers(jobs, lines)?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let last = format!("work-{jobs}");
    let running = world.eventually("all steps to be at work", SOON, async || {
        let log = world.api.log(&name, 1, &last).await?;
        ensure!(log.contains("line 5."), "it is:\n{log}");
        Ok(())
    });
    running.await?;
    assert!(world.stop_server().await?.success());
    assert!(runner.stop().await?.success());
    world.start_server().await?;
    runner.restart()?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    for number in 1..=jobs {
        let job = format!("work-{number}");
        assert_eq!(run.job(&job)?.attempt, 1, "it was not repeated");
        assert_whole(&world, &name, (&run, &job), lines).await?;
    }
    world.check_invariants().await
}
