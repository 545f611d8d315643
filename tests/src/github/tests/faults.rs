//! Faults on cue.

use super::*;

const SHOP: &str = "/repos/acme/shop";

#[tokio::test]
async fn calls_fail_on_cue_and_then_no_more() {
    let stage = Stage::new().await;
    stage.shop().await;
    let api = stage.installed();
    stage.github.fail_next(2, 502, &[("x-cause", "story")]);
    let failed = api.request(Method::GET, SHOP).send().await.unwrap();
    assert_eq!(
        (failed.status().as_u16(), &failed.headers()["x-cause"]),
        (502, &"story".parse().unwrap())
    );
    assert_eq!(api.status(SHOP).await, 502);
    assert_eq!(api.status(SHOP).await, 200);

    stage.github.fail_next_on("/pulls", 1, 404, &[]);
    assert_eq!(api.status(SHOP).await, 200);
    assert_eq!(api.status(&format!("{SHOP}/pulls")).await, 404);
    assert_eq!(api.status(&format!("{SHOP}/pulls")).await, 200);
}

#[tokio::test]
async fn an_outage_stops_the_api_and_git() {
    let stage = Stage::new().await;
    let (repo, _) = stage.shop().await;
    let api = stage.installed();
    stage.github.set_outage(true);
    assert_eq!(api.status(SHOP).await, 503);
    let url = repo.push_url("ada").unwrap();
    assert!(
        !git(stage.folder.path(), &["ls-remote", &url])
            .await
            .status
            .success()
    );
    stage.github.set_outage(false);
    assert_eq!(api.status(SHOP).await, 200);
}

#[tokio::test]
async fn limits_are_told_in_all_of_githubs_ways() {
    let stage = Stage::new().await;
    stage.shop().await;
    let api = stage.installed();
    let limits = [
        Limit::Secondary,
        Limit::RetryAfter(120),
        Limit::Exhausted(60),
    ];
    let mut seen = Vec::new();
    for limit in limits {
        stage.github.limit_next(1, &limit);
        let answer = api.request(Method::GET, SHOP).send().await.unwrap();
        let after = answer
            .headers()
            .get("retry-after")
            .map(|v| v.to_str().unwrap().to_owned());
        let left = answer.headers()["x-ratelimit-remaining"]
            .to_str()
            .unwrap()
            .to_owned();
        seen.push((answer.status().as_u16(), after, left == "0"));
    }
    let expected = [
        (403, None, false),
        (429, Some("120".to_owned()), false),
        (403, None, true),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_budget_is_each_tokens_own_and_304_is_free() {
    let stage = Stage::new().await;
    stage.shop().await;
    let api = stage.installed();
    stage.github.set_budget(Some(2));
    let first = api.request(Method::GET, SHOP).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    for _ in 0..3 {
        let again = api.request(Method::GET, SHOP).header("if-none-match", &tag);
        assert_eq!(again.send().await.unwrap().status().as_u16(), 304);
    }
    assert_eq!(api.status(SHOP).await, 200);
    assert_eq!(api.status(SHOP).await, 403);
    assert_eq!(api.get("/rate_limit").await.1["rate"]["remaining"], 0);
    assert_eq!(stage.installed().status(SHOP).await, 200, "another token");
    stage.github.heal();
    assert_eq!(api.status(SHOP).await, 200);
}

#[tokio::test]
async fn a_lost_answer_was_done_all_the_same() {
    let stage = Stage::new().await;
    let (repo, sha) = stage.shop().await;
    let api = stage.installed();
    stage.github.lose_answers(1);
    let body = json!({ "name": "shop", "head_sha": sha });
    let request = api
        .request(Method::POST, &format!("{SHOP}/check-runs"))
        .json(&body);
    let answer = match request.send().await {
        Ok(response) => response.bytes().await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(answer.is_err());
    assert_eq!(repo.check_runs(&sha).len(), 1);
}

#[tokio::test]
async fn the_log_says_what_came_and_with_what() {
    let stage = Stage::new().await;
    let (_, sha) = stage.shop().await;
    stage.app().status("/app").await;
    let api = stage.installed();
    api.status(SHOP).await;
    api.post(
        &format!("{SHOP}/check-runs"),
        json!({ "name": "shop", "head_sha": sha }),
    )
    .await;
    api.post(&format!("{SHOP}/check-runs"), json!({ "head_sha": sha }))
        .await;
    let told = |all: Vec<Request>| -> Vec<_> {
        all.into_iter()
            .map(|r| format!("{} {} {} {}", r.method, r.path, r.token, r.status))
            .collect()
    };
    let calls = told(stage.github.requests());
    assert_eq!(calls[0], "GET /app app 200");
    assert_eq!(calls[1], "GET /repos/acme/shop installation 200");
    let mutations = told(stage.github.mutations());
    assert_eq!(
        mutations,
        [
            "POST /repos/acme/shop/check-runs installation 201",
            "POST /repos/acme/shop/check-runs installation 422"
        ]
    );
}

#[tokio::test]
async fn a_call_without_a_user_agent_is_refused() {
    let stage = Stage::new().await;
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/meta", stage.github.api_url());
    assert_eq!(bare.get(url).send().await.unwrap().status().as_u16(), 403);
}
