//! What no webhook told is found.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::campaign::scale;
use tests::github::Repository;
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(60);
/// Looks every second; of a server that runs for days it is minutes.
const OFTEN: &[(&str, &str)] = &[("SEAWORTHY_GITHUB_POLL", "1")];

/// A repository that the server knows and has looked at.
async fn known(world: &World) -> Result<Repository> {
    let repository = world.repository("acme/shop").await?;
    let file = steps(&["echo hello"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let history = world.history().await?;
    let looked = "select count(*) from repos where looked_at is not null";
    world
        .eventually("the first look", SOON, async || {
            ensure!(history.number(looked).await? == 1, "not yet");
            Ok(())
        })
        .await?;
    Ok(repository)
}

/// How many runs there are of each ref, and how they were found, once there are so many.
async fn runs(world: &World, least: i64) -> Result<String> {
    let history = world.history().await?;
    world
        .eventually("the runs", SOON, async || {
            let count = history.number("select count(*) from runs").await?;
            ensure!(count >= least, "there are {count}");
            let open = "select count(*) from deliveries where state = 'stored'";
            ensure!(history.number(open).await? == 0, "some are not handled");
            Ok(())
        })
        .await?;
    let lines = "select runs.event || ' of ' || coalesce(tag, branch) || ' by ' || found_by || ': ' \
                 || count(*) from runs join deliveries on deliveries.id = delivery_id \
                 group by runs.event, tag, branch, found_by order by 1";
    Ok(history.texts(lines).await?.join("\n"))
}

/// F9
#[tokio::test]
async fn what_github_said_or_did_not_say_while_the_server_was_away_is_run() -> Result<()> {
    let world = World::start_with(OFTEN).await?;
    let repository = known(&world).await?;
    world.stop_server().await?;
    let pushes = scale(10, 30);
    for number in 0..pushes {
        let title = format!("Push {number}");
        repository.commit("main", &title, &[("n", &title)]).await?;
    }
    let head = repository.head("main").await?;
    // GitHub sends nothing for more than three tags at once.
    let tags = ["v1", "v2", "v3", "v4"].map(|tag| format!("refs/tags/{tag}"));
    let tags = tags
        .each_ref()
        .map(|tag| (tag.as_str(), Some(head.as_str())));
    repository.push_refs(&tags).await?;
    let file = steps(&["echo idea"])?;
    repository
        .commit("idea", "Propose", &[(FILE, &file)])
        .await?;
    let proposal = repository.open_pull_request("idea", "main").await?;
    proposal.close().await?;
    repository
        .commit_silently("quiet", "Whisper", &[(FILE, &file)])
        .await?;
    world.start_server().await?;
    let found = runs(&world, 1 + pushes + 4 + 3).await?;
    let found = found.replace(&format!(": {pushes}"), ": all");
    let run = world.runs("acme/shop", 1).await?[0].number;
    let (_, page) = world
        .api
        .get(&format!("/repos/acme/shop/runs/{run}"))
        .await?;
    assert!(page.contains("found by reconciliation"), "{page}");
    insta::assert_snapshot!(found, @r"
    pull_request of idea by reconciliation: 1
    push of idea by reconciliation: 1
    push of main by reconciliation: all
    push of main by webhook: 1
    push of quiet by reconciliation: 1
    push of v1 by reconciliation: 1
    push of v2 by reconciliation: 1
    push of v3 by reconciliation: 1
    push of v4 by reconciliation: 1
    ");
    Ok(())
}

/// F9, F2: the webhook comes after all.
#[tokio::test]
async fn a_webhook_that_comes_after_its_event_was_found_starts_nothing() -> Result<()> {
    let world = World::start_with(OFTEN).await?;
    let repository = known(&world).await?;
    world.github.hold_deliveries();
    repository.commit("main", "Late", &[("a", "")]).await?;
    runs(&world, 2).await?;
    world.github.release_deliveries().await;
    insta::assert_snapshot!(runs(&world, 2).await?, @r"
    push of main by reconciliation: 1
    push of main by webhook: 1
    ");
    Ok(())
}

/// F55: where nothing has changed, a look costs nothing of GitHub's limit.
#[tokio::test]
async fn looks_that_show_nothing_new_are_free() -> Result<()> {
    let world = World::start_with(OFTEN).await?;
    known(&world).await?;
    world
        .eventually("free looks", SOON, async || {
            let calls = world.github.requests();
            let free = |path: &str| {
                let of_path = calls.iter().filter(|call| call.path.contains(path));
                of_path.filter(|call| call.status == 304).count()
            };
            let free = ["/matching-refs/heads", "/matching-refs/tags", "/pulls"].map(free);
            ensure!(free.iter().all(|count| *count > 0), "{free:?}");
            Ok(())
        })
        .await
}

/// F11: nobody told that the App was taken out.
#[tokio::test]
async fn queued_runs_end_where_access_was_lost_without_a_word() -> Result<()> {
    let world = World::start_with(OFTEN).await?;
    let repository = known(&world).await?;
    let sha = repository.head("main").await?;
    world.github.clear_webhook();
    repository.uninstall().await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "cancelled");
    let reason = run.reason.unwrap_or_default();
    assert!(reason.starts_with("no access: "), "{reason}");
    Ok(())
}
