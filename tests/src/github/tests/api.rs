//! The API: who may call it, and what it answers.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;

#[tokio::test]
async fn only_good_claims_are_the_app() {
    let stage = Stage::new().await;
    stage.shop().await;
    let now = Timestamp::now().as_second();
    assert_eq!(stage.app().get("/app").await.1["id"], 4711);
    assert_eq!(
        stage.app().get("/app/installations").await.1[0]["account"]["login"],
        "acme"
    );
    for (claims, status) in [
        (
            json!({ "iss": 4711, "iat": now - 60, "exp": now + 700 }),
            401,
        ),
        (
            json!({ "iss": 4711, "iat": now - 600, "exp": now - 1 }),
            401,
        ),
        (
            json!({ "iss": 4711, "iat": now + 90, "exp": now + 540 }),
            401,
        ),
        (json!({ "iss": 4711, "exp": now + 540 }), 401),
        (
            json!({ "iss": 4712, "iat": now - 60, "exp": now + 540 }),
            404,
        ),
        (
            json!({ "iss": "4711", "iat": now - 60, "exp": now + 540 }),
            200,
        ),
    ] {
        assert_eq!(
            stage.claiming(&claims).status("/app").await,
            status,
            "{claims}"
        );
    }
    let good = stage.app();
    let body = good.token.split('.').nth(1).unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    assert_eq!(
        stage
            .bearing(&format!("{none}.{body}."))
            .status("/app")
            .await,
        401
    );
    assert_eq!(
        good.status("/repos/acme/shop").await,
        401,
        "the App itself sees no repository"
    );
    stage.github.rotate_key().unwrap();
    assert_eq!(good.status("/app").await, 401);
    assert_eq!(stage.app().status("/app").await, 200);
    stage.github.set_clock_offset(-90);
    let claims = json!({ "iss": 4711, "iat": now, "exp": now + 540 });
    assert_eq!(
        stage.claiming(&claims).status("/app").await,
        401,
        "from the future"
    );
}

/// Two more repositories beside the shop, and the way to a token.
async fn three_repositories(stage: &Stage) -> (Repository, Repository, String) {
    let create = |name, visibility| stage.github.create_repository(name, visibility);
    let other = create("acme/other", Visibility::Private).await.unwrap();
    let public = create("acme/open", Visibility::Public).await.unwrap();
    let (_, it) = stage.app().get("/repos/acme/other/installation").await;
    (
        other,
        public,
        format!("/app/installations/{}/access_tokens", it["id"]),
    )
}

#[tokio::test]
async fn a_token_sees_only_its_repositories() {
    let stage = Stage::new().await;
    let (shop, _) = stage.shop().await;
    let (other, _, tokens) = three_repositories(&stage).await;
    let asked = json!({ "repository_ids": [shop.id()] });
    let (status, token) = stage.app().post(&tokens, asked).await;
    assert_eq!(status, 201);
    assert_eq!(token["repositories"][0]["id"], json!(shop.id()));

    let limited = stage.bearing(token["token"].as_str().unwrap());
    let other_by_id = format!("/repositories/{}", other.id());
    for (path, status) in [
        ("/repos/acme/shop", 200),
        ("/repos/acme/other", 404),
        (&other_by_id, 404),
        ("/repos/acme/open", 200),
    ] {
        assert_eq!(limited.status(path).await, status, "{path}");
    }
    let (_, list) = limited.get("/installation/repositories").await;
    assert_eq!(list["total_count"], 1);
    assert_eq!(list["repositories"][0]["name"], "shop");
    let credentials = format!("x-access-token:{}@", limited.token);
    for (repo, reads) in [(&shop, true), (&other, false)] {
        let url = repo.clone_url().unwrap();
        let url = url.replacen("://", &format!("://{credentials}"), 1);
        let output = git(stage.folder.path(), &["ls-remote", &url]).await;
        assert_eq!(output.status.success(), reads);
    }
}

#[tokio::test]
async fn a_token_does_only_what_it_was_asked_for() {
    let stage = Stage::new().await;
    let (_, sha) = stage.shop().await;
    let (_, public, tokens) = three_repositories(&stage).await;
    let open = public.commit("main", "Open", &[("a", "a")]).await.unwrap();
    let app = stage.app();
    let asked = json!({ "repositories": ["shop"], "permissions": { "checks": "write" } });
    let (_, token) = app.post(&tokens, asked).await;
    assert_eq!(
        token["permissions"],
        json!({ "checks": "write", "metadata": "read" })
    );

    let checks = stage.bearing(token["token"].as_str().unwrap());
    assert_eq!(checks.status("/repos/acme/shop/contents").await, 403);
    let check = |sha: &str| json!({ "name": "x", "head_sha": sha });
    let (status, refusal) = checks
        .post("/repos/acme/open/check-runs", check(&open))
        .await;
    assert_eq!(status, 403, "to see is not to write");
    assert_eq!(refusal["message"], "Resource not accessible by integration");
    let (status, _) = checks
        .post("/repos/acme/shop/check-runs", check(&sha))
        .await;
    assert_eq!(status, 201);
    let dev = stage.bearing(DEVELOPER_TOKEN);
    let (status, _) = dev.post("/repos/acme/shop/check-runs", check(&sha)).await;
    assert_eq!(status, 403, "only Apps write checks");

    for (asked, status) in [
        (json!({ "repository_ids": [1] }), 422),
        (json!({ "permissions": { "contents": "write" } }), 422),
        (json!({ "repositories": ["other"] }), 201),
    ] {
        assert_eq!(app.post(&tokens, asked.clone()).await.0, status, "{asked}");
    }
    let unknown = stage.bearing("ghs_unknown");
    assert_eq!(unknown.status("/repos/acme/open").await, 401);
}

