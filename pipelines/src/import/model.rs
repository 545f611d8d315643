//! A pipeline file of ours while it is being put together, and the notes taken on the way.

use std::collections::HashSet;

use super::Note;

/// What is wrong or missing, collected while a file is read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    said: HashSet<Note>,
}

impl Notes {
    /// Says that something of the source was not translated, or not quite.
    pub(super) fn add(&mut self, line: u32, what: &str, why: &str, hint: &str) {
        let note = Note {
            line,
            what: one_line(what),
            why: why.to_owned(),
            hint: hint.to_owned(),
        };
        // Jobs that inherit the same lines would say the same again.
        if self.said.insert(note.clone()) {
            self.list.push(note);
        }
    }

    pub(super) fn into_list(mut self) -> Vec<Note> {
        self.list.sort_by_key(|note| note.line);
        self.list
    }
}

/// A text as one short line.
pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let line = text.trim().lines().next().unwrap_or_default();
    let mut short: String = line
        .chars()
        .take(CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short
}

/// Keys and values, in order.
pub(super) type Pairs = Vec<(String, String)>;

#[derive(Debug, Default)]
pub(super) struct Pipeline {
    pub(super) triggers: Triggers,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) env: Pairs,
    pub(super) jobs: Vec<Job>,
    /// Comments at the end: jobs that must be written by hand.
    pub(super) by_hand: Vec<String>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Triggers {
    pub(super) push: Option<Filter>,
    pub(super) pull_request: Option<Filter>,
    pub(super) schedule: Vec<Schedule>,
    pub(super) manual: Option<Vec<Input>>,
}

impl Triggers {
    pub(super) fn is_empty(&self) -> bool {
        self.push.is_none()
            && self.pull_request.is_none()
            && self.schedule.is_empty()
            && self.manual.is_none()
    }
}

#[derive(Debug, Default, Clone)]
pub(super) struct Filter {
    pub(super) branches: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) paths: Vec<String>,
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        self.branches.is_empty() && self.tags.is_empty() && self.paths.is_empty()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) cron: String,
    pub(super) zone: Option<String>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) options: Vec<String>,
    pub(super) default: Option<String>,
    pub(super) required: bool,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Concurrency {
    pub(super) group: String,
    pub(super) newest_wins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Failure,
    Always,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct When {
    pub(super) branch: Vec<String>,
    pub(super) tag: Vec<String>,
    pub(super) event: Vec<String>,
    pub(super) path: Vec<String>,
    pub(super) status: Option<Status>,
    pub(super) matrix: Vec<(String, Vec<String>)>,
}

impl When {
    pub(super) fn is_empty(&self) -> bool {
        *self == When::default()
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) env: Pairs,
    pub(super) ready: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Matrix {
    pub(super) axes: Vec<(String, Vec<String>)>,
    pub(super) include: Vec<Pairs>,
    pub(super) exclude: Vec<Pairs>,
}

impl Matrix {
    pub(super) fn is_empty(&self) -> bool {
        self.axes.is_empty() && self.include.is_empty()
    }

    /// The names of its axes, those that only an `include` brings too.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.axes.iter().map(|(name, _)| name.as_str()).collect();
        for (name, _) in self.include.iter().flatten() {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cache {
    pub(super) key: Vec<String>,
    pub(super) paths: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    /// Comments above it.
    pub(super) by_hand: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) run: String,
    pub(super) image: Option<String>,
    pub(super) env: Pairs,
    pub(super) secrets: Vec<String>,
    pub(super) when: When,
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Build {
    pub(super) image: String,
    pub(super) context: Option<String>,
    pub(super) dockerfile: Option<String>,
    pub(super) target: Option<String>,
    pub(super) platforms: Vec<String>,
    pub(super) args: Pairs,
    pub(super) secrets: Vec<String>,
    pub(super) tags: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Retry {
    pub(super) attempts: u32,
    pub(super) on: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    /// Where it stands in the source.
    pub(super) line: u32,
    /// Comments above it.
    pub(super) by_hand: Vec<String>,
    pub(super) name: String,
    pub(super) needs: Vec<String>,
    /// Nobody waits for it: it runs when a person wants it to.
    pub(super) is_optional: bool,
    pub(super) when: When,
    pub(super) image: Option<String>,
    pub(super) services: Vec<Service>,
    pub(super) matrix: Matrix,
    pub(super) env: Pairs,
    pub(super) caches: Vec<Cache>,
    pub(super) steps: Vec<Step>,
    /// Comments below the steps.
    pub(super) after_steps: Vec<String>,
    /// Instead of steps.
    pub(super) build: Option<Build>,
    pub(super) junit: Vec<String>,
    pub(super) artifacts: Vec<String>,
    pub(super) outputs: Pairs,
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<Retry>,
}

impl Job {
    /// Whether there is anything in it that a runner could do.
    pub(super) fn does_nothing(&self) -> bool {
        self.steps.is_empty() && self.build.is_none()
    }
}

/// Adds what is not there yet.
pub(super) fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Sets a key, over what it was.
pub(super) fn set(pairs: &mut Pairs, key: &str, value: &str) {
    match pairs.iter_mut().find(|(name, _)| name == key) {
        Some((_, old)) => value.clone_into(old),
        None => pairs.push((key.to_owned(), value.to_owned())),
    }
}

/// The comment for something that only a person can translate.
pub(super) fn by_hand(line: u32, what: &str) -> String {
    format!("by hand (line {line}): {}", one_line(what))
}
