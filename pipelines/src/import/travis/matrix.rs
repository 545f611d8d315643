//! Versions and `env` of Travis as a matrix.

use super::super::images;
use super::super::model::{Job, Matrix, Notes, Pairs, set};
use super::super::names;
use super::super::source::{Kind, Node};
use super::{Reader, VARIABLES, axis_name};

/// The keys that hold versions, and the language of each.
const AXES: &[(&str, &str)] = &[
    ("node_js", "node"),
    ("python", "python"),
    ("rust", "rust"),
    ("go", "go"),
    ("rvm", "ruby"),
    ("ruby", "ruby"),
    ("php", "php"),
    ("jdk", "java"),
    ("perl", "perl"),
    ("elixir", "elixir"),
    ("otp_release", "erlang"),
    ("ghc", "haskell"),
    ("julia", "julia"),
    ("r", "r"),
    ("dart", "dart"),
    ("crystal", "crystal"),
    ("scala", "scala"),
    ("compiler", "c"),
    ("gemfile", ""),
];

/// The language whose versions a key holds.
pub(super) fn axis_of(key: &str) -> Option<&'static str> {
    let axis = AXES.iter().find(|(name, _)| *name == key);
    axis.map(|(_, language)| *language)
}

/// `env.global`, or an `env` that is a mapping of variables.
pub(super) fn global_env(root: &Node, notes: &mut Notes) -> Pairs {
    let mut env = Pairs::new();
    let Some(node) = root.find("env") else {
        return env;
    };
    let node = match node.find("global") {
        Some(global) => global,
        None if is_grouped(node) || !matches!(node.kind, Kind::Map(_)) => return env,
        None => node,
    };
    for item in node.items() {
        for (key, value) in variables(item, notes) {
            let value = VARIABLES.in_value(&value, &env.clone(), item.line, notes);
            set(&mut env, &key, &value);
        }
    }
    env
}

fn is_grouped(env: &Node) -> bool {
    ["global", "jobs", "matrix"]
        .iter()
        .any(|key| env.find(key).is_some())
}

/// Variables written as `A=1 B="x y"`, or as a mapping.
fn variables(node: &Node, notes: &mut Notes) -> Pairs {
    if let Some(text) = node.text() {
        return words(text);
    }
    let mut env = Pairs::new();
    for entry in node.entries() {
        if entry.key == "secure" || entry.value.find("secure").is_some() {
            notes.add(
                entry.line,
                &entry.key,
                "only Travis can decrypt it",
                "store the secret on the server and name it under `secrets` of the step",
            );
        } else {
            env.push((entry.key.clone(), entry.value.shown()));
        }
    }
    env
}

