//! The page of what GitHub has said, as people use it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::browser::{Browser, View};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(60);

/// A browser that has signed in.
async fn browser(world: &World) -> Result<Browser> {
    let login = world.admin(&["login"]).await?;
    let (_, token) = login.trim().rsplit_once("token=").context("a link")?;
    let mut browser = Browser::start().await?;
    let (width, dark) = (1280, false);
    browser.look(View { width, dark }).await?;
    let sign_in = format!("{}/login?token={token}", world.api.url);
    browser.open(&sign_in).await?;
    browser.press("form button").await?;
    Ok(browser)
}

/// Waits until nothing is left to be handled.
async fn handled(world: &World, least: i64) -> Result<()> {
    let history = world.history().await?;
    world
        .eventually("everything to be handled", SOON, async || {
            let open = "select count(*) from deliveries where state = 'stored'";
            let all = history.number("select count(*) from deliveries").await?;
            ensure!(history.number(open).await? == 0 && all >= least, "not yet");
            Ok(())
        })
        .await
}

/// P2, P3
#[tokio::test]
async fn a_delivery_that_came_to_nothing_is_found_and_handled_again_by_a_press() -> Result<()> {
    let _turn = tests::require!(Browser);
    let world = World::start_with(&[("SEAWORTHY_GITHUB_POLL", "1")]).await?;
    let repository = world.repository("acme/shop").await?;
    let file = steps(&["echo hello"])?;
    world.github.hold_deliveries();
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let push = world.github.deliveries_of("push").pop();
    repository.uninstall().await?;
    world.github.deliver(push.context("no push")?.id).await?;
    handled(&world, 1).await?;
    repository.install().await?;

    let mut browser = browser(&world).await?;
    browser
        .open(&format!("{}/deliveries?state=ignored", world.api.url))
        .await?;
    browser.press("a.title").await?;
    browser.press("form[action$=replay] button").await?;
    handled(&world, 1).await?;
    browser
        .open(&format!("{}/deliveries?event=push", world.api.url))
        .await?;
    ensure!(browser.text().await?.contains("acme/shop #1"));
    browser.press("a.title").await?;
    let text = browser.text().await?;
    assert!(
        text.contains("Its runs") && text.contains("Handle it again"),
        "{text}"
    );

    let history = world.history().await?;
    world
        .eventually("the first look", SOON, async || {
            let looked = "select count(*) from repos where looked_at is not null";
            ensure!(history.number(looked).await? == 1, "not yet");
            Ok(())
        })
        .await?;
    repository
        .commit_silently("quiet", "Whisper", &[(FILE, &file)])
        .await?;
    let found = format!("{}/deliveries?found=reconciliation", world.api.url);
    world
        .eventually("what nobody told", SOON, async || {
            let (_, page) = world.api.get("/deliveries?found=reconciliation").await?;
            ensure!(page.contains("acme/shop #2"), "{page}");
            Ok(())
        })
        .await?;
    browser.open(&found).await?;
    assert!(browser.text().await?.contains("found by reconciliation"));
    browser.close().await
}
