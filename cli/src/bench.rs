//! `seaworthy bench`: a real server and a real runner over loopback, and how quick they are.
//!
//! The processes are this very program, with a data folder of their own that is deleted afterwards.
//! Only GitHub is a stand-in, since its answers would drown ours. Figures of different machines
//! or moments do not compare; ratios within one table do.

mod figures;
mod forge;
mod git;
mod installation;
mod scenarios;

use anyhow::Context as _;

use crate::Exit;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
    scenarios::acknowledged(&mut figures, &world, args).await?;
    scenarios::first_step(&mut figures, (&forge, &mut world), args).await?;
    scenarios::drain(&mut figures, (&forge, &mut world), args).await?;
    world.stop().await;
    Ok(figures)
}
