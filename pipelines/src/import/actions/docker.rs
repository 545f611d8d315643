//! Docker's own actions: together they are one `build`.

use super::super::builds;
use super::super::model::{Build, Notes, add};
use super::super::names;
use super::expressions::{self, Scope};
use super::jobs;
use super::steps::{Piece, Work};
use super::uses::Action;

/// Whether it is one of them.
pub(super) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "docker/setup-buildx-action"
            | "docker/setup-qemu-action"
            | "docker/login-action"
            | "docker/metadata-action"
            | "docker/build-push-action"
    )
}

/// Reads one of them.
pub(super) fn read(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    match action.name {
        "docker/metadata-action" => metadata(action, scope, work, notes),
        "docker/build-push-action" => build(action, scope, work, notes),
        // The builder is the runner's, and so is the login to the registry.
        _ => {}
    }
}

/// The references that a step makes of names and rules.
fn metadata(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let images: Vec<String> = action
        .lines("images")
        .iter()
        .map(|image| scope.fill(image, action.line, notes))
        .collect();
    let mut tags = Vec::new();
    let rules = action.lines("tags");
    for rule in &rules {
        match tag_of(rule) {
            Some(tag) => add(&mut tags, tag),
            None => {
                let why = "tags are not derived by rules";
                notes.add(action.line, rule, why, "write the tag itself under `tags`");
            }
        }
    }
    if rules.is_empty() {
        tags.push("${{ branch }}${{ tag }}".to_owned());
    }
    let mut references = Vec::new();
    for image in &images {
        for tag in &tags {
            references.push(format!("{image}:{tag}"));
        }
    }
    let id = action.step.text_of("id").unwrap_or("meta");
    work.metadata.push((id.to_owned(), references));
}

/// `type=ref,event=branch` and its like as a tag.
fn tag_of(rule: &str) -> Option<String> {
    let part = |key: &str| {
        let mut parts = rule.split(',').filter_map(|part| part.split_once('='));
        parts
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
    };
    match part("type")? {
        "ref" if part("event") == Some("branch") => Some("${{ branch }}".into()),
        "ref" if part("event") == Some("tag") => Some("${{ tag }}".into()),
        "sha" if part("format") == Some("long") => Some("${{ commit }}".into()),
        "sha" => Some("${{ short_commit }}".into()),
        "raw" => part("value")
            .filter(|value| !value.contains("{{"))
            .map(str::to_owned),
        _ => None,
    }
}

fn build(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let line = action.line;
    let mut build = Build::default();
    references(action, scope, &mut build, work, notes);
    let path = |key: &str, notes: &mut Notes| {
        let text = action.text(key).map(|text| scope.fill(text, line, notes));
        text.map(|text| builds::path(&text))
    };
    build.context = path("context", notes).filter(|context| context != ".");
    build.dockerfile = path("file", notes);
    build.target = action
        .text("target")
        .map(|text| scope.fill(text, line, notes));
    let platforms = action.text("platforms").unwrap_or_default();
    let platforms = platforms.split([',', '\n']).map(str::trim);
    build.platforms = platforms
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect();
    for argument in action.lines("build-args") {
        builds::add_argument(&mut build, &scope.fill(argument, line, notes), line, notes);
    }
    secrets(action, &mut build, notes);
    if build.image.is_empty() {
        build.image = "registry.example.com/${{ repository }}".into();
        let hint = "write where it goes under `image`";
        notes.add(
            line,
            &action.shown(),
            "the file does not say where the image is pushed",
            hint,
        );
    }
    let mut comments = Vec::new();
    let when = jobs::when(action.step.find("if"), scope, &mut comments, notes);
    if let Some(push) = action.text("push").filter(|push| *push != "true") {
        let what = format!("push: {push}");
        let why = "a build always pushes, under its digest";
        notes.add(
            line,
            &what,
            why,
            "add a `when` where it should not be built at all",
        );
    }
    let build = Box::new(build);
    work.pieces.push(Piece::Build { build, when, line });
    work.pieces.extend(comments.into_iter().map(Piece::Comment));
}

/// Where the image goes, written out or made by a step before.
fn references(
    action: &Action<'_>,
    scope: &Scope,
    build: &mut Build,
    work: &Work,
    notes: &mut Notes,
) {
    let line = action.line;
    let tags = action.text("tags").unwrap_or_default();
    for text in tags
        .split(['\n', ','])
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let made = match expressions::pieces(text)[..] {
            [Err(inner)] => work
                .metadata
                .iter()
                .find(|(id, _)| inner == format!("steps.{id}.outputs.tags")),
            _ => None,
        };
        match made {
            Some((_, references)) => {
                for reference in references {
                    builds::add_reference(build, reference, line, notes);
                }
            }
            None => builds::add_reference(build, &scope.fill(text, line, notes), line, notes),
        }
    }
}

fn secrets(action: &Action<'_>, build: &mut Build, notes: &mut Notes) {
    let line = action.line;
    for secret in action.lines("secrets") {
        let inner = expressions::pieces(secret)
            .into_iter()
            .find_map(Result::err);
        if let Some(name) = inner.and_then(expressions::secret) {
            let what = format!("secrets: {}", names::secret(&name));
            let hint = "use that id in the Dockerfile's `--mount=type=secret`";
            notes.add(
                line,
                &what,
                &format!("in the build its id is `{name}`"),
                hint,
            );
            add(&mut build.secrets, name);
        }
    }
}
