//! The actions everybody uses: what they did for a job is a key of ours, or nothing at all.

use super::super::images;
use super::super::model::{Cache, Notes, add};
use super::super::script::Part;
use super::super::source::Node;
use super::expressions::Scope;
use super::steps::{Draft, Piece, Work, leave};
use super::{docker, jobs, toolchains};

/// A step that uses an action.
pub(super) struct Action<'n> {
    pub(super) step: &'n Node,
    /// `owner/name`, without its version.
    pub(super) name: &'n str,
    pub(super) version: &'n str,
    pub(super) line: u32,
}

impl<'n> Action<'n> {
    pub(super) fn input(&self, key: &str) -> Option<&'n Node> {
        self.step.find("with").and_then(|with| with.find(key))
    }

    pub(super) fn text(&self, key: &str) -> Option<&'n str> {
        self.input(key).and_then(Node::text).map(str::trim)
    }

    /// The lines of an input, which is how a list is given to an action.
    pub(super) fn lines(&self, key: &str) -> Vec<&'n str> {
        let lines = self.text(key).unwrap_or_default().lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    pub(super) fn shown(&self) -> String {
        format!("uses: {}@{}", self.name, self.version)
    }
}

/// Reads a step with `uses`.
pub(super) fn read(step: &Node, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let Some(uses) = step.find("uses") else {
        return;
    };
    let text = uses.text().unwrap_or_default();
    let (name, version) = text.split_once('@').unwrap_or((text, ""));
    let action = Action {
        step,
        name,
        version,
        line: uses.line,
    };
    let lower = name.to_lowercase();
    match lower.as_str() {
        "actions/checkout" => checkout(&action, work, notes),
        "actions/cache" | "actions/cache/restore" => cache(&action, scope, work, notes),
        // The first of the pair says all that there is to say.
        "actions/cache/save" => {}
        "actions/upload-artifact" => artifacts(&action, scope, work, notes),
        "swatinem/rust-cache" | "leafac/rust-cache" => tool_cache("cargo", work),
        "gradle/actions/setup-gradle" | "gradle/gradle-build-action" => tool_cache("gradle", work),
        name if docker::is_known(name) => docker::read(&action, scope, work, notes),
        name if name.starts_with("docker://") => image_step(&action, scope, work, notes),
        name => {
            let is_known = toolchains::setup(name, &action, scope, work, notes)
                || report(name, &action, work)
                || toolchains::install(name, &action, work, scope, notes);
            if !is_known {
                leave(work, (action.line, &action.shown()), advice(name), notes);
            }
        }
    }
}

fn checkout(action: &Action<'_>, work: &mut Work, notes: &mut Notes) {
    for key in ["repository", "submodules", "lfs", "ref"] {
        let Some(node) = action
            .input(key)
            .filter(|node| !node.is_false() && !node.is_null())
        else {
            continue;
        };
        // The commit that is built is the one that is checked out.
        if key == "ref" && node.shown().contains("head") {
            continue;
        }
        let what = format!("checkout with {key}: {}", node.shown());
        let (why, hint) = match key {
            "submodules" => (
                "the checkout is plain git, without submodules",
                "add `git submodule update --init` as a first step",
            ),
            "lfs" => (
                "large files are not fetched",
                "add `git lfs pull` as a first step",
            ),
            _ => (
                "the commit that is built is checked out, and nothing else",
                "fetch the other one in a step with `git`",
            ),
        };
        leave(work, (node.line, &what), (why, hint), notes);
    }
}

fn cache(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let key = action.text("key").unwrap_or_default();
    let mut files = Vec::new();
    if let Some((_, rest)) = key.split_once("hashFiles(") {
        let inner = rest.split(')').next().unwrap_or_default();
        for file in inner.split(',') {
            let file = file.trim().trim_matches('\'');
            if let Some(found) = super::super::globs::glob(file) {
                files.extend(found.patterns);
            }
        }
    }
    let mut paths = Vec::new();
    for line in action.lines("path") {
        let path = images::path(&scope.fill(line, action.line, notes));
        match path.contains('*') || path.starts_with('!') || !is_kept(&path) {
            true => {
                let why = "this path cannot be kept by a cache";
                notes.add(action.line, line, why, "name a folder");
            }
            false => add(&mut paths, path),
        }
    }
    if !paths.is_empty() {
        let cache = Cache { key: files, paths };
        add_cache(work, cache);
    }
}

