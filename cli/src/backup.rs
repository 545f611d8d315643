//! `seaworthy backup`, `restore` and `verify`: a copy of everything, the way back, and a look.

use std::path::{Path, PathBuf};

use server::backup::{BackupError, Held};
use server::config::ObjectsConfig;

use crate::Exit;

/// Where everything is.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Where the server's data is
    #[arg(long, env = "SEAWORTHY_DATA", default_value = "./data")]
    data: PathBuf,
    /// Where artifacts are, if not in the data directory
    #[arg(long, env = "SEAWORTHY_OBJECTS_URL", value_name = "URL")]
    objects_url: Option<String>,
}

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The file to write, which must not be there yet
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// What to restore, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// A file that `seaworthy backup` has written
    file: PathBuf,
    /// The data directory to fill, which must be empty or not there
    #[arg(long, env = "SEAWORTHY_DATA", default_value = "./data")]
    data: PathBuf,
}

impl Place {
    fn objects(&self) -> Result<ObjectsConfig, Exit> {
        let url = self.objects_url.as_deref();
        server::config::objects_of(url, &self.data).map_err(|error| {
            eprintln!("seaworthy: {error}");
            Exit::Configuration
        })
    }
}

/// Writes a backup.
pub(crate) async fn backup(args: BackupArgs) -> Exit {
    let objects = match args.place.objects() {
        Ok(objects) => objects,
        Err(exit) => return exit,
    };
    let made = server::backup::backup(&args.place.data, &objects, &args.file).await;
    if let (Ok(_), ObjectsConfig::Bucket(_)) = (&made, &objects) {
        eprintln!("artifacts are in a bucket and not in this file: keep the bucket, too");
    }
    let what = format!("{} holds", args.file.display());
    let done = say(&what, made);
    if done == Exit::Done {
        eprintln!("the key of the secrets is not in it: keep a copy of secret.key, apart from it");
    }
    done
}

/// Puts a backup back.
pub(crate) async fn restore(args: RestoreArgs) -> Exit {
    let done = server::backup::restore(&args.file, &args.data).await;
    let what = format!("{} has again", args.data.display());
    say(&what, done)
}

fn say(what: &str, done: Result<Held, BackupError>) -> Exit {
    match done {
        Ok(held) => {
            let Held {
                logs,
                artifacts,
                bytes,
            } = held;
            eprintln!("{what} the database, {logs} logs and {artifacts} artifacts: {bytes} bytes");
            Exit::Done
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &BackupError) -> Exit {
    eprintln!("seaworthy: {error}");
    Exit::of_code(error.exit_code())
}

/// Looks at everything.
pub(crate) async fn verify(place: Place) -> Exit {
    let objects = match place.objects() {
        Ok(objects) => objects,
        Err(exit) => return exit,
    };
    let data: &Path = &place.data;
    let found = match server::verify::verify(data, &objects).await {
        Ok(found) => found,
        Err(error) => return refuse(&error),
    };
    for line in &found.seen {
        println!("{line}");
    }
    for problem in &found.problems {
        println!("PROBLEM: {problem}");
    }
    match found.problems.is_empty() {
        true => Exit::Done,
        false => Exit::Storage,
    }
}
