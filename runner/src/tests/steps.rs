//! Which steps run, and what becomes of the job.

use pipelines::plan::Condition;

use super::*;

/// Steps with a condition each.
fn conditional(wanted: &[(&str, Condition)]) -> AssignedWork {
    let scripts: Vec<&str> = wanted.iter().map(|(script, _)| *script).collect();
    let AssignedWork::Steps(mut work) = steps(&scripts) else {
        unreachable!("steps are steps");
    };
    for (step, (_, condition)) in work.steps.iter_mut().zip(wanted) {
        step.condition = *condition;
    }
    AssignedWork::Steps(work)
}

/// What was told of a job, without its checkout.
async fn told(world: &mut World, work: AssignedWork) -> Vec<String> {
    world.play(1, work).await;
    let mut told = story(&world.server.reports(1));
    told.drain(..2);
    told
}

#[tokio::test]
async fn after_a_failure_only_those_steps_run_that_want_one_and_the_first_counts() {
    let mut world = World::new().await;
    let work = conditional(&[
        ("exit 3", Condition::Success),
        ("echo no", Condition::Success),
        ("exit 4", Condition::Failure),
        ("echo yes", Condition::Always),
    ]);
    let expected = [
        "1 run exit 3",
        "1 failed 3",
        "2 skipped: step `run exit 3` did not pass",
        "3 run exit 4",
        "3 failed 4",
        "4 run echo yes",
        "4 passed 0",
        "end failed 3",
    ];
    assert_eq!(told(&mut world, work).await, expected);
    world.end().await;
}

#[tokio::test]
async fn without_a_failure_a_step_that_waits_for_one_is_skipped() {
    let mut world = World::new().await;
    let mut work = conditional(&[
        ("echo a", Condition::Success),
        ("echo b", Condition::Failure),
        ("echo c", Condition::Always),
        ("echo d", Condition::Success),
    ]);
    if let AssignedWork::Steps(work) = &mut work {
        work.steps[3].skip = Some("only for tags".into());
    }
    let expected = [
        "1 run echo a",
        "1 passed 0",
        "2 skipped: no step before it has failed",
        "3 run echo c",
        "3 passed 0",
        "4 skipped: only for tags",
        "end passed",
    ];
    assert_eq!(told(&mut world, work).await, expected);
    world.end().await;
}

#[tokio::test]
async fn after_a_stop_not_even_a_step_that_always_runs_starts() {
    let mut world = World::new().await;
    world.server.stop_when_log_has(1, "started", "by eva");
    let work = conditional(&[
        ("echo started\nsleep 600", Condition::Success),
        ("echo never", Condition::Always),
    ]);
    let expected = [
        "1 run echo started\nsleep 600",
        "1 cancelled",
        "end cancelled",
    ];
    assert_eq!(told(&mut world, work).await, expected);
    world.end().await;
}

#[tokio::test]
async fn a_step_that_ran_out_of_its_time_is_a_failure_for_the_next() {
    let mut world = World::new().await;
    let mut work = conditional(&[
        ("sleep 600", Condition::Success),
        ("echo cleared", Condition::Failure),
    ]);
    if let AssignedWork::Steps(work) = &mut work {
        work.steps[0].timeout_seconds = Some(1);
    }
    let expected = [
        "1 run sleep 600",
        "1 timed_out",
        "2 run echo cleared",
        "2 passed 0",
        "end timed_out",
    ];
    assert_eq!(told(&mut world, work).await, expected);
    world.end().await;
}

#[tokio::test]
async fn work_that_would_be_repeated_elsewhere_is_stopped_while_the_server_is_away() {
    let mut world = World::new().await;
    world.server.away_when_log_has(1, "started");
    let work = steps(&["echo started\nsleep 600"]);
    let mut job = assignment(1, world.forge.commit(), work);
    job.is_repeated_if_lost = true;
    world.server.queue(job);
    world.start();
    world.server.asked_while_away(1).await;
    let folder = world.state.path().join("jobs").join("1-1");
    let stopped = async {
        while folder.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.unwrap();
    world.server.back();
    let said = story(&world.server.reports(1));
    assert!(said.iter().all(|told| !told.starts_with("end")), "{said:?}");
    world.end().await;
}
