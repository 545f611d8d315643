//! The API's fields and statuses.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use pipelines::job::Outcome;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::progress::tests::{World, build, deploy, steps};
use crate::store::access::{self, NewToken};
use crate::token::{Kind, mint};

mod kept;

async fn token(world: &World) -> String {
    let minted = mint(Kind::Api);
    let new = NewToken {
        name: "board",
        id: &minted.id,
        hash: &minted.hash,
    };
    let mut tx = world.app.store.begin().await.unwrap();
    let now = world.app.clock.now();
    access::insert_token(&mut tx, new, now).await.unwrap();
    tx.commit().await.unwrap();
    minted.text.expose_secret().to_owned()
}

async fn ask(world: &World, token: &str, (method, path): (&str, &str)) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{}"))
        .unwrap();
    let response = crate::web::router(world.app.clone())
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn a_run_is_told_with_its_jobs_and_why_they_wait() {
    let world = World::new().await;
    let token = token(&world).await;
    world.run(vec![steps("unit", &[])]).await;
    let (status, run) = ask(&world, &token, ("GET", "repos/Acme/Shop/runs/1")).await;
    assert_eq!(status, StatusCode::OK);
    let fields: Vec<_> = run
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let wanted = "author branch commit created_at event finished_at inputs jobs number \
                  pipeline pull_request reason started_at state tag title";
    let mut sorted = fields.clone();
    sorted.sort_unstable();
    assert_eq!(sorted.join(" "), wanted);
    let job = &run["jobs"][0];
    assert_eq!(job["state"], "queued");
    assert_eq!(job["reason"], "no runner is connected");
    assert_eq!(job["steps"], json!([]));
    assert_eq!(
        (&job["group"], &job["matrix"]),
        (&json!("unit"), &json!({}))
    );
    assert_eq!(run["state"], "queued");
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let world = World::new().await;
    let token = token(&world).await;
    for _ in 0..31 {
        world.run(vec![steps("unit", &[])]).await;
    }
    let (_, first) = ask(&world, &token, ("GET", "repos/acme/shop/runs")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 30);
    assert_eq!(first["items"][0]["number"], 31);
    assert_eq!(first["next"], "2");
    let (_, rest) = ask(&world, &token, ("GET", "repos/acme/shop/runs?cursor=2")).await;
    assert_eq!(rest["items"][0]["number"], 1);
    assert_eq!(rest["next"], Value::Null);
    let (_, none) = ask(&world, &token, ("GET", "repos/acme/shop/runs?state=passed")).await;
    assert_eq!(none["items"], json!([]));
    let (_, none) = ask(&world, &token, ("GET", "repos/acme/shop/runs?branch=other")).await;
    assert_eq!(none["items"], json!([]));
    let (status, body) = ask(&world, &token, ("GET", "repos/acme/shop/runs?state=green")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body["hint"]
            .as_str()
            .unwrap()
            .starts_with("use one of waiting")
    );
    let (status, _) = ask(&world, &token, ("GET", "repos/acme/shop/runs?cursor=x")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn deploys_and_environments_are_told_with_their_release() {
    let world = World::new().await;
    let token = token(&world).await;
    let runner = world.runner("ada", &["staging"]).await;
    world
        .run(vec![build("image"), deploy("ship", "image")])
        .await;
    let image = world.claim(&runner).await.unwrap();
    world.finish(&runner, &image, Outcome::Passed).await;
    let ship = world.claim(&runner).await.unwrap();
    let (_, all) = ask(&world, &token, ("GET", "repos/acme/shop/environments")).await;
    let empty = |name| {
        json!({ "name": name, "live_release": null, "live_commit": null, "health": "empty",
                "locked": false })
    };
    assert_eq!(all["items"][0]["health"], "deploying");
    assert_eq!(all["items"][1], empty("production"));
    world.finish(&runner, &ship, Outcome::Passed).await;
    let (_, all) = ask(&world, &token, ("GET", "repos/acme/shop/environments")).await;
    assert_eq!(all["items"][0]["live_release"], 1);
    assert_eq!(all["items"][0]["health"], "healthy");
    let (status, deploy) = ask(&world, &token, ("GET", "repos/acme/shop/deploys/1")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(deploy["state"], "passed");
    assert_eq!(deploy["release"], 1);
    let digest = format!("registry.example/shop@sha256:{}", "a".repeat(64));
    assert_eq!(deploy["images"]["shop"], digest);
    assert_eq!(deploy["pods"], json!([]));
    let (_, runners) = ask(&world, &token, ("GET", "runners")).await;
    assert_eq!(runners["items"][0]["name"], "ada");
    assert_eq!(runners["items"][0]["connected"], true);
}

#[tokio::test]
async fn a_run_is_cancelled_and_what_is_missing_is_not_there() {
    let world = World::new().await;
    let token = token(&world).await;
    world.run(vec![steps("unit", &[])]).await;
    let (status, run) = ask(&world, &token, ("POST", "repos/acme/shop/runs/1/cancel")).await;
    assert_eq!(
        (status, &run["state"]),
        (StatusCode::OK, &json!("cancelled"))
    );
    assert_eq!(run["reason"], "cancelled by board");
    for missing in [
        ("GET", "repos/acme/shop/runs/2"),
        ("GET", "repos/acme/shop/runs/x"),
        ("GET", "repos/acme/other/runs/1"),
        ("GET", "repos/acme/.git/deploys/1"),
        ("GET", "repos/acme/shop/deploys/1"),
        ("POST", "repos/acme/shop/runs/2/cancel"),
        ("POST", "repos/acme/shop/runs/2/rerun"),
    ] {
        let (status, body) = ask(&world, &token, missing).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{missing:?}");
        assert!(body["error"].is_string() && body["hint"].is_string());
    }
    let (status, _) = ask(&world, "", ("GET", "repos/acme/shop/runs/1")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = ask(&world, &token, ("POST", "repos/acme/shop/runs")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
