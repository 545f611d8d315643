//! What runs leave behind, as programs are told.

use axum::http::StatusCode;
use pipelines::junit::{TestCase, TestReport, TestState};
use pipelines::limits::{TEST_CASES_MAX, TEST_MESSAGE_BYTES_MAX};
use pipelines::wire::{Assignment, Report};

use super::{ask, token};
use crate::progress::tests::{Runner, World, steps};

fn case(name: &str, state: TestState) -> TestCase {
    TestCase {
        suite: "shop::cart".into(),
        name: name.into(),
        state,
        millis: 12,
        message: (state == TestState::Failed).then(|| "left: 1, right: 2".to_owned()),
    }
}

fn report(cases: Vec<TestCase>) -> TestReport {
    let count = |state| cases.iter().filter(|case| case.state == state).count() as u32;
    TestReport {
        passed: count(TestState::Passed),
        failed: count(TestState::Failed),
        skipped: count(TestState::Skipped),
        problems: vec!["target/junit/x.xml is no XML".into()],
        cases,
    }
}

async fn tell(world: &World, runner: &Runner, job: &Assignment, report: Report) {
    let status = world.report(runner, (job.job, job.lease), report).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

async fn job() -> (World, Runner, Assignment) {
    let world = World::new().await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![steps("unit", &[])]).await;
    let unit = world.claim(&runner).await.unwrap();
    (world, runner, unit)
}

const TESTS: (&str, &str) = ("GET", "repos/acme/shop/runs/1/jobs/unit/tests");

#[tokio::test]
async fn the_last_word_of_the_tests_holds_with_the_failed_ones_first() {
    let (world, runner, unit) = job().await;
    let token = token(&world).await;
    assert_eq!(ask(&world, &token, TESTS).await.0, StatusCode::NOT_FOUND);
    let first = report(vec![case("gone", TestState::Failed)]);
    tell(&world, &runner, &unit, Report::Tests(first)).await;
    let (ok, bad) = (
        case("adds", TestState::Passed),
        case("sums", TestState::Failed),
    );
    let skipped = case("later", TestState::Skipped);
    let second = report(vec![ok.clone(), skipped.clone(), bad.clone()]);
    tell(&world, &runner, &unit, Report::Tests(second.clone())).await;
    let (status, told) = ask(&world, &token, TESTS).await;
    assert_eq!(status, StatusCode::OK);
    let told: TestReport = serde_json::from_value(told).unwrap();
    let cases = vec![bad, ok, skipped];
    assert_eq!(told, TestReport { cases, ..second });
}

#[tokio::test]
async fn a_report_beyond_its_bounds_is_cut_and_hides_no_failure() {
    let (world, runner, unit) = job().await;
    let token = token(&world).await;
    let mut cases = vec![case("fine", TestState::Passed); TEST_CASES_MAX];
    let mut bad = case("sums", TestState::Failed);
    bad.millis = u64::MAX;
    bad.message = Some("ü".repeat(TEST_MESSAGE_BYTES_MAX));
    cases.push(bad);
    tell(&world, &runner, &unit, Report::Tests(report(cases))).await;
    let (_, told) = ask(&world, &token, TESTS).await;
    let told: TestReport = serde_json::from_value(told).unwrap();
    assert_eq!((told.cases.len(), told.failed), (TEST_CASES_MAX, 1));
    let message = told.cases[0].message.as_deref().unwrap();
    assert_eq!(
        (told.cases[0].name.as_str(), message.len()),
        ("sums", TEST_MESSAGE_BYTES_MAX)
    );
}

#[tokio::test]
async fn a_step_that_was_skipped_says_why() {
    let (world, runner, unit) = job().await;
    let token = token(&world).await;
    let skipped = || Report::StepSkipped {
        step: 3,
        name: "report".into(),
        reason: "a step before it failed".into(),
    };
    for _ in 0..2 {
        tell(&world, &runner, &unit, skipped()).await;
    }
    let (_, run) = ask(&world, &token, ("GET", "repos/acme/shop/runs/1")).await;
    let steps = &run["jobs"][0]["steps"];
    let told = (&steps[0]["name"], &steps[0]["state"], &steps[0]["reason"]);
    assert_eq!(
        told,
        (
            &"report".into(),
            &"skipped".into(),
            &"a step before it failed".into()
        )
    );
    assert_eq!(steps.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn artifacts_are_listed_page_by_page_and_only_those_of_the_last_attempt() {
    let (world, _runner, _unit) = job().await;
    let token = token(&world).await;
    let mut tx = world.app.store.begin().await.unwrap();
    for attempt in [0, 1] {
        let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 101) \
                   insert into artifacts (job_id, attempt, kind, path, object, bytes, digest, created_at) \
                   select 1, ?1, 'artifact', 'a' || i, ?1 || '/' || i, i, 'd', 1 from n";
        sqlx::query(sql)
            .bind(attempt)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let path = "repos/acme/shop/runs/1/artifacts";
    let (_, first) = ask(&world, &token, ("GET", path)).await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = ask(&world, &token, ("GET", &format!("{path}?cursor={next}"))).await;
    let items = [&first, &second].map(|page| page["items"].as_array().unwrap().len());
    assert_eq!((items, second["next"].is_null()), ([100, 1], true));
    insta::assert_snapshot!(first["items"][0], @r#"{"attempt":1,"bytes":1,"created_at":"1970-01-01T00:00:00.001Z","deleted_at":null,"digest":"d","id":102,"job":"unit","kind":"artifact","path":"a1"}"#);
}
