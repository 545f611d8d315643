//! The whole runner against a stand-in server: stories of single jobs, and of lives and deaths.

use std::time::Duration;

use pipelines::job::Outcome;
use pipelines::log::records;
use pipelines::plan::{BuildWork, Condition, OUTPUT_DIGEST, Step, StepsWork};
use pipelines::wire::{AssignedWork, Report};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::config::{EngineChoice, RunnerConfig};
use crate::work;

mod builds;
pub(crate) mod forge;
mod keep;
mod secrets;
mod server;
mod services;
mod steps;

use forge::Forge;
use server::{StandIn, assignment};

/// A runner at work for a stand-in server.
struct World {
    server: StandIn,
    forge: Forge,
    state: tempfile::TempDir,
    shutdown: CancellationToken,
    runner: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    engine: EngineChoice,
    docker_host: Option<String>,
}

impl World {
    async fn new() -> Self {
        let forge = Forge::start(&[("greeting", "hello from the commit\n")]).await;
        let server = StandIn::start(forge.checkout()).await;
        Self {
            server,
            forge,
            state: tempfile::tempdir().unwrap(),
            shutdown: CancellationToken::new(),
            runner: None,
            engine: EngineChoice::Scripted,
            docker_host: None,
        }
    }

    fn config(&self) -> RunnerConfig {
        let token = SecretString::from("t0ken");
        let mut config =
            RunnerConfig::new(self.server.url.clone(), token, self.state.path().into());
        config.engine = self.engine;
        if let Some(host) = &self.docker_host {
            config.docker_host = Some(host.clone());
        }
        config
    }

    fn start(&mut self) {
        let run = work::run(self.config(), self.shutdown.clone());
        self.runner = Some(tokio::spawn(run));
    }

    /// Gives the runner a job and waits for the end it reports.
    async fn play(&mut self, job: i64, work: AssignedWork) -> (Outcome, Option<String>) {
        self.server
            .queue(assignment(job, self.forge.commit(), work));
        if self.runner.is_none() {
            self.start();
        }
        self.server.finished(job).await
    }

    async fn end(mut self) {
        self.shutdown.cancel();
        self.runner.take().unwrap().await.unwrap().unwrap();
    }
}

fn steps(scripts: &[&str]) -> AssignedWork {
    let step = |script: &&str| Step {
        name: format!("run {script}"),
        image: "localbase/busybox:1".into(),
        run: (*script).into(),
        env: std::collections::BTreeMap::new(),
        secrets: Vec::new(),
        timeout_seconds: None,
        condition: Condition::Success,
        skip: None,
    };
    AssignedWork::Steps(StepsWork {
        steps: scripts.iter().map(step).collect(),
        ..StepsWork::default()
    })
}

/// The story of a job as the server heard it, in short.
fn story(reports: &[Report]) -> Vec<String> {
    let told = |report: &Report| match report {
        Report::StepStarted { step, name, .. } => format!("{step} {name}"),
        Report::StepFinished {
            step,
            outcome,
            exit_code,
            ..
        } => {
            let code = exit_code.map(|code| format!(" {code}"));
            format!("{step} {}{}", outcome.state(), code.unwrap_or_default())
        }
        Report::StepSkipped { step, reason, .. } => format!("{step} skipped: {reason}"),
        Report::Tests(report) => format!("tests: {} failed", report.failed),
        Report::Bundle(_) => "bundle".into(),
        Report::Deploy(_) => "deploy".into(),
        Report::Lost { reason } => format!("lost: {reason}"),
        Report::Finished {
            outcome, exit_code, ..
        } => {
            let code = exit_code.map(|code| format!(" {code}"));
            format!("end {}{}", outcome.state(), code.unwrap_or_default())
        }
    };
    reports.iter().map(told).collect()
}

fn texts(log: &[u8]) -> Vec<String> {
    records(log)
        .map(|record| String::from_utf8_lossy(record.text).into_owned())
        .collect()
}

