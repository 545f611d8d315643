//! `on` of a workflow.

use super::super::globs;
use super::super::model::{Filter, Input, Notes, Schedule, Triggers, add};
use super::super::names;
use super::super::source::{Entry, Node};
use crate::cron::Cron;

/// Reads `on`: a word, a list of words or a mapping.
pub(super) fn read(node: &Node, notes: &mut Notes) -> Triggers {
    let mut triggers = Triggers::default();
    for (line, event) in node.texts() {
        bare(&event, line, &mut triggers, notes);
    }
    for entry in node.entries() {
        event(entry, &mut triggers, notes);
    }
    triggers
}

fn bare(event: &str, line: u32, triggers: &mut Triggers, notes: &mut Notes) {
    match event {
        "push" => triggers.push = Some(Filter::default()),
        "pull_request" => triggers.pull_request = Some(Filter::default()),
        "workflow_dispatch" => triggers.manual = Some(Vec::new()),
        event => other(event, line, triggers, notes),
    }
}

fn event(entry: &Entry, triggers: &mut Triggers, notes: &mut Notes) {
    let node = &entry.value;
    match entry.key.as_str() {
        "push" => triggers.push = Some(filter(node, notes)),
        "pull_request" => {
            triggers.pull_request = Some(filter(node, notes));
            let types = node.texts_of("types");
            let usual = ["opened", "synchronize", "reopened"];
            if types.iter().any(|one| !usual.contains(&one.as_str())) {
                let what = format!("types: {}", types.join(", "));
                let why = "a pull request starts a run when it is opened or gets new commits";
                notes.add(
                    entry.line,
                    &what,
                    why,
                    "start it with `manual` where that is too little",
                );
            }
        }
        "schedule" => {
            for item in node.items() {
                let cron = item.text_of("cron").unwrap_or_default();
                match Cron::parse(cron, "UTC") {
                    Ok(_) => triggers.schedule.push(Schedule {
                        cron: cron.to_owned(),
                        zone: None,
                    }),
                    Err(why) => notes.add(item.line, cron, &why, "write five fields of cron"),
                }
            }
        }
        "workflow_dispatch" => {
            let inputs = node.find("inputs").map(Node::entries).unwrap_or_default();
            let inputs = inputs.iter().map(|entry| input(entry, notes)).collect();
            triggers.manual = Some(inputs);
        }
        event => other(event, entry.line, triggers, notes),
    }
}

fn other(event: &str, line: u32, triggers: &mut Triggers, notes: &mut Notes) {
    let (why, hint) = match event {
        "release" => {
            let push = triggers.push.get_or_insert_with(|| Filter {
                tags: vec!["v*".into()],
                ..Filter::default()
            });
            if !push.branches.is_empty() && push.tags.is_empty() {
                push.tags.push("v*".to_owned());
            }
            (
                "a release is no event here; the push of its tag is",
                "check the pattern under `tags` of `push`",
            )
        }
        "workflow_call" => (
            "a pipeline is not called by another one",
            "make its jobs `templates` and take them with `extends`",
        ),
        "pull_request_target" => (
            "work of a fork never gets the rights of the repository",
            "use `pull_request`; do what needs secrets after the merge",
        ),
        "merge_group" => (
            "a merge queue starts nothing here",
            "use `pull_request` and `push`",
        ),
        "workflow_run" => (
            "a pipeline does not wait for another one",
            "put the jobs into one file and use `needs`",
        ),
        _ => (
            "there is no such event here",
            "start it with `manual`, or leave it out",
        ),
    };
    notes.add(line, &format!("on: {event}"), why, hint);
}

fn filter(node: &Node, notes: &mut Notes) -> Filter {
    let mut list = |wanted: &str, unwanted: &str| {
        let mut patterns = Vec::new();
        for (key, negation) in [(wanted, ""), (unwanted, "!")] {
            for (line, text) in node.find(key).map(Node::texts).unwrap_or_default() {
                for pattern in glob(&format!("{negation}{text}"), line, notes) {
                    add(&mut patterns, pattern);
                }
            }
        }
        patterns
    };
    Filter {
        branches: list("branches", "branches-ignore"),
        tags: list("tags", "tags-ignore"),
        paths: list("paths", "paths-ignore"),
    }
}

fn glob(text: &str, line: u32, notes: &mut Notes) -> Vec<String> {
    // `**` of theirs is any text, also of one part and none.
    match globs::glob(text) {
        Some(found) => {
            if found.is_wider {
                let why = format!("the pattern `{}` matches more", found.patterns.join("`, `"));
                notes.add(
                    line,
                    text,
                    &why,
                    "check that nothing else is called like this",
                );
            }
            found.patterns
        }
        None => {
            let why = "this pattern cannot be said with `*` and `**`";
            notes.add(line, text, why, "write one or several simpler ones");
            Vec::new()
        }
    }
}

fn input(entry: &Entry, notes: &mut Notes) -> Input {
    let node = &entry.value;
    let options = node.texts_of("options");
    let kind = match node.text_of("type").unwrap_or("string") {
        "number" => "number",
        "boolean" => "boolean",
        "choice" if !options.is_empty() => "choice",
        "string" => "string",
        other => {
            let why = "there is no such type of an input here";
            notes.add(
                entry.line,
                &format!("type: {other}"),
                why,
                "it is a `string` now",
            );
            "string"
        }
    };
    let default = node.text_of("default").map(str::to_owned);
    let default = default.filter(|default| match kind {
        "boolean" => matches!(default.as_str(), "true" | "false"),
        "number" => default.parse::<f64>().is_ok(),
        "choice" => options.contains(default),
        _ => !default.is_empty() && !default.contains('\n'),
    });
    let description = node.text_of("description").map(str::trim);
    let description = description.filter(|text| !text.is_empty() && !text.contains("${{"));
    Input {
        name: names::axis(&entry.key),
        kind,
        options: if kind == "choice" {
            options
        } else {
            Vec::new()
        },
        default,
        required: node.find("required").is_some_and(Node::is_true),
        description: description.map(str::to_owned),
    }
}
