//! The key, and what it seals.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const PLACE: Place<'_> = Place {
    repo: Some(RepoId(7)),
    name: "npm_token",
};

fn key() -> (tempfile::TempDir, Key) {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::read_or_make(&folder.path().join("secret.key")).unwrap();
    (folder, key)
}

#[test]
fn a_secret_opens_where_it_was_sealed_and_nowhere_else() {
    let (_folder, key) = key();
    let sealed = key.seal(PLACE, &"canary".to_owned().into());
    let open = |place, sealed: &[u8]| {
        let opened = key.open(place, sealed);
        opened.map(|value| value.expose_secret().to_owned()).ok()
    };
    assert_eq!(open(PLACE, &sealed).as_deref(), Some("canary"));
    let moved = [
        Place {
            repo: None,
            ..PLACE
        },
        Place {
            repo: Some(RepoId(8)),
            ..PLACE
        },
        Place {
            name: "npm_token2",
            ..PLACE
        },
    ];
    for place in moved {
        assert_eq!(open(place, &sealed), None, "{place:?}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(PLACE, &changed), None, "byte {at}");
        assert_eq!(open(PLACE, &sealed[..at]), None, "{at} bytes");
    }
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    let (_folder, key) = key();
    let value = "canary".to_owned().into();
    assert_ne!(key.seal(PLACE, &value), key.seal(PLACE, &value));
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let (folder, key) = key();
    let path = folder.path().join("secret.key");
    let sealed = key.seal(PLACE, &"canary".to_owned().into());
    let again = Key::read_or_make(&path).unwrap();
    assert_eq!(
        again.open(PLACE, &sealed).unwrap().expose_secret(),
        "canary"
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let words = format!("{key:?}");
    assert!(
        !words.contains(std::fs::read_to_string(&path).unwrap().trim()),
        "{words}"
    );
}

#[test]
fn a_key_that_is_gone_wrong_or_another_is_told_apart() {
    let (folder, key) = key();
    let sealed = key.seal(PLACE, &"canary".to_owned().into());
    let path = folder.path().join("other.key");
    let missing = Key::read(&path).unwrap_err();
    std::fs::write(&path, "no key").unwrap();
    let malformed = Key::read(&path).unwrap_err();
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    let other = Key::read(&path).unwrap().open(PLACE, &sealed).unwrap_err();
    assert!(matches!(missing, KeyError::Missing(_)), "{missing}");
    assert!(matches!(malformed, KeyError::Malformed(_)), "{malformed}");
    assert!(matches!(other, KeyError::Other { .. }), "{other}");
}
