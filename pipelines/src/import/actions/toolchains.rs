//! Actions that put a language or a tool on the machine: here an image has it, or a command gets it.

use super::super::images;
use super::super::model::Notes;
use super::super::script::{self, Part};
use super::expressions::Scope;
use super::jobs;
use super::steps::{Draft, Piece, Work};
use super::uses::{Action, tool_cache};

/// Actions that put a language on the machine: the image has it. Whether it is one.
pub(super) fn setup(
    name: &str,
    action: &Action<'_>,
    scope: &Scope,
    work: &mut Work,
    notes: &mut Notes,
) -> bool {
    let (language, version) = match name {
        "actions/setup-node" => ("node", "node-version"),
        "actions/setup-python" => ("python", "python-version"),
        "actions/setup-go" => ("go", "go-version"),
        "actions/setup-java" => ("java", "java-version"),
        "actions/setup-dotnet" => ("dotnet", "dotnet-version"),
        "ruby/setup-ruby" => ("ruby", "ruby-version"),
        "shivammathur/setup-php" => ("php", "php-version"),
        "erlef/setup-beam" => ("elixir", "elixir-version"),
        "denoland/setup-deno" => ("deno", "deno-version"),
        "oven-sh/setup-bun" => ("bun", "bun-version"),
        "haskell-actions/setup" => ("haskell", "ghc-version"),
        "julia-actions/setup-julia" => ("julia", "version"),
        "dart-lang/setup-dart" => ("dart", "sdk"),
        "dtolnay/rust-toolchain"
        | "actions-rs/toolchain"
        | "actions-rust-lang/setup-rust-toolchain" => {
            rust(action, scope, work, notes);
            return true;
        }
        _ => return false,
    };
    let mut given = action
        .text(version)
        .map(|text| scope.fill(text, action.line, notes));
    // Of several versions on one machine the last one was the default.
    given = given.and_then(|text| text.lines().last().map(|line| line.trim().to_owned()));
    if given.is_none()
        && let Some(file) = action.input(&format!("{version}-file"))
    {
        let what = format!("{version}-file: {}", file.shown());
        let why = "an image is named in the pipeline, and not in another file";
        notes.add(
            file.line,
            &what,
            why,
            "write the version into the tag of the `image`",
        );
    }
    set_image(
        images::of_language(language, given.as_deref()),
        action,
        work,
        notes,
    );
    let cache = match action.text("cache") {
        Some("true") | None if language == "go" => Some("go"),
        Some("true") | None if action.text("bundler-cache") == Some("true") => {
            push_command(action, "bundle install", scope, work, notes);
            Some("bundler")
        }
        cache => cache,
    };
    if let Some(tool) = cache {
        tool_cache(tool, work);
    }
    if let Some(extensions) = action.input("extensions") {
        let what = format!("extensions: {}", extensions.shown());
        let hint = "add `docker-php-ext-install NAME` before the command that needs it";
        notes.add(
            extensions.line,
            &what,
            "the image has only the common ones",
            hint,
        );
    }
    true
}

fn set_image(image: Option<String>, action: &Action<'_>, work: &mut Work, notes: &mut Notes) {
    let name = |image: &str| image.split(':').next().unwrap_or_default().to_owned();
    match (&work.image, image) {
        (Some(old), Some(new)) if name(old) != name(&new) => {
            let why = format!("the job has one image already, `{old}`");
            let hint = format!("give the steps that need it `image: {new}`");
            notes.add(action.line, &action.shown(), &why, &hint);
        }
        (_, Some(new)) => work.image = Some(new),
        (_, None) => {}
    }
}

/// A toolchain of Rust: `stable` is what the image has, others are installed in it.
fn rust(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let named = action.text("toolchain").or_else(|| {
        let is_branch = action.name.starts_with("dtolnay/");
        is_branch
            .then_some(action.version)
            .filter(|version| !matches!(*version, "master" | "v1"))
    });
    let toolchain = named.unwrap_or("stable");
    let (variable, _) = scope.script(toolchain, action.line, notes);
    let is_version = toolchain.starts_with(|c: char| c.is_ascii_digit());
    let image = match is_version {
        true => Some(format!("rust:{toolchain}")),
        false => images::of_language("rust", None),
    };
    set_image(image, action, work, notes);
    let mut lines = Vec::new();
    if !is_version && toolchain != "stable" {
        let variable = script::quote(&variable);
        lines.push(format!(
            "rustup toolchain install {variable} --profile minimal"
        ));
        lines.push(format!("rustup default {variable}"));
    }
    for (key, command) in [
        ("components", "component"),
        ("targets", "target"),
        ("target", "target"),
    ] {
        if let Some(list) = action.text(key) {
            let (list, _) = scope.script(&list.replace(',', " "), action.line, notes);
            let words: Vec<_> = list.split_whitespace().collect();
            lines.push(format!("rustup {command} add {}", words.join(" ")));
        }
    }
    if !lines.is_empty() {
        push_command(action, &lines.join("\n"), scope, work, notes);
    }
}

fn push_command(action: &Action<'_>, run: &str, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let mut draft = Draft {
        part: Part {
            run: run.to_owned(),
            ..Part::default()
        },
        line: action.line,
        ..Draft::default()
    };
    draft.when = jobs::when(action.step.find("if"), scope, &mut draft.comments, notes);
    work.pieces.push(Piece::Run(Box::new(draft)));
}

/// Actions that install a tool which has a command for that. Whether it is one.
pub(super) fn install(
    name: &str,
    action: &Action<'_>,
    work: &mut Work,
    scope: &Scope,
    notes: &mut Notes,
) -> bool {
    let run = match name {
        "pnpm/action-setup" => "corepack enable pnpm".to_owned(),
        "astral-sh/setup-uv" => "pip install uv".to_owned(),
        "snok/install-poetry" | "abatilo/actions-poetry" => "pip install poetry".to_owned(),
        "actions-rs/cargo" => {
            let command = action.text("command").unwrap_or("build");
            let arguments = action.text("args").unwrap_or_default();
            let (run, _) =
                scope.script(&format!("cargo {command} {arguments}"), action.line, notes);
            run.trim().to_owned()
        }
        "taiki-e/install-action" => {
            let tools = action.text("tool").unwrap_or_default().replace(',', " ");
            format!("cargo install --locked {}", tools.trim())
        }
        // The toolchain's own; `setup-*` has chosen the image.
        "taiki-e/setup-cross-toolchain-action" | "ilammy/setup-nasm" => return false,
        _ => return false,
    };
    push_command(action, &run, scope, work, notes);
    true
}
