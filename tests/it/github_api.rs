//! The server and GitHub's API: what is read, what is told, and how little it takes when GitHub limits,
//! fails, or changes under us.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::api::Run;
use tests::github::{Change, Limit, Person, Repository, Visibility};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);
/// No pause between changes: stories that count pauses say so.
const FAST: &[(&str, &str)] = &[("SEAWORTHY_GITHUB_PACE", "0")];

async fn shop(world: &World) -> Result<Repository> {
    world.repository("acme/shop").await
}

fn file() -> Result<String> {
    steps(&["echo hello"])
}

/// What became of the newest delivery of that event.
async fn outcome(world: &World, event: &'static str) -> Result<String> {
    let history = world.history().await?;
    world
        .eventually("the delivery to be handled", SOON, async || {
            let told = match event {
                "push" => {
                    history
                        .texts("select outcome from deliveries where event = 'push' and handled_at is not null order by id")
                        .await?
                }
                _ => {
                    history
                        .texts("select outcome from deliveries where event <> 'push' and handled_at is not null order by id")
                        .await?
                }
            };
            told.into_iter().last().context("not yet")
        })
        .await
}

/// The states of a commit's only check, once the last of them is `last`.
async fn check(
    world: &World,
    repository: &Repository,
    sha: &str,
    last: &str,
) -> Result<Vec<String>> {
    world
        .eventually("the check", SOON, async || {
            let checks = repository.check_runs(sha);
            ensure!(checks.len() == 1, "there are {} checks", checks.len());
            let story = checks[0].story();
            ensure!(story.last().is_some_and(|state| state == last), "{story:?}");
            Ok(story)
        })
        .await
}

#[tokio::test]
async fn tags_run_and_what_starts_nothing_says_why() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    repository
        .commit("main", "Begin", &[("README.md", "x")])
        .await?;
    assert_eq!(
        outcome(&world, "push").await?,
        "no pipeline file at this commit"
    );
    let pipeline = file()?.replace("push: {}", "push: { tags: [\"v*\"] }");
    let sha = repository
        .commit("main", "Add", &[(".seaworthy.yml", &pipeline)])
        .await?;
    let told = world
        .eventually("the second", SOON, async || {
            let told = outcome(&world, "push").await?;
            ensure!(told.contains("`default` not started"), "{told}");
            Ok(told)
        })
        .await?;
    assert!(told.contains("tags only"), "{told}");
    repository.tag("v1.0", &sha).await?;
    let runs = world.runs("acme/shop", 1).await?;
    assert_eq!((runs[0].commit.as_str(), runs.len()), (sha.as_str(), 1));
    Ok(())
}

#[tokio::test]
async fn only_the_paths_that_changed_count() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let pipeline = file()?.replace("push: {}", "push: { paths: [\"shop/**\"] }");
    // A new branch has nothing to compare with, so it runs.
    repository
        .commit("main", "Begin", &[(FILE, &pipeline)])
        .await?;
    world.runs("acme/shop", 1).await?;
    repository
        .commit("main", "Docs", &[("docs/a.md", "x")])
        .await?;
    world
        .eventually("the second", SOON, async || {
            let told = outcome(&world, "push").await?;
            ensure!(told.contains("not started"), "{told}");
            Ok(())
        })
        .await?;
    let sha = repository
        .commit("main", "Shop", &[("shop/a.rs", "x")])
        .await?;
    let runs = world.runs("acme/shop", 2).await?;
    assert_eq!(runs.iter().filter(|run| run.commit == sha).count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_link_is_no_pipeline_file_and_environments_come_from_the_default_branch() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let deploy = "on: { push: {}, pull_request: {} }\njobs:\n  ship:\n    deploy: { environment: prod, manifests: deploy/ }\n";
    repository
        .commit("main", "Begin", &[("README.md", "x")])
        .await?;
    let change = Change::on("side").message("Add");
    let change = change
        .file(".seaworthy/ship.yml", deploy)
        .file(".seaworthy/environments.yml", "prod: { namespace: shop }\n")
        .symlink(".seaworthy/linked.yml", "../README.md");
    let sha = repository.push(change).await?.sha;
    let runs = world.runs("acme/shop", 2).await?;
    let why = |run: &Run| run.reason.clone().unwrap_or_default();
    assert!(
        runs.iter()
            .all(|run| run.commit == sha && run.state == "failed")
    );
    assert!(
        runs.iter()
            .any(|run| why(run).contains("not a regular file"))
    );
    assert!(
        runs.iter().any(|run| why(run).contains("ship.yml:4:")),
        "{runs:?}"
    );
    Ok(())
}

/// F54
#[tokio::test]
async fn a_lost_answer_makes_no_second_check() -> Result<()> {
    // Changes come one by one, so there is a moment between a run and the making of its check.
    let world = World::start_with(&[("SEAWORTHY_GITHUB_PACE", "4")]).await?;
    let repository = shop(&world).await?;
    let first = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &first, "queued").await?;
    let second = repository.commit("main", "Go on", &[("a", "b")]).await?;
    world.runs("acme/shop", 2).await?;
    assert_eq!(
        repository.check_runs(&second).len(),
        0,
        "it was made too soon"
    );
    world.github.lose_answers(1);
    check(&world, &repository, &second, "queued").await?;
    let history = world.history().await?;
    world
        .eventually("the check to be known", SOON, async || {
            let known = history.number("select count(*) from checks").await?;
            ensure!(known == 2, "not yet");
            Ok(())
        })
        .await?;
    assert_eq!(repository.check_runs(&second).len(), 1);
    Ok(())
}

