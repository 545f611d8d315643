//! The server is killed at named places between a webhook and GitHub's check.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::world::World;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(60);

/// F7, F42
#[tokio::test]
async fn a_kill_between_webhook_and_check_makes_neither_a_second_run_nor_a_second_check()
-> Result<()> {
    let world = World::start().await?;
    for (number, place) in ["intake.committed", "intake.recorded", "outbox.sent"]
        .iter()
        .enumerate()
    {
        let name = format!("acme/shop{number}");
        let repository = world.repository(&name).await?;
        world.stop_server().await?;
        world
            .start_server_with(&[("SEAWORTHY_FAILPOINT", place)])
            .await?;
        let file = steps(&["echo hello"])?;
        let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
        world.server_ended(SOON).await?;
        world.start_server().await?;
        for push in world.github.deliveries_of("push") {
            // Whoever presses the button at GitHub, because the answer was lost.
            if push.repository_id == Some(repository.id()) && !push.redelivery {
                world.github.redeliver(push.id).await?;
            }
        }
        world
            .eventually(&format!("the check after {place}"), SOON, async || {
                ensure!(!repository.check_runs(&sha).is_empty(), "none yet");
                let history = world.history().await?;
                let open = "select (select count(*) from outbox where done_at is null) \
                            + (select count(*) from deliveries where state = 'stored')";
                ensure!(history.number(open).await? == 0, "not all is done");
                Ok(())
            })
            .await?;
        let runs = world.api.runs(&name).await?.len();
        assert_eq!((runs, repository.check_runs(&sha).len()), (1, 1), "{place}");
    }
    Ok(())
}
