//! What runners are told, and what those are told who are no such runner.

use std::time::Duration;

use axum::http::StatusCode;
use pipelines::deploy::{DeployProgress, Phase};
use pipelines::ids::{Attempt, Fence, JobId};
use pipelines::job::Outcome;
use pipelines::limits::OUTPUT_BYTES_MAX;
use pipelines::timestamp::Timestamp;
use pipelines::wire::{Assignment, Bundle, LeaseProof, Report};
use serde_json::json;
use ulid::Ulid;

use crate::progress::cancel;
use crate::progress::tests::{Runner, World, deploy_only, steps};
use crate::sweep;

mod bytes;
mod secrets;

/// Every call about a job, under this lease.
async fn every_call(
    world: &World,
    runner: &Runner,
    (job, lease): (JobId, LeaseProof),
) -> Vec<StatusCode> {
    let at = Timestamp(5);
    let progress = DeployProgress {
        phase: Phase::Rolling,
        verdict: "half way".into(),
        deadline: None,
        workloads: Vec::new(),
        pods: Vec::new(),
        causes: Vec::new(),
        events: Vec::new(),
        rollback: None,
    };
    let reports = [
        Report::StepStarted {
            step: 0,
            name: "forged".into(),
            at,
        },
        Report::StepFinished {
            step: 0,
            outcome: Outcome::Passed,
            exit_code: Some(0),
            at,
        },
        Report::Bundle(Bundle {
            objects: Vec::new(),
        }),
        Report::Deploy(Box::new(progress)),
        Report::Lost {
            reason: "forged".into(),
        },
        Report::Finished {
            outcome: Outcome::Passed,
            reason: None,
            exit_code: None,
            outputs: crate::progress::tests::digest(),
        },
    ];
    let mut answers = Vec::new();
    for report in reports {
        answers.push(world.report(runner, (job, lease), report).await);
    }
    answers.push(
        world
            .log(runner, (job, lease), (0, "1 0 o forged\n"))
            .await
            .0,
    );
    answers.push(world.heartbeat(runner, (job, lease), 0).await.0);
    let checkout = format!("jobs/{job}/checkout");
    answers.push(world.call(runner, &checkout, &json!(lease)).await.0);
    answers
}

async fn running(world: &World, runner: &Runner) -> Assignment {
    world.run(vec![deploy_only("ship")]).await;
    world.claim(runner).await.unwrap()
}

/// F16
#[tokio::test]
async fn calls_under_a_lease_that_is_not_the_present_one_change_nothing() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let other = world.runner("bob", &["staging"]).await;
    let ship = running(&world, &runner).await;
    let LeaseProof { attempt, fence } = ship.lease;
    let forged = [
        (&other, ship.job, ship.lease),
        (
            &runner,
            ship.job,
            LeaseProof {
                attempt,
                fence: Fence(fence.0 + 1),
            },
        ),
        (
            &runner,
            ship.job,
            LeaseProof {
                attempt: Attempt(2),
                fence,
            },
        ),
        (&runner, JobId(99), ship.lease),
    ];
    let before = world.everything().await;
    for (caller, job, lease) in forged {
        for status in every_call(&world, caller, (job, lease)).await {
            assert_eq!(status, StatusCode::CONFLICT);
        }
    }
    assert_eq!(world.everything().await, before);
    let log = world.app.objects.length(ship.job, attempt).await.unwrap();
    assert_eq!(log, 0);
}

/// F16
#[tokio::test]
async fn a_runner_that_was_given_up_changes_nothing_of_the_next_attempt() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let ship = running(&world, &runner).await;
    let later = world.app.clock.monotonic() + Duration::from_secs(30);
    sweep::tick_at(&world.app, later).await.unwrap();
    // The same runner gets it again: only the attempt and the fence tell the two apart.
    let again = world.claim(&runner).await.unwrap();
    assert_eq!(again.job, ship.job);
    let before = world.everything().await;
    for status in every_call(&world, &runner, (ship.job, ship.lease)).await {
        assert_eq!(status, StatusCode::CONFLICT);
    }
    assert_eq!(world.everything().await, before);
    let done = world.finish(&runner, &again, Outcome::Passed).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
}

