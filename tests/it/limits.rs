//! GitHub limits us, is away, or does not know us: runs go on, and what it must be told arrives.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::campaign::scale;
use tests::github::{Limit, Repository, Request};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(60);

async fn shop(world: &World) -> Result<Repository> {
    let repository = world.repository("acme/shop").await?;
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    world.runs("acme/shop", 1).await?;
    Ok(repository)
}

/// Nothing waits to be told any more.
async fn all_told(world: &World) -> Result<()> {
    let history = world.history().await?;
    world
        .eventually("GitHub to be told", SOON, async || {
            let open = "select count(*) from outbox where done_at is null";
            let open = history.number(open).await?;
            ensure!(open == 0, "{open} messages wait");
            Ok(())
        })
        .await
}

/// The page of deliveries, once it says that.
async fn page_says(world: &World, words: &str) -> Result<String> {
    world
        .eventually(&format!("the page to say: {words}"), SOON, async || {
            let (_, page) = world.api.get("/deliveries").await?;
            ensure!(page.contains(words), "it does not");
            Ok(page)
        })
        .await
}

/// F55: whatever way GitHub says so, there is no call until the pause is over, and the page tells.
#[tokio::test]
async fn while_a_limit_is_on_nothing_is_asked_and_the_page_says_so() -> Result<()> {
    let world = World::start().await?;
    let repository = shop(&world).await?;
    all_told(&world).await?;
    for (number, limit) in [Limit::RetryAfter(4), Limit::Exhausted(4)]
        .iter()
        .enumerate()
    {
        let asked = world.github.requests().len();
        world.github.limit_next(1, limit);
        repository
            .commit("main", "Go on", &[("n", &number.to_string())])
            .await?;
        page_says(&world, "GitHub wants no calls of installation").await?;
        world.runs("acme/shop", number + 2).await?;
        all_told(&world).await?;
        let calls = world.github.requests();
        let limited = calls
            .iter()
            .skip(asked)
            .position(|call| matches!(call.status, 403 | 429));
        let limited = asked + limited.context("no call met the limit")?;
        let next = calls.get(limited + 1).context("no call came after it")?;
        let pause = next.at.duration_since(calls[limited].at);
        assert!(pause.as_millis() >= 3900, "{limit:?}: {pause:?}");
    }
    // Without a word about how long, it is a minute.
    world.github.limit_next(1, &Limit::Secondary);
    repository.commit("main", "Go on", &[("n", "last")]).await?;
    let page = page_says(&world, "GitHub wants no calls of installation").await?;
    let seconds = page
        .split(" s.</strong>")
        .next()
        .and_then(|text| text.rsplit(' ').next());
    let seconds: u64 = seconds.context("no seconds")?.parse()?;
    assert!((50..=61).contains(&seconds), "{seconds}");
    Ok(())
}

/// F54: an outage holds up no run; then each run is told once, as it ended, one by one.
#[tokio::test]
async fn after_an_outage_every_run_is_told_once_as_it_ended_and_without_a_burst() -> Result<()> {
    let world = World::start().await?;
    let repository = shop(&world).await?;
    let count = scale(4, 30);
    for number in 1..count {
        repository
            .commit("main", "Go on", &[("n", &number.to_string())])
            .await?;
    }
    let runs = world.runs("acme/shop", count).await?;
    all_told(&world).await?;
    world.github.set_outage(true);
    for run in runs.iter().rev() {
        let path = format!("/api/v1/repos/acme/shop/runs/{}/cancel", run.number);
        let (status, body) = world.api.post(&path, &serde_json::json!({})).await?;
        ensure!(status < 300, "{status}: {body}");
        let ended = world.api.run("acme/shop", run.number).await?;
        assert_eq!(ended.state, "cancelled");
    }
    let history = world.history().await?;
    world
        .eventually("an attempt of each", SOON, async || {
            let tried =
                "select count(distinct subject) from outbox where done_at is null and attempts > 0";
            ensure!(
                history.number(tried).await? == i64::try_from(count)?,
                "not yet"
            );
            Ok(())
        })
        .await?;
    let before = world.github.mutations().len();
    world.github.set_outage(false);
    all_told(&world).await?;
    let told = |run: &tests::api::Run| repository.check_runs(&run.commit);
    assert!(
        runs.iter()
            .flat_map(told)
            .all(|check| check.conclusion.as_deref() == Some("cancelled"))
    );
    let mutations = world.github.mutations();
    let told: Vec<&Request> = mutations.iter().skip(before).collect();
    assert_eq!(told.len(), count, "{told:?}");
    for pair in told.windows(2) {
        let pause = pair[1].at.duration_since(pair[0].at);
        assert!(pause.as_millis() >= 950, "{pause:?}");
    }
    Ok(())
}

/// F56: a clock that is a little wrong is no matter; one that is far off is named.
#[tokio::test]
async fn a_wrong_clock_is_borne_or_named() -> Result<()> {
    let world = World::start().await?;
    for offset in [-90, 90] {
        world.github.set_clock_offset(offset);
        let repository = world
            .repository(&format!("acme/shop{}", offset + 90))
            .await?;
        let file = steps(&["echo hello"])?;
        repository.commit("main", "Begin", &[(FILE, &file)]).await?;
        world.runs(&repository.full_name()?, 1).await?;
    }
    world.github.set_clock_offset(-900);
    let repository = world.repository("acme/late").await?;
    repository.commit("main", "Begin", &[("a", "b")]).await?;
    page_says(&world, "seconds ahead of GitHub").await?;
    Ok(())
}

/// F56: the key was replaced at GitHub.
#[tokio::test]
async fn a_key_that_was_replaced_is_named_and_nothing_is_lost() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let key = world.github.rotate_key()?;
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    page_says(&world, "SEAWORTHY_GITHUB_PRIVATE_KEY_FILE").await?;
    world.stop_server().await?;
    std::fs::write(world.dir().join("app.pem"), key)?;
    world.start_server().await?;
    world.runs("acme/shop", 1).await?;
    all_told(&world).await
}
