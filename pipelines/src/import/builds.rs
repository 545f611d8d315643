//! Images that other systems build with a script or a plugin, as a `build` of ours.

use super::model::{Build, Notes, Pairs, add};
use super::names;
use super::variables::Table;
use crate::names::is_image_tag;

/// What the values of a build are read with.
pub(super) struct Values<'a> {
    pub(super) table: &'a Table,
    pub(super) own: &'a Pairs,
    pub(super) line: u32,
}

impl Values<'_> {
    /// A value with our gaps.
    pub(super) fn fill(&self, text: &str, notes: &mut Notes) -> String {
        self.table.in_value(text, self.own, self.line, notes)
    }
}

/// Puts `registry/name:tag` into the build: the first name counts, each tag does.
pub(super) fn add_reference(build: &mut Build, reference: &str, line: u32, notes: &mut Notes) {
    let (image, tag) = split(reference.trim());
    let image = image.to_lowercase();
    if build.image.is_empty() {
        build.image = image;
    } else if build.image != image {
        let why = format!("a build pushes to one place, here `{}`", build.image);
        notes.add(line, reference, &why, "make it a second job with `build`");
        return;
    }
    if let Some(tag) = tag {
        add_tag(build, tag, line, notes);
    }
}

/// Adds a tag, if it is one.
pub(super) fn add_tag(build: &mut Build, tag: &str, line: u32, notes: &mut Notes) {
    let is_open = tag.contains("${{");
    if is_open || is_image_tag(tag) {
        add(&mut build.tags, tag.to_owned());
    } else {
        notes.add(
            line,
            tag,
            "this is not a tag of an image",
            "write it under `tags`",
        );
    }
}

/// The tag begins at the last `:` behind the last `/`, outside of gaps.
fn split(reference: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u32;
    let mut colon = None;
    let bytes = reference.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => colon = None,
            b':' if depth == 0 => colon = Some(at),
            _ => {}
        }
    }
    match colon {
        Some(at) => (&reference[..at], Some(&reference[at + 1..])),
        None => (reference, None),
    }
}

/// A path as we want it: relative to the repository's root.
pub(super) fn path(text: &str) -> String {
    let text = text
        .trim_start_matches("/workspace")
        .trim_start_matches('/')
        .trim_start_matches("./");
    match text.trim_end_matches('/') {
        "" => ".".into(),
        path => path.to_owned(),
    }
}

/// Puts `A=1` into the arguments.
pub(super) fn add_argument(build: &mut Build, text: &str, line: u32, notes: &mut Notes) {
    match text.split_once('=') {
        Some((key, value)) if names::is_variable(key.trim()) => {
            build.args.push((key.trim().to_owned(), value.to_owned()));
        }
        _ => notes.add(
            line,
            text,
            "an argument of a build is `NAME=value`",
            "write it under `args`",
        ),
    }
}

/// A script that does nothing but build one image and push it, as a build.
pub(super) fn of_script(
    lines: &[(u32, String)],
    values: &Values<'_>,
    notes: &mut Notes,
) -> Option<Build> {
    let mut commands = Vec::new();
    for (line, text) in lines {
        let text = text.replace("\\\n", " ");
        for one in text.lines().flat_map(|one| one.split("&&")) {
            commands.push((*line, words(one)));
        }
    }
    let mut found = None;
    for (line, command) in &commands {
        let word = |at: usize| command.get(at).map(String::as_str).unwrap_or_default();
        let arguments = match (word(0), word(1), word(2)) {
            ("", ..) | ("docker", "push" | "tag" | "login" | "logout" | "info" | "pull", _) => {
                continue;
            }
            ("docker", "version" | "images" | "inspect", _) => continue,
            ("docker", "buildx", "create" | "use" | "inspect" | "ls") => continue,
            ("docker", "context", _) => continue,
            ("echo" | "mkdir" | "set" | "printf" | "cat", ..) => continue,
            (first, ..) if first.starts_with('#') => continue,
            ("docker" | "podman" | "buildah", "build" | "bud", _) => &command[2..],
            ("docker", "buildx", "build") => &command[3..],
            ("docker", "image", "build") => &command[3..],
            (first, ..) if first.ends_with("kaniko/executor") => &command[1..],
            // It does something else too, which a build cannot.
            _ => return None,
        };
        if found.replace((*line, arguments)).is_some() {
            return None;
        }
    }
    let (line, arguments) = found?;
    let mut build = of_arguments(arguments, values, notes);
    for (_, command) in &commands {
        // What is tagged afterwards is a tag too.
        if let ["docker", "tag", _, reference] =
            command.iter().map(String::as_str).collect::<Vec<_>>()[..]
        {
            add_reference(&mut build, &values.fill(reference, notes), line, notes);
        }
    }
    (!build.image.is_empty()).then_some(build)
}

/// The words of a simple command, without quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.trim().chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Options that have a value and mean nothing here.
const IGNORED: &[&str] = &[
    "--cache-from",
    "--cache-to",
    "--label",
    "--progress",
    "--network",
    "--output",
    "-o",
    "--cache-repo",
    "--builder",
    "--memory",
    "-m",
    "--provenance",
    "--sbom",
];

fn of_arguments(arguments: &[String], values: &Values<'_>, notes: &mut Notes) -> Build {
    let mut build = Build::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        if !option.starts_with('-') {
            build.context = Some(path(&values.fill(option, notes)));
            continue;
        }
        let takes_value = IGNORED.contains(&option)
            || matches!(
                option,
                "-t" | "--tag"
                    | "-f"
                    | "--file"
                    | "--dockerfile"
                    | "--build-arg"
                    | "--target"
                    | "--platform"
                    | "--destination"
                    | "-d"
                    | "--context"
                    | "-c"
                    | "--secret"
            );
        let value = match value {
            None if takes_value => rest.next().cloned().unwrap_or_default(),
            value => value.unwrap_or_default(),
        };
        option_of(&mut build, (option, &value), values, notes);
    }
    build.context = build.context.filter(|context| context != ".");
    build
}

fn option_of(
    build: &mut Build,
    (option, value): (&str, &str),
    values: &Values<'_>,
    notes: &mut Notes,
) {
    let line = values.line;
    match option {
        "-t" | "--tag" | "--destination" | "-d" => {
            let reference = values.fill(value, notes);
            add_reference(build, &reference, line, notes);
        }
        "-f" | "--file" | "--dockerfile" => {
            build.dockerfile = Some(path(&values.fill(value, notes)));
        }
        "--context" | "-c" => build.context = Some(path(&values.fill(value, notes))),
        "--target" => build.target = Some(value.to_owned()),
        "--platform" => {
            build.platforms = value.split(',').map(|one| one.trim().to_owned()).collect();
        }
        "--build-arg" => add_argument(build, &values.fill(value, notes), line, notes),
        "--secret" => notes.add(
            line,
            value,
            "a secret of a build comes from the server",
            "name it under `secrets` of the build",
        ),
        _ => {}
    }
}

/// Says that a build starts from the commit and not from what earlier steps left.
pub(super) fn note_fresh_context(line: u32, what: &str, notes: &mut Notes) {
    notes.add(
        line,
        what,
        "a build is a job of its own and starts from a fresh checkout of the commit",
        "build what it needs in the Dockerfile; log the runner in to the registry once",
    );
}
