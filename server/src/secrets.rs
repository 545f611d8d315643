//! Secrets: sealed where they are stored, and given to the jobs that may have them.
//!
//! A secret is sealed with AES-256-GCM under a key that is a file, not a row: the database alone, or
//! a copy of it, opens nothing. Whose secret it is and its name are sealed in, so that a row which
//! somebody moves or renames does not open either.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use pipelines::ids::RepoId;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::token::random_secret;

pub(crate) mod rules;

/// The first byte of what is sealed: how it is to be opened.
const SEALED_1: u8 = 1;
/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Why a key could not be had, or did not open a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such file, though there are secrets sealed with it.
    #[error(
        "the key of the secrets, {0}, is not there: put it back, or name it in SEAWORTHY_SECRET_KEY_FILE"
    )]
    Missing(PathBuf),
    /// The file is no key.
    #[error("{0} holds no key: it must be 64 hexadecimal digits, as seaworthy wrote them")]
    Malformed(PathBuf),
    /// The key is another one.
    #[error(
        "the key in {path} is not the one that secret `{name}` was sealed with: put the right key back, or set the secret again"
    )]
    Other {
        /// Where the key was read.
        path: PathBuf,
        /// The secret that it does not open.
        name: String,
    },
    /// The system refused.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The key that secrets are sealed with.
#[derive(Debug)]
pub(crate) struct Key {
    bytes: SecretBox<[u8; KEY_BYTES]>,
    path: PathBuf,
}

impl Key {
    /// Reads the key.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path.to_owned()));
            }
            Err(error) => return Err(unusable(path)(error)),
        };
        let bytes = unhex(text.expose_secret().trim());
        Ok(Self {
            bytes: bytes.ok_or_else(|| KeyError::Malformed(path.to_owned()))?,
            path: path.to_owned(),
        })
    }

    /// Reads the key, and makes one if there is none. For the first secret only: a key that is lost
    /// must not be followed by another as if nothing had happened.
    pub(crate) fn read_or_make(path: &Path) -> Result<Self, KeyError> {
        match Self::read(path) {
            Err(KeyError::Missing(_)) => {}
            other => return other,
        }
        // Written beside it and linked: it is there whole or not at all, and of two who make one
        // at the same time the second reads the first's.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        write_private(&new).map_err(unusable(&new))?;
        let linked = std::fs::hard_link(&new, path);
        std::fs::remove_file(&new).map_err(unusable(&new))?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(unusable(path)(error))
            }
            Ok(()) | Err(_) => {
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(unusable(folder))?;
                Self::read(path)
            }
        }
    }

    /// Seals a value for its place.
    pub(crate) fn seal(&self, place: Place<'_>, value: &SecretString) -> Vec<u8> {
        let mut bytes = value.expose_secret().as_bytes().to_vec();
        let sealed = self
            .cipher()
            .seal_in_place_append_tag(place.aad(), &mut bytes);
        let nonce = sealed.expect("the system gives random bytes, and the value is short");
        let mut all = vec![SEALED_1];
        all.extend_from_slice(nonce.as_ref());
        all.extend_from_slice(&bytes);
        all
    }

    /// Opens what was sealed for this place, and for no other, with this key.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretString, KeyError> {
        let other = || KeyError::Other {
            path: self.path.clone(),
            name: place.name.to_owned(),
        };
        let rest = sealed.strip_prefix(&[SEALED_1]).ok_or_else(other)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or_else(other)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| other())?;
        let mut bytes = rest.to_vec();
        let opened = self.cipher().open_in_place(nonce, place.aad(), &mut bytes);
        let opened = opened.map_err(|_| other())?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| other())?;
        Ok(text.into())
    }

    fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, self.bytes.expose_secret())
            .expect("the key has the cipher's length")
    }
}

/// Whose secret it is, and its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// None: it is for every repository.
    pub(crate) repo: Option<RepoId>,
    pub(crate) name: &'a str,
}

impl Place<'_> {
    fn aad(&self) -> Aad<Vec<u8>> {
        let whose = self
            .repo
            .map_or_else(|| "all".to_owned(), |repo| repo.to_string());
        Aad::from(format!("seaworthy secret/{whose}/{}", self.name).into_bytes())
    }
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path, source }
}

/// Writes a new key that its owner alone may read.
fn write_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", random_secret().expose_secret())?;
    file.sync_all()
}

fn unhex(text: &str) -> Option<SecretBox<[u8; KEY_BYTES]>> {
    let mut bytes = SecretBox::new(Box::new([0; KEY_BYTES]));
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    let digits = text.as_bytes().chunks_exact(2);
    for (byte, pair) in secrecy::ExposeSecretMut::expose_secret_mut(&mut bytes)
        .iter_mut()
        .zip(digits)
    {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