/// Words of a shell that assign variables.
fn words(text: &str) -> Pairs {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.push(String::new()),
            (c, _) => {
                if let Some(last) = words.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    let pairs = pairs.filter(|(key, _)| names::is_variable(key));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The matrix of the file.
pub(super) fn read(reader: &Reader<'_>, notes: &mut Notes) -> Matrix {
    let mut matrix = Matrix::default();
    for (key, language) in AXES {
        let Some(node) = reader.root.find(key) else {
            continue;
        };
        let values: Vec<String> = node.texts().into_iter().map(|(_, text)| text).collect();
        let values: Vec<String> = values
            .iter()
            .map(|value| axis_value(language, value))
            .collect();
        if !values.is_empty() {
            matrix.axes.push((axis_name(key), values));
        }
    }
    let env = reader.root.find("env");
    let rows = env.and_then(|env| match is_grouped(env) {
        true => env.find("jobs").or(env.find("matrix")),
        false if matches!(env.kind, Kind::Map(_)) => None,
        false => Some(env),
    });
    let rows = rows.map(Node::items).unwrap_or_default();
    let rows: Vec<Pairs> = rows.iter().map(|row| variables(row, notes)).collect();
    add_rows(
        &mut matrix,
        rows.into_iter().filter(|row| !row.is_empty()).collect(),
    );
    matrix
}

fn axis_value(language: &str, value: &str) -> String {
    match language {
        // A toolchain is installed by its name, and the compiler stands in `CC`.
        "rust" | "c" | "" => value.to_owned(),
        language => images::version_tag(language, value),
    }
}

/// Rows of variables: an axis if they all set the same one, else each combination by itself.
fn add_rows(matrix: &mut Matrix, rows: Vec<Pairs>) {
    const COMBINATIONS_MAX: usize = 100;
    let Some(first) = rows.first().and_then(|row| row.first()) else {
        return;
    };
    let is_same = |row: &Pairs| row.len() == 1 && row[0].0 == first.0;
    if rows.iter().all(is_same) {
        let axis = axis_name(&first.0);
        let values = rows.iter().map(|row| row[0].1.clone()).collect();
        matrix.axes.push((axis, values));
        return;
    }
    let mut combinations: Vec<Pairs> = vec![Pairs::new()];
    for (axis, values) in std::mem::take(&mut matrix.axes) {
        let mut next = Vec::new();
        for combination in &combinations {
            for value in values.iter().take(COMBINATIONS_MAX) {
                let mut one = combination.clone();
                one.push((axis.clone(), value.clone()));
                next.push(one);
            }
        }
        combinations = next;
    }
    for combination in &combinations {
        for row in &rows {
            let mut one = combination.clone();
            let values = row.iter().filter(|(_, value)| !value.is_empty());
            one.extend(values.map(|(name, value)| (axis_name(name), value.clone())));
            if matrix.include.len() < COMBINATIONS_MAX {
                matrix.include.push(one);
            }
        }
    }
}

/// The values that an entry of `include` or `exclude` names.
fn row(reader: &Reader<'_>, entry: &Node, notes: &mut Notes) -> Pairs {
    let mut pairs = Pairs::new();
    for field in entry.entries() {
        if let Some(language) = axis_of(&field.key) {
            let value = axis_value(language, &field.value.shown());
            pairs.push((axis_name(&field.key), value));
        } else if field.key == "env" {
            for item in field.value.items() {
                let env = variables(item, notes).into_iter();
                pairs.extend(env.map(|(key, value)| (axis_name(&key), value)));
            }
        } else if !["name", "os", "dist", "arch", "stage", "if", "sudo"]
            .contains(&field.key.as_str())
            && reader
                .root
                .find(&field.key)
                .is_none_or(|own| own.shown() != field.value.shown())
        {
            let what = format!("{}: {}", field.key, field.value.shown());
            let why = "a combination of the matrix differs by its values only";
            notes.add(field.line, &what, why, "make it a job of its own");
        }
    }
    pairs
}

/// Adds a combination.
pub(super) fn include(reader: &Reader<'_>, entry: &Node, matrix: &mut Matrix, notes: &mut Notes) {
    let pairs = row(reader, entry, notes);
    if !pairs.is_empty() {
        matrix.include.push(pairs);
    }
}

/// Takes combinations away.
pub(super) fn exclude(reader: &Reader<'_>, list: &Node, matrix: &mut Matrix, notes: &mut Notes) {
    for entry in list.items() {
        let pairs = row(reader, entry, notes);
        let is_meant = |row: &Pairs| pairs.iter().all(|pair| row.contains(pair));
        if !matrix.include.is_empty() {
            // The combinations stand one by one, so what is excluded is not even written.
            matrix.include.retain(|row| !is_meant(row));
        } else if !pairs.is_empty() {
            matrix.exclude.push(pairs);
        }
    }
}

/// Gives the matrix to the job, and its values to the image and the environment.
pub(super) fn apply(reader: &Reader<'_>, matrix: Matrix, job: &mut Job) {
    // What has one value only is no matrix.
    if let ([(axis, values)], []) = (matrix.axes.as_slice(), matrix.include.as_slice())
        && let [value] = values.as_slice()
        && matrix.exclude.is_empty()
    {
        one_value(reader, axis, value, job);
        return;
    }
    for name in matrix.names() {
        let gap = format!("${{{{ matrix.{name} }}}}");
        one_value(reader, name, &gap, job);
    }
    job.matrix = matrix;
}

fn one_value(reader: &Reader<'_>, axis: &str, value: &str, job: &mut Job) {
    let language = AXES.iter().find(|(key, _)| axis_name(key) == axis);
    match language.map(|(key, language)| (*key, *language)) {
        Some(("compiler", _)) => set(&mut job.env, "CC", value),
        Some(("gemfile", _)) => set(&mut job.env, "BUNDLE_GEMFILE", value),
        Some(("rust", _)) => {
            job.image = images::of_language("rust", None);
            set(&mut job.env, "RUSTUP_TOOLCHAIN", value);
            if let Some(step) = job.steps.first_mut() {
                let install = "rustup toolchain install \"$RUSTUP_TOOLCHAIN\" --profile minimal";
                step.run = format!("{install}\n{}\n", step.run.trim_end());
            }
        }
        Some((_, language)) => {
            // Of several versions the file's own language chooses the image.
            let own = images::of_language(&reader.language, None);
            let image = images::of_language(language, Some(value));
            if image_name(own.as_deref()) == image_name(image.as_deref()) {
                job.image = image;
            } else {
                set(&mut job.env, &names::variable(axis), value);
            }
        }
        None => set(&mut job.env, &names::variable(axis), value),
    }
}

fn image_name(image: Option<&str>) -> Option<&str> {
    image.and_then(|image| image.split(':').next())
}

/// The versions and variables of a job that is no part of the matrix.
pub(super) fn apply_one(reader: &Reader<'_>, entry: &Node, job: &mut Job, notes: &mut Notes) {
    for (key, _) in AXES {
        let node = entry.find(key).or_else(|| reader.root.find(key));
        if let Some((_, value)) = node.map(Node::texts).unwrap_or_default().first() {
            one_value(reader, &axis_name(key), value, job);
        }
    }
    for item in entry.find("env").map(Node::items).unwrap_or_default() {
        for (key, value) in variables(item, notes) {
            let value = VARIABLES.in_value(&value, &reader.global_env, item.line, notes);
            set(&mut job.env, &key, &value);
        }
    }
}