/// F55
#[tokio::test]
async fn a_limit_silences_us_for_as_long_as_wanted() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    world.github.limit_next(1, &Limit::RetryAfter(3));
    let sha = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &sha, "queued").await?;
    let requests = world.github.requests();
    let limited = requests.iter().position(|request| request.status == 429);
    let limited = limited.context("no call met the limit")?;
    let next = requests.get(limited + 1).context("no call came after it")?;
    let pause = next.at.duration_since(requests[limited].at);
    assert!(pause.as_millis() >= 2900, "{pause:?}");
    Ok(())
}

/// F11
#[tokio::test]
async fn a_renamed_repository_is_the_same_one() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &sha, "queued").await?;
    // GitHub knows the new name a while before we hear of it.
    world.github.hold_deliveries();
    repository.rename("store").await?;
    let runs = world.api.runs("acme/shop").await?;
    let path = format!("/api/v1/repos/acme/shop/runs/{}/cancel", runs[0].number);
    world.api.post(&path, &serde_json::json!({})).await?;
    check(&world, &repository, &sha, "cancelled").await?;
    world.github.release_deliveries().await;
    let runs = world.runs("acme/store", 1).await?;
    assert_eq!(runs[0].commit, sha);
    Ok(())
}

#[tokio::test]
async fn a_check_asked_for_again_is_a_new_run_of_the_same() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, "on: { push: {} }\njobs: 7\n")])
        .await?;
    check(&world, &repository, &sha, "failure").await?;
    let id = repository.check_runs(&sha)[0].id;
    repository
        .rerequest_check_run(id, &Person::default())
        .await?;
    let runs = world.runs("acme/shop", 2).await?;
    assert!(
        runs.iter()
            .all(|run| run.commit == sha && run.event == "push"),
        "{runs:?}"
    );
    world
        .eventually("the second check", SOON, async || {
            ensure!(repository.check_runs(&sha).len() == 2, "not yet");
            Ok(())
        })
        .await
}

/// F56
#[tokio::test]
async fn tokens_that_end_early_are_replaced_once() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let first = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &first, "queued").await?;
    world.github.expire_tokens();
    let second = repository.commit("main", "Go on", &[("a", "b")]).await?;
    check(&world, &repository, &second, "queued").await?;
    let refused = world
        .github
        .requests()
        .iter()
        .filter(|one| one.status == 401)
        .count();
    assert!(refused <= 2, "{refused} calls with a dead token");
    Ok(())
}

/// F54
#[tokio::test]
async fn an_outage_when_a_push_comes_only_delays_it() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    world.github.set_outage(true);
    repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    let history = world.history().await?;
    world
        .eventually("an attempt", SOON, async || {
            let tried = "select attempts from deliveries where event = 'push'";
            ensure!(history.number(tried).await? >= 1, "not yet");
            Ok(())
        })
        .await?;
    world.github.set_outage(false);
    world.runs("acme/shop", 1).await?;
    Ok(())
}

/// F11
#[tokio::test]
async fn without_access_runs_end_and_what_is_to_be_told_waits() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &sha, "queued").await?;
    repository.uninstall().await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "cancelled");
    assert!(run.reason.unwrap_or_default().contains("no access"));
    let history = world.history().await?;
    world
        .eventually("the message to wait", SOON, async || {
            let waiting = "select count(*) from outbox where done_at is null \
                           and error is not null and next_at > created_at";
            ensure!(history.number(waiting).await? > 0, "not yet");
            Ok(())
        })
        .await
}

/// F11: name, owner and visibility change, the number stays; and what is deleted has no runs left.
#[tokio::test]
async fn a_repository_keeps_its_runs_under_every_name_until_it_is_deleted() -> Result<()> {
    let world = World::start_with(FAST).await?;
    let repository = shop(&world).await?;
    let sha = repository
        .commit("main", "Begin", &[(FILE, &file()?)])
        .await?;
    check(&world, &repository, &sha, "queued").await?;
    repository.set_visibility(Visibility::Public).await?;
    repository.set_visibility(Visibility::Private).await?;
    let push = world
        .github
        .deliveries_of("push")
        .pop()
        .context("no push")?;
    let mut moved = push.payload();
    moved["action"] = "transferred".into();
    moved["repository"]["full_name"] = "harbour/store".into();
    world.github.send("repository", &moved).await?;
    let runs = world.runs("harbour/store", 1).await?;
    assert_eq!((runs.len(), runs[0].state.as_str()), (1, "queued"));
    let seen = "select name || ' ' || private from repos";
    assert_eq!(world.history().await?.texts(seen).await?, ["store 1"]);
    repository.delete().await?;
    let run = world
        .eventually("the run to end", SOON, async || {
            let run = world.api.run("acme/shop", 1).await;
            let run = match run {
                Ok(run) => run,
                Err(_) => world.api.run("harbour/store", 1).await?,
            };
            ensure!(run.is_final(), "{}", run.summary());
            Ok(run)
        })
        .await?;
    assert_eq!(run.state, "cancelled");
    assert!(run.reason.unwrap_or_default().starts_with("no access"));
    Ok(())
}
