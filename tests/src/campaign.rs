//! The fault campaign: the same stories as always, longer and more often.
//!
//! A test that shows a fault case says so in its documentation: `/// F14: what is special here`. The
//! cases are described in `docs/faults.md`. `make campaign` runs these tests and reports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// `whole` under `make campaign`, which sets `SEAWORTHY_CAMPAIGN`; `short` otherwise. A story always
/// runs; only how often, how long or how much is different.
#[must_use]
pub fn scale<T>(short: T, whole: T) -> T {
    match std::env::var_os("SEAWORTHY_CAMPAIGN") {
        Some(_) => whole,
        None => short,
    }
}

/// A test that shows cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The numbers of the cases.
    pub cases: Vec<u32>,
    /// Its file, from the root of the repository.
    pub file: String,
    /// The name of its function: a sentence.
    pub name: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of Rust below a folder, from the root, with its text.
pub fn sources(folder: &str) -> Result<BTreeMap<String, String>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                found.insert(path, std::fs::read_to_string(entry.path())?);
            }
        }
    }
    Ok(found)
}

/// Every test that shows a case, by file and then as they stand there.
pub fn stories() -> Result<Vec<Story>> {
    let mut stories = Vec::new();
    for folder in [
        "tests/it",
        "pipelines/src",
        "server/src",
        "runner/src",
        "cli/src",
    ] {
        for (file, text) in sources(folder)? {
            let found = stories_of(&text);
            stories.extend(found.into_iter().map(|(cases, name)| Story {
                cases,
                file: file.clone(),
                name,
            }));
        }
    }
    Ok(stories)
}

fn stories_of(text: &str) -> Vec<(Vec<u32>, String)> {
    let (mut stories, mut cases) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            cases.extend(cases_of(words));
        } else if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            if !cases.is_empty() {
                stories.push((std::mem::take(&mut cases), name.to_owned()));
            }
        } else if !line.starts_with("#[") {
            cases.clear();
        }
    }
    stories
}

/// The cases that a line of documentation names, if it begins with one or with a promise (`P2`).
fn cases_of(line: &str) -> Vec<u32> {
    let numbers = |letter: char| {
        let words = line.split([' ', ',', ':']);
        words.filter_map(move |word| word.strip_prefix(letter)?.parse::<u32>().ok())
    };
    let first = line.split([' ', ',', ':']).next().unwrap_or_default();
    let begins = first.strip_prefix(['F', 'P']);
    if begins.is_some_and(|number| number.parse::<u32>().is_ok()) {
        numbers('F').collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_names_its_cases_in_the_lines_above() {
        let text = "/// F14, and F2: twice.\n/// F3 is not\n#[test]\nfn one() {}\n/// Of F9\nfn two() {}\n\
                    /// F8\nconst X: u32 = 1;\nfn three() {}\n/// P2, F7\n#[test]\nasync fn four() {}\n";
        let found = stories_of(text);
        let wanted = [
            (vec![14, 2, 3], "one".to_owned()),
            (vec![7], "four".to_owned()),
        ];
        assert_eq!(found, wanted);
    }
}