/// F18
#[tokio::test]
async fn a_repeated_result_is_harmless_and_another_result_is_refused() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    world.finish(&runner, &unit, Outcome::Passed).await;
    let before = world.everything().await;
    for _ in 0..20 {
        let again = world.finish(&runner, &unit, Outcome::Passed).await;
        assert_eq!(again, StatusCode::NO_CONTENT);
    }
    let changed = world.finish(&runner, &unit, Outcome::Failed).await;
    assert_eq!(changed, StatusCode::CONFLICT);
    let other = world.runner("bob", &[]).await;
    let forged = world.finish(&other, &unit, Outcome::Passed).await;
    assert_eq!(forged, StatusCode::CONFLICT);
    assert_eq!(world.everything().await, before);
    assert_eq!(world.states(run).await.0, "passed");
}

/// F18
#[tokio::test]
async fn a_repeated_result_of_a_stopped_job_is_harmless_though_it_ended_otherwise() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    cancel(&world.app, run, None, "mira").await.unwrap();
    for _ in 0..2 {
        let answer = world.finish(&runner, &unit, Outcome::Failed).await;
        assert_eq!(answer, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.states(run).await.0, "cancelled");
}

/// F16
#[tokio::test]
async fn a_log_whose_lease_is_taken_away_while_it_waits_to_be_written_is_refused() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let other = world.app.objects.alone(unit.job).await;
    let taken_away = async {
        // Long enough for the call to have found its lease and to wait for the other's write.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.finish(&runner, &unit, Outcome::Passed).await;
        drop(other);
    };
    let sent = world.log(&runner, (unit.job, unit.lease), (0, "1 0 o late\n"));
    let ((status, _), ()) = tokio::join!(sent, taken_away);
    assert_eq!(status, StatusCode::CONFLICT);
    let length = world
        .app
        .objects
        .length(unit.job, Attempt(1))
        .await
        .unwrap();
    assert_eq!(length, 0);
}

#[tokio::test]
async fn a_job_given_back_is_lost_at_once() {
    let world = World::new().await;
    let runner = world.runner("ada", &["staging"]).await;
    let ship = running(&world, &runner).await;
    let lost = || Report::Lost {
        reason: "ada was restarted".into(),
    };
    for _ in 0..2 {
        let answer = world.report(&runner, (ship.job, ship.lease), lost()).await;
        assert_eq!(answer, StatusCode::NO_CONTENT);
    }
    let again = world.claim(&runner).await.unwrap();
    assert_eq!((again.job, again.lease.attempt), (ship.job, Attempt(2)));
}

#[tokio::test]
async fn steps_are_stored_once_and_end_with_their_attempt() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let held = (unit.job, unit.lease);
    let at = Timestamp(5);
    let started = |step| Report::StepStarted {
        step,
        name: format!("step {step}"),
        at,
    };
    let ended = Report::StepFinished {
        step: 0,
        outcome: Outcome::Failed,
        exit_code: Some(3),
        at,
    };
    let reports = [
        started(0),
        started(0),
        ended.clone(),
        ended,
        started(0),
        started(1),
    ];
    for report in reports {
        let answer = world.report(&runner, held, report).await;
        assert_eq!(answer, StatusCode::NO_CONTENT);
    }
    let answer = world.report(&runner, held, started(100_000)).await;
    assert_eq!(answer, StatusCode::BAD_REQUEST);
    world.finish(&runner, &unit, Outcome::TimedOut).await;
    let rows: String =
        world.ask("select group_concat(name || ' ' || state || ' ' || coalesce(exit_code, '-'), ', ') from steps").await;
    assert_eq!(rows, "step 0 failed 3, step 1 timed_out -");
}

