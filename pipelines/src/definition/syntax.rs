//! The outer levels of a pipeline file: `on`, `env`, `jobs`, and `when`.

use std::collections::HashSet;

use super::keys::{FILE, MANUAL, ON, PULL_REQUEST, PUSH, WHEN};
use super::problem::{At, Place, Problem};
use super::reader::Reader;
use super::tree::{Entry, Kind, Node};
use super::{
    Definition, Env, EventFilter, ManualTrigger, PullRequestTrigger, PushTrigger, Triggers, When,
    jobs,
};
use crate::event::EventKind;
use crate::expression::Template;
use crate::limits::JOBS_MAX;

/// A file as far as it could be read.
pub(crate) struct File {
    /// What it says, without the parts that have problems.
    pub(crate) definition: Definition,
    /// Whether every job could be read.
    pub(crate) is_whole: bool,
}

/// Reads the whole file.
pub(crate) fn file(reader: &mut Reader, tree: &Node) -> Option<File> {
    let fields = reader.fields(tree, &FILE)?;
    let triggers = match fields.find("on") {
        Some(entry) => triggers(reader, &entry.value),
        None => {
            let problem = Problem::new(Place::START, "", "`on` is missing");
            reader.report(problem.hint("say what starts the pipeline: `on: push`"));
            Triggers::default()
        }
    };
    let env = match fields.find("env") {
        Some(entry) => env(reader, &entry.value, "`env`"),
        None => Env::new(),
    };
    let Some(entry) = fields.find("jobs") else {
        let problem = Problem::new(Place::START, "", "`jobs` is missing");
        reader.report(problem.hint("a pipeline has at least one job"));
        return None;
    };
    let entries = reader.mapping(&entry.value, "`jobs`")?;
    if entries.len() > JOBS_MAX {
        let count = entries.len();
        let message = format!("the file has {count} jobs; at most {JOBS_MAX} may be");
        reader.report(Problem::new(entry.place, "jobs", message));
        return None;
    }
    if entries.is_empty() {
        reader.report(Problem::new(entry.place, "jobs", "`jobs` has no job"));
    }
    let names: HashSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let jobs = entries.iter();
    let jobs: Vec<_> = jobs
        .filter_map(|entry| jobs::job(reader, entry, &names))
        .collect();
    Some(File {
        is_whole: jobs.len() == entries.len(),
        definition: Definition {
            triggers,
            env,
            concurrency: None,
            templates: Vec::new(),
            jobs,
        },
    })
}

fn triggers(reader: &mut Reader, node: &Node) -> Triggers {
    let mut triggers = Triggers::default();
    match &node.kind {
        Kind::Mapping(_) => {
            let Some(fields) = reader.fields(node, &ON) else {
                return triggers;
            };
            triggers.push = fields.find("push").map(|entry| push(reader, entry));
            triggers.pull_request = fields
                .find("pull_request")
                .map(|entry| pull_request(reader, entry));
            if let Some(entry) = fields.find("manual") {
                triggers.manual = Some(ManualTrigger::default());
                if !entry.value.is_null() {
                    reader.fields(&entry.value, &MANUAL);
                }
            }
            if fields.is_empty() {
                reader.report(Problem::new(node.place, "on", "`on` names no event"));
            }
        }
        Kind::Scalar { .. } | Kind::Sequence(_) => {
            for item in reader.items(node, "`on`") {
                let Some(text) = reader.plain_text(item, "`on`") else {
                    continue;
                };
                match event_kind(reader, &text) {
                    Some(EventKind::Push) => triggers.push = Some(PushTrigger::default()),
                    Some(EventKind::PullRequest) => {
                        triggers.pull_request = Some(PullRequestTrigger::default());
                    }
                    Some(EventKind::Manual) => triggers.manual = Some(ManualTrigger::default()),
                    Some(EventKind::Schedule) | None => {}
                }
            }
        }
    }
    triggers
}

const EVENTS: [EventKind; 3] = [EventKind::Push, EventKind::PullRequest, EventKind::Manual];

