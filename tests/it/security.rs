//! Who may see what, and what the server refuses to start with.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::api::Api;
use tests::world::World;

use crate::files::{FILE, steps};

const START: Duration = Duration::from_secs(30);
const CONFIGURATION: i32 = 3;
const STORAGE: i32 = 4;

/// What strangers may ask for, and get.
const OPEN: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/login"];

const CLOSED: [&str; 26] = [
    "/",
    "/repos/acme/shop",
    "/repos/acme/shop/runs/1",
    "/repos/acme/shop/runs/1/file",
    "/repos/acme/shop/runs/1/jobs/work",
    "/repos/acme/shop/runs/1/jobs/work/log.txt",
    "/repos/acme/shop/environments/staging",
    "/repos/acme/shop/deploys/1",
    "/environments",
    "/runners",
    "/queue",
    "/audit",
    "/storage",
    "/deliveries",
    "/deliveries/1",
    "/live",
    "/no/such/page",
    "/healthz/..%2f..%2frunners",
    "/runners;.css",
    "//runners",
    "/api/v1/repos/acme/shop/runs",
    "/api/v1/repos/acme/shop/runs/1",
    "/api/v1/repos/acme/shop/runs/1/jobs/work/log",
    "/api/v1/repos/acme/shop/environments",
    "/api/v1/repos/acme/shop/deploys/1",
    "/api/openapi.json",
];

#[tokio::test]
async fn strangers_see_nothing_but_what_is_on_the_list() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let secret = "a title only for eyes of the house";
    let sha = repository
        .commit("main", secret, &[(FILE, &steps(&["echo hello"])?)])
        .await?;
    world
        .run_when("acme/shop", &sha, "is queued", |run| run.state == "queued")
        .await?;
    let stranger = Api::anonymous(&world.api.url)?;
    for path in OPEN {
        let (status, body) = stranger.get(path).await?;
        assert_eq!(status, 200, "{path}");
        assert!(
            !body.contains("acme") && !body.contains(secret),
            "{path} tells: {body}"
        );
    }
    for path in CLOSED {
        let (status, body) = stranger.get(path).await?;
        assert!(matches!(status, 303 | 401), "{path} is answered {status}");
        assert!(
            !body.contains("acme") && !body.contains(secret),
            "{path} tells: {body}"
        );
        let forged = stranger.with_token("sw_api_0123456789abcdef_0123456789abcdef");
        assert!(
            matches!(forged.get(path).await?.0, 303 | 401),
            "{path} believes any token"
        );
    }
    for path in [
        "/api/v1/repos/acme/shop/runs/1/cancel",
        "/repos/acme/shop/runs/1/cancel",
    ] {
        let (status, _) = stranger.post(path, &serde_json::json!({})).await?;
        assert!(
            matches!(status, 303 | 401),
            "POST {path} is answered {status}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_runners_token_is_no_key_to_anything_else() -> Result<()> {
    let world = World::start().await?;
    let told = world.admin(&["runner", "add", "r1"]).await?;
    let runner =
        Api::anonymous(&world.api.url)?.with_token(told.lines().last().unwrap_or_default());
    assert_eq!(runner.get("/api/v1/repos/acme/shop/runs").await?.0, 401);
    let (status, _) = world
        .api
        .post("/runner/v1/claim", &serde_json::json!({}))
        .await?;
    assert!(
        status == 401 || status == 403,
        "an API token claims a job: {status}"
    );
    Ok(())
}

#[tokio::test]
async fn a_sign_in_link_works_once() -> Result<()> {
    let world = World::start().await?;
    let printed = world.admin(&["login"]).await?;
    let line = printed
        .lines()
        .rev()
        .find(|line| line.contains("/login?token="))
        .context("no link")?;
    let token = line
        .trim()
        .rsplit_once("token=")
        .map(|(_, token)| token.to_owned());
    let token = token.context("the link has a token")?;
    let stranger = Api::anonymous(&world.api.url)?;
    // Opening it is not using it: previews in chats open links.
    for _ in 0..2 {
        assert_eq!(stranger.get(&format!("/login?token={token}")).await?.0, 200);
    }
    let press = || {
        let call = stranger.call(reqwest::Method::POST, "/login");
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        call.body(format!("token={token}")).send()
    };
    let first = press().await?;
    assert_eq!(first.status(), 303);
    let cookie = first
        .headers()
        .get("set-cookie")
        .context("a session is a cookie")?
        .to_str()?;
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite"),
        "{cookie}"
    );
    let session = cookie.split(';').next().unwrap_or_default().to_owned();
    let call = stranger
        .call(reqwest::Method::GET, "/runners")
        .header("cookie", session);
    assert_eq!(call.send().await?.status(), 200);
    assert!(
        press().await?.headers().get("set-cookie").is_none(),
        "it worked twice"
    );
    Ok(())
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() -> Result<()> {
    let world = World::start().await?;
    let mut second = world.second_server()?;
    let status = second.exit(START).await?;
    assert_eq!(status.code(), Some(STORAGE), "{}", second.output());
    assert!(
        second.output().contains("another server"),
        "{}",
        second.output()
    );
    assert_eq!(world.api.get("/readyz").await?.0, 200);
    Ok(())
}

/// Starts a server on a database of those bytes; it must be refused, and the bytes stay.
async fn refused_with(world: &World, bytes: &[u8]) -> Result<String> {
    let file = world.data().join("seaworthy.db");
    std::fs::write(&file, bytes)?;
    for rest in ["seaworthy.db-wal", "seaworthy.db-shm"] {
        drop(std::fs::remove_file(world.data().join(rest)));
    }
    let mut server = world.second_server()?;
    let status = server.exit(START).await?;
    assert_eq!(status.code(), Some(STORAGE), "{}", server.output());
    assert!(
        std::fs::read(&file)? == bytes,
        "the refused database was changed"
    );
    Ok(server.output())
}

/// F43, F48
#[tokio::test]
async fn a_damaged_or_newer_database_is_refused_and_never_replaced() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    repository
        .commit("main", "Begin", &[(FILE, &steps(&["echo hello"])?)])
        .await?;
    world.stop_server().await?;
    let good = std::fs::read(world.data().join("seaworthy.db"))?;

    let mut torn = good.clone();
    let middle = torn.len() / 2;
    torn[4096..middle].fill(0xA5);
    refused_with(&world, &torn).await?;
    refused_with(
        &world,
        b"this is no database at all, but somebody's shopping list",
    )
    .await?;
    refused_with(&world, b"").await?;
    refused_with(&world, &good[..good.len() / 2]).await?;

    // The whole one still works: nothing else in the directory was harmed either.
    std::fs::write(world.data().join("seaworthy.db"), &good)?;
    world.start_server().await?;
    assert_eq!(world.api.runs("acme/shop").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_wrong_setting_is_refused_by_name() -> Result<()> {
    let world = World::start().await?;
    world.stop_server().await?;
    let cases = [
        ("SEAWORTHY_GITHUB_API_URL", "not an address"),
        ("SEAWORTHY_GITHUB_PRIVATE_KEY_FILE", "/nowhere/app.pem"),
        ("SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE", "/nowhere/secret"),
        ("SEAWORTHY_LEASE", "soon"),
    ];
    for (name, value) in cases {
        let mut server = world.second_server_with(&[(name, value)])?;
        let status = server.exit(START).await?;
        assert_eq!(
            status.code(),
            Some(CONFIGURATION),
            "{name}={value}: {}",
            server.output()
        );
        assert!(
            server.output().contains(name),
            "{name} is not named: {}",
            server.output()
        );
    }
    Ok(())
}
