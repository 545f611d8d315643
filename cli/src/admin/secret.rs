//! `seaworthy admin secret`: what jobs may know and nobody may read.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use pipelines::limits::SECRET_BYTES_MAX;
use pipelines::names::EnvironmentName;
use pipelines::plan::JobKind;
use secrecy::SecretString;
use server::admin::AdminError;
use server::admin::secrets::{self, Change, Rules};
use server::config::secret_key_file;

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Set one; its value is read from standard input
    ///
    /// A value of one line is taken without its line end, one of several lines as it is. A secret
    /// that is there is replaced, with its rules.
    Set(Set),
    /// List them, without their values
    List,
    /// Remove one
    Remove {
        /// Its name
        name: String,
        /// The repository it is for, if it is not for all
        #[arg(long = "repo", value_name = "OWNER/NAME")]
        repository: Option<String>,
    },
}

/// A secret to set.
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Its name, as pipeline files write it: a-z, 0-9, `_`
    name: String,
    /// Only for jobs of this repository; without, for all
    #[arg(long = "repo", value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// Only for runs of branches like this one; may be given several times
    #[arg(long = "branch", value_name = "PATTERN")]
    branches: Vec<String>,
    /// Only for deploys to this environment; may be given several times
    #[arg(long = "environment", value_name = "NAME")]
    environments: Vec<EnvironmentName>,
    /// Only for jobs of this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<JobKind>,
    /// The key that secrets are sealed with, if it is not in the data directory
    #[arg(long, env = "SEAWORTHY_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

fn kind(text: &str) -> Result<JobKind, String> {
    let kinds = [JobKind::Steps, JobKind::Build, JobKind::Deploy];
    let found = kinds.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| "use steps, build or deploy".to_owned())
}

/// Does it, and says what was done.
pub(super) async fn act(data: &Path, action: &Action) -> Result<(), AdminError> {
    match action {
        Action::Set(set) => self::set(data, set).await?,
        Action::List => {
            for one in secrets::list(data).await? {
                let whose = one.repository.as_deref();
                let whose = whose.map_or_else(
                    || "every repository".to_owned(),
                    |name| format!("--repo {name}"),
                );
                let (rules, changed) = (secrets::words(&one.rules), one.changed_at);
                println!("{}  {whose}{rules}  set {changed}", one.name);
            }
        }
        Action::Remove { name, repository } => {
            secrets::remove(data, name, repository.as_deref()).await?;
            eprintln!(
                "secret `{name}` is removed; jobs that run now keep what they have been given"
            );
        }
    }
    Ok(())
}

async fn set(data: &Path, set: &Set) -> Result<(), AdminError> {
    let value = value()?;
    let rules = Rules {
        branches: set.branches.clone(),
        environments: set.environments.clone(),
        kinds: set.kinds.clone(),
    };
    let change = Change {
        name: &set.name,
        repository: set.repository.as_deref(),
        rules,
    };
    let key_file = set.secret_key_file.clone();
    let key_file = key_file.unwrap_or_else(|| secret_key_file(data));
    let is_changed = secrets::set((data, &key_file), change, value).await?;
    let (name, done) = (&set.name, if is_changed { "changed" } else { "set" });
    eprintln!("secret `{name}` is {done}; its value is not shown again");
    Ok(())
}

/// The value, from standard input: an argument would stand in the list of processes and in the
/// shell's history, and a terminal would show it.
fn value() -> Result<SecretString, AdminError> {
    let refused = |words: &str| AdminError::Refused(words.to_owned());
    let input = std::io::stdin().lock();
    if input.is_terminal() {
        let words = "give the value on standard input: seaworthy admin secret set NAME < FILE";
        return Err(refused(words));
    }
    // One byte more than may be, so that the refusal says so; never without a bound.
    let mut input = input.take(SECRET_BYTES_MAX as u64 + 3);
    let mut text = String::new();
    if let Err(error) = input.read_to_string(&mut text) {
        return Err(match error.kind() {
            std::io::ErrorKind::InvalidData => refused("the value is no text: it must be UTF-8"),
            _ => AdminError::Io(error),
        });
    }
    // What `echo` adds is not part of a password; what ends a key in PEM is part of it.
    let line = text
        .strip_suffix('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        Some(line) if !line.contains('\n') => Ok(line.to_owned().into()),
        Some(_) | None => Ok(text.into()),
    }
}
