//! Webhooks.

use super::*;

#[tokio::test]
async fn the_signature_is_over_the_raw_body() {
    let stage = Stage::new().await;
    stage.shop().await;
    let received = lock(&stage.inbox)[0].clone();
    assert_eq!(
        received.header("x-hub-signature-256"),
        sign("hush", &received.body)
    );
    assert_ne!(
        received.header("x-hub-signature-256"),
        sign("other", &received.body)
    );
    assert_eq!(received.header("content-type"), "application/json");
    assert!(
        received
            .header("user-agent")
            .starts_with("GitHub-Hookshot/")
    );
    assert_eq!(
        received.header("x-github-hook-installation-target-id"),
        "4711"
    );
    let delivery = &stage.github.deliveries()[0];
    assert_eq!(delivery.body.as_bytes(), received.body);
    assert_eq!(
        (delivery.status_code, delivery.answer.as_str()),
        (Some(202), "taken")
    );
    // RFC 4231, test case 2: an implementation of ours could be wrong on both sides alike.
    assert_eq!(
        sign("Jefe", b"what do ya want for nothing?"),
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[tokio::test]
async fn a_redelivery_has_the_same_guid_and_bytes() {
    let stage = Stage::new().await;
    stage.shop().await;
    let first = stage.github.deliveries()[0].clone();
    let again = stage.github.redeliver(first.id).await.unwrap();
    assert_eq!((&again.guid, &again.body), (&first.guid, &first.body));
    assert!(again.redelivery && again.accepted() && again.id != first.id);
    assert_eq!(stage.last().header("x-github-delivery"), first.guid);

    let (status, _) = stage
        .app()
        .post(
            &format!("/app/hook/deliveries/{}/attempts", first.id),
            json!({}),
        )
        .await;
    assert_eq!(status, 202);
    stage.github.settled().await;
    assert_eq!(stage.last().header("x-github-delivery"), first.guid);
    let missing = stage
        .app()
        .post("/app/hook/deliveries/1/attempts", json!({}))
        .await;
    assert_eq!(missing.0, 404);
}

#[tokio::test]
async fn a_server_that_was_away_can_ask_what_it_missed() {
    let stage = Stage::new().await;
    let (repo, _) = stage.shop().await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    stage
        .github
        .set_webhook(&format!("http://{closed}/"), "hush");
    repo.commit("main", "Nobody hears", &[("b", "b")])
        .await
        .unwrap();

    let missed = stage.github.deliveries().last().unwrap().clone();
    assert_eq!(missed.status_code, Some(0));
    let app = stage.app();
    let (_, failures) = app.get("/app/hook/deliveries?status=failure").await;
    assert_eq!(failures.as_array().unwrap().len(), 1);
    assert_eq!(failures[0]["guid"], json!(missed.guid));
    let (_, detail) = app
        .get(&format!("/app/hook/deliveries/{}", missed.id))
        .await;
    assert_eq!(detail["request"]["payload"]["ref"], "refs/heads/main");

    let first = app
        .request(Method::GET, "/app/hook/deliveries?per_page=2")
        .send()
        .await
        .unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let page: Value = first.json().await.unwrap();
    assert_eq!(page[0]["id"], json!(missed.id), "newest first");
    let next = link
        .split(['<', '>'])
        .nth(1)
        .unwrap()
        .strip_prefix(&app.base)
        .unwrap();
    let (_, rest) = app.get(next).await;
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(stage.installed().status("/app/hook/deliveries").await, 401);
}

#[tokio::test]
async fn held_deliveries_go_out_in_any_order() {
    let stage = Stage::new().await;
    let (repo, _) = stage.shop().await;
    stage.github.hold_deliveries();
    let older = repo.commit("main", "Older", &[("b", "1")]).await.unwrap();
    let newer = repo.commit("main", "Newer", &[("b", "2")]).await.unwrap();
    let held = stage.github.deliveries();
    let [.., first, second] = &held[..] else {
        panic!("two are held")
    };
    assert_eq!(first.status_code, None);
    stage.github.deliver(second.id).await.unwrap();
    assert_eq!(stage.last().json()["after"], json!(newer));
    stage.github.release_deliveries().await;
    assert_eq!(stage.last().json()["after"], json!(older));
    assert_eq!(lock(&stage.inbox).len(), 4, "nothing is sent twice");
}

#[tokio::test]
async fn a_silent_commit_can_be_told_later() {
    let stage = Stage::new().await;
    let (repo, first) = stage.shop().await;
    let second = repo
        .commit_silently("main", "Silent", &[("b", "b")])
        .await
        .unwrap();
    assert_eq!(stage.events().len(), 2);
    let told = repo
        .announce("refs/heads/main", Some(&first), Some(&second))
        .await
        .unwrap();
    assert!(told[0].accepted());
    assert_eq!(stage.last().json()["head_commit"]["message"], "Silent");
}

#[tokio::test]
async fn forged_and_foreign_events_can_be_sent() {
    let stage = Stage::new().await;
    let body = br#"{"zen":"forged"}"#;
    let headers = stage.github.signed_headers("ping", body, "wrong secret");
    let answer = stage
        .github
        .send_raw(&headers, body.as_slice())
        .await
        .unwrap();
    assert_eq!(answer.status, 202, "this webhook checks nothing");
    assert_eq!(
        stage.last().header("x-hub-signature-256"),
        sign("wrong secret", body)
    );
    assert!(stage.github.deliveries().is_empty());

    let sent = stage
        .github
        .send("star", &json!({ "action": "created" }))
        .await
        .unwrap();
    assert_eq!(
        (sent.event.as_str(), sent.action.as_deref()),
        ("star", Some("created"))
    );
    assert!(stage.github.ping().await.unwrap().unwrap().accepted());
}

#[tokio::test]
async fn people_rerun_checks_and_owners_move_things() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let body = json!({ "name": "shop", "head_sha": sha });
    stage
        .installed()
        .post("/repos/acme/shop/check-runs", body)
        .await;
    let id = repo.check_run(&sha, "shop").unwrap().id;
    let ada = Person::default();
    let again = repo.rerequest_check_run(id, &ada).await.unwrap().unwrap();
    assert_eq!(again.payload()["check_run"]["id"], json!(id));
    let pressed = repo
        .press_action(id, "approve", &ada)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        pressed.payload()["requested_action"]["identifier"],
        "approve"
    );
    repo.rerequest_check_suite(&sha, "main", &ada)
        .await
        .unwrap()
        .unwrap();

    let renamed = repo.rename("store").await.unwrap().unwrap().payload();
    assert_eq!(renamed["changes"]["repository"]["name"]["from"], "shop");
    assert_eq!(renamed["repository"]["full_name"], "acme/store");
    let (status, by_id) = stage.installed().get("/repos/acme/shop").await;
    assert_eq!(
        (status, &by_id["full_name"]),
        (200, &json!("acme/store")),
        "redirected"
    );
    let old = repo.push_url("ada").unwrap().replace("store", "shop");
    assert!(
        git_ok(stage.folder.path(), &["ls-remote", &old, "main"])
            .await
            .starts_with(&sha)
    );

    repo.set_visibility(Visibility::Public)
        .await
        .unwrap()
        .unwrap();
    let token = stage.installed();
    assert_eq!(
        stage.github.uninstall("acme").await.unwrap().unwrap().event,
        "installation"
    );
    assert_eq!(
        token.status("/repos/acme/store").await,
        401,
        "its tokens end"
    );
    assert_eq!(
        stage.app().status("/repos/acme/store/installation").await,
        404
    );
    assert!(repo.commit("main", "Unheard", &[("c", "c")]).await.is_ok());
    assert_eq!(
        stage.github.deliveries().last().unwrap().event,
        "installation"
    );
    assert!(repo.delete().await.unwrap().is_none());
}
