//! `seaworthy`: the one program. It only wires: the work is in `pipelines`, `server` and `runner`.

mod admin;
mod backup;
mod bench;
mod check;
mod exec;
#[cfg(debug_assertions)]
mod failpoint;
mod import;
mod runner;
mod serve;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Seaworthy takes a commit from a GitHub webhook to a Docker image to a verified Kubernetes rollout.
#[derive(Debug, Parser)]
#[command(name = "seaworthy", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 the work failed; 2 wrong use; 3 configuration refused; \
                        4 storage refused (locked, damaged or of a newer version); 5 the disk failed \
                        while serving; 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: webhooks in, history in SQLite, pages out.
    Serve(Box<serve::Args>),
    /// Run a runner: it dials the server and does the work with Docker and Kubernetes.
    Runner(runner::Args),
    /// Check pipeline files and say what is wrong, at which line and column.
    Check(check::Args),
    /// Run the working tree's pipeline on this machine, without a server.
    Exec(Box<exec::Args>),
    /// Translate a file of Travis CI, Woodpecker, GitHub Actions, GitLab CI or Jenkins into ours.
    Import(import::Args),
    /// Administer runners, tokens, secrets and sign-in, also while the server runs.
    Admin(admin::Args),
    /// Write a copy of everything into one file, also while the server runs.
    Backup(backup::BackupArgs),
    /// Put a backup back into an empty data directory.
    Restore(backup::RestoreArgs),
    /// Look at the database, the logs and the artifacts, and say what is wrong.
    Verify(backup::Place),
    /// Measure latency, throughput and memory of a server and runners on this machine.
    Bench(bench::Args),
}

/// How a command ended, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Configuration = 3,
    Storage = 4,
    Disk = 5,
    Interrupted = 130,
}

impl Exit {
    /// The exit of a library's error, which knows its code.
    fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::Configuration,
            4 => Self::Storage,
            5 => Self::Disk,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("seaworthy: another TLS provider was installed before ours");
        return Exit::Failed.into();
    }
    match cli.command {
        Command::Check(args) => check::run(&args).into(),
        Command::Import(args) => import::run(&args).into(),
        Command::Exec(args) => with_runtime(|| exec::run(*args)),
        Command::Serve(args) => with_runtime(|| serve::run(*args)),
        Command::Runner(args) => with_runtime(|| runner::run(args)),
        Command::Admin(args) => with_runtime(|| admin::run(args)),
        Command::Backup(args) => with_runtime(|| backup::backup(args)),
        Command::Restore(args) => with_runtime(|| backup::restore(args)),
        Command::Verify(place) => with_runtime(|| backup::verify(place)),
        Command::Bench(args) => with_runtime(|| bench::run(args)),
    }
}

fn with_runtime<F: Future<Output = Exit>>(work: impl FnOnce() -> F) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work()).into(),
        Err(error) => {
            eprintln!("seaworthy: cannot start: {error}");
            Exit::Failed.into()
        }
    }
}

/// Logs on standard error, as much as `RUST_LOG` asks for.
fn start_logging() {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _};
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,kube=warn,sqlx=warn,hyper=warn"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(lines);
    #[cfg(debug_assertions)]
    let subscriber = subscriber.with(failpoint::layer());
    subscriber.init();
}
