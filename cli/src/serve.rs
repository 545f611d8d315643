//! `seaworthy serve`, with a runner in the same process if asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use pipelines::names::EnvironmentName;
use runner::config::RunnerConfig;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use crate::{Exit, signals};

/// The server's settings, and those of a runner beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: server::config::ServeArgs,
    /// Also run a runner in this process, for a single machine
    #[arg(long)]
    with_runner: bool,
    /// Environments that runner may deploy to, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "with_runner"
    )]
    environments: Vec<EnvironmentName>,
}

/// Serves until told to stop.
pub(crate) async fn run(args: Args) -> Exit {
    crate::start_logging();
    let config = match args.server.config() {
        Ok(config) => config,
        Err(error) => return refuse(&error, Exit::Configuration),
    };
    let shutdown = signals::shutdown();
    let data = config.data.clone();
    // The runner stops first, so that it can still report what it was doing.
    let (runner_stop, server_stop) = (shutdown.clone(), CancellationToken::new());
    let (address, listening) = tokio::sync::oneshot::channel();
    let ready = |at: SocketAddr| {
        let _ = address.send(at);
    };
    let serving = async {
        let served = server::serve::serve(config, server_stop.clone(), ready).await;
        // A server that ends by itself takes its runner along.
        shutdown.cancel();
        served
    };
    let runner = async {
        let done = match listening.await {
            Ok(at) if args.with_runner => embedded(at, &data, args.environments, runner_stop).await,
            Ok(_) | Err(_) => {
                shutdown.cancelled().await;
                Ok(())
            }
        };
        server_stop.cancel();
        done
    };
    let (served, ran) = tokio::join!(serving, runner);
    if let Err(error) = served {
        return refuse(&error, Exit::of_code(error.exit_code()));
    }
    match ran {
        Ok(()) => Exit::Done,
        Err(error) => refuse(&format!("{error:#}"), Exit::Failed),
    }
}

fn refuse(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("seaworthy: {error}");
    exit
}

/// A runner that talks to this very server as any other would.
async fn embedded(
    mut at: SocketAddr,
    data: &Path,
    environments: Vec<EnvironmentName>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if at.ip().is_unspecified() {
        at.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let state = data.join("runner");
    let token = token(data, &state).await?;
    let mut config = RunnerConfig::new(format!("http://{at}").parse()?, token, state);
    config.environments = environments;
    runner::work::run(config, stop).await
}

/// The embedded runner's token: made once and kept beside its state, readable by its owner alone.
async fn token(data: &Path, state: &Path) -> anyhow::Result<SecretString> {
    let file = state.join("token");
    match std::fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned().into()),
        Ok(_) | Err(_) => {}
    }
    std::fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
    // A name of its own each time: a start that was killed before it kept its token has used one up.
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let name = format!("embedded-{}", since.as_millis());
    let token = server::admin::runner_add(data, &name).await?;
    write_private(&file, token.expose_secret())
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(token)
}

/// Writes beside the file and moves into place, so that it is never half there.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut handle = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    std::fs::rename(&new, file)
}