fn is_kept(path: &str) -> bool {
    crate::definition::is_cache_path(path)
}

/// Adds a cache without the folders that another one keeps.
fn add_cache(work: &mut Work, mut cache: Cache) {
    let kept = work.caches.iter().flat_map(|cache| &cache.paths);
    let kept: Vec<_> = kept.cloned().collect();
    cache.paths.retain(|path| !kept.contains(path));
    if !cache.paths.is_empty() {
        work.caches.push(cache);
    }
}

pub(super) fn tool_cache(tool: &str, work: &mut Work) {
    if let Some(cache) = images::cache_of(tool) {
        add_cache(work, cache);
    }
}

fn artifacts(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    for line in action.lines("path") {
        let path = scope.fill(line, action.line, notes);
        let path = path.trim_start_matches("/workspace/").trim_end_matches('/');
        match super::super::globs::glob(path) {
            Some(found) if !path.starts_with(['~', '/']) && !path.contains("..") => {
                found
                    .patterns
                    .into_iter()
                    .for_each(|one| add(&mut work.artifacts, one));
            }
            _ => {
                let why = "an artifact is a file of the workspace";
                notes.add(
                    action.line,
                    line,
                    why,
                    "copy it there, and name it under `artifacts`",
                );
            }
        }
    }
}

/// `uses: docker://image` runs an image with arguments.
fn image_step(action: &Action<'_>, scope: &Scope, work: &mut Work, notes: &mut Notes) {
    let image = action.step.text_of("uses").unwrap_or_default();
    let image = image.trim_start_matches("docker://");
    let Some(run) = action.text("args") else {
        let hint = "write the command that its entry point runs";
        let why = "a step is a command in an image, not an entry point";
        leave(
            work,
            (action.line, &format!("uses: docker://{image}")),
            (why, hint),
            notes,
        );
        return;
    };
    let (run, secrets) = scope.script(run, action.line, notes);
    let mut draft = Draft {
        part: Part {
            run,
            ..Part::default()
        },
        secrets,
        image: Some(image.to_owned()),
        line: action.line,
        ..Draft::default()
    };
    draft.when = jobs::when(action.step.find("if"), scope, &mut draft.comments, notes);
    work.pieces.push(Piece::Run(Box::new(draft)));
}

/// Actions that show test reports. Whether it is one.
fn report(name: &str, action: &Action<'_>, work: &mut Work) -> bool {
    let key = match name {
        "mikepenz/action-junit-report" => "report_paths",
        "dorny/test-reporter" => "path",
        "enricomi/publish-unit-test-result-action" => "files",
        "scacap/action-surefire-report" => "report_paths",
        _ => return false,
    };
    let texts = action.text(key).unwrap_or("**/TEST-*.xml");
    for text in texts
        .split([',', '\n'])
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        if let Some(found) = super::super::globs::glob(text) {
            found
                .patterns
                .into_iter()
                .for_each(|one| add(&mut work.junit, one));
        }
    }
    true
}

fn advice(name: &str) -> (&'static str, &'static str) {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    const ACTION: &str = "actions are programs of GitHub's; this one has no key here";
    if name.starts_with("./") {
        return (
            "actions of the repository are not run",
            "write its steps here",
        );
    }
    if has(&["download-artifact"]) {
        return (
            "a job starts from a fresh checkout; artifacts of others are not handed to it",
            "make the file again, or do both in one job",
        );
    }
    if has(&["codecov", "coveralls", "codeclimate", "sonar"]) {
        return (
            ACTION,
            "add a step with the service's own command and a secret",
        );
    }
    if has(&[
        "gh-release",
        "create-release",
        "release-action",
        "upload-release",
    ]) {
        return (
            ACTION,
            "add a step with the image of `gh`, `gh release create`, and a secret",
        );
    }
    if has(&["helm", "kubectl", "k8s", "kubernetes", "gke", "eks", "aks"]) {
        return (
            ACTION,
            "make it a job with `deploy`: environment, manifests, images",
        );
    }
    if has(&["slack", "discord", "telegram", "notify"]) {
        return (
            "messages are not sent from a pipeline file",
            "the result is a check on the commit",
        );
    }
    if has(&[
        "codeql",
        "scorecard",
        "dependency-review",
        "labeler",
        "stale",
        "dependabot",
    ]) {
        return (
            "it works with GitHub itself",
            "leave it to GitHub: it can stay a workflow there",
        );
    }
    (ACTION, "write a step with the commands it stands for")
}
