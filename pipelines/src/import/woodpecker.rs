//! Woodpecker's (and old Drone's) files: steps in containers over one workspace, as ours are.
//!
//! A workflow becomes one job; a plugin that builds an image becomes a job of its own, and what
//! comes behind it a third one.

mod conditions;
mod plugins;
mod steps;

use super::images;
use super::model::{Filter, Job, Matrix, Notes, Pairs, Pipeline, Service, add, by_hand};
use super::names::{self, Names};
use super::source::{Entry, Kind, Node};
use super::variables::{Table, both, script};

pub(super) const VARIABLES: Table = Table {
    known: &[
        both("CI_COMMIT_SHA", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("CI_COMMIT_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("CI_COMMIT_TAG", "$SEAWORTHY_TAG", "${{ tag }}"),
        both("CI_COMMIT_AUTHOR", "$SEAWORTHY_AUTHOR", "${{ author }}"),
        both("CI_REPO", "$SEAWORTHY_REPOSITORY", "${{ repository }}"),
        both("CI_PIPELINE_NUMBER", "$SEAWORTHY_RUN", "${{ run }}"),
        both("CI_PIPELINE_EVENT", "$SEAWORTHY_EVENT", "${{ event }}"),
        both("CI_WORKSPACE", "/workspace", "/workspace"),
        script("CI_COMMIT_PULL_REQUEST", "$SEAWORTHY_PULL_REQUEST"),
        script("CI_PIPELINE_URL", "$SEAWORTHY_URL"),
        both("DRONE_COMMIT_SHA", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("DRONE_COMMIT", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("DRONE_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("DRONE_COMMIT_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("DRONE_TAG", "$SEAWORTHY_TAG", "${{ tag }}"),
        both("DRONE_REPO", "$SEAWORTHY_REPOSITORY", "${{ repository }}"),
        both("DRONE_BUILD_NUMBER", "$SEAWORTHY_RUN", "${{ run }}"),
        both("DRONE_BUILD_EVENT", "$SEAWORTHY_EVENT", "${{ event }}"),
        script("DRONE_PULL_REQUEST", "$SEAWORTHY_PULL_REQUEST"),
        script("DRONE_BUILD_LINK", "$SEAWORTHY_URL"),
    ],
    prefixes: &["CI_", "DRONE_"],
};

/// Translates the file.
pub(super) fn pipeline(root: &Node, notes: &mut Notes) -> Pipeline {
    let mut pipeline = Pipeline::default();
    triggers(root, &mut pipeline, notes);
    let matrix = matrix(root, notes);
    for entry in root.entries() {
        strange(entry, notes);
    }
    // In values, a name of the matrix is filled in as our gaps are.
    let own: Pairs = match &matrix {
        Some((_, own)) => own.clone(),
        None => Pairs::new(),
    };
    let services = root
        .find("services")
        .map(|node| services(node, &own, notes));
    let list = root.find("steps").or(root.find("pipeline"));
    let mut names = Names::default();
    let mut jobs = steps::jobs(list, &own, &mut names, notes);
    for job in &mut jobs {
        if let Some((matrix, own)) = &matrix {
            job.matrix = matrix.clone();
            if job.build.is_none() {
                job.env.clone_from(own);
            }
        }
        if job.build.is_none() {
            job.services.extend(services.iter().flatten().cloned());
        }
    }
    pipeline.jobs = jobs;
    pipeline
}

fn strange(entry: &Entry, notes: &mut Notes) {
    let (why, hint) = match entry.key.as_str() {
        "steps" | "pipeline" | "services" | "matrix" | "when" | "trigger" | "variables" => return,
        "kind" | "type" | "name" | "platform" | "version" | "skip_clone" => return,
        "clone" => {
            if !entry.value.entries().iter().any(|inner| {
                inner.value.find("settings").is_some_and(|settings| {
                    ["recursive", "lfs", "submodule_override"]
                        .iter()
                        .any(|key| settings.find(key).is_some_and(|node| !node.is_false()))
                })
            }) {
                return;
            }
            (
                "the checkout is plain git, without submodules and large files",
                "add `git submodule update --init` as a first step",
            )
        }
        "depends_on" => (
            "one pipeline does not wait for another",
            "put the jobs into one file and use `needs`",
        ),
        "workspace" => (
            "the workspace is always `/workspace`",
            "adapt paths that are written out",
        ),
        "labels" | "runs_on" => (
            "runners are not chosen by labels of the file",
            "start a runner for the environment instead",
        ),
        "volumes" => (
            "no folder of the host is mounted into a container",
            "use `cache` for what should be kept",
        ),
        key if key.starts_with('.') || key.starts_with("x-") => return,
        _ => ("there is no such thing here", "see docs/pipeline-file.md"),
    };
    let what = format!("{}: {}", entry.key, entry.value.shown());
    notes.add(entry.line, &what, why, hint);
}

/// The `when` of the whole file says what starts it.
fn triggers(root: &Node, pipeline: &mut Pipeline, notes: &mut Notes) {
    let triggers = &mut pipeline.triggers;
    let Some(when) = root.find("when").or(root.find("trigger")) else {
        triggers.push = Some(Filter::default());
        triggers.pull_request = Some(Filter::default());
        return;
    };
    for one in when.items() {
        let events = match one.find("event") {
            Some(event) => conditions::list(event),
            None => vec!["push".into(), "tag".into(), "pull_request".into()],
        };
        let branches = one.find("branch").map(conditions::list).unwrap_or_default();
        let paths = one.find("path").map(conditions::list).unwrap_or_default();
        let mut patterns = |list: &[String]| -> Vec<String> {
            let globs = list
                .iter()
                .map(|text| conditions::glob(text, one.line, notes));
            globs.flatten().flatten().collect()
        };
        let (branches, paths) = (patterns(&branches), patterns(&paths));
        let tags: Vec<String> = one.texts_of("ref");
        let tags = tags
            .iter()
            .filter_map(|text| text.strip_prefix("refs/tags/"));
        let tags = patterns(&tags.map(str::to_owned).collect::<Vec<_>>());
        let has = |event: &str| events.iter().any(|one| one == event);
        if has("push") || has("tag") {
            let filter = triggers.push.get_or_insert_with(Filter::default);
            if has("push") {
                // Without a filter of its own, `tags` alone would start nothing for branches.
                let all = || vec!["**".to_owned()];
                let branches = if branches.is_empty() {
                    all()
                } else {
                    branches.clone()
                };
                branches
                    .into_iter()
                    .for_each(|one| add(&mut filter.branches, one));
            }
            if has("tag") {
                let all = || vec!["**".to_owned()];
                let tags = if tags.is_empty() { all() } else { tags };
                tags.into_iter().for_each(|one| add(&mut filter.tags, one));
            }
            filter.paths.extend(paths.clone());
        }
        if has("pull_request") {
            let filter = triggers.pull_request.get_or_insert_with(Filter::default);
            filter.branches.extend(branches);
            filter.paths.extend(paths);
        }
        if has("manual") {
            triggers.manual = Some(Vec::new());
        }
        note_unsaid(one, &events, notes);
    }
    if let Some(push) = &mut triggers.push
        && push.branches == ["**"]
        && push.tags == ["**"]
    {
        push.branches.clear();
        push.tags.clear();
    }
}

/// What a `when` of the whole file asks for and triggers cannot.
fn note_unsaid(one: &Node, events: &[String], notes: &mut Notes) {
    for event in events {
        note_event(event, one, notes);
    }
    for key in ["evaluate", "cron", "instance", "repo"] {
        if let Some(node) = one.find(key) {
            let what = format!("when.{key}: {}", node.shown());
            let why = "what starts a pipeline cannot be said like this";
            notes.add(
                node.line,
                &what,
                why,
                "use a `when` of the job, or leave it out",
            );
        }
    }
}

fn note_event(event: &str, node: &Node, notes: &mut Notes) {
    let (why, hint) = match event {
        "push" | "tag" | "pull_request" | "manual" => return,
        event if event.starts_with('!') => return,
        "cron" => (
            "the times stand in Woodpecker's settings, not in the file",
            "add `schedule: [{ cron: \"0 4 * * *\" }]` to `on`",
        ),
        _ => (
            "there is no such event here",
            "start it with `manual`, or leave it out",
        ),
    };
    notes.add(node.line, &format!("event: {event}"), why, hint);
}

/// The matrix, and the variables that fill in its values.
fn matrix(root: &Node, notes: &mut Notes) -> Option<(Matrix, Pairs)> {
    let node = root.find("matrix")?;
    let mut matrix = Matrix::default();
    for entry in node.entries() {
        if entry.key == "include" {
            for row in entry.value.items() {
                let row = row.entries().iter();
                let row = row.map(|one| (names::axis(&one.key), one.value.shown()));
                matrix.include.push(row.collect());
            }
        } else {
            let values = entry.value.texts().into_iter().map(|(_, text)| text);
            matrix
                .axes
                .push((names::axis(&entry.key), values.collect()));
        }
    }
    if matrix.is_empty() {
        notes.add(node.line, "matrix", "it is empty", "leave it out");
        return None;
    }
    let mut own = Pairs::new();
    let rows = node.find("include").map(Node::items).unwrap_or_default();
    let keys = node
        .entries()
        .iter()
        .chain(rows.iter().flat_map(Node::entries));
    for key in keys.map(|entry| entry.key.as_str()) {
        if key != "include" && !own.iter().any(|(name, _)| name == key) {
            let value = format!("${{{{ matrix.{} }}}}", names::axis(key));
            own.push((key.to_owned(), value));
        }
    }
    Some((matrix, own))
}

/// A list of named things, or a mapping of them: both forms are common.
pub(super) fn named(node: &Node) -> Vec<(String, &Node)> {
    match &node.kind {
        Kind::Map(entries) => {
            let entries = entries.iter();
            entries
                .map(|entry| (entry.key.clone(), &entry.value))
                .collect()
        }
        Kind::List(items) => {
            let items = items.iter();
            let name = |item: &Node| item.text_of("name").unwrap_or("step").to_owned();
            items.map(|item| (name(item), item)).collect()
        }
        Kind::Nothing | Kind::Text(_) => Vec::new(),
    }
}

fn services(node: &Node, own: &Pairs, notes: &mut Notes) -> Vec<Service> {
    let mut services = Vec::new();
    for (name, node) in named(node) {
        services.extend(service(&name, node, own, notes));
    }
    services
}

/// A container beside the steps.
pub(super) fn service(name: &str, node: &Node, own: &Pairs, notes: &mut Notes) -> Option<Service> {
    let image = node.text_of("image")?;
    let mut service = Service {
        name: names::service(name),
        image: VARIABLES.in_value(image, own, node.line, notes),
        ..Service::default()
    };
    let environment = node.find("environment");
    let (env, secrets) = steps::environment(environment, own, notes);
    service.env = env;
    let line = environment.map_or(node.line, |node| node.line);
    for (variable, secret) in secrets {
        let hint = "give the service a password of its own: it lives as long as the job";
        let what = format!("{variable}: from_secret {secret}");
        notes.add(line, &what, "a service has no secrets", hint);
    }
    for key in ["commands", "command", "entrypoint"] {
        if let Some(command) = node.find(key) {
            let what = format!("{key}: {}", command.shown());
            let why = "a service runs what its image starts";
            notes.add(command.line, &what, why, "use an image that starts it so");
        }
    }
    images::make_ready(&mut service);
    Some(service)
}

/// The comment and the note for a part of a job.
fn leave(job: &mut Job, line: u32, what: &str, (why, hint): (&str, &str), notes: &mut Notes) {
    notes.add(line, what, why, hint);
    job.after_steps.push(by_hand(line, what));
}
