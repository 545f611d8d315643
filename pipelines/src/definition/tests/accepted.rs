//! Every key, in every form it may have. `tests/it/schema.rs` holds the same file against the schema.

use super::super::keys;
use super::*;

const ACCEPTED: &str = include_str!("accepted.yml");

#[test]
fn every_form_of_every_key_is_accepted() {
    assert_eq!(problems(ACCEPTED), "nothing");
}

#[test]
fn no_key_of_a_pipeline_is_left_out_above() {
    let elsewhere = ["a file of templates", "an environment"];
    let levels = keys::LEVELS.iter();
    let levels = levels.filter(|keys| !elsewhere.contains(&keys.level));
    let is_there = |key: &str| ACCEPTED.contains(&format!("{key}:"));
    let left: Vec<_> = levels
        .flat_map(|keys| keys.known)
        .filter(|key| !is_there(key))
        .collect();
    assert_eq!(left, Vec::<&&str>::new());
}
