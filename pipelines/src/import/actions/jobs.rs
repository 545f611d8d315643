//! One job of a workflow: its machine, its matrix, and what surrounds its steps.

use super::super::condition::{self, Verdict};
use super::super::images::{self, Machine};
use super::super::model::{Job, Notes, Service, When, by_hand};
use super::super::names::{self, Names};
use super::super::source::{Entry, Node};
use super::super::triggered::verdict_within;
use super::expressions::{self, Scope};
use super::{conditions, leave_out, matrix, outputs, steps};

/// The jobs that a job becomes: one, or several where images are built between its steps.
pub(super) fn read(
    entry: &Entry,
    dir: Option<String>,
    scope: &Scope,
    names: &mut Names,
    notes: &mut Notes,
) -> Vec<Job> {
    let node = &entry.value;
    let mut scope = scope.clone();
    let mut job = Job {
        line: entry.line,
        name: scope.job(&entry.key),
        ..Job::default()
    };
    job.needs = node
        .texts_of("needs")
        .iter()
        .map(|need| scope.job(need))
        .collect();
    if let Some(uses) = node.find("uses") {
        let what = format!("uses: {}", uses.shown());
        let why = "a workflow of another file is not called";
        let hint = "write its jobs here, or take them from a `templates` file with `extends`";
        job.by_hand
            .push(leave_out(uses.line, &what, (why, hint), notes));
        return vec![job];
    }
    job.matrix = matrix::read(node, &mut scope, notes);
    if !machine(node, &mut scope, &mut job, notes) {
        return vec![job];
    }
    job.when = when(node.find("if"), &scope, &mut job.by_hand, notes);
    let (env, secrets) = expressions::environment(node.find("env"), &scope, notes);
    scope.env.extend(env.clone());
    scope.secret_env.extend(secrets);
    job.env = env;
    let is_machine = node.find("container").is_none();
    for service in node.find("services").map(Node::entries).unwrap_or_default() {
        job.services
            .extend(read_service(service, &scope, is_machine, notes));
    }
    job.timeout = minutes(node.find("timeout-minutes"), notes);
    for entry in node.entries() {
        strange(entry, notes);
    }
    let ids = node
        .find("steps")
        .map(Node::items)
        .unwrap_or_default()
        .iter();
    let ids = ids.filter(|step| step.find("run").is_some());
    scope.step_ids = ids
        .filter_map(|step| step.text_of("id"))
        .map(str::to_owned)
        .collect();
    let work = steps::read(node.find("steps"), dir, &scope, notes);
    outputs_of(node, &scope, &mut job, notes);
    if job.image.is_none() && work.image.is_none() {
        guess(node, &mut job, notes);
    }
    steps::assemble(work, job, names, notes)
}

/// The outputs that steps write into files.
fn outputs_of(node: &Node, scope: &Scope, job: &mut Job, notes: &mut Notes) {
    for output in node.find("outputs").map(Node::entries).unwrap_or_default() {
        let text = output.value.text().unwrap_or_default();
        match expressions::pieces(text)[..] {
            [Err(inner)] if outputs::file_of(inner, scope).is_some() => {
                let file = outputs::file_of(inner, scope);
                job.outputs
                    .extend(file.map(|file| (names::axis(&output.key), file)));
            }
            _ => {
                let what = format!("outputs: {}: {text}", output.key);
                let hint = "let a step write it into a file and name that under `outputs`";
                notes.add(
                    output.line,
                    &what,
                    "an output is the content of a file",
                    hint,
                );
            }
        }
    }
}

fn guess(node: &Node, job: &mut Job, notes: &mut Notes) {
    job.image = Some(images::LINUX.into());
    if let Some(runs_on) = node.find("runs-on") {
        notes.add(
            runs_on.line,
            &format!("runs-on: {}", runs_on.shown()),
            &format!(
                "`{}` stands in for a machine with far more installed",
                images::LINUX
            ),
            "choose an image that has what the scripts need",
        );
    }
}

impl Scope {
    /// Our name of a job.
    fn job(&self, theirs: &str) -> String {
        let found = self.jobs.iter().find(|(name, _)| name == theirs);
        found.map_or_else(|| names::job(theirs), |(_, ours)| ours.clone())
    }
}

fn strange(entry: &Entry, notes: &mut Notes) {
    let (why, hint) = match entry.key.as_str() {
        "name" | "needs" | "if" | "runs-on" | "env" | "steps" | "outputs" | "services"
        | "container" | "strategy" | "timeout-minutes" | "defaults" | "concurrency"
        | "permissions" => return,
        "environment" => (
            "environments are where a `deploy` goes; only it is protected by their rules",
            "make it a job with `deploy`, and write its rules into .seaworthy/environments.yml",
        ),
        "continue-on-error" if entry.value.is_false() => return,
        "continue-on-error" => (
            "a job that fails makes the run fail",
            "append `|| true` to what may fail",
        ),
        _ => ("a job has no such thing here", "see docs/pipeline-file.md"),
    };
    let what = format!("{}: {}", entry.key, entry.value.shown());
    notes.add(entry.line, &what, why, hint);
}

