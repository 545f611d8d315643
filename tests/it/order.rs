//! Webhooks in any order, once, twice or after others: what comes of them is the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::github::Repository;
use tests::world::World;

use crate::files::{FILE, job};

const SOON: Duration = Duration::from_secs(30);

/// Pushes of `main` and `feature`, and pull requests; the newest run of a branch wins.
fn file() -> Result<String> {
    Ok(format!(
        "on: {{ push: {{ branches: [main, feature] }}, pull_request: {{}} }}\n\
         concurrency: {{ group: '${{{{ branch }}}}', newest: wins }}\njobs:\n{}",
        job("work", "", &["echo hello"])?
    ))
}

/// Everything that can come in a wrong order: two pushes, a branch that is deleted, a pull request
/// that moves and is closed. The commits, by their titles.
async fn a_busy_day(repository: &Repository) -> Result<Vec<(&'static str, String)>> {
    let file = file()?;
    let commit = async |branch, title: &'static str| {
        let edits = [(FILE, file.as_str()), (title, "")];
        let sha = repository.commit(branch, title, &edits).await?;
        anyhow::Ok((title, sha))
    };
    let mut commits = vec![commit("main", "A").await?, commit("main", "B").await?];
    commits.push(commit("feature", "C").await?);
    repository.delete_branch("feature").await?;
    commits.push(commit("idea", "P").await?);
    let proposal = repository.open_pull_request("idea", "main").await?;
    commits.push(commit("idea", "Q").await?);
    proposal.close().await?;
    Ok(commits)
}

/// What has come of each commit.
async fn results(world: &World, commits: &[(&str, String)]) -> Result<String> {
    let history = world.history().await?;
    world
        .eventually("every delivery to be handled", SOON, async || {
            let open = "select count(*) from deliveries where state = 'stored'";
            ensure!(history.number(open).await? == 0, "some are not");
            Ok(())
        })
        .await?;
    let all = "select commit_sha || ' ' || event || ' of ' || branch || ' ' || state \
               from runs order by commit_sha, event";
    let runs = history.texts(all).await?;
    let lines = commits.iter().flat_map(|(title, sha)| {
        let of_commit = runs.iter().filter_map(|run| run.strip_prefix(sha.as_str()));
        of_commit.map(move |run| format!("{title}:{run}"))
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// F10, and F2 in between: each delivery comes twice.
#[tokio::test]
async fn deliveries_in_reverse_order_end_as_those_in_order() -> Result<()> {
    let world = World::start().await?;
    world.github.hold_deliveries();
    let mut ends = Vec::new();
    for (name, is_reversed) in [("acme/straight", false), ("acme/turned", true)] {
        let repository = world.repository(name).await?;
        let commits = a_busy_day(&repository).await?;
        let mut deliveries = world.github.deliveries();
        deliveries.retain(|one| one.repository_id == Some(repository.id()));
        if is_reversed {
            deliveries.reverse();
        }
        for delivery in &deliveries {
            ensure!(world.github.deliver(delivery.id).await?.accepted());
            if is_reversed {
                world.github.redeliver(delivery.id).await?;
            }
        }
        ends.push(results(&world, &commits).await?);
    }
    insta::assert_snapshot!(ends[0]);
    assert_eq!(ends[1], ends[0]);
    Ok(())
}

/// F10: a branch is forced back, and what had led away from there is told last.
#[tokio::test]
async fn what_was_before_a_forced_push_takes_the_place_of_nothing() -> Result<()> {
    let world = World::start().await?;
    world.github.hold_deliveries();
    let repository = world.repository("acme/shop").await?;
    let file = file()?;
    let first = repository.commit("main", "A", &[(FILE, &file)]).await?;
    let second = repository.commit("main", "B", &[("b", "")]).await?;
    let back = [("refs/heads/main", Some(first.as_str()))];
    repository.push_refs(&back).await?;
    let deliveries = world.github.deliveries_of("push");
    for place in [2, 0, 1] {
        ensure!(world.github.deliver(deliveries[place].id).await?.accepted());
    }
    insta::assert_snapshot!(results(&world, &[("A", first), ("B", second)]).await?, @r"
    A: push of main queued
    B: push of main superseded
    ");
    Ok(())
}
