//! `seaworthy admin`: runners, tokens, secrets and sign-in, over the data directory.

use std::path::PathBuf;

use clap::Subcommand;
use pipelines::timestamp::Timestamp;
use secrecy::ExposeSecret as _;
use server::admin::{self, AdminError, Listed};

use crate::Exit;

mod secret;

/// What to administer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the server's data is
    #[arg(long, env = "SEAWORTHY_DATA", default_value = "./data", global = true)]
    data: PathBuf,
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Runners: who may take work
    #[command(subcommand)]
    Runner(Action),
    /// Tokens of programs that use the API
    #[command(subcommand)]
    Token(Action),
    /// Secrets of jobs: named in pipeline files, kept sealed, never shown
    #[command(subcommand)]
    Secret(secret::Action),
    /// Print a one-time sign-in link
    Login {
        /// What people call the server, if not the address it was last started at
        #[arg(long, env = "SEAWORTHY_PUBLIC_URL", value_name = "URL")]
        public_url: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add one and print its token, this once, on the last line
    Add {
        /// Its name
        name: String,
    },
    /// List them
    List,
    /// End its token
    Revoke {
        /// Its name
        name: String,
    },
}

/// Does it, and says what was done.
pub(crate) async fn run(args: Args) -> Exit {
    match act(&args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("seaworthy: {error}");
            Exit::of_code(error.exit_code())
        }
    }
}

async fn act(args: &Args) -> Result<(), AdminError> {
    let data = &args.data;
    match &args.subject {
        Subject::Runner(Action::Add { name }) => {
            let token = admin::runner_add(data, name).await?;
            eprintln!("runner `{name}` may now connect; its token, which is not shown again:");
            println!("{}", token.expose_secret());
        }
        Subject::Token(Action::Add { name }) => {
            let token = admin::token_add(data, name).await?;
            eprintln!("token `{name}` for the API, which is not shown again:");
            println!("{}", token.expose_secret());
        }
        Subject::Runner(Action::List) => list(&admin::runner_list(data).await?, "last heard"),
        Subject::Token(Action::List) => list(&admin::token_list(data).await?, "last used"),
        Subject::Runner(Action::Revoke { name }) => {
            admin::runner_revoke(data, name).await?;
            eprintln!("runner `{name}` is refused from now on");
        }
        Subject::Token(Action::Revoke { name }) => {
            admin::token_revoke(data, name).await?;
            eprintln!("token `{name}` is refused from now on");
        }
        Subject::Secret(action) => secret::act(data, action).await?,
        Subject::Login { public_url } => {
            let link = admin::login(data, public_url.as_deref()).await?;
            eprintln!("this link works once, within a day:");
            println!("{}", link.expose_secret());
        }
    }
    Ok(())
}

fn list(items: &[Listed], used: &str) {
    for item in items {
        let moment = |at: i64| Timestamp(at).to_string();
        let last = item.last_used_at.map_or_else(|| "never".to_owned(), moment);
        let end = item
            .revoked_at
            .map_or_else(String::new, |at| format!("  revoked {}", moment(at)));
        println!(
            "{}  added {}  {used} {last}{end}",
            item.name,
            moment(item.created_at)
        );
    }
}