/// Minutes as we write them.
pub(super) fn minutes(node: Option<&Node>, notes: &mut Notes) -> Option<String> {
    let node = node?;
    let minutes = node.text().and_then(|text| text.parse().ok());
    let span = minutes.and_then(names::minutes);
    if span.is_none() {
        let what = format!("timeout-minutes: {}", node.shown());
        notes.add(
            node.line,
            &what,
            "this is no span of time up to a day",
            "write `timeout: 30m`",
        );
    }
    span
}

/// A condition as `when`; what cannot be said is left to a person to start.
pub(super) fn when(
    node: Option<&Node>,
    scope: &Scope,
    comments: &mut Vec<String>,
    notes: &mut Notes,
) -> When {
    let Some(node) = node else {
        return When::default();
    };
    let text = node.text().unwrap_or_default();
    let why = match verdict_within(&conditions::condition(text, scope), &scope.triggers) {
        Verdict::When(when) => return when,
        Verdict::Never => "it never holds here".to_owned(),
        Verdict::Unsayable(part) => format!("`when` cannot say this: {part}"),
    };
    let what = format!("if: {text}");
    let hint = "write a `when` that says it, or test for it in the script; until then only a \
                manual run has it";
    notes.add(node.line, &what, &why, hint);
    comments.push(by_hand(node.line, &what));
    condition::by_hand_only()
}

/// Whether a condition never holds, as one that asks for another machine.
pub(super) fn is_never(node: Option<&Node>, scope: &Scope, notes: &mut Notes) -> bool {
    let Some(node) = node else { return false };
    let text = node.text().unwrap_or_default();
    let is_never = matches!(
        verdict_within(&conditions::condition(text, scope), &scope.triggers),
        Verdict::Never
    );
    if is_never {
        let why = "it never holds here, so the step is left out";
        notes.add(
            node.line,
            &format!("if: {text}"),
            why,
            "leave it to another system",
        );
    }
    is_never
}

/// The machine, or the container on it. Whether we have such a one.
fn machine(node: &Node, scope: &mut Scope, job: &mut Job, notes: &mut Notes) -> bool {
    let runs_on = node.find("runs-on");
    let line = runs_on.map_or(node.line, |node| node.line);
    let labels = runs_on.map(Node::texts).unwrap_or_default();
    let axis = labels
        .iter()
        .find_map(|(_, label)| match expressions::pieces(label)[..] {
            [Err(inner)] => inner.strip_prefix("matrix.").map(names::axis),
            _ => None,
        });
    let is_left = match axis {
        Some(axis) => matrix::only_linux(&axis, scope, &mut job.matrix, line, notes),
        None => !labels
            .iter()
            .any(|(_, label)| images::machine(label) == Machine::Other),
    };
    if !is_left {
        let what = format!("runs-on: {}", runs_on.map(Node::shown).unwrap_or_default());
        let why = "steps run in Linux containers only";
        let hint = "leave this job to another system";
        job.by_hand.push(leave_out(line, &what, (why, hint), notes));
        return false;
    }
    if let Some(container) = node.find("container") {
        let image = container
            .text()
            .or(container.text_of("image"))
            .unwrap_or_default();
        job.image = Some(scope.fill(image, container.line, notes));
        let (env, _) = expressions::environment(container.find("env"), scope, notes);
        job.env.extend(env);
        for key in ["options", "volumes", "credentials"] {
            if let Some(inner) = container.find(key) {
                let what = format!("container.{key}: {}", inner.shown());
                let hint = "log the runner in to the registry; there are no other options";
                notes.add(
                    inner.line,
                    &what,
                    "an image is all that is said of a container",
                    hint,
                );
            }
        }
    }
    true
}

fn read_service(
    entry: &Entry,
    scope: &Scope,
    is_machine: bool,
    notes: &mut Notes,
) -> Option<Service> {
    let node = &entry.value;
    let image = node.text().or(node.text_of("image"))?;
    let mut service = Service {
        name: names::service(&entry.key),
        image: scope.fill(image, node.line, notes),
        ..Service::default()
    };
    let (env, secrets) = expressions::environment(node.find("env"), scope, notes);
    service.env = env;
    for (variable, _) in secrets {
        let hint = "give it a password of its own: it lives as long as the job";
        notes.add(node.line, &variable, "a service has no secrets", hint);
    }
    let options = node.text_of("options").unwrap_or_default();
    if let Some((_, rest)) = options.split_once("--health-cmd") {
        let rest = rest.trim_start_matches(['=', ' ']);
        let command = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next(),
            _ => rest.split_whitespace().next(),
        };
        service.ready = command.map(str::to_owned).filter(|text| !text.is_empty());
    }
    images::make_ready(&mut service);
    if is_machine && node.find("ports").is_some() {
        notes.add(
            entry.line,
            &format!("services.{}", entry.key),
            "a service has a host name of its own and is not at `localhost`",
            &format!(
                "connect to the host `{}`, at the port it has inside",
                service.name
            ),
        );
    }
    Some(service)
}
