//! What a move writes.

use pipelines::job::{JobEvent, Outcome, Refused, State};
use pipelines::plan::RetryOn;
use pipelines::run::RunEvent;
use pipelines::wire::Report;

use super::{World, build, deploy, job_name, steps, word};
use crate::live::Topic;
use crate::progress::{ApplyError, apply, cancel};

#[tokio::test]
async fn a_run_goes_through_its_jobs_and_its_record_replays() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world
        .run(vec![steps("unit", &[]), steps("after", &["unit"])])
        .await;
    assert_eq!(world.states(run).await.0, "queued");
    let unit = world.claim(&runner).await.unwrap();
    assert_eq!(world.states(run).await.0, "running");
    assert!(world.claim(&runner).await.is_none());
    world.finish(&runner, &unit, Outcome::Passed).await;
    let after = world.claim(&runner).await.unwrap();
    assert_eq!(after.name.as_str(), "after");
    world.finish(&runner, &after, Outcome::Passed).await;
    assert_eq!(world.states(run).await.0, "passed");
    world.check_replay(run).await;
    let notes: i64 = world.ask("select count(*) from outbox").await;
    assert_eq!(notes, 3, "queued, running, passed");
}

#[tokio::test]
async fn a_failed_job_skips_what_needs_it_and_names_the_runs_first_cause() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world
        .run(vec![steps("unit", &[]), steps("after", &["unit"])])
        .await;
    let unit = world.claim(&runner).await.unwrap();
    world.finish(&runner, &unit, Outcome::Failed).await;
    let (state, jobs) = world.states(run).await;
    assert_eq!((state.as_str(), jobs[1].1.as_str()), ("failed", "skipped"));
    let reason: String = world.ask("select reason from runs").await;
    assert_eq!(reason, "`unit` failed: exit code 1");
    let outputs: String = world
        .ask("select outputs from jobs where name = 'unit'")
        .await;
    assert_eq!(outputs, "{}", "only what passed has made something");
    world.check_replay(run).await;
}

/// F20
#[tokio::test]
async fn cancel_reaches_one_end_from_every_state() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let jobs = vec![
        steps("running", &[]),
        steps("queued", &[]),
        steps("waiting", &["queued"]),
    ];
    let run = world.run(jobs).await;
    let running = world.claim(&runner).await.unwrap();
    let mut changes = world.app.live.subscribe();
    let moved = cancel(&world.app, run, None, "mira").await.unwrap();
    assert_eq!(moved.state, State::Running);
    assert!(moved.topics.contains(&Topic::Job(running.job)));
    assert!(changes.try_recv().is_ok());
    for name in ["queued", "waiting"] {
        let cancelled = (word(State::Cancelled), Some("cancelled by mira".to_owned()));
        assert_eq!(world.job(run, name).await, cancelled);
    }
    assert_eq!(world.job(run, "running").await.0, "running");
    let (_, reply) = world
        .heartbeat(&runner, (running.job, running.lease), 20)
        .await;
    assert_eq!(reply["stop"], "cancelled by mira");
    world.finish(&runner, &running, Outcome::Failed).await;
    assert_eq!(world.states(run).await.0, "cancelled");
    // Once more, when all is over: nothing happens.
    let before = world.everything().await;
    let again = cancel(&world.app, run, None, "mira").await.unwrap();
    assert!(!again.changed);
    assert_eq!(world.everything().await, before);
    let audited: i64 = world
        .ask("select count(*) from audit where action = 'run.cancel'")
        .await;
    assert_eq!(audited, 1);
    world.check_replay(run).await;
}

#[tokio::test]
async fn one_job_can_be_cancelled_and_the_others_go_on() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("one", &[]), steps("two", &[])]).await;
    cancel(&world.app, run, Some(job_name("one")), "mira")
        .await
        .unwrap();
    let two = world.claim(&runner).await.unwrap();
    assert_eq!(two.name.as_str(), "two");
    world.finish(&runner, &two, Outcome::Passed).await;
    assert_eq!(world.states(run).await.0, "cancelled");
}

#[tokio::test]
async fn an_event_that_makes_no_sense_changes_nothing() {
    let world = World::new().await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let before = world.everything().await;
    let skip = RunEvent::Job(job_name("unit"), JobEvent::Skip("no".into()));
    let refused = apply(&world.app, run, skip).await;
    assert!(matches!(
        refused,
        Err(ApplyError::Refused(Refused::Illegal))
    ));
    let missing = apply(&world.app, pipelines::ids::RunId(99), RunEvent::Begin).await;
    assert!(matches!(missing, Err(ApplyError::NoRun(_))));
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_verified_deploy_becomes_what_its_environment_runs() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let run = world
        .run(vec![build("image"), deploy("ship", "image")])
        .await;
    let image = world.claim(&runner).await.unwrap();
    world.finish(&runner, &image, Outcome::Passed).await;
    let ship = world.claim(&runner).await.unwrap();
    let live = "select coalesce(live_deploy_id, 0) from environments where name = 'staging'";
    assert_eq!(world.ask::<i64>(live).await, 0);
    let bundle = pipelines::wire::Bundle {
        objects: Vec::new(),
    };
    let report = Report::Bundle(bundle);
    world.report(&runner, (ship.job, ship.lease), report).await;
    world.finish(&runner, &ship, Outcome::Passed).await;
    assert_eq!(world.ask::<i64>(live).await, 1);
    let state: String = world.ask("select state from deploys").await;
    assert_eq!(state, "passed");
    assert_eq!(world.states(run).await.0, "passed");
    world.check_replay(run).await;
}

/// F15
#[tokio::test]
async fn a_wanted_retry_is_an_attempt_of_its_own_that_says_how_the_first_ended() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let mut job = steps("unit", &[]);
    job.retry.attempts = 1;
    job.retry.on = vec![RetryOn::Exit(75)];
    let run = world.run(vec![job]).await;
    for code in [75, 75] {
        let assigned = world.claim(&runner).await.unwrap();
        let report = Report::Finished {
            outcome: Outcome::Failed,
            reason: Some(format!("exit code {code}")),
            exit_code: Some(code),
            outputs: Default::default(),
        };
        world
            .report(&runner, (assigned.job, assigned.lease), report)
            .await;
    }
    assert_eq!(world.states(run).await.0, "failed");
    let attempts: String = world
        .ask("select group_concat(attempt || ' ' || state || ': ' || reason, '; ') from attempts")
        .await;
    assert_eq!(attempts, "1 failed: exit code 75; 2 failed: exit code 75");
    let told: i64 = world
        .ask("select count(*) from events where kind = 'job.state' and detail like '%75%queued%'")
        .await;
    assert_eq!(told, 1);
    world.check_replay(run).await;
}
