//! The files that are known to be meant badly, each with the limit or rule that stops it.
//! `cargo bench -p pipelines --bench worst` shows what each of them costs.

use super::*;

#[path = "../../../benches/worst/files.rs"]
mod files;

/// The first problem of each file.
fn first(text: &str) -> String {
    let Err(problems) = Definition::parse(text) else {
        return "accepted".into();
    };
    problems.first().map_or_else(String::new, show)
}

#[test]
fn every_bad_file_is_refused_by_the_rule_that_it_breaks() {
    let lines = files::all().into_iter();
    let lines: Vec<_> = lines
        .map(|(name, text)| format!("{name} => {}", first(&text)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_file_of_another_encoding_is_refused_at_its_beginning() {
    let units = "on: push\njobs: {}\n".encode_utf16();
    let bytes: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(units.flat_map(u16::to_le_bytes))
        .collect();
    assert!(Definition::parse(&String::from_utf8_lossy(&bytes)).is_err());
}
