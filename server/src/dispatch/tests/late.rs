//! Works are given out with nothing missing.

use std::collections::BTreeMap;

use pipelines::ids::JobId;
use pipelines::job::Outcome;
use pipelines::plan::{BuildWork, Condition, Late, Part, PlannedJob, StepsWork, Text, Work};
use pipelines::wire::{AssignedWork, Report};

use crate::progress::tests::{Runner, World, build, steps};

/// `BEFORE` and then the version that job `first` made.
fn version_after(before: &str) -> Text {
    let gap = Late::Output {
        job: "first".parse().unwrap(),
        name: "version".to_owned(),
    };
    Text::Late(vec![Part::Text(before.to_owned()), Part::Gap(gap)])
}

fn steps_of(job: &mut PlannedJob) -> &mut StepsWork {
    match &mut job.work {
        Work::Steps(steps) => steps,
        Work::Build(_) | Work::Deploy(_) => panic!("no steps"),
    }
}

fn build_of(job: &mut PlannedJob) -> &mut BuildWork {
    match &mut job.work {
        Work::Build(build) => build,
        Work::Steps(_) | Work::Deploy(_) => panic!("no build"),
    }
}

/// A job whose image and variable wait for the first job.
fn second() -> PlannedJob {
    let mut job = steps("second", &["first"]);
    let step = &mut steps_of(&mut job).steps[0];
    step.image = version_after("alpine:");
    step.env.insert("V".into(), version_after(""));
    let number = Text::Late(vec![Part::Gap(Late::Run)]);
    step.env.insert("N".into(), number);
    job
}

/// Runs the first job, which says this of its version.
async fn first(world: &World, runner: &Runner, version: Option<&str>) -> JobId {
    let first = world.claim(runner).await.unwrap();
    let outputs = version.map(|version| ("version".to_owned(), version.to_owned()));
    let report = Report::Finished {
        outcome: Outcome::Passed,
        reason: None,
        exit_code: None,
        outputs: outputs.into_iter().collect(),
    };
    world.report(runner, (first.job, first.lease), report).await;
    first.job
}

#[tokio::test]
async fn a_runner_sees_the_runs_number_and_what_earlier_jobs_made() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("first", &[]), second()]).await;
    first(&world, &runner, Some("3.21")).await;
    let assigned = world.claim(&runner).await.unwrap();
    let AssignedWork::Steps(work) = assigned.work else {
        panic!("no steps");
    };
    let known = |text: &str| Text::Known(text.to_owned());
    let env: BTreeMap<_, _> = [("N".into(), known("1")), ("V".into(), known("3.21"))].into();
    assert_eq!(
        (&work.steps[0].image, &work.steps[0].env),
        (&known("alpine:3.21"), &env)
    );
}

#[tokio::test]
async fn a_name_that_comes_out_wrong_fails_its_job_before_a_runner_has_it() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let mut tagged = build("tagged");
    tagged.needs = vec!["first".parse().unwrap()];
    build_of(&mut tagged).tags = vec![version_after("")];
    let run = world.run(vec![steps("first", &[]), second(), tagged]).await;
    first(&world, &runner, None).await;
    assert!(world.claim(&runner).await.is_none());
    let told = [
        world.job(run, "second").await.1.unwrap(),
        world.job(run, "tagged").await.1.unwrap(),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    `alpine:${{ jobs.first.outputs.version }}` became `alpine:`, which is no valid image
    `${{ jobs.first.outputs.version }}` became ``, which is no valid tag of an image
    ");
    assert_eq!(world.states(run).await.0, "failed");
}

#[tokio::test]
async fn what_a_failed_job_would_have_made_is_an_empty_variable() {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    let mut tell = steps("tell", &["first"]);
    tell.condition = Condition::Failure;
    steps_of(&mut tell).steps[0]
        .env
        .insert("V".into(), version_after("v"));
    world.run(vec![steps("first", &[]), tell]).await;
    let failing = world.claim(&runner).await.unwrap();
    world.finish(&runner, &failing, Outcome::Failed).await;
    let assigned = world.claim(&runner).await.unwrap();
    let AssignedWork::Steps(work) = assigned.work else {
        panic!("no steps");
    };
    assert_eq!(work.steps[0].env["V"], Text::Known("v".into()));
}
