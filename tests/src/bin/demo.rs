//! `demo`: a whole installation on this machine, to look at. See `make demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::demo::{self, Place};

/// Starts a whole installation with a sample repository and follows two pushes of it to production.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything, push twice, and report what the users of the service noticed.
    Up {
        /// Also take pictures of the pages, into this folder.
        #[arg(long, value_name = "DIR")]
        screenshots: Option<PathBuf>,
    },
    /// Take pictures of the pages of a running demo.
    Screenshots {
        /// The folder they go to.
        #[arg(default_value = "target/screenshots")]
        dir: PathBuf,
    },
    /// Stop what `up` started, and delete its namespaces and state.
    Down,
    /// The stand-in GitHub, in a process of its own.
    #[command(hide = true)]
    Github {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        webhook: String,
        #[arg(long)]
        secret_file: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    tests::install_tls();
    let place = Place::of_this_user();
    let done = match Cli::parse().command {
        Command::Up { screenshots } => demo::up(&place, screenshots.as_deref()).await,
        Command::Screenshots { dir } => demo::screenshots(&place, &dir).await,
        Command::Down => demo::down(&place).await,
        Command::Github {
            dir,
            webhook,
            secret_file,
        } => demo::serve_github(dir, &webhook, &secret_file).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
