//! The page of deliveries: what came, what came of it, and once more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);

/// Presses the button of a delivery's page: the status of the answer.
async fn replay(world: &World, id: i64) -> Result<u16> {
    let page = format!("/deliveries/{id}");
    let (status, html) = world.api.get(&page).await?;
    ensure!(status == 200, "{page} is answered {status}");
    let csrf = html.split_once("name=\"csrf\" value=\"");
    let csrf = csrf.and_then(|(_, rest)| rest.split('"').next());
    let call = world
        .api
        .call(reqwest::Method::POST, &format!("{page}/replay"));
    let call = call
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf={}", csrf.context("no mark")?));
    Ok(call.send().await?.status().as_u16())
}

async fn handled(world: &World) -> Result<()> {
    let history = world.history().await?;
    world
        .eventually("everything to be handled", SOON, async || {
            let open = "select count(*) from deliveries where state = 'stored'";
            ensure!(history.number(open).await? == 0, "some are not");
            Ok(())
        })
        .await
}

/// P2, F2
#[tokio::test]
async fn a_replay_is_audited_and_makes_no_run_twice() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let file = steps(&["echo hello"])?;
    for title in ["Begin", "Go on"] {
        repository
            .commit("main", title, &[(FILE, &file), (title, "")])
            .await?;
    }
    world.runs("acme/shop", 2).await?;
    handled(&world).await?;
    let history = world.history().await?;
    let pushes = "select cast(id as text) from deliveries where event = 'push' order by id";
    for id in history.texts(pushes).await? {
        ensure!(matches!(replay(&world, id.parse()?).await?, 200 | 303));
        handled(&world).await?;
    }
    assert_eq!(history.number("select count(*) from runs").await?, 2);
    let audited = "select action || ' ' || subject from audit where action = 'delivery.replay'";
    assert_eq!(history.texts(audited).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_failed_makes_its_run_when_it_is_replayed() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    world.github.hold_deliveries();
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    // 422, whatever is asked of it: nothing that a later attempt would put right by itself.
    world.github.fail_next_on("/git/trees", 1, 422, &[]);
    world.github.release_deliveries().await;
    handled(&world).await?;
    let (_, page) = world.api.get("/deliveries?state=failed&event=push").await?;
    let link = page
        .split_once("href=\"/deliveries/")
        .context("none failed")?;
    let id = link.1.split('"').next().context("no id")?.parse()?;
    replay(&world, id).await?;
    world.runs("acme/shop", 1).await?;
    let (_, page) = world.api.get(&format!("/deliveries/{id}")).await?;
    assert!(page.contains("/repos/acme/shop/runs/1"), "{page}");
    Ok(())
}
