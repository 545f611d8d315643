//! A cancel at every moment of a job: it ends once, and leaves nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::api::Run;
use tests::docker::Docker;
use tests::require;
use tests::world::World;

use crate::files::{FILE, steps};

/// How long anything of a cancelled job may still be there.
const LIMIT: Duration = Duration::from_secs(30);

/// Where a job is when it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Queued,
    Taken,
    Pulling,
    InAStep,
    BetweenSteps,
    Deaf,
    CleaningUp,
}

impl Moment {
    const ALL: [Moment; 7] = [
        Self::Queued,
        Self::Taken,
        Self::Pulling,
        Self::InAStep,
        Self::BetweenSteps,
        Self::Deaf,
        Self::CleaningUp,
    ];

    fn file(self, silent: &str) -> Result<String> {
        Ok(match self {
            Self::Queued | Self::Taken | Self::InAStep => {
                steps(&["echo here", "echo now\nsleep 600"])?
            }
            Self::Pulling => format!(
                "on: {{ push: {{}} }}\njobs:\n  work:\n    image: {silent}/none:1\n    steps:\n      - run: echo never\n"
            ),
            Self::BetweenSteps => steps(&["echo now", "sleep 600"])?,
            Self::Deaf => steps(&["trap '' TERM INT\necho now\nwhile true; do sleep 1; done"])?,
            Self::CleaningUp => steps(&["echo here", "echo now"])?,
        })
    }

    /// Whether it has come.
    async fn has_come(self, world: &World, name: &str, run: &Run) -> Result<()> {
        match self {
            Self::Queued => Ok(()),
            Self::Taken => {
                ensure!(run.job("work")?.state == "running", "{}", run.summary());
                Ok(())
            }
            Self::Pulling => {
                let log = world.api.log(name, run.number, "work").await?;
                ensure!(log.contains("none:1"), "{log}");
                Ok(())
            }
            Self::InAStep | Self::BetweenSteps | Self::Deaf | Self::CleaningUp => {
                let log = world.api.log(name, run.number, "work").await?;
                ensure!(log.contains("now"), "{log}");
                Ok(())
            }
        }
    }
}

/// F22
#[tokio::test]
async fn a_cancelled_job_ends_once_and_leaves_nothing_wherever_it_was() -> Result<()> {
    let _turn = require!(Docker);
    // It takes connections and says nothing: a registry that never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let registry = silent.local_addr()?.to_string();
    let world = World::start().await?;
    let name = world.name("cancelled");
    let repository = world.repository(&name).await?;
    let mut runner = None;
    let docker = Docker::connect()?;
    for moment in Moment::ALL {
        if moment != Moment::Queued && runner.is_none() {
            runner = Some(world.runner("r1", &[]).await?);
        }
        let (file, title) = (moment.file(&registry)?, format!("{moment:?}"));
        let sha = repository.commit("main", &title, &[(FILE, &file)]).await?;
        let run = world.run_when(&name, &sha, "is there", |_| true).await?;
        let comes = world.eventually(&title, LIMIT, async || {
            let run = world.api.run(&name, run.number).await?;
            moment.has_come(&world, &name, &run).await
        });
        comes.await?;
        let began = Instant::now();
        let path = format!("/api/v1/repos/{name}/runs/{}/cancel", run.number);
        world.api.post(&path, &json!({})).await?;
        let run = world.run_of(&name, &sha).await?;
        let ended = match moment {
            // It may have been over just before.
            Moment::CleaningUp => ["cancelled", "passed"].contains(&run.state.as_str()),
            _ => run.state == "cancelled",
        };
        assert!(ended, "{title}: {}", run.summary());
        let gone = world.eventually("nothing to be left", LIMIT, async || {
            let left = docker.objects_of(&name).await?;
            ensure!(left.is_empty(), "{title}: {left:?}");
            let jobs = world.dir().join("runner-r1/state/jobs");
            let folders = std::fs::read_dir(jobs).into_iter().flatten().count();
            ensure!(folders == 0, "{title}: {folders} folders");
            Ok(())
        });
        gone.await?;
        assert!(began.elapsed() < LIMIT, "{title}: {:?}", began.elapsed());
    }
    Ok(())
}
