//! `seaworthy runner`.

use crate::{Exit, signals};

/// The runner's settings.
pub(crate) type Args = runner::config::RunnerArgs;

/// Works until told to stop.
pub(crate) async fn run(args: Args) -> Exit {
    crate::start_logging();
    let config = match args.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("seaworthy: {error:#}");
            return Exit::Configuration;
        }
    };
    match runner::work::run_until(config, signals::ending()).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("seaworthy: {error:#}");
            Exit::Failed
        }
    }
}
