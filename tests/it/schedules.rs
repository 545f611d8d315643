//! What starts by the clock.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::history::History;
use tests::world::World;

use crate::files::{FILE, job};

const SOON: Duration = Duration::from_secs(30);

/// F36
#[tokio::test]
async fn after_six_hours_away_one_run_catches_up_and_no_more() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let file = format!(
        "on: {{ push: {{}}, schedule: {{ cron: '0 * * * *', zone: Europe/Berlin }} }}\njobs:\n{}",
        job("work", "", &["echo hello"])?
    );
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    world.runs("acme/shop", 1).await?;
    world.stop_server().await?;
    // As if it had been away since then.
    let away = "update schedules set next_at = next_at - 6 * 3600000";
    History::change(&world.data(), away).await?;
    world.start_server().await?;
    let history = world.history().await?;
    world
        .eventually("the next moment to be one that comes", SOON, async || {
            let ahead = "select count(*) from schedules where next_at > unixepoch() * 1000";
            ensure!(history.number(ahead).await? == 1, "it is still due");
            Ok(())
        })
        .await?;
    world.stop_server().await?;
    world.start_server().await?;
    let scheduled = "select count(*) from runs where event = 'schedule'";
    assert_eq!(history.number(scheduled).await?, 1);
    Ok(())
}
