//! The engines a story needs, and what to do without them.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::cluster::Cluster;
use crate::docker::Docker;
use crate::program;
use crate::registry::Registry;
use crate::s3::S3;
use crate::volume::Volume;

/// Something outside of the tests that `dev/up` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A Docker engine, and the registry beside it with the base image.
    Docker,
    /// A Kubernetes cluster.
    Cluster,
    /// A server that speaks S3.
    S3,
    /// A headless browser.
    Browser,
    /// Disks that can be made small and made to fail: the right to mount, and `strace`.
    Disks,
}

/// Engine-heavy stories at once: more would only make each other late on small machines.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
});

/// Checks for engines. Without them it says so and gives nothing; where they are a must
/// (`SEAWORTHY_REQUIRE_ENGINES`, set by `make test`) it panics.
pub async fn turn(engines: &[Engine]) -> Option<SemaphorePermit<'static>> {
    for engine in engines {
        if let Err(error) = check(*engine).await {
            let required = std::env::var_os("SEAWORTHY_REQUIRE_ENGINES").is_some();
            assert!(
                !required,
                "{engine:?} is required and does not work: {error:#}"
            );
            eprintln!("SKIPPED: no {engine:?} ({error:#}); start it with: eval \"$(dev/up)\"");
            return None;
        }
    }
    Some(TURNS.acquire().await.expect("nobody closes it"))
}

async fn check(engine: Engine) -> Result<()> {
    let asked = async {
        match engine {
            Engine::Docker => {
                Docker::connect()?.ping().await?;
                busybox()?;
                Registry::of_the_tests()?.ping().await
            }
            Engine::Cluster => Cluster::connect().await?.ping().await,
            Engine::S3 => S3::of_the_tests()?.ping().await,
            Engine::Browser => {
                std::env::var_os("SEAWORTHY_TEST_BROWSER")
                    .context("SEAWORTHY_TEST_BROWSER is not set")?;
                Ok(())
            }
            Engine::Disks => {
                Volume::new(1)?;
                program::output(Command::new("strace").arg("-V")).await?;
                Ok(())
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .context("it does not answer")?
}

/// The one image there is, with a shell, `httpd` and the rest; also for the cluster.
pub fn busybox() -> Result<String> {
    std::env::var("SEAWORTHY_TEST_BUSYBOX").context("SEAWORTHY_TEST_BUSYBOX is not set")
}

/// Skips the story unless the engines are there; holds one of the places for engine-heavy stories.
#[macro_export]
macro_rules! require {
    ($($engine:ident),+) => {
        match $crate::engines::turn(&[$($crate::engines::Engine::$engine),+]).await {
            Some(turn) => turn,
            None => return Ok(()),
        }
    };
}
