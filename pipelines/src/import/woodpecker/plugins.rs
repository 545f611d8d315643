//! Woodpecker's plugins: those that build images become a job, the rest is for a person.

use super::super::builds::{self, Values};
use super::super::condition;
use super::super::model::{Build, Job, Notes, Pairs};
use super::super::names;
use super::super::source::{Entry, Node};
use super::{VARIABLES, conditions};

/// Whether a plugin builds images.
fn builds_images(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split([':', '@']).next().unwrap_or_default();
    matches!(
        name,
        "plugin-docker-buildx"
            | "plugin-docker"
            | "plugin-kaniko"
            | "docker"
            | "kaniko"
            | "ecr"
            | "gcr"
            | "acr"
            | "gar"
            | "buildx"
            | "kaniko-plugin"
            | "drone-docker-buildx"
    )
}

/// The job for a step that builds an image with a plugin.
pub(super) fn build_job(name: &str, node: &Node, own: &Pairs, notes: &mut Notes) -> Option<Job> {
    let image = node.text_of("image")?;
    let settings = node.find("settings")?;
    if !builds_images(image) || node.find("commands").is_some() {
        return None;
    }
    let values = Values {
        table: &VARIABLES,
        own,
        line: settings.line,
    };
    let mut build = Build::default();
    let repo = settings.find("repo");
    for (line, text) in repo.map(Node::texts).unwrap_or_default() {
        let repo = values.fill(&text, notes);
        builds::add_reference(&mut build, &repo, line, notes);
    }
    registry(&mut build, settings, &values, notes);
    for entry in settings.entries() {
        setting(&mut build, entry, &values, notes);
    }
    let mut job = Job {
        line: node.line,
        ..Job::default()
    };
    match conditions::when(node.find("when"), notes) {
        Ok(when) => job.when = when,
        Err(()) => {
            job.when = condition::by_hand_only();
            job.by_hand
                .push(super::by_hand(node.line, "when it is built"));
        }
    }
    builds::note_fresh_context(node.line, name, notes);
    job.build = Some(build);
    Some(job)
}

fn setting(build: &mut Build, entry: &Entry, values: &Values<'_>, notes: &mut Notes) {
    let line = entry.line;
    let texts = entry.value.texts();
    match entry.key.as_str() {
        "tags" | "tag" => {
            let tags = texts
                .iter()
                .flat_map(|(line, text)| text.split(',').map(move |tag| (*line, tag.trim())));
            for (line, tag) in tags {
                let tag = values.fill(tag, notes);
                builds::add_tag(build, &tag, line, notes);
            }
        }
        "dockerfile" => build.dockerfile = texts.first().map(|(_, text)| builds::path(text)),
        "context" => {
            let context = texts.first().map(|(_, text)| builds::path(text));
            build.context = context.filter(|context| context != ".");
        }
        "target" => build.target = texts.first().map(|(_, text)| text.clone()),
        "platforms" | "platform" => {
            let all = texts.iter().flat_map(|(_, text)| text.split(','));
            build.platforms = all.map(|one| one.trim().to_owned()).collect();
        }
        "build_args" => arguments(build, &entry.value, values, notes),
        "username" | "password" | "registry" | "repo" | "logins" | "config" => {}
        "dry_run" | "cache_from" | "cache_to" | "purge" | "cache" | "cache_images" => {}
        "auto_tag" if entry.value.is_true() => {
            builds::add_tag(build, "${{ tag }}", line, notes);
            let why = "tags are not derived from versions";
            notes.add(
                line,
                "auto_tag",
                why,
                "list the `tags`, such as `${{ tag }}`",
            );
        }
        key => {
            let what = format!("settings.{key}: {}", entry.value.shown());
            notes.add(
                line,
                &what,
                "a build has no such setting",
                "see docs/pipeline-file.md",
            );
        }
    }
}

fn registry(build: &mut Build, settings: &Node, values: &Values<'_>, notes: &mut Notes) {
    let Some(registry) = settings.text_of("registry") else {
        return;
    };
    let registry = values.fill(registry, notes);
    let host = registry
        .trim_start_matches("https://")
        .trim_end_matches('/');
    let is_hub = host.is_empty() || host.contains("docker.io");
    if !is_hub && !build.image.starts_with(host) && !build.image.is_empty() {
        build.image = format!("{host}/{}", build.image);
    }
}

fn arguments(build: &mut Build, node: &Node, values: &Values<'_>, notes: &mut Notes) {
    for (line, text) in node.texts() {
        let text = values.fill(&text, notes);
        builds::add_argument(build, &text, line, notes);
    }
    for entry in node.entries() {
        if let Some(secret) = entry.value.text_of("from_secret") {
            let secret = names::secret(secret);
            let why = "an argument stays readable in the image, so it cannot be a secret";
            let hint = "mount it in the Dockerfile: `RUN --mount=type=secret,id=NAME`";
            notes.add(entry.line, &entry.key, why, hint);
            build.secrets.push(secret);
        } else {
            let value = values.fill(&entry.value.shown(), notes);
            build.args.push((entry.key.clone(), value));
        }
    }
}

/// What to do about a plugin.
pub(super) fn advice(image: &str) -> (&'static str, &'static str) {
    let has = |words: &[&str]| words.iter().any(|word| image.contains(word));
    const PLUGIN: &str = "plugins are programs of their own with settings we do not know";
    if has(&[
        "slack",
        "matrix",
        "mattermost",
        "telegram",
        "webhook",
        "email",
        "discord",
    ]) {
        return (
            "messages are not sent from a pipeline file",
            "the result is a check on the commit",
        );
    }
    if has(&["release", "github"]) {
        return (
            PLUGIN,
            "add a step with the image of `gh` and `gh release create`",
        );
    }
    if has(&["kubernetes", "helm", "kubectl"]) {
        return (
            PLUGIN,
            "make it a job with `deploy`: environment, manifests, images",
        );
    }
    if has(&["cache"]) {
        return (
            PLUGIN,
            "use `cache` of the job: `{ key: [FILE], paths: [FOLDER] }`",
        );
    }
    if has(&["s3", "gcs", "minio"]) {
        return (
            PLUGIN,
            "use `artifacts`, or a step with the cloud's command and a secret",
        );
    }
    (PLUGIN, "write the step with the commands it stands for")
}
