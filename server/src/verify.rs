//! Looks at everything that is stored, and says what is wrong in words.

use std::collections::HashSet;
use std::path::Path;

use aws_lc_rs::digest;
use futures_util::StreamExt;
use pipelines::ids::{Attempt, JobId};

use crate::backup::{BackupError, files};
use crate::blobs::Blobs;
use crate::config::ObjectsConfig;
use crate::objects::Objects;
use crate::store::backup::Logged;
use crate::store::{Store, backup};
use crate::token::hex;

/// Bytes of a log that are read at once.
const PIECE: u64 = 1024 * 1024;

/// What a look has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// What was looked at, one sentence each.
    pub seen: Vec<String>,
    /// What is wrong; empty if all is well.
    pub problems: Vec<String>,
}

/// Looks at the database, the logs and the artifacts of `data`, also while its server works.
pub async fn verify(data: &Path, objects: &ObjectsConfig) -> Result<Verified, BackupError> {
    let store = Store::attach(data).await?;
    let mut db = store.reader().acquire().await?;
    let mut found = Verified {
        seen: Vec::new(),
        problems: backup::problems(&mut db).await?,
    };
    let is_sound = found.problems.is_empty();
    found.seen.push(match is_sound {
        true => "the database is sound, and no row names a row that is not there".to_owned(),
        false => "the database is damaged".to_owned(),
    });
    if !is_sound {
        // What it says about files is not to be trusted either.
        return Ok(found);
    }
    let attempts = backup::attempts(&mut db).await?;
    logs(data, &attempts, &mut found).await?;
    let named = backup::artifacts(&mut db).await?;
    drop(db);
    let blobs = Blobs::new(objects).map_err(|error| BackupError::Damaged(error.to_string()))?;
    artifacts(&blobs, &named, &mut found).await;
    Ok(found)
}

/// Every log belongs to an attempt and can be read; one that is packed has the length that was noted,
/// and one that has ended ends with a whole line.
async fn logs(data: &Path, attempts: &[Logged], found: &mut Verified) -> Result<(), BackupError> {
    let folder = data.join("logs");
    let io = |source| BackupError::Io {
        path: folder.clone(),
        source,
    };
    let name = |logged: &Logged| format!("{}.{}", logged.job_id, logged.attempt);
    let begun: HashSet<String> = attempts.iter().map(name).collect();
    for path in files(&folder).map_err(io)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let log = file.split_once(".log").map_or(&*file, |(log, _)| log);
        if !begun.contains(log) {
            let words = format!("log {file} belongs to no attempt of any job");
            found.problems.push(words);
        }
    }
    let objects = Objects::new(data);
    let (mut count, mut bytes) = (0, 0);
    for logged in attempts.iter().filter(|logged| !logged.is_deleted) {
        match read(&objects, logged).await {
            Ok(0) => {}
            Ok(length) => {
                count += 1;
                bytes += length;
            }
            Err(words) => {
                let name = name(logged);
                found.problems.push(format!("log {name} {words}"));
            }
        }
    }
    let words = format!("{count} logs with {bytes} bytes were read");
    found.seen.push(words);
    Ok(())
}

/// Reads a log to its end, and says how long it is.
async fn read(objects: &Objects, logged: &Logged) -> Result<u64, String> {
    let id = (JobId(logged.job_id), Attempt(logged.attempt));
    let (mut length, mut last) = (0, None);
    loop {
        let piece = objects.read(id, length, PIECE).await;
        let piece = piece.map_err(|error| format!("cannot be read: {error}"))?;
        let Some(byte) = piece.last() else {
            break;
        };
        last = Some(*byte);
        length += piece.len() as u64;
    }
    let noted = logged.log_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    match noted {
        Some(noted) if noted != length => Err(format!("has {length} bytes and not {noted}")),
        _ if logged.is_ended && last.is_some_and(|last| last != b'\n') => {
            Err("ends in the middle of a line".into())
        }
        _ => Ok(length),
    }
}

/// Every artifact has the bytes that were stored.
async fn artifacts(blobs: &Blobs, named: &[backup::ArtifactBytes], found: &mut Verified) {
    for (object, bytes, digest) in named {
        if let Err(words) = compare(blobs, object, (*bytes, digest)).await {
            found.problems.push(format!("artifact {object} {words}"));
        }
    }
    let count = named.len();
    found.seen.push(format!(
        "{count} artifacts were compared with their digests"
    ));
}

async fn compare(blobs: &Blobs, object: &str, (bytes, said): (i64, &str)) -> Result<(), String> {
    let read = blobs.read(object).await;
    let read = read.map_err(|error| format!("cannot be read: {error}"))?;
    let (_, mut content) = read.ok_or("is gone")?;
    let (mut sum, mut count) = (digest::Context::new(&digest::SHA256), 0_i64);
    while let Some(piece) = content.next().await {
        let piece = piece.map_err(|error| format!("cannot be read: {error}"))?;
        count += i64::try_from(piece.len()).unwrap_or(i64::MAX);
        sum.update(&piece);
    }
    if (count, hex(sum.finish().as_ref()).as_str()) == (bytes, said) {
        return Ok(());
    }
    Err("has other bytes than were stored".into())
}
