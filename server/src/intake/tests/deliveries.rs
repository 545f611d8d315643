//! Deliveries and their ends in the database.

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use crate::app::App;
use crate::config::Config;
use crate::github::GitHubError;
use crate::intake::{Handled, MISSING_ATTEMPTS, tick, unreachable};
use crate::store::Store;
use crate::store::deliveries::{self, End, NewDelivery};
use crate::tasks::Did;
use crate::web::tests::github_config;

async fn server(folder: &std::path::Path) -> App {
    let mut config = Config::new(folder);
    // Nobody listens there.
    config.github = Some(github_config("http://127.0.0.1:9"));
    App::new(config, Store::open(folder).await.unwrap()).unwrap()
}

async fn deliver(app: &App, guid: &str, (event, body): (&str, &str)) {
    let mut tx = app.store.begin().await.unwrap();
    let new = NewDelivery {
        guid,
        event,
        body_digest: guid.as_bytes(),
        body: body.as_bytes(),
    };
    deliveries::insert(&mut tx, new, app.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn push(repository: i64) -> String {
    let push = serde_json::json!({
        "ref": "refs/heads/main",
        "after": "1f3c9e0b7a6d5c4b3a291807f6e5d4c3b2a19080",
        "repository": { "id": repository, "full_name": "acme/shop", "default_branch": "main" },
        "installation": { "id": 1 },
    });
    push.to_string()
}

async fn ends(app: &App) -> Vec<(String, Option<String>)> {
    sqlx::query_as("select state, outcome from deliveries order by id")
        .fetch_all(app.store.reader())
        .await
        .unwrap()
}

/// F12, F6
#[tokio::test]
async fn what_is_of_no_interest_and_what_cannot_be_read_ends_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let app = server(folder.path()).await;
    deliver(&app, "one", ("star", "{}")).await;
    deliver(&app, "two", ("push", "{")).await;
    assert_eq!(tick(&app).await.unwrap(), Did::Something);
    assert_eq!(tick(&app).await.unwrap(), Did::Something);
    assert_eq!(tick(&app).await.unwrap(), Did::Nothing);
    let ends = ends(&app).await;
    assert_eq!(
        (ends[0].0.as_str(), ends[1].0.as_str()),
        ("ignored", "failed")
    );
    assert_eq!(
        ends[0].1.as_deref(),
        Some("events of kind `star` start nothing")
    );
    let metrics = crate::web::router(app.clone())
        .oneshot(Request::get("/metrics").body(Body::empty()).unwrap())
        .await
        .unwrap();
    let text = axum::body::to_bytes(metrics.into_body(), 1 << 20)
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("seaworthy_deliveries_total{outcome=\"ignored\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn while_github_is_away_a_delivery_waits_and_others_get_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let app = server(folder.path()).await;
    deliver(&app, "one", ("push", &push(7))).await;
    deliver(&app, "two", ("ping", "{}")).await;
    tick(&app).await.unwrap();
    tick(&app).await.unwrap();
    let ends = ends(&app).await;
    assert_eq!(
        (ends[0].0.as_str(), ends[1].0.as_str()),
        ("stored", "ignored")
    );
    let why = ends[0].1.as_deref().unwrap();
    assert!(why.starts_with("GitHub cannot be reached"), "{why}");
}

#[tokio::test]
async fn a_delivery_that_waits_holds_up_the_later_ones_of_its_repository_only() {
    let folder = tempfile::tempdir().unwrap();
    let app = server(folder.path()).await;
    for (guid, repository) in [("one", 7), ("two", 7), ("three", 8)] {
        deliver(&app, guid, ("push", &push(repository))).await;
    }
    assert_eq!(tick(&app).await.unwrap(), Did::Something);
    let attempts: Vec<i64> = sqlx::query_scalar("select attempts from deliveries order by id")
        .fetch_all(app.store.reader())
        .await
        .unwrap();
    assert_eq!(attempts, [1, 0, 1]);
}

#[tokio::test]
async fn what_came_to_nothing_is_handled_again_when_it_is_redelivered() {
    let folder = tempfile::tempdir().unwrap();
    let app = server(folder.path()).await;
    for (guid, body) in [("one", "{"), ("two", "{"), ("three", "{")] {
        deliver(&app, guid, ("push", body)).await;
    }
    let mut tx = app.store.begin().await.unwrap();
    sqlx::query(
        "update deliveries set attempts = 9, handled_at = 1, received_at = 1, \
         state = case guid when 'one' then 'done' when 'two' then 'failed' else 'ignored' end",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    for guid in ["one", "two", "three"] {
        deliver(&app, guid, ("push", "{")).await;
    }
    let anew: Vec<String> = sqlx::query_scalar(
        "select guid from deliveries where state = 'stored' and attempts = 0 \
         and handled_at is null and received_at > 1 and repeats = 1 order by id",
    )
    .fetch_all(app.store.reader())
    .await
    .unwrap();
    assert_eq!(anew, ["two", "three"]);
}

/// F58: the same holds for a commit that has vanished.
#[tokio::test]
async fn without_access_it_is_tried_a_few_times_and_then_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let app = server(folder.path()).await;
    deliver(&app, "one", ("push", &push(7))).await;
    let db = app.store.reader();
    let due = deliveries::next_open(db, app.clock.now(), 1).await;
    let mut delivery = due.unwrap().remove(0);
    let error = GitHubError::NoAccess("suspended".into());
    assert!(matches!(unreachable(&delivery, &error), Handled::Later(..)));
    delivery.attempts = MISSING_ATTEMPTS;
    assert!(matches!(
        unreachable(&delivery, &error),
        Handled::Closed(End::Ignored, _)
    ));
}
