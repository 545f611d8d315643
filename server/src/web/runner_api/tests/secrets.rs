//! Which secrets a job gets, and that nothing else ever sees them.

use std::path::Path;

use axum::http::StatusCode;
use pipelines::plan::{PlannedJob, Work};
use pipelines::wire::Assignment;
use serde_json::{Value, json};

use crate::admin::secrets::{self as admin, Change};
use crate::progress::tests::{Runner, World, steps};
use crate::store::secrets::Rules;

const CANARY: &str = "canary-5f1c7e";

/// A job whose one step names these secrets.
fn job(names: &[&str]) -> PlannedJob {
    let mut job = steps("unit", &[]);
    let Work::Steps(work) = &mut job.work else {
        panic!("it is a job of steps");
    };
    work.steps[0].secrets = names.iter().map(|name| name.parse().unwrap()).collect();
    job
}

async fn set(world: &World, name: &str, repository: Option<&str>, value: &str) {
    set_for(world, name, repository, (value, Rules::default())).await;
}

async fn set_for(
    world: &World,
    name: &str,
    repository: Option<&str>,
    (value, rules): (&str, Rules),
) {
    let (data, key) = (&world.app.data, &world.app.config.secret_key_file);
    let change = Change {
        name,
        repository,
        rules,
    };
    admin::set((data, key), change, value.to_owned().into())
        .await
        .unwrap();
}

async fn ask(world: &World, runner: &Runner, job: &Assignment) -> (StatusCode, Value) {
    let path = format!("jobs/{}/secrets", job.job);
    world
        .call(runner, &path, &json!({ "lease": job.lease }))
        .await
}

#[tokio::test]
async fn a_job_gets_the_secrets_it_names_and_a_repositorys_own_before_the_common_one() {
    let world = World::new().await;
    set(&world, "npm_token", None, "common").await;
    set(&world, "npm_token", Some("acme/shop"), CANARY).await;
    set(&world, "shared", None, "for all").await;
    set(&world, "unasked", None, "for nobody").await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![job(&["npm_token", "shared"])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let (status, given) = ask(&world, &runner, &unit).await;
    let wanted = json!({ "values": { "npm_token": CANARY, "shared": "for all" }, "withheld": {} });
    assert_eq!((status, given), (StatusCode::OK, wanted));
}

#[tokio::test]
async fn a_forks_run_gets_none_and_is_told_why() {
    let world = World::new().await;
    set(&world, "npm_token", None, CANARY).await;
    let runner = world.runner("ada", &[]).await;
    let run = world.run(vec![job(&["npm_token", "missing"])]).await;
    let mut tx = world.app.store.begin().await.unwrap();
    let sql = "update runs set trust = 'fork', pull_request = 5, branch = 'main' where id = ?";
    sqlx::query(sql)
        .bind(run.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let unit = world.claim(&runner).await.unwrap();
    let (status, given) = ask(&world, &runner, &unit).await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!(given, @r#"{"values":{},"withheld":{"missing":"`missing` is withheld: runs of a fork have no secrets","npm_token":"`npm_token` is withheld: runs of a fork have no secrets"}}"#);
}

#[tokio::test]
async fn a_secret_that_is_missing_or_forbidden_is_refused_with_what_to_do() {
    let world = World::new().await;
    let rules = Rules {
        branches: vec!["release/*".into()],
        ..Rules::default()
    };
    set_for(&world, "npm_token", Some("acme/shop"), (CANARY, rules)).await;
    // The repository's own counts, even where its rule says no.
    set(&world, "npm_token", None, "common").await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![job(&["npm_token", "missing"])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let (status, told) = ask(&world, &runner, &unit).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    insta::assert_snapshot!(format!("{}\n{}", told["error"], told["hint"]), @r#"
    "secret `missing` is not set for acme/shop; secret `npm_token` is only for the branches release/*, and this run is of branch `main`"
    "an administrator sets it, and who may have it: `seaworthy admin secret set missing --repo acme/shop < FILE`"
    "#);
}

#[tokio::test]
async fn only_the_holder_of_the_job_gets_its_secrets() {
    let world = World::new().await;
    set(&world, "npm_token", None, CANARY).await;
    let (runner, other) = (
        world.runner("ada", &[]).await,
        world.runner("bob", &[]).await,
    );
    world.run(vec![job(&["npm_token"])]).await;
    let unit = world.claim(&runner).await.unwrap();
    assert_eq!(ask(&world, &other, &unit).await.0, StatusCode::CONFLICT);
    world
        .finish(&runner, &unit, pipelines::job::Outcome::Passed)
        .await;
    assert_eq!(ask(&world, &runner, &unit).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_lost_key_is_the_administrators_business() {
    let world = World::new().await;
    set(&world, "npm_token", None, CANARY).await;
    std::fs::remove_file(&world.app.config.secret_key_file).unwrap();
    let runner = world.runner("ada", &[]).await;
    world.run(vec![job(&["npm_token"])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let (status, told) = ask(&world, &runner, &unit).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(told["error"], "the server cannot open its secrets");
}

/// Whether any file below the folder holds these bytes.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, needle),
            false => {
                let content = std::fs::read(&path).unwrap();
                content.windows(needle.len()).any(|window| window == needle)
            }
        }
    })
}

#[tokio::test]
async fn no_file_of_the_server_ever_holds_a_secret() {
    use base64::Engine as _;
    let world = World::new().await;
    set(&world, "npm_token", None, "an older value").await;
    set(&world, "npm_token", None, CANARY).await;
    let runner = world.runner("ada", &[]).await;
    world.run(vec![job(&["npm_token"])]).await;
    let unit = world.claim(&runner).await.unwrap();
    let (_, given) = ask(&world, &runner, &unit).await;
    assert_eq!(given["values"]["npm_token"], CANARY);
    world
        .finish(&runner, &unit, pipelines::job::Outcome::Passed)
        .await;
    admin::remove(&world.app.data, "npm_token", None)
        .await
        .unwrap();
    let base64 = base64::prelude::BASE64_STANDARD.encode(CANARY);
    let hex = crate::token::hex(CANARY.as_bytes());
    for form in [CANARY, "an older value", &base64, &hex] {
        assert!(!holds(&world.app.data, form.as_bytes()), "{form}");
    }
    // The search itself works.
    assert!(holds(&world.app.data, b"npm_token"));
}
