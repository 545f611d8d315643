//! Services beside the steps of a job.

use pipelines::plan::Service;

use super::*;

fn with_service(image: &str, ready: Option<&str>, scripts: &[&str]) -> AssignedWork {
    let AssignedWork::Steps(mut work) = steps(scripts) else {
        unreachable!("steps are steps");
    };
    work.services.push(Service {
        name: "db".parse().unwrap(),
        image: image.into(),
        env: std::collections::BTreeMap::new(),
        ready: ready.map(str::to_owned),
        ready_seconds: 10,
    });
    AssignedWork::Steps(work)
}

#[tokio::test]
async fn services_are_ready_before_the_first_step_and_shown_in_front_of_it() {
    let mut world = World::new().await;
    let work = with_service("any", Some("echo asked"), &["echo x"]);
    assert_eq!(world.play(1, work).await, (Outcome::Passed, None));
    let expected = [
        "0 checkout",
        "0 passed",
        "1 services",
        "1 passed",
        "2 run echo x",
        "2 passed 0",
        "end passed",
    ];
    assert_eq!(story(&world.server.reports(1)), expected);
    world.end().await;
}

#[tokio::test]
async fn a_service_that_fails_ends_the_job_before_its_steps() {
    let mut world = World::new().await;
    let ended = world
        .play(1, with_service("ends", None, &["echo never"]))
        .await;
    let text = "service `db` ended with exit code 1 before it was ready";
    assert_eq!(ended, (Outcome::Failed, Some(text.into())));
    let told = story(&world.server.reports(1));
    assert_eq!(told[2..], ["1 services", "1 failed", "end failed"]);
    world.end().await;
}

#[tokio::test]
async fn a_job_can_be_stopped_while_it_waits_for_a_service() {
    let mut world = World::new().await;
    world.server.stop_when_log_has(1, "asked", "by eva");
    let work = with_service("any", Some("echo asked\nexit 1"), &["echo never"]);
    let ended = world.play(1, work).await;
    assert_eq!(ended, (Outcome::Cancelled, Some("by eva".into())));
    world.end().await;
}

#[tokio::test]
async fn a_real_service_that_ends_at_once_is_told() {
    let Some(_engine) = crate::engine::contract_tests::connect_docker().await else {
        return;
    };
    let mut world = World::new().await;
    world.engine = EngineChoice::Docker;
    // Its image's command is a shell, which ends without an input.
    let work = with_service("localbase/busybox:1", Some("true"), &["sleep 0.2; exit 1"]);
    let (outcome, _) = world.play(1, work).await;
    assert_eq!(outcome, Outcome::Failed);
    let log = texts(&world.server.log_at_end(1));
    let line = "service `db` ended with exit code 0";
    assert!(log.iter().any(|text| text.starts_with(line)), "{log:?}");
    world.end().await;
}