fn event_kind(reader: &mut Reader, text: &At<String>) -> Option<EventKind> {
    let found = EVENTS.into_iter().find(|kind| kind.as_str() == text.value);
    if found.is_none() {
        let is_later = ON.later.contains(&text.value.as_str());
        let message = match is_later {
            true => format!("`{}` is not supported yet", text.value),
            false => "this event is not known".into(),
        };
        let problem = Problem::new(text.place, &text.value, message);
        let problem = match is_later {
            true => problem,
            false => problem
                .hint("known are push, pull_request and manual")
                .nearest(&text.value, EVENTS.map(EventKind::as_str)),
        };
        reader.report(problem);
    }
    found
}

fn push(reader: &mut Reader, entry: &Entry) -> PushTrigger {
    let node = &entry.value;
    let mut trigger = PushTrigger::default();
    if node.is_null() {
        return trigger;
    }
    if let Some(fields) = reader.fields(node, &PUSH) {
        let mut patterns = |key: &str| {
            let entry = fields.find(key)?;
            reader.patterns(&entry.value, &format!("`{key}`"))
        };
        trigger.branches = patterns("branches");
        trigger.tags = patterns("tags");
        trigger.paths = patterns("paths");
    }
    trigger
}

fn pull_request(reader: &mut Reader, entry: &Entry) -> PullRequestTrigger {
    let node = &entry.value;
    let mut trigger = PullRequestTrigger::default();
    if node.is_null() {
        return trigger;
    }
    if let Some(fields) = reader.fields(node, &PULL_REQUEST) {
        let mut patterns = |key: &str| {
            let entry = fields.find(key)?;
            reader.patterns(&entry.value, &format!("`{key}`"))
        };
        trigger.branches = patterns("branches");
        trigger.paths = patterns("paths");
    }
    trigger
}

/// Reads `when`.
pub(crate) fn when(reader: &mut Reader, node: &Node) -> When {
    let mut when = When::default();
    let Some(fields) = reader.fields(node, &WHEN) else {
        return when;
    };
    if let Some(entry) = fields.find("branch") {
        when.branch = reader.patterns(&entry.value, "`branch`");
    }
    if let Some(entry) = fields.find("event") {
        let mut filter = EventFilter::default();
        for item in reader.items(&entry.value, "`event`") {
            let Some(mut text) = reader.plain_text(item, "`event`") else {
                continue;
            };
            let list = match text.value.strip_prefix('!') {
                Some(rest) => {
                    text.value = rest.to_owned();
                    &mut filter.unwanted
                }
                None => &mut filter.wanted,
            };
            list.extend(event_kind(reader, &text));
        }
        when.event = Some(filter);
    }
    when
}

/// Reads variables: `env`, or the arguments of a build.
pub(crate) fn env(reader: &mut Reader, node: &Node, what: &str) -> Env {
    let Some(entries) = reader.mapping(node, what) else {
        return Env::new();
    };
    let mut env = Env::new();
    for entry in entries {
        if let Some(problem) = wrong_variable(entry, what) {
            reader.report(problem);
        } else if let Some(value) = variable(reader, entry) {
            env.push((entry.key.clone(), value));
        }
    }
    env
}

fn variable(reader: &mut Reader, entry: &Entry) -> Option<At<Template>> {
    if entry.value.is_null() {
        // Other readers make of this an empty text, or the text `null`: we do not guess.
        let message = format!("`{}` has no value", entry.key);
        let problem = Problem::new(entry.place, &entry.key, message);
        reader.report(problem.hint("write `\"\"` for an empty text"));
        return None;
    }
    reader.template(&entry.value, &format!("`{}`", entry.key))
}

fn wrong_variable(entry: &Entry, what: &str) -> Option<Problem> {
    let name = entry.key.as_str();
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_valid = name.len() <= 255
        && name.bytes().next().is_some_and(is_first)
        && name
            .bytes()
            .all(|byte| is_first(byte) || byte.is_ascii_digit());
    let problem = |message: &str| Problem::new(entry.place, name, message);
    if !is_valid {
        let problem = problem("this is not a valid name of a variable");
        Some(problem.hint("use letters, digits and `_`, not beginning with a digit"))
    } else if what == "`env`" && name.starts_with("SEAWORTHY_") {
        let problem = problem("names beginning with `SEAWORTHY_` are set by Seaworthy");
        Some(problem.hint("choose another name"))
    } else {
        None
    }
}
