//! The outer levels of a pipeline file: the file as a whole, and `env`.

use std::collections::HashSet;

use super::extends::Shelf;
use super::keys::FILE;
use super::problem::{At, Place, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Entry, Node};
use super::{Definition, Env, JobDefinition, Triggers, jobs, triggers};
use crate::expression::Template;
use crate::limits::JOBS_MAX;
use crate::template::Templates;

/// A file as far as it could be read.
pub(crate) struct File {
    /// What it says, without the parts that have problems.
    pub(crate) definition: Definition,
    /// Whether every job could be read.
    pub(crate) is_whole: bool,
}

/// Reads the whole file.
pub(crate) fn file(reader: &mut Reader, tree: &Node, fetched: &Templates) -> Option<File> {
    let fields = reader.fields(tree, &FILE)?;
    let triggers = match fields.find("on") {
        Some(entry) => triggers::triggers(reader, &entry.value),
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
    let concurrency = fields.find("concurrency");
    let concurrency = concurrency.and_then(|entry| triggers::concurrency(reader, &entry.value));
    let own = match fields.find("templates") {
        Some(entry) => reader.mapping(&entry.value, "`templates`").unwrap_or(&[]),
        None => &[],
    };
    let mut shelf = Shelf::new(own, fetched);
    let (jobs, is_whole) = read_jobs(reader, &fields, &mut shelf)?;
    Some(File {
        is_whole,
        definition: Definition {
            triggers,
            env,
            concurrency,
            templates: shelf.used(),
            borrowed: shelf.borrowed,
            jobs,
        },
    })
}

/// The jobs as far as they could be read, and whether all of them could.
fn read_jobs(
    reader: &mut Reader,
    fields: &Fields<'_>,
    shelf: &mut Shelf<'_>,
) -> Option<(Vec<JobDefinition>, bool)> {
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
    let mut jobs = Vec::new();
    for entry in entries {
        let whole = shelf.whole(reader, entry);
        jobs.extend(whole.and_then(|entry| jobs::job(reader, &entry, &names)));
    }
    let is_whole = jobs.len() == entries.len();
    Some((jobs, is_whole))
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
    reader.late_template(&entry.value, &format!("`{}`", entry.key))
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