#[tokio::test]
async fn check_runs_keep_their_order_and_refuse_nonsense() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let api = stage.installed();
    let runs = "/repos/acme/shop/check-runs";
    for nonsense in [
        json!({ "head_sha": sha }),
        json!({ "name": "shop", "head_sha": "0000000000000000000000000000000000000001" }),
        json!({ "name": "shop", "head_sha": sha, "status": "running" }),
        json!({ "name": "shop", "head_sha": sha, "status": "completed" }),
        json!({ "name": "shop", "head_sha": sha, "status": "queued", "conclusion": "success" }),
        json!({ "name": "shop", "head_sha": sha, "conclusion": "stale" }),
        json!({ "name": "shop", "head_sha": sha, "details_url": "javascript:1" }),
        json!({ "name": "shop", "head_sha": sha, "output": { "title": "no summary" } }),
        json!({ "name": "shop", "head_sha": sha, "output": { "title": "t", "summary": "x".repeat(65_536) } }),
    ] {
        assert_eq!(api.post(runs, nonsense.clone()).await.0, 422, "{nonsense}");
    }
    assert!(repo.check_runs(&sha).is_empty());

    let asked = json!({ "name": "shop", "head_sha": sha, "details_url": "https://ci.example/1" });
    let (status, run) = api.post(runs, asked).await;
    assert_eq!((status, &run["status"]), (201, &json!("queued")));
    let path = format!("{runs}/{}", run["id"]);
    assert_eq!(
        api.patch(&path, json!({ "status": "in_progress" })).await.0,
        200
    );
    assert_eq!(
        api.patch(&path, json!({ "status": "completed" })).await.0,
        422
    );
    let output = json!({ "title": "2 of 2 jobs", "summary": "All **passed**", "text": "log" });
    let done = json!({ "conclusion": "success", "output": output });
    let (_, done) = api.patch(&path, done).await;
    assert_eq!(
        (&done["status"], &done["output"]["text"]),
        (&json!("completed"), &json!("log"))
    );
    assert!(done["completed_at"].is_string());

    let kept = repo.check_run(&sha, "shop").unwrap();
    assert_eq!(kept.story(), ["queued", "in_progress", "success"]);
    assert!(kept.history.is_sorted_by_key(|state| state.sequence));
    assert_eq!(kept.summary.as_deref(), Some("All **passed**"));
    api.post(runs, json!({ "name": "shop", "head_sha": sha }))
        .await;
    let list = |query: &str| format!("/repos/acme/shop/commits/main/check-runs{query}");
    assert_eq!(
        api.get(&list("")).await.1["total_count"],
        1,
        "the latest of a name"
    );
    assert_eq!(api.get(&list("?filter=all")).await.1["total_count"], 2);
    assert_eq!(
        api.patch("/repos/acme/shop/check-runs/1", json!({}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn deployments_heed_checks_and_end_their_predecessors() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let api = stage.installed();
    api.post(
        "/repos/acme/shop/check-runs",
        json!({ "name": "shop", "head_sha": sha }),
    )
    .await;
    let path = "/repos/acme/shop/deployments";
    let asked = json!({ "ref": "main", "environment": "staging" });
    assert_eq!(
        api.post(path, asked).await.0,
        409,
        "the check is not green yet"
    );
    let asked = json!({ "ref": sha, "environment": "staging", "required_contexts": [] });
    for _ in 0..2 {
        let (status, it) = api.post(path, asked.clone()).await;
        assert_eq!((status, &it["sha"]), (201, &json!(sha)));
        let statuses = format!("{path}/{}/statuses", it["id"]);
        assert_eq!(
            api.post(&statuses, json!({ "state": "running" })).await.0,
            422
        );
        let long = json!({ "state": "success", "description": "x".repeat(141) });
        assert_eq!(api.post(&statuses, long).await.0, 422);
        for state in ["in_progress", "success"] {
            assert_eq!(api.post(&statuses, json!({ "state": state })).await.0, 201);
        }
        assert_eq!(
            api.get(&statuses).await.1[0]["state"],
            "success",
            "newest first"
        );
    }
    let stories: Vec<_> = repo
        .deployments()
        .iter()
        .map(|it| it.story().join(" "))
        .collect();
    assert_eq!(
        stories,
        ["in_progress success inactive", "in_progress success"]
    );
    assert_eq!(api.post(path, json!({ "ref": "nope" })).await.0, 422);
    assert_eq!(
        api.get(&format!("{path}?environment=production")).await.1,
        json!([])
    );
}
