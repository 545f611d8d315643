use super::reference::{LEVELS, levels};
use crate::definition::keys;

/// The keys of a level of the schemas, in alphabetical order.
fn properties(name: &str) -> Vec<String> {
    let all = levels();
    let properties = all
        .get(name)
        .and_then(|level| level["properties"].as_object());
    properties.map_or_else(Vec::new, |keys| keys.keys().cloned().collect())
}

#[test]
fn every_level_of_the_schemas_has_the_keys_that_are_read() {
    for (keys, _, name) in LEVELS {
        let mut known: Vec<&str> = keys.known.to_vec();
        known.sort_unstable();
        assert_eq!(properties(name), known, "{name}");
    }
}

#[test]
fn every_level_that_is_read_is_in_the_reference_once() {
    let mut left: Vec<_> = keys::LEVELS.to_vec();
    for (keys, ..) in LEVELS {
        let at = left.iter().position(|other| other == keys);
        left.remove(at.unwrap());
    }
    assert_eq!(left, Vec::<&keys::Keys>::new());
}

#[test]
fn every_key_and_level_is_explained() {
    let page = super::reference();
    let bare: Vec<_> = page
        .lines()
        .filter(|line| line.ends_with("|  |") || line.contains("|  |"))
        .collect();
    assert_eq!(bare, Vec::<&str>::new());
}
