//! A copy of everything in one file, made while the server works, and the way back.
//!
//! The file is a tar archive: the logs, the bytes of artifacts if they are files, and at its end the
//! database. So an archive that was cut off has no database and is no backup. The database is copied
//! first, as of one moment; bytes are durable before a row names them, so what its rows name is there
//! to be copied after it. Caches are left out, and so is the key of the secrets: whoever has both can
//! read them all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use pipelines::ids::{Attempt, JobId};
use pipelines::timestamp::Timestamp;
use sqlx::Connection;
use tar::{Archive, Builder, EntryType, Header};

use crate::admin;
use crate::app::App;
use crate::clock::Clock;
use crate::config::ObjectsConfig;
use crate::objects::Objects;
use crate::progress;
use crate::store::{OpenError, Store, backup};

use pipelines::job::Outcome;
use pipelines::run::RunEvent;

const DATABASE: &str = "seaworthy.db";

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory was refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something is there already.
    #[error("{0} is there already and is not overwritten: name another, or remove it first")]
    Exists(PathBuf),
    /// A part of the data directory or of the backup is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// The database refused.
    #[error("the database refused: {0}")]
    Storage(#[from] sqlx::Error),
    /// The system refused.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BackupError {
    /// What the program exits with.
    pub fn exit_code(&self) -> u8 {
        admin::EXIT_STORAGE
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io {
        path: path.to_owned(),
        source,
    }
}

/// What a backup holds, or a restore has put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Logs.
    pub logs: usize,
    /// Artifacts and reports. Those of a bucket are not copied.
    pub artifacts: usize,
    /// Bytes of all files, with the database.
    pub bytes: u64,
}

/// Writes a backup of `data`, whose artifacts are at `objects`, to the new file `to`.
pub async fn backup(data: &Path, objects: &ObjectsConfig, to: &Path) -> Result<Held, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let store = Store::attach(data).await?;
    // Until it is whole it has another name.
    let beside = |ending: &str| {
        let mut name = to.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (partial, copy) = (beside(".partial"), beside(".db"));
    let made = write(&store, (data, objects), (&partial, &copy)).await;
    remove(&copy)?;
    let held = match made {
        Ok(held) => held,
        Err(error) => {
            remove(&partial)?;
            return Err(error);
        }
    };
    std::fs::rename(&partial, to).map_err(at(to))?;
    sync_folder(to)?;
    Ok(held)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn write(
    store: &Store,
    (data, objects): (&Path, &ObjectsConfig),
    (to, copy): (&Path, &Path),
) -> Result<Held, BackupError> {
    // What a former try has left is of another moment.
    remove(copy)?;
    let now = Clock.now();
    backup::copy(store, copy).await?;
    let mut database = backup::open(copy).await?;
    backup::prepare(&mut database, now).await?;
    let problems = backup::problems(&mut database).await?;
    if !problems.is_empty() {
        let words = problems.join("; ");
        return Err(BackupError::Damaged(format!(
            "the database is damaged: {words}"
        )));
    }
    let artifacts = backup::artifacts(&mut database).await?;
    let attempts = backup::attempts(&mut database).await?;
    database.close().await?;
    let mut into = Builder::new(File::create(to).map_err(at(to))?);
    let mut held = Held::default();
    let logs = Objects::new(data);
    for logged in attempts {
        // One that has begun since the copy is no log of it. One that is not there has said nothing,
        // was removed by its rule, or has just been packed.
        let plain = logs.path(JobId(logged.job_id), Attempt(logged.attempt));
        let packed = plain.with_extension("log.zst");
        let is_there = append(&mut into, (data, &plain), &mut held.bytes)?
            || append(&mut into, (data, &packed), &mut held.bytes)?;
        held.logs += usize::from(is_there);
    }
    if let ObjectsConfig::Folder(folder) = objects {
        for (object, ..) in artifacts {
            let path = folder.join(&object);
            let place = (Path::new("objects").join(object), path);
            held.artifacts += usize::from(append_as(&mut into, place, &mut held.bytes)?);
        }
    }
    append_as(
        &mut into,
        (DATABASE.into(), copy.to_owned()),
        &mut held.bytes,
    )?;
    let file = into.into_inner().map_err(at(to))?;
    file.sync_all().map_err(at(to))?;
    Ok(held)
}

/// All files below a folder, or none if it is not there.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn append(
    into: &mut Builder<File>,
    (data, path): (&Path, &Path),
    bytes: &mut u64,
) -> Result<bool, BackupError> {
    let name = path.strip_prefix(data).unwrap_or(path).to_owned();
    append_as(into, (name, path.to_owned()), bytes)
}

