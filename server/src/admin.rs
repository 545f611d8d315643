//! Administration over the data directory, also while the server runs.
//!
//! Whoever may read and write the data directory is the administrator. Each function opens the
//! database without the server's lock, does one thing and records it; the server sees it at once.

use std::io;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::secrets::KeyError;
use crate::store::access::{self, NewToken};
use crate::store::{OpenError, Store, audit};
use crate::token::{self, Kind, Minted};

pub use crate::store::access::Listed;

pub mod secrets;

#[cfg(test)]
mod tests;

/// The exit code of a program whose storage was refused.
pub const EXIT_STORAGE: u8 = 4;

/// Where the running server notes its address, for sign-in links.
const ADDRESS_FILE: &str = "address";

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The data directory was refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The name is none.
    #[error("`{0}` is not a name: use 1 to 63 of a-z, A-Z, 0-9, `.`, `_`, `-`")]
    BadName(String),
    /// The name is taken, perhaps by one that was revoked.
    #[error("there is or was a {what} called `{name}`: choose another name")]
    Taken {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no {what} called `{name}` that could be revoked")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What was asked makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The key of the secrets was refused.
    #[error(transparent)]
    Key(KeyError),
    /// The database refused.
    #[error("the database refused: {0}")]
    Storage(#[from] sqlx::Error),
    /// The system refused.
    #[error("cannot write to the data directory: {0}")]
    Io(#[from] io::Error),
}

impl AdminError {
    /// What the program exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(_) | Self::Storage(_) | Self::Io(_) | Self::Key(_) => EXIT_STORAGE,
            Self::BadName(_) | Self::Refused(_) => 2,
            Self::Taken { .. } | Self::Missing { .. } => 1,
        }
    }
}

/// The name in the audit log of what is done here.
const ACTOR: &str = "administrator";

/// Registers a runner and returns its token, which is shown this once.
pub async fn runner_add(data: &Path, name: &str) -> Result<SecretString, AdminError> {
    let (store, minted) = (attach_for(data, name).await?, token::mint(Kind::Runner));
    let now = Clock.now();
    let mut tx = store.begin().await?;
    if access::insert_runner(&mut tx, new(name, &minted), now)
        .await?
        .is_none()
    {
        return Err(taken("runner", name));
    }
    audit::record(&mut tx, now, (ACTOR, "runner.add", name), "").await?;
    tx.commit().await?;
    Ok(minted.text)
}

/// Every runner that was ever registered, by name.
pub async fn runner_list(data: &Path) -> Result<Vec<Listed>, AdminError> {
    Ok(access::runners(Store::attach(data).await?.reader()).await?)
}

/// Ends a runner's token: its next call is refused, and what it works on goes to others.
pub async fn runner_revoke(data: &Path, name: &str) -> Result<(), AdminError> {
    let (store, now) = (Store::attach(data).await?, Clock.now());
    let mut tx = store.begin().await?;
    if !access::revoke_runner(&mut tx, name, now).await? {
        return Err(missing("runner", name));
    }
    audit::record(&mut tx, now, (ACTOR, "runner.revoke", name), "").await?;
    Ok(tx.commit().await?)
}

/// Makes a token for the API and returns it; it is shown this once.
pub async fn token_add(data: &Path, name: &str) -> Result<SecretString, AdminError> {
    let (store, minted) = (attach_for(data, name).await?, token::mint(Kind::Api));
    let now = Clock.now();
    let mut tx = store.begin().await?;
    if !access::insert_token(&mut tx, new(name, &minted), now).await? {
        return Err(taken("token", name));
    }
    audit::record(&mut tx, now, (ACTOR, "token.add", name), "").await?;
    tx.commit().await?;
    Ok(minted.text)
}

/// Every token for the API that was ever made, by name.
pub async fn token_list(data: &Path) -> Result<Vec<Listed>, AdminError> {
    Ok(access::tokens(Store::attach(data).await?.reader()).await?)
}

/// Ends a token for the API.
pub async fn token_revoke(data: &Path, name: &str) -> Result<(), AdminError> {
    let (store, now) = (Store::attach(data).await?, Clock.now());
    let mut tx = store.begin().await?;
    if !access::revoke_token(&mut tx, name, now).await? {
        return Err(missing("token", name));
    }
    audit::record(&mut tx, now, (ACTOR, "token.revoke", name), "").await?;
    Ok(tx.commit().await?)
}

/// Makes a one-time sign-in link. It begins with `public_url` if one is given, else with the address
/// at which the server was last started.
pub async fn login(data: &Path, public_url: Option<&str>) -> Result<SecretString, AdminError> {
    let store = Store::attach(data).await?;
    let noted = std::fs::read_to_string(data.join(ADDRESS_FILE)).unwrap_or_default();
    let noted = match noted.trim() {
        "" => "http://127.0.0.1:8080",
        noted => noted,
    };
    new_link(&store, public_url.unwrap_or(noted)).await
}

/// Makes a one-time sign-in link.
pub(crate) async fn new_link(store: &Store, public_url: &str) -> Result<SecretString, AdminError> {
    let (secret, now) = (token::random_secret(), Clock.now());
    let mut tx = store.begin().await?;
    access::insert_login(&mut tx, &token::hash(secret.expose_secret()), now).await?;
    audit::record(&mut tx, now, (ACTOR, "login.link", ""), "").await?;
    tx.commit().await?;
    let base = public_url.trim_end_matches('/');
    Ok(format!("{base}/login?token={}", secret.expose_secret()).into())
}

/// Notes the address at which the server is reached.
pub(crate) fn note_address(data: &Path, public_url: &str) -> Result<(), AdminError> {
    Ok(std::fs::write(
        data.join(ADDRESS_FILE),
        format!("{public_url}\n"),
    )?)
}

async fn attach_for(data: &Path, name: &str) -> Result<Store, AdminError> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = (1..=63).contains(&name.len())
        && name.bytes().all(ok)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !is_name {
        return Err(AdminError::BadName(name.chars().take(80).collect()));
    }
    Ok(Store::attach(data).await?)
}

fn new<'a>(name: &'a str, minted: &'a Minted) -> NewToken<'a> {
    NewToken {
        name,
        id: &minted.id,
        hash: &minted.hash,
    }
}

fn taken(what: &'static str, name: &str) -> AdminError {
    let name = name.to_owned();
    AdminError::Taken { what, name }
}

fn missing(what: &'static str, name: &str) -> AdminError {
    let name = name.to_owned();
    AdminError::Missing { what, name }
}
