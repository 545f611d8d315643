use std::path::{Path, PathBuf};

use super::*;

/// Set it to write what the samples become now, and look at the difference.
const REWRITE: &str = "SEAWORTHY_REWRITE_SAMPLES";

fn folder(kind: Kind) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/samples");
    root.join(kind.as_str())
}

/// The samples of a system: their paths and texts.
fn samples(kind: Kind) -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(folder(kind)).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let is_sample = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        !name.contains(".expected") && !name.contains(".notes")
    };
    let mut files: Vec<_> = files.filter(is_sample).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

fn notes_of(imported: &Imported) -> String {
    let notes = imported.notes.iter();
    notes.map(|note| format!("{note}\n")).collect()
}

/// Compares with the file beside the sample, or writes it.
fn compare(path: &Path, extension: &str, found: &str, wrong: &mut Vec<String>) {
    let path = path.with_extension(extension);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, found).unwrap();
    } else if std::fs::read_to_string(&path).unwrap_or_default() != found {
        wrong.push(format!("{}: now is\n{found}", path.display()));
    }
}

fn check(kind: Kind) {
    let samples = samples(kind);
    assert!(samples.len() >= 3, "a system has at least three samples");
    let mut wrong = Vec::new();
    for (path, text) in samples {
        let imported = import(kind, &text).unwrap();
        compare(&path, "expected.yml", &imported.file, &mut wrong);
        compare(&path, "notes", &notes_of(&imported), &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "set {REWRITE}=1 to accept:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn samples_of_travis_become_what_stands_beside_them() {
    check(Kind::Travis);
}

#[test]
fn samples_of_woodpecker_become_what_stands_beside_them() {
    check(Kind::Woodpecker);
}

#[test]
fn samples_of_actions_become_what_stands_beside_them() {
    check(Kind::Actions);
}

#[test]
fn samples_of_gitlab_become_what_stands_beside_them() {
    check(Kind::Gitlab);
}

#[test]
fn samples_of_jenkins_become_what_stands_beside_them() {
    check(Kind::Jenkins);
}

#[test]
fn every_translated_sample_is_accepted_by_our_own_reader() {
    let mut refused = Vec::new();
    for kind in Kind::ALL {
        for (path, text) in samples(kind) {
            let file = import(kind, &text).unwrap().file;
            for problem in crate::definition::Definition::parse(&file)
                .err()
                .unwrap_or_default()
            {
                refused.push(format!("{}: {problem}", path.display()));
            }
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn samples_are_recognised_by_what_is_in_them() {
    for kind in Kind::ALL {
        for (path, text) in samples(kind) {
            let guess = Kind::guess("ci.yml", &text);
            assert_eq!(guess, Some(kind), "{}", path.display());
        }
    }
}

/// What is left of a text when each of its lines is left out in turn, and when it ends early.
fn maimed(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let count = lines.len();
    let without = lines.clone();
    let without = (0..count).map(move |at| [&without[..at], &without[at + 1..]].concat().concat());
    without.chain((0..count).step_by(5).map(move |at| lines[..at].concat()))
}

#[test]
fn whatever_is_left_of_a_sample_becomes_an_accepted_file_or_a_problem() {
    let mut refused = Vec::new();
    for kind in Kind::ALL {
        for (path, text) in samples(kind) {
            for text in maimed(&text) {
                let Ok(imported) = import(kind, &text) else {
                    continue;
                };
                let parsed = crate::definition::Definition::parse(&imported.file);
                let problems = parsed.err().unwrap_or_default().into_iter();
                // A job that needs itself in the end is the source's own mistake.
                for problem in problems.filter(|one| !one.message.contains("wait for one another"))
                {
                    let line = imported.file.lines().nth(problem.line as usize - 1);
                    refused.push(format!("{}: {problem}: {line:?}", path.display()));
                }
            }
        }
    }
    refused.dedup();
    assert_eq!(refused, Vec::<String>::new());
}
