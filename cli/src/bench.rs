//! `seaworthy bench`: a real server and a real runner over loopback, and how quick they are.
//!
//! The processes are this very program, with a data folder of their own that is deleted afterwards.
//! Only GitHub is a stand-in, since its answers would drown ours. Figures of different machines
//! or moments do not compare; ratios within one table do.

mod crew;
mod figures;
mod forge;
mod git;
mod installation;
mod loads;
mod scenarios;

use std::sync::Arc;

use anyhow::Context as _;

use crate::Exit;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these scenarios: `L1` … `L8`, `L10`, `L12`, and `hooks`, `steps`, `drain` with real
    /// runners. All, if none is named.
    scenarios: Vec<String>,
    /// Seconds of each scenario that goes by time.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Runners that only speak, in the scenarios that have many.
    #[arg(long, default_value_t = 50)]
    runners: usize,
    /// Size of the long log.
    #[arg(long, default_value_t = 64)]
    log_mib: usize,
    /// People who watch one step.
    #[arg(long, default_value_t = 100)]
    viewers: usize,
    /// Webhooks to send in each delivery scenario.
    #[arg(long, default_value_t = 1000)]
    hooks: usize,
    /// Webhooks in flight at once, in the concurrent scenario.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Pushes whose way to the first step is timed, one after the other.
    #[arg(long, default_value_t = 50)]
    pushes: usize,
    /// Jobs to drain with an instant engine.
    #[arg(long, default_value_t = 1000)]
    jobs: usize,
    /// Jobs the runner works on at once while draining.
    #[arg(long, default_value_t = 8)]
    slots: u32,
    /// Also time pushes into a real container of this image, on the Docker engine of DOCKER_HOST.
    #[arg(long)]
    image: Option<String>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs every scenario and prints a table of p50, p99 and worst.
pub(crate) async fn run(args: Args) -> Exit {
    match measure(&args).await {
        Ok(figures) if args.json => {
            println!("{}", figures.json());
            Exit::Done
        }
        Ok(figures) => {
            print!("{figures}");
            Exit::Done
        }
        Err(error) => {
            eprintln!("seaworthy: bench: {error:#}");
            Exit::Failed
        }
    }
}

async fn measure(args: &Args) -> anyhow::Result<figures::Figures> {
    let forge = forge::Forge::start()
        .await
        .context("cannot start the stand-in GitHub")?;
    let mut world = installation::Installation::start(&forge).await?;
    let mut figures = figures::Figures::default();
    let wants = |names: &[&str]| {
        let mut wanted = args.scenarios.iter();
        args.scenarios.is_empty() || wanted.any(|name| names.contains(&name.as_str()))
    };
    if wants(&["L12"]) {
        loads::idle(&mut figures, &world, args).await?;
    }
    if wants(&["hooks"]) {
        scenarios::acknowledged(&mut figures, &world, args).await?;
    }
    if wants(&["L1"]) {
        loads::hooks(&mut figures, &world, args).await?;
    }
    if wants(&["steps", "L10"]) {
        scenarios::first_step(&mut figures, (&forge, &mut world), args).await?;
    }
    if wants(&["drain"]) {
        scenarios::drain(&mut figures, (&forge, &mut world), args).await?;
    }
    let hands = Arc::new(world.hands(args.runners.max(1)).await?);
    if wants(&["L2"]) {
        loads::start(&mut figures, (&forge, &world, &hands), args).await?;
    }
    if wants(&["L3"]) {
        loads::logs(&mut figures, (&forge, &world, &hands), args).await?;
    }
    if wants(&["L4", "L5"]) {
        loads::backlog(&mut figures, (&forge, &world, &hands), args).await?;
    }
    if wants(&["L6"]) {
        loads::restart(&mut figures, (&forge, &mut world, &hands)).await?;
    }
    if wants(&["L7"]) {
        loads::long_log(&mut figures, (&forge, &world, &hands), args).await?;
    }
    if wants(&["L8"]) {
        loads::viewers(&mut figures, (&forge, &world, &hands), args).await?;
    }
    world.stop().await;
    Ok(figures)
}