/// Puts a file into the archive as it is now: what is appended to it meanwhile is left out. False if
/// it is not there.
fn append_as(
    into: &mut Builder<File>,
    (name, path): (PathBuf, PathBuf),
    bytes: &mut u64,
) -> Result<bool, BackupError> {
    let failed = at(&path);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(&failed)?,
    };
    let length = file.metadata().map_err(&failed)?.len();
    let mut header = Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    let mut whole = Whole(file.take(length));
    into.append_data(&mut header, name, &mut whole)
        .map_err(&failed)?;
    *bytes += length;
    Ok(true)
}

/// A file that must not end before its time: the archive's header has said how long it is.
struct Whole(io::Take<File>);

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if self.0.limit() > 0 && !buffer.is_empty() => Err(io::Error::other(
                "it became shorter while it was read: try again",
            )),
            count => Ok(count),
        }
    }
}

/// Puts a backup back into `data`, which must not be there or be empty.
pub async fn restore(from: &Path, data: &Path) -> Result<Held, BackupError> {
    let is_empty = match std::fs::read_dir(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        entries => entries.map_err(at(data))?.next().is_none(),
    };
    if !is_empty {
        return Err(BackupError::Exists(data.to_owned()));
    }
    std::fs::create_dir_all(data).map_err(at(data))?;
    // Until it has been looked at, the database has another name: a server refuses the folder.
    let copy = data.join("seaworthy.db.partial");
    let held = unpack(from, data, &copy)?;
    if !copy.exists() {
        let words = "it is no backup, or was cut off: there is no database at its end";
        return Err(BackupError::Damaged(format!("{}: {words}", from.display())));
    }
    let mut database = backup::open(&copy).await?;
    let problems = backup::problems(&mut database).await?;
    database.close().await?;
    if !problems.is_empty() {
        let words = problems.join("; ");
        return Err(BackupError::Damaged(format!(
            "the database in it is damaged: {words}"
        )));
    }
    let database = data.join(DATABASE);
    std::fs::rename(&copy, &database).map_err(at(&database))?;
    sync_folder(&database)?;
    Ok(held)
}

fn unpack(from: &Path, data: &Path, copy: &Path) -> Result<Held, BackupError> {
    let failed = at(from);
    let mut archive = Archive::new(File::open(from).map_err(&failed)?);
    let mut held = Held::default();
    for entry in archive.entries().map_err(&failed)? {
        let mut entry = entry.map_err(&failed)?;
        let name = entry.path().map_err(&failed)?.into_owned();
        let plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let kind = name
            .components()
            .next()
            .map(|part| part.as_os_str().to_owned());
        let kind = kind.as_deref().and_then(|kind| kind.to_str());
        let to = match kind {
            Some("logs") => data.join(&name),
            Some("objects") => data.join(&name),
            Some(DATABASE) if name == Path::new(DATABASE) => copy.to_owned(),
            Some(_) | None => return Err(foreign(from, &name)),
        };
        if !plain || entry.header().entry_type() != EntryType::Regular {
            return Err(foreign(from, &name));
        }
        held.logs += usize::from(kind == Some("logs"));
        held.artifacts += usize::from(kind == Some("objects"));
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let mut file = File::create_new(&to).map_err(at(&to))?;
        held.bytes += io::copy(&mut entry, &mut file).map_err(at(&to))?;
        file.sync_all().map_err(at(&to))?;
        sync_folder(&to)?;
    }
    Ok(held)
}

fn foreign(from: &Path, name: &Path) -> BackupError {
    let (from, name) = (from.display(), name.display());
    BackupError::Damaged(format!(
        "{from} is no backup of seaworthy: it has `{name}` in it"
    ))
}

/// Makes the name of a file durable.
fn sync_folder(path: &Path) -> Result<(), BackupError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}

/// Ends every run that was open when the backup was made from which this database was restored: what
/// became of it since then is not known, and it must not be done a second time.
pub(crate) async fn settle(app: &App) -> anyhow::Result<usize> {
    let Some(made) = backup::restored(app.store.reader()).await? else {
        return Ok(0);
    };
    let open = backup::open_runs(app.store.reader()).await?;
    for run in &open {
        let event = RunEvent::Stop {
            outcome: Outcome::Cancelled,
            reason: unknown(made),
        };
        progress::apply(app, *run, event).await?;
    }
    let mut tx = app.store.begin().await?;
    backup::forget_restored(&mut tx).await?;
    tx.commit().await?;
    Ok(open.len())
}

fn unknown(made: Timestamp) -> String {
    format!("the history was restored from a backup of {made}: how this went on is not known")
}
