//! Files of a checkout → objects, with every problem found on the way.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pipelines::limits::REPORT_BYTES_MAX;
use serde_json::Value;

use super::Found;

/// Largest manifest file, in bytes: etcd keeps no object above 1.5 MB.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Most bytes of all files of one release: comments and layout may double what is kept.
const BYTES_MAX: usize = 2 * REPORT_BYTES_MAX;
/// Most manifest files of one folder.
const FILES_MAX: usize = 500;

/// Files that mean: this folder has to be rendered by another tool first.
const RENDERED_BY_OTHERS: &[(&str, &str)] = &[
    ("kustomization.yaml", "Kustomize"),
    ("kustomization.yml", "Kustomize"),
    ("Kustomization", "Kustomize"),
    ("Chart.yaml", "Helm"),
];

/// Reads a file, or the files of a folder in the order of their names.
pub(super) fn objects(root: &Path, path: &str) -> (Vec<Found>, Vec<String>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    match files(root, path) {
        Ok(files) => {
            let mut bytes = 0;
            for (name, file) in files {
                let text = text(&file);
                bytes += text.as_ref().map_or(0, String::len);
                if bytes > BYTES_MAX {
                    problems.push(format!(
                        "the manifests of `{path}` have more than {BYTES_MAX} bytes in all: {name} \
                         and what comes after it are not read"
                    ));
                    break;
                }
                match text {
                    Ok(text) => parse(&name, &text, &mut found, &mut problems),
                    Err(problem) => problems.push(format!("{name}: {problem}")),
                }
            }
        }
        Err(problem) => problems.push(problem),
    }
    (found, problems)
}

/// The files to read, with their names as people see them.
fn files(root: &Path, path: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let name = path.trim_end_matches('/').to_owned();
    let inside = inside(root, Path::new(path)).map_err(|problem| format!("`{path}` {problem}"))?;
    if inside.is_file() {
        return Ok(vec![(name, inside)]);
    }
    for (file, tool) in RENDERED_BY_OTHERS {
        if inside.join(file).exists() {
            return Err(format!(
                "`{name}/{file}`: {tool} is not supported yet. Commit the rendered manifests, \
                 or render them in a step of another folder"
            ));
        }
    }
    let entries = std::fs::read_dir(&inside)
        .map_err(|error| format!("cannot read folder `{path}` of the repository: {error}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot read folder `{path}`: {error}"))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let known = [".yml", ".yaml", ".json"]
            .iter()
            .any(|end| file.ends_with(end));
        if known && !file.starts_with('.') {
            names.push(file);
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(format!(
            "folder `{path}` holds no .yml, .yaml or .json file"
        ));
    }
    if names.len() > FILES_MAX {
        return Err(format!(
            "folder `{path}` holds more than {FILES_MAX} manifests"
        ));
    }
    let places = names.into_iter().map(|file| {
        let shown = if name.is_empty() || name == "." {
            file.clone()
        } else {
            format!("{name}/{file}")
        };
        match self::inside(root, &Path::new(path).join(&file)) {
            Ok(place) if place.is_file() => Ok((shown, place)),
            Ok(_) => Err(format!("`{shown}` is not a file")),
            Err(problem) => Err(format!("`{shown}` {problem}")),
        }
    });
    places.collect()
}

/// The real place of a path. A link must not lead out of the checkout: what it points to could be
/// a secret of the runner, and an error message would show it.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let root = root
        .canonicalize()
        .map_err(|error| format!("is not readable: the checkout is missing ({error})"))?;
    let place = root
        .join(path)
        .canonicalize()
        .map_err(|_| "is not in the repository at this commit: correct `manifests:`".to_owned())?;
    if place.starts_with(&root) {
        return Ok(place);
    }
    Err("leads out of the repository".to_owned())
}

fn text(file: &Path) -> Result<String, String> {
    let open = std::fs::File::open(file).map_err(|error| format!("cannot read it: {error}"))?;
    let mut bytes = Vec::new();
    open.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read it: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads the documents of one file.
pub(super) fn parse(name: &str, text: &str, found: &mut Vec<Found>, problems: &mut Vec<String>) {
    for (number, (line, document)) in documents(text).into_iter().enumerate() {
        let place = format!("{name}, document {}", number + 1);
        match value(document) {
            Ok(Value::Null) => {}
            Ok(value) => flatten(&place, value, found, problems),
            Err((at, problem)) => {
                problems.push(format!("{place} (line {}): {problem}", line + at));
            }
        }
    }
}

/// Splits at `---`, with the number of lines before each part. Done by hand, because the YAML
/// reader stops at the first bad document and skips empty ones, so it could not number them.
/// A line that begins with `---` cannot be inside a text: YAML forbids it there.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            parts.push((start_line, &text[start..at]));
            // What follows the mark on its line belongs to the new document.
            start = at + 3;
            start_line = number;
        }
        at += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts.retain(|(_, part)| {
        let empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        !part.lines().all(empty)
    });
    parts
}

fn value(document: &str) -> Result<Value, (usize, String)> {
    // As kubectl reads them: `0644` of a file mode is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let line = usize::try_from(line).unwrap_or(1).max(1);
        let text = error.without_snippet().to_string();
        let first = text.lines().next().unwrap_or("not valid YAML").to_owned();
        (line, format!("not valid YAML: {first}"))
    })
}

/// A `List` stands for its items.
fn flatten(place: &str, value: Value, found: &mut Vec<Found>, problems: &mut Vec<String>) {
    if !value.is_object() {
        problems.push(format!("{place}: not a Kubernetes object"));
        return;
    }
    let is_list = value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    let Value::Array(items) = &value["items"] else {
        found.push(Found {
            place: place.to_owned(),
            object: value,
        });
        return;
    };
    if !is_list {
        found.push(Found {
            place: place.to_owned(),
            object: value,
        });
        return;
    }
    for (number, item) in items.iter().enumerate() {
        let place = format!("{place}, item {}", number + 1);
        match item {
            Value::Object(_) => found.push(Found {
                place,
                object: item.clone(),
            }),
            other => problems.push(format!("{place}: {other} is not a Kubernetes object")),
        }
    }
}
