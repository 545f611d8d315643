//! Workflows of GitHub Actions: one machine a job, on which actions and scripts follow one another.

mod conditions;
mod docker;
mod expressions;
mod jobs;
mod matrix;
mod outputs;
mod steps;
mod toolchains;
mod triggers;
mod uses;

use super::model::{Concurrency, Notes, Pipeline, by_hand};
use super::names::Names;
use super::source::{Entry, Node};
use expressions::Scope;

/// Translates the file.
pub(super) fn pipeline(root: &Node, notes: &mut Notes) -> Pipeline {
    let mut pipeline = Pipeline::default();
    for entry in root.entries() {
        strange(entry, notes);
    }
    if let Some(on) = root.find("on") {
        pipeline.triggers = triggers::read(on, notes);
    }
    let mut scope = Scope::default();
    let mut names = Names::default();
    let jobs = root.find("jobs").map(Node::entries).unwrap_or_default();
    for job in jobs {
        let name = names.unique(&job.key);
        scope.jobs.push((job.key.clone(), name));
    }
    scope.triggers = pipeline.triggers.clone();
    for input in pipeline.triggers.manual.iter().flatten() {
        scope.inputs.push(input.name.clone());
    }
    let (env, secrets) = expressions::environment(root.find("env"), &scope, notes);
    scope.env.clone_from(&env);
    scope.secret_env = secrets;
    pipeline.env = env;
    pipeline.concurrency = root
        .find("concurrency")
        .map(|node| concurrency(node, &scope));
    let defaults = root.find("defaults");
    let mut all = Vec::new();
    for job in jobs {
        let dir = steps::default_dir(&[job.value.find("defaults"), defaults]);
        if let Some(own) = job.value.find("concurrency") {
            let what = format!("concurrency: {}", own.shown());
            let why = "only a whole pipeline has a `concurrency`";
            let hint = "put the job into a pipeline of its own, or leave it to the environment";
            notes.add(own.line, &what, why, hint);
        }
        all.push(jobs::read(job, dir, &scope, &mut names, notes));
    }
    // A job that was cut in two passes when its last part has.
    let mut last: Vec<(String, String)> = Vec::new();
    for parts in &all {
        if let (Some(first), Some(end)) = (parts.first(), parts.last()) {
            last.push((first.name.clone(), end.name.clone()));
        }
    }
    for mut parts in all {
        if let Some(first) = parts.first_mut() {
            for need in &mut first.needs {
                if let Some((_, end)) = last.iter().find(|(name, _)| name == need) {
                    need.clone_from(end);
                }
            }
        }
        pipeline.jobs.append(&mut parts);
    }
    pipeline
}

fn strange(entry: &Entry, notes: &mut Notes) {
    let known = [
        "name",
        "run-name",
        "on",
        "env",
        "jobs",
        "concurrency",
        "defaults",
        "permissions",
    ];
    if !known.contains(&entry.key.as_str()) {
        let what = format!("{}: {}", entry.key, entry.value.shown());
        notes.add(
            entry.line,
            &what,
            "there is no such thing here",
            "see docs/pipeline-file.md",
        );
    }
}

/// The group is nearly always the workflow and the branch, and the workflow is the file here.
fn concurrency(node: &Node, scope: &Scope) -> Concurrency {
    let group = node.text_of("group").or(node.text()).unwrap_or_default();
    let mut text = String::new();
    for piece in expressions::pieces(group) {
        match piece {
            Ok(literal) => text.push_str(literal),
            Err(inner) if inner.contains("github.workflow") => {}
            Err("github.ref") => text.push_str("${{ branch }}${{ tag }}"),
            Err(inner) => {
                text.push_str(&scope.value(inner).unwrap_or_else(|| "${{ branch }}".into()));
            }
        }
    }
    let text = text.trim_matches(['-', '_', '/', ' ']).to_owned();
    Concurrency {
        group: if text.is_empty() { "all".into() } else { text },
        newest_wins: node
            .find("cancel-in-progress")
            .is_some_and(|node| !node.is_false()),
    }
}

/// What is left of a job that no runner of ours could do.
fn leave_out(line: u32, what: &str, (why, hint): (&str, &str), notes: &mut Notes) -> String {
    notes.add(line, what, why, hint);
    by_hand(line, what)
}
