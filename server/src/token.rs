//! Secrets we hand out: tokens of runners and programs, sign-in links, sessions.
//!
//! A token is `PREFIX_ID_SECRET`. The id is public and finds the row; of the secret only the SHA-256
//! is stored. It has 256 random bits, so a fast digest is enough: there is nothing to guess.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, rand};
use secrecy::{ExposeSecret, SecretString};

/// Who a token is for. The prefix tells scanners, and people, what they have found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A runner: `swr_…`.
    Runner,
    /// A program that uses the API: `swt_…`.
    Api,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Runner => "swr",
            Self::Api => "swt",
        }
    }
}

/// A token just made. Its text is shown once and never stored.
#[derive(Debug)]
pub struct Minted {
    /// The public part.
    pub id: String,
    /// The SHA-256 of the secret part: what is stored.
    pub hash: [u8; 32],
    /// All of it.
    pub text: SecretString,
}

/// Makes a token.
pub fn mint(kind: Kind) -> Minted {
    let (id, secret) = (random_hex::<8>(), random_secret());
    let hash = hash(secret.expose_secret());
    let text = format!("{}_{id}_{}", kind.prefix(), secret.expose_secret()).into();
    Minted { id, hash, text }
}

/// A token somebody came with: well formed, and nothing more is known about it.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The public part: find the row by it, then ask [`Presented::matches`].
    pub id: String,
    hash: [u8; 32],
}

impl Presented {
    /// Reads a token of that kind.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let (id, secret) = rest.split_once('_')?;
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (id.len() == 16 && secret.len() == 64 && is_hex(id) && is_hex(secret)).then(|| Self {
            id: id.to_owned(),
            hash: hash(secret),
        })
    }

    /// Whether this is the token whose hash is stored, in constant time.
    pub fn matches(&self, stored: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.hash, stored).is_ok()
    }
}

/// A fresh secret of 256 bits, in hexadecimal: for links and sessions.
pub fn random_secret() -> SecretString {
    random_hex::<32>().into()
}

/// A random number that is not negative: it names something, and is no secret.
pub(crate) fn random_number() -> i64 {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    i64::from_le_bytes(bytes) & i64::MAX
}

/// What is stored of a secret.
pub fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_token_matches_its_hash_and_no_other() {
        let (one, two) = (mint(Kind::Runner), mint(Kind::Runner));
        let presented = Presented::parse(Kind::Runner, one.text.expose_secret()).unwrap();
        assert_eq!(presented.id, one.id);
        assert!(presented.matches(&one.hash));
        assert!(!presented.matches(&two.hash));
        assert!(!presented.matches(&[]));
    }

    #[test]
    fn a_token_of_another_kind_or_shape_is_refused() {
        let token = mint(Kind::Runner);
        let text = token.text.expose_secret();
        assert!(Presented::parse(Kind::Api, text).is_none());
        assert!(Presented::parse(Kind::Runner, &text[..text.len() - 1]).is_none());
        assert!(Presented::parse(Kind::Runner, "swr__").is_none());
        assert!(!format!("{token:?}").contains(text));
    }
}
