//! Every statement of the source is handed to a freshly migrated database. This is why the build
//! needs none.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use super::made;

/// Every statement with its place.
fn all() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("store.rs")];
    collect(&source.join("store"), &mut files);
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, statement) in statements(&text) {
            let place = format!("{}:{line}", file.display());
            let statement = statement.unwrap_or_else(|| panic!("{place}: no literal statement"));
            all.push((place, statement));
        }
    }
    all
}

/// Tables that grow as long as the server lives.
const LARGE: &[&str] = &[
    "deliveries",
    "runs",
    "jobs",
    "attempts",
    "steps",
    "events",
    "releases",
    "deploys",
    "checks",
    "audit",
    "artifacts",
    "test_reports",
    "test_cases",
];
/// Commands beside the server, which look at everything because that is what they are for.
const WHOLE: &[&str] = &["store/backup.rs"];

#[tokio::test]
async fn no_question_reads_a_whole_large_table() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    for (place, statement) in all() {
        // What writes names its rows; its plan also has looks for foreign keys that are not made.
        let is_question = statement.starts_with("select") || statement.starts_with("with");
        if WHOLE.iter().any(|file| place.contains(file)) || !is_question {
            continue;
        }
        let plan = format!("explain query plan {statement}");
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(AssertSqlSafe(plan))
            .fetch_all(store.reader())
            .await
            .unwrap();
        // In the order of the table's own rows it ends at the limit; what is sorted is read whole.
        let is_sorted = plan
            .iter()
            .any(|(_, parent, _, step)| *parent == 0 && step.contains("B-TREE FOR ORDER BY"));
        let is_bounded = statement.contains("limit") && !is_sorted;
        for (.., step) in plan {
            // With an index it reads in order, up to its limit, or only what a partial index has.
            let scanned = step
                .strip_prefix("SCAN ")
                .filter(|table| !table.contains(' '));
            let is_large = scanned.is_some_and(|table| LARGE.contains(&table));
            assert!(!is_large || is_bounded, "{place}: {step}\n{statement}");
        }
    }
}

#[tokio::test]
async fn every_statement_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let mut count = 0;
    for (place, statement) in all() {
        let explained = sqlx::query(AssertSqlSafe(format!("explain {statement}")))
            .fetch_all(store.reader())
            .await;
        if let Err(error) = explained {
            panic!("{place}: {error}\n{statement}");
        }
        count += 1;
    }
    assert!(
        count > 60,
        "only {count} statements were found: the search is broken"
    );
}

/// All source files below a folder, without those of tests.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            files.push(path);
        }
    }
}

/// The statements of a source file with their lines; none for one that is not written out.
fn statements(text: &str) -> Vec<(usize, Option<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("query") {
        let rest = &text[at..];
        let Some(call) = ["query_scalar", "query_as", "query"]
            .iter()
            .find_map(|name| rest.strip_prefix(name))
        else {
            continue;
        };
        let Some(arguments) = arguments(call) else {
            continue;
        };
        let line = text[..at].matches('\n').count() + 1;
        found.push((line, statement(text, arguments.trim_start())));
    }
    found
}

/// What stands behind the bracket of a call, over `::<…>`.
fn arguments(call: &str) -> Option<&str> {
    let Some(generic) = call.strip_prefix("::<") else {
        return call.strip_prefix('(');
    };
    let mut depth = 1;
    let end = generic.find(|letter| {
        depth += match letter {
            '<' => 1,
            '>' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    generic[end + 1..].strip_prefix('(')
}

/// A literal, or a macro that puts its own literal before the one it is given.
fn statement(text: &str, arguments: &str) -> Option<String> {
    if arguments.starts_with('"') {
        return literal(arguments);
    }
    let (name, rest) = arguments.split_once("!(")?;
    let definition = text.split_once(&format!("macro_rules! {name} {{"))?.1;
    let prefix = literal(&definition[definition.find('"')?..])?;
    Some(prefix + &literal(rest.trim_start())?)
}

/// The text of the literal that begins here.
fn literal(source: &str) -> Option<String> {
    let mut letters = source.strip_prefix('"')?.chars().peekable();
    let mut value = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(value),
            '\\' => match letters.next()? {
                '\n' => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