#[tokio::test]
async fn a_job_is_told_in_order_and_its_log_is_whole_before_its_end() {
    let mut world = World::new().await;
    let work = steps(&["cat greeting", "echo $SEAWORTHY_SHORT_COMMIT"]);
    assert_eq!(world.play(1, work).await, (Outcome::Passed, None));
    let expected = [
        "0 checkout",
        "0 passed",
        "1 run cat greeting",
        "1 passed 0",
        "2 run echo $SEAWORTHY_SHORT_COMMIT",
        "2 passed 0",
        "end passed",
    ];
    assert_eq!(story(&world.server.reports(1)), expected);
    let log = texts(&world.server.log_at_end(1));
    let commit = world.forge.commit();
    assert!(log.contains(&format!("checked out {commit}")), "{log:?}");
    assert!(log.contains(&"hello from the commit".to_owned()), "{log:?}");
    assert_eq!(log.last().unwrap(), commit.short());
    let folder = world.state.path().join("jobs").join("1-1");
    world.shutdown.cancel();
    world.runner.take().unwrap().await.unwrap().unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_first_step_that_fails_ends_the_job() {
    let mut world = World::new().await;
    let (outcome, reason) = world.play(1, steps(&["exit 3", "echo never"])).await;
    assert_eq!(outcome, Outcome::Failed);
    let reason = reason.unwrap();
    assert_eq!(reason, "step `run exit 3` failed: exit code 3");
    let expected = [
        "0 checkout",
        "0 passed",
        "1 run exit 3",
        "1 failed 3",
        "2 skipped: step `run exit 3` did not pass",
        "end failed 3",
    ];
    assert_eq!(story(&world.server.reports(1)), expected);
    assert_eq!(texts(&world.server.log_at_end(1)).last().unwrap(), &reason);
    world.end().await;
}

#[tokio::test]
async fn a_stopped_job_ends_as_cancelled_with_the_servers_reason() {
    let mut world = World::new().await;
    world
        .server
        .stop_when_log_has(1, "started", "cancelled by eva");
    let (outcome, reason) = world.play(1, steps(&["echo started\nsleep 600"])).await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(reason.as_deref(), Some("cancelled by eva"));
    world.end().await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_timed_out() {
    let mut world = World::new().await;
    let mut job = assignment(1, world.forge.commit(), steps(&["sleep 600"]));
    job.timeout_seconds = 1;
    world.server.queue(job);
    world.start();
    let (outcome, reason) = world.server.finished(1).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert_eq!(reason.as_deref(), Some("not done within its 1 s"));
    world.end().await;
}

#[tokio::test]
async fn a_step_has_its_own_limit() {
    let mut world = World::new().await;
    let AssignedWork::Steps(mut work) = steps(&["sleep 600", "echo never"]) else {
        unreachable!("steps are steps");
    };
    work.steps[0].timeout_seconds = Some(1);
    let (outcome, reason) = world.play(1, AssignedWork::Steps(work)).await;
    assert_eq!(outcome, Outcome::TimedOut);
    let expected = "step `run sleep 600` was not done within its 1 s";
    assert_eq!(reason.as_deref(), Some(expected));
    world.end().await;
}

#[tokio::test]
async fn a_stale_lease_stops_the_work_and_nothing_more_is_said() {
    let mut world = World::new().await;
    world.server.take_lease_when_log_has(1, "started");
    let commit = world.forge.commit();
    let work = steps(&["echo started\nsleep 600"]);
    world.server.queue(assignment(1, commit, work));
    world.start();
    world.server.refused(1).await;
    // The slots are free again: both take a job.
    for job in [2, 3] {
        let ended = world.play(job, steps(&["echo next"])).await;
        assert_eq!(ended.0, Outcome::Passed);
    }
    let said = story(&world.server.reports(1));
    assert!(said.iter().all(|told| !told.starts_with("end")), "{said:?}");
    world.end().await;
}

/// F17
#[tokio::test]
async fn a_server_that_is_away_for_a_while_costs_nothing() {
    let mut world = World::new().await;
    world.server.away_when_log_has(1, "started");
    let script = "echo started\nsleep 0.3\necho meanwhile\necho x > done";
    let commit = world.forge.commit();
    let work = steps(&[script, "echo after", "cat greeting"]);
    world.server.queue(assignment(1, commit, work));
    world.start();
    world.server.asked_while_away(8).await;
    world.server.back();
    assert_eq!(world.server.finished(1).await, (Outcome::Passed, None));
    let log = texts(&world.server.log_at_end(1));
    for line in ["started", "meanwhile", "after", "hello from the commit"] {
        let count = log.iter().filter(|text| *text == line).count();
        assert_eq!(count, 1, "{line} in {log:?}");
    }
    let told = story(&world.server.reports(1));
    assert_eq!(told.last().unwrap(), "end passed");
    assert_eq!(told.len(), 9);
    world.end().await;
}

#[tokio::test]
async fn a_restarted_runner_gives_back_what_it_does_not_know() {
    let mut world = World::new().await;
    let commit = world.forge.commit();
    world.server.believe(&assignment(9, commit, steps(&[])));
    std::fs::create_dir_all(world.state.path().join("jobs/9-1")).unwrap();
    let ended = world.play(1, steps(&["echo next"])).await;
    assert_eq!(ended.0, Outcome::Passed);
    let told = story(&world.server.reports(9));
    assert_eq!(told, ["lost: the runner was restarted while this ran"]);
    assert!(!world.state.path().join("jobs/9-1").exists());
    world.end().await;
}

#[tokio::test]
async fn an_ending_runner_lets_its_work_end_and_takes_no_more() {
    let mut world = World::new().await;
    world.server.queue(assignment(
        1,
        world.forge.commit(),
        steps(&["echo started\nsleep 0.3"]),
    ));
    world.start();
    world.server.log_has(1, "started").await;
    world.shutdown.cancel();
    world
        .server
        .queue(assignment(2, world.forge.commit(), steps(&["echo never"])));
    world.runner.take().unwrap().await.unwrap().unwrap();
    assert_eq!(world.server.finished(1).await, (Outcome::Passed, None));
    // Handed out in the very moment of the end, it is given back at once.
    let told = story(&world.server.reports(2));
    let given_back = ["lost: the runner was ending when it was given this job"];
    assert!(told.is_empty() || told == given_back, "{told:?}");
}

#[tokio::test]
async fn a_refused_token_and_a_second_runner_end_with_words() {
    let mut world = World::new().await;
    world.server.expect_token("another");
    world.start();
    let ended = world.runner.take().unwrap().await.unwrap().unwrap_err();
    let text = format!("{ended:#}");
    assert!(
        text.contains("the server refuses this runner's token"),
        "{text}"
    );
    assert!(!text.contains("t0ken"), "{text}");
    world.server.expect_token("t0ken");
    assert_eq!(world.play(1, steps(&["echo x"])).await.0, Outcome::Passed);
    let second = work::run(world.config(), CancellationToken::new()).await;
    let text = format!("{:#}", second.unwrap_err());
    assert!(
        text.starts_with("another runner uses the state folder"),
        "{text}"
    );
    world.end().await;
}

/// F25
#[tokio::test]
async fn a_missing_engine_is_our_fault_and_says_what_to_do() {
    let mut world = World::new().await;
    world.engine = EngineChoice::Docker;
    world.docker_host = Some("unix:///nonexistent/docker.sock".into());
    let (outcome, reason) = world.play(1, steps(&["echo never"])).await;
    assert_eq!(outcome, Outcome::InfrastructureError);
    let reason = reason.unwrap();
    let expected =
        "no Docker engine answers at unix:///nonexistent/docker.sock: start it or set DOCKER_HOST";
    assert!(reason.starts_with(expected), "{reason}");
    world.end().await;
}

/// F58
#[tokio::test]
async fn a_commit_that_is_gone_is_not_our_fault() {
    let mut world = World::new().await;
    let gone = "1".repeat(40).parse().unwrap();
    world
        .server
        .queue(assignment(1, gone, steps(&["echo never"])));
    world.start();
    let (outcome, reason) = world.server.finished(1).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.unwrap().starts_with("commit 1111111 is gone from"));
    world.end().await;
}

#[tokio::test]
async fn real_containers_build_test_and_push_a_commit() {
    use crate::engine::contract_tests::{connect_docker, registry};
    let Some(_engine) = connect_docker().await else {
        return;
    };
    let mut world = World::new().await;
    world.engine = EngineChoice::Docker;
    let commit = world.forge.commit();
    let work = steps(&["cat greeting > made", "cat made; git --version || pwd"]);
    let ended = world.play(1, work).await;
    assert_eq!(ended, (Outcome::Passed, None));
    let log = texts(&world.server.log_at_end(1));
    assert!(log.contains(&"hello from the commit".to_owned()), "{log:?}");
    let work = BuildWork {
        image: format!("{}/tests/whole-{}", registry(), commit.short())
            .parse()
            .unwrap(),
        context: ".".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        platforms: vec![],
        args: std::collections::BTreeMap::new(),
        secrets: vec![],
        tags: vec![],
    };
    let ended = world.play(2, AssignedWork::Build(work)).await;
    let told = story(&world.server.reports(2));
    let log = texts(&world.server.log_at_end(2));
    assert_eq!(ended, (Outcome::Passed, None), "{log:?}");
    let expected = [
        "0 checkout",
        "0 passed",
        "1 build",
        "1 passed",
        "2 push",
        "2 passed",
        "end passed",
    ];
    assert_eq!(told, expected);
    let Some(Report::Finished { outputs, .. }) = world.server.reports(2).pop() else {
        panic!("{told:?}");
    };
    assert!(outputs[OUTPUT_DIGEST].starts_with("sha256:"));
    world.end().await;
}

/// Long enough for a slow machine, short enough to notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
