//! Every statement of the source is handed to a freshly migrated database. This is why the build
//! needs none.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use super::made;

#[tokio::test]
async fn every_statement_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(folder.path()).await;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("store.rs")];
    collect(&source.join("store"), &mut files);
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, statement) in statements(&text) {
            let place = format!("{}:{line}", file.display());
            let statement = statement.unwrap_or_else(|| panic!("{place}: no literal statement"));
            let explained = sqlx::query(AssertSqlSafe(format!("explain {statement}")))
                .fetch_all(store.reader())
                .await;
            if let Err(error) = explained {
                panic!("{place}: {error}\n{statement}");
            }
            count += 1;
        }
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
