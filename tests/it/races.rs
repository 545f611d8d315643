//! What happens at the same moment: cancels and results, many runners, an end under load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use pipelines::job::Outcome;
use pipelines::wire::Report;
use serde_json::json;
use tests::caller::Caller;
use tests::campaign::scale;
use tests::program;
use tests::runners::RunnerOptions;
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(60);
/// Nobody's lease runs out only because the machine is busy.
const PATIENT: [(&str, &str); 1] = [("SEAWORTHY_LEASE", "30")];

fn passed() -> Report {
    Report::Finished {
        outcome: Outcome::Passed,
        reason: None,
        exit_code: None,
        outputs: BTreeMap::new(),
    }
}

/// F21, F18: the result comes twice.
#[tokio::test]
async fn a_cancel_at_the_moment_of_the_result_ends_the_run_once() -> Result<()> {
    let world = World::start_with(&PATIENT).await?;
    let repository = world.repository("acme/shop").await?;
    let runner = Caller::register(&world, "r1").await?;
    let file = steps(&["echo hello"])?;
    for number in 0..scale(30, 1000) {
        let title = format!("Push {number}");
        let files = [(FILE, file.as_str()), ("title", title.as_str())];
        repository.commit("main", &title, &files).await?;
        let job = runner.claim().await?;
        let path = format!("/api/v1/repos/acme/shop/runs/{}/cancel", job.run.number);
        let cancel = async { world.api.post(&path, &json!({})).await.map(drop) };
        let result = async { runner.report(&job, passed()).await };
        // Whoever is polled first sends first, so either may be the first to arrive.
        if number % 2 == 0 {
            tokio::try_join!(cancel, result)?;
        } else {
            tokio::try_join!(result, cancel)?;
        }
        runner.report(&job, passed()).await?;
    }
    world.check_invariants().await?;
    let history = world.history().await?;
    let others = "select state from runs where state not in ('passed', 'cancelled')";
    assert_eq!(history.texts(others).await?, Vec::<String>::new());
    Ok(())
}

/// F31
#[tokio::test]
async fn many_runners_that_come_back_at_once_all_keep_their_jobs() -> Result<()> {
    let world = World::start_with(&PATIENT).await?;
    let repository = world.repository("acme/shop").await?;
    let mut runners = Vec::new();
    for number in 0..scale(20, 300) {
        runners.push(Caller::register(&world, &format!("r{number}")).await?);
    }
    let file = steps(&["echo hello"])?;
    let mut jobs = Vec::new();
    for (number, runner) in runners.iter().enumerate().take(10) {
        let title = format!("Push {number}");
        let files = [(FILE, file.as_str()), ("title", title.as_str())];
        repository.commit("main", &title, &files).await?;
        jobs.push((runner, runner.claim().await?));
    }
    world.kill_server().await?;
    world.start_server().await?;
    let began = Instant::now();
    try_join_all(runners.iter().map(Caller::introduce)).await?;
    try_join_all(jobs.iter().map(|(runner, job)| runner.beat(job))).await?;
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(30),
        "they are back after {took:?}"
    );
    try_join_all(
        jobs.iter()
            .map(|(runner, job)| runner.report(job, passed())),
    )
    .await?;
    world.check_invariants().await?;
    let history = world.history().await?;
    let whole = "select count(*) from jobs where state = 'passed' and attempt = 1";
    assert_eq!(history.number(whole).await?, 10);
    Ok(())
}

/// F33
#[tokio::test]
async fn a_server_that_is_asked_to_end_answers_what_runs_and_touches_no_step() -> Result<()> {
    let world = World::start_with(&PATIENT).await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let file = steps(&["echo on it\nsleep 6", "echo done"])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    world
        .run_when("acme/shop", &sha, "is running", |run| {
            run.state == "running"
        })
        .await?;
    // Each asks again and again until the server takes no more connections.
    let visitors = (0..scale(8, 64)).map(|_| async {
        let mut answers = 0;
        while let Ok((status, body)) = world.api.get("/api/v1/repos/acme/shop/runs").await {
            ensure!(status == 200, "{status}: {body}");
            answers += 1;
        }
        anyhow::Ok(answers)
    });
    let end = async {
        // Not before they have begun.
        world.api.get("/readyz").await?;
        let began = Instant::now();
        let status = world.stop_server().await?;
        anyhow::Ok((status.code(), began.elapsed()))
    };
    let (answers, end) = tokio::join!(join_all(visitors), end);
    let (code, took) = end?;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(12), "it took {took:?}");
    for answers in answers {
        ensure!(answers? > 0, "a visitor was never answered");
    }
    world.start_server().await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(
        (run.state.as_str(), run.job("work")?.attempt),
        ("passed", 1)
    );
    world.check_invariants().await
}

/// F33: a person who does not want to wait.
#[tokio::test]
async fn a_second_signal_ends_the_server_at_once_and_the_next_start_is_whole() -> Result<()> {
    let world = World::start_with(&PATIENT).await?;
    let repository = world.repository("acme/shop").await?;
    let runner = Caller::register(&world, "r1").await?;
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let job = runner.claim().await?;
    let pid = world.server_pid().await?;
    program::signal("TERM", pid)?;
    let draining = world.eventually("the server to drain", SOON, async || {
        // It may have ended by itself: then there is nobody to signal a second time.
        program::signal("TERM", pid)
    });
    drop(draining.await);
    world.server_ended(Duration::from_secs(5)).await?;
    world.start_server().await?;
    runner.introduce().await?;
    runner.report(&job, passed()).await?;
    world.check_invariants().await
}
