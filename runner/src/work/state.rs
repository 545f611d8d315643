//! A runner's state folder: its lock, its identity, and what a former life has claimed.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};
use ulid::Ulid;

use crate::claims::Claims;

/// Takes the state folder for this process alone; answers what names it and what it has claimed.
pub(super) fn occupy(folder: &Path) -> anyhow::Result<(File, Ulid, Claims, Vec<Ulid>)> {
    let shown = folder.display();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the state folder at {shown}"))?;
    let lock = File::create(folder.join("lock"))
        .with_context(|| format!("cannot lock the state folder at {shown}"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "another runner uses the state folder at {shown}: stop it, or give this one its own with --state"
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock the state folder at {shown}"));
        }
    }
    let instance = read_instance(&folder.join("instance"))?;
    let (claims, keys) =
        Claims::open(folder).with_context(|| format!("cannot read {shown}/claims"))?;
    Ok((lock, instance, claims, keys))
}

fn read_instance(file: &Path) -> anyhow::Result<Ulid> {
    let shown = file.display();
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().with_context(|| {
            format!(
                "cannot read this runner's identity at {shown}: remove the file to get a new one"
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let instance = Ulid::generate();
            // Written beside and moved, so that a crash never leaves half an identity.
            let draft = file.with_extension("new");
            std::fs::write(&draft, format!("{instance}\n"))
                .and_then(|()| std::fs::rename(&draft, file))
                .with_context(|| format!("cannot write this runner's identity at {shown}"))?;
            Ok(instance)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read this runner's identity at {shown}"))
        }
    }
}
