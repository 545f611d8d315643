//! The invariants of ARCHITECTURE.md that can be read off the text of the code.

use std::path::{Path, PathBuf};

/// No more lines in a file.
const LINES_MAX: usize = 400;

/// Words, where they may stand (beginnings of paths), and why nowhere else.
struct Rule {
    words: &'static [&'static str],
    within: &'static [&'static str],
    allowed: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        // Its errors may travel; what speaks SQL may not.
        words: &[
            "sqlx::query",
            "sqlx::raw_sql",
            "QueryBuilder",
            "SqlitePool",
            "SqliteConnection",
        ],
        within: &["server/src/", "runner/src/", "cli/src/"],
        allowed: &["server/src/store"],
        why: "SQL is only in the store",
    },
    Rule {
        words: &["octocrab::"],
        within: &["server/src/", "runner/src/", "cli/src/"],
        allowed: &["server/src/github"],
        why: "GitHub's client is only in github*",
    },
    Rule {
        words: &["bollard::"],
        within: &["server/src/", "runner/src/", "cli/src/"],
        allowed: &["runner/src/engine/docker", "runner/src/image"],
        why: "Docker's client is only in engine/docker* and image*",
    },
    Rule {
        words: &["kube::", "k8s_openapi::"],
        within: &["server/src/", "runner/src/", "cli/src/"],
        allowed: &["runner/src/deploy"],
        why: "Kubernetes' client is only in deploy*",
    },
    Rule {
        words: &["axum::", "axum_extra::", "tower_http::"],
        within: &["server/src/", "runner/src/", "cli/src/"],
        allowed: &[
            "server/src/web",
            "server/src/pages",
            "server/src/error.rs",
            // Puts the router behind its listener, and drains it.
            "server/src/serve.rs",
            "cli/src/bench",
        ],
        why: "HTTP types are only in web*, pages* and error.rs",
    },
    Rule {
        words: &["env::var", "env::vars", "env::set_var"],
        within: &["server/src/", "runner/src/", "pipelines/src/"],
        allowed: &["server/src/config", "runner/src/config"],
        why: "the environment is read only in config",
    },
    Rule {
        words: &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
        ],
        within: &["server/src/", "runner/src/", "pipelines/src/"],
        allowed: &["server/src/clock.rs", "runner/src/clock.rs"],
        why: "\"now\" comes from the clock",
    },
    Rule {
        words: &[
            "tokio",
            "reqwest",
            "sqlx",
            "axum",
            "std::fs",
            "std::net",
            "std::process",
            "rand::",
        ],
        within: &["pipelines/src/"],
        allowed: &[],
        why: "`pipelines` is pure",
    },
    Rule {
        words: &["runner::"],
        within: &["server/src/"],
        allowed: &[],
        why: "the server does not know the runner's code",
    },
    Rule {
        words: &["server::"],
        within: &["runner/src/"],
        allowed: &[],
        why: "the runner does not know the server's code",
    },
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests are a folder of the repository")
        .to_owned()
}

/// Path from the root, and text, of every source file.
fn sources() -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    for member in ["pipelines", "server", "runner", "cli", "tests"] {
        collect(&root, &root.join(member), &mut found);
    }
    assert!(found.len() > 50, "the sources were not found");
    found.sort();
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let short = path.strip_prefix(root).expect("it is below the root");
            let text = std::fs::read_to_string(&path).expect("a source is text");
            found.push((short.to_string_lossy().into_owned(), text));
        }
    }
}

/// Whether the word stands in the line by itself, not as the end of a longer one.
fn stands_in(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' && !word.contains(':'))
            // `crate::runner::` is a module of one's own.
            && !line[..at].ends_with("crate::")
            && !line[..at].ends_with("super::")
            && !line[..at].ends_with("self::")
    })
}

/// The code of a line: comments and their examples are free to name anything.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") {
        ""
    } else {
        line.split(" // ").next().unwrap_or_default()
    }
}

/// Tests of a module may look behind the curtain.
fn is_test_file(path: &str) -> bool {
    let stem = path.trim_end_matches(".rs");
    stem.ends_with("tests") || path.contains("/tests/") || path.contains("_tests/")
}

/// The lines before the module's own tests.
fn production(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.take_while(|(_, line)| *line != "#[cfg(test)]")
}

#[track_caller]
fn nothing_wrong(wrong: Vec<String>) {
    assert!(
        wrong.is_empty(),
        "{} places:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn each_library_stays_in_its_place() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if is_test_file(&path) {
            continue;
        }
        let begins = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
        for rule in RULES
            .iter()
            .filter(|rule| begins(rule.within) && !begins(rule.allowed))
        {
            for (at, line) in production(&text) {
                for word in rule.words.iter().filter(|word| stands_in(code(line), word)) {
                    wrong.push(format!("{path}:{at}: `{word}`: {}", rule.why));
                }
            }
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn a_file_can_be_read_in_one_sitting_and_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!(
                "{path}: {lines} lines, more than {LINES_MAX}: split it by what it does"
            ));
        }
        // The tests of a module say what they are for by their names.
        if !text.starts_with("//!") && !is_test_file(&path) {
            wrong.push(format!(
                "{path}: does not begin with `//!` and what it is for"
            ));
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["todo", "!("],
        ["dbg", "!("],
    ];
    let words = words.map(|parts| parts.concat());
    let ignored = ["#[ign", "ore"].concat();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            if words.iter().any(|word| stands_in(line, word)) {
                wrong.push(format!("{path}:{}: unfinished: {}", at + 1, line.trim()));
            }
            if line.trim_start().starts_with(&ignored) {
                wrong.push(format!(
                    "{path}:{}: a test that does not run is no test",
                    at + 1
                ));
            }
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn production_code_has_no_hooks_for_tests() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| **line == "#[cfg(test)]")
        {
            let next = lines[at + 1..].iter().find(|line| !line.starts_with("#["));
            let words = next
                .map(|line| line.trim_start_matches("pub(crate) "))
                .unwrap_or_default();
            if !words.starts_with("mod ") {
                wrong.push(format!("{path}:{}: `cfg(test)` on {words}", at + 1));
            }
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn every_dependency_is_used_and_says_why_it_is_there() {
    // What these are for, everybody knows.
    let obvious = [
        "serde",
        "serde_json",
        "thiserror",
        "anyhow",
        "tracing",
        "proptest",
        "tempfile",
    ];
    let (root, mut wrong) = (root(), Vec::new());
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a manifest is text");
    let manifest = read("Cargo.toml");
    let members: Vec<String> = ["pipelines", "server", "runner", "cli", "tests"]
        .map(|member| read(&format!("{member}/Cargo.toml")))
        .into();
    let block = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("there is such a block");
    let block = block.split("\n[").next().unwrap_or_default();
    for line in block.lines().filter(|line| line.contains(" = ")) {
        let name = line.split(" = ").next().unwrap_or_default();
        let ours = line.contains("path = ");
        if !ours && !line.contains("# ") && !name.starts_with("tracing") && !obvious.contains(&name)
        {
            wrong.push(format!("{name}: no reason is given"));
        }
        let used = format!("\n{name}.workspace = true");
        let used_with = format!("\n{name} = {{ workspace = true");
        if !members
            .iter()
            .any(|text| text.contains(&used) || text.contains(&used_with))
        {
            wrong.push(format!("{name}: no member uses it"));
        }
    }
    nothing_wrong(wrong);
}