#[tokio::test]
async fn a_log_is_acknowledged_by_what_is_stored() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let held = (unit.job, unit.lease);
    for (offset, text, stored) in [
        (0, "1 0 o one\n", 10),
        (0, "1 0 o one\n", 10),
        (50, "1 0 o far\n", 10),
        (0, "1 0 o one\n2 0 o two\n", 20),
    ] {
        let (status, ack) = world.log(&runner, held, (offset, text)).await;
        assert_eq!(
            (status, ack["offset"].as_u64()),
            (StatusCode::OK, Some(stored))
        );
    }
    let (status, _) = world
        .log(&runner, held, (1 << 30, "1 0 o too much\n"))
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let huge = "x".repeat(2 << 20);
    let (status, body) = world.log(&runner, held, (20, &huge)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    let log = (unit.job, unit.lease.attempt);
    let stored = world.app.objects.read(log, 0, 100).await.unwrap();
    assert_eq!(stored, b"1 0 o one\n2 0 o two\n");
}

#[tokio::test]
async fn an_output_beyond_its_bound_fails_the_job_with_words() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let report = Report::Finished {
        outcome: Outcome::Passed,
        reason: None,
        outputs: [("notes".to_owned(), "x".repeat(OUTPUT_BYTES_MAX + 1))].into(),
        exit_code: None,
    };
    let answer = world.report(&runner, (unit.job, unit.lease), report).await;
    assert_eq!(answer, StatusCode::NO_CONTENT);
    let (state, reason) = world.job(run, "unit").await;
    assert_eq!(state, "failed");
    assert_eq!(
        reason.unwrap(),
        "output `notes` has 65537 bytes; 65536 are allowed"
    );
}

/// F23
#[tokio::test]
async fn a_second_process_with_the_same_token_is_refused() {
    let world = World::new().await;
    let mut runner = world.runner("ada", &[]).await;
    runner.instance = Ulid::generate();
    let (status, body) = world.register(&runner, &[]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"], "another process is working as runner ada");
    let claim = json!({ "instance": runner.instance, "key": Ulid::generate(), "wait_seconds": 0 });
    assert_eq!(
        world.call(&runner, "claim", &claim).await.0,
        StatusCode::CONFLICT
    );
}

/// F32
#[tokio::test]
async fn another_version_or_garbage_is_refused_with_what_to_do_and_its_job_is_kept() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[])]).await;
    world.claim(&runner).await.unwrap();
    for (protocol, hint) in [(0, "upgrade the runner"), (2, "upgrade the server")] {
        let newer = json!({ "protocol": protocol, "anything": [] });
        let (status, body) = world.call(&runner, "register", &newer).await;
        assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
        assert!(body["hint"].as_str().unwrap().starts_with(hint), "{body}");
    }
    for path in [
        "register",
        "claim",
        "jobs/1/report",
        "jobs/1/heartbeat",
        "jobs/1/checkout",
    ] {
        let (status, body) = world.call(&runner, path, &json!(["garbage"])).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(body["hint"].is_string());
    }
    assert_eq!(world.states(run).await.0, "running");
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_before_anything_is_read() {
    let world = World::new().await;
    world.run(vec![steps("unit", &[])]).await;
    let unknown = format!("swr_{}_{}", "0".repeat(16), "0".repeat(64));
    for token in ["", "nonsense", unknown.as_str()] {
        for path in [
            "register",
            "claim",
            "jobs/1/report",
            "jobs/1/log?attempt=1&fence=1&offset=0",
        ] {
            let (status, _) = world.send(token, path, "garbage".into()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
}

#[tokio::test]
async fn a_stop_reaches_a_waiting_heartbeat_and_draining_ends_it() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![steps("unit", &[]), steps("two", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let two = world.claim(&runner).await.unwrap();
    let ((_, reply), _) = tokio::join!(
        world.heartbeat(&runner, (unit.job, unit.lease), 20),
        cancel(&world.app, run, Some(unit.name.clone()), "mira"),
    );
    assert_eq!(reply["stop"], "cancelled by mira");
    world.app.draining.cancel();
    let (status, reply) = world.heartbeat(&runner, (two.job, two.lease), 20).await;
    assert_eq!((status, reply["stop"].is_null()), (StatusCode::OK, true));
    let claim = json!({ "instance": runner.instance, "key": Ulid::generate(), "wait_seconds": 20 });
    let (status, _) = world.call(&runner, "claim", &claim).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}
