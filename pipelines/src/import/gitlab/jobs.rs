//! One job of GitLab's as one of ours.

use super::super::builds::{self, Values};
use super::super::condition::{self, Condition, Test, Verdict};
use super::super::images;
use super::super::model::{
    Job, Matrix, Notes, Pairs, Service, Status, Step, Triggers, When, by_hand, set,
};
use super::super::names;
use super::super::script;
use super::super::source::{Entry, Node};
use super::super::triggered::verdict_within;
use super::{Reader, VARIABLES, keep, rules};

/// Reads a job whose inheritance has been resolved.
pub(super) fn read(
    reader: &Reader,
    entry: &Entry,
    node: &Node,
    triggers: &Triggers,
    notes: &mut Notes,
) -> Job {
    let mut job = Job {
        line: entry.line,
        ..Job::default()
    };
    if let Some(trigger) = node.find("trigger") {
        let what = format!("{}: trigger: {}", entry.key, trigger.shown());
        let hint = "put its jobs into this file";
        notes.add(
            trigger.line,
            &what,
            "a pipeline does not start another one",
            hint,
        );
        job.by_hand.push(by_hand(trigger.line, &what));
        return job;
    }
    job.env = super::variables(node.find("variables"), &reader.env, notes);
    matrix(node, &mut job, notes);
    let mut own = reader.env.clone();
    for (key, value) in &job.env {
        set(&mut own, key, value);
    }
    job.when = when(reader, node, triggers, &mut job.by_hand, notes);
    job.is_optional = is_manual(node, notes);
    let lines = script_lines(node, &["before_script", "script"]);
    let values = Values {
        table: &VARIABLES,
        own: &own,
        line: node.find("script").map_or(entry.line, |node| node.line),
    };
    if let Some(build) = builds::of_script(&lines, &values, notes) {
        builds::note_fresh_context(entry.line, &entry.key, notes);
        job.build = Some(build);
        job.env.clear();
    } else {
        image(node, &own, &mut job, notes);
        services(node, &own, &mut job, notes);
        steps(node, &lines, &own, &mut job, notes);
        keep::read(node, &own, &mut job, notes);
    }
    keep::limits(node, &mut job, notes);
    for one in node.entries() {
        strange(&entry.key, one, &mut job, notes);
    }
    job
}

fn strange(name: &str, entry: &Entry, job: &mut Job, notes: &mut Notes) {
    let (why, hint) = match entry.key.as_str() {
        "environment" => (
            "environments are where a `deploy` goes; only it is followed to its end",
            "make it a job with `deploy`, and write its rules into .seaworthy/environments.yml",
        ),
        "allow_failure" if entry.value.is_false() => return,
        "allow_failure" => (
            "a job that fails makes the run fail",
            "append `|| true` to what may fail",
        ),
        "coverage" => ("the log is not searched for numbers", "leave it out"),
        "tags" => (
            "runners are not chosen by tags of the file",
            "leave it out, or start a runner for the environment",
        ),
        "resource_group" => (
            "only a whole pipeline has a `concurrency`",
            "leave it to the environment, which takes one deploy at a time",
        ),
        "release" => (
            "releases are not made by a key",
            "add a step with `gh release create` and a secret",
        ),
        "pages" | "inherit" | "secrets" | "id_tokens" | "hooks" | "dast_configuration" => {
            ("a job has no such thing here", "see docs/pipeline-file.md")
        }
        _ => return,
    };
    let what = format!("{name}: {}: {}", entry.key, entry.value.shown());
    notes.add(entry.line, &what, why, hint);
    if entry.key == "environment" {
        job.by_hand.push(by_hand(entry.line, &what));
    }
}

fn when(
    reader: &Reader,
    node: &Node,
    triggers: &Triggers,
    comments: &mut Vec<String>,
    notes: &mut Notes,
) -> When {
    let found = rules::read(node, notes);
    let own = node.text_of("when");
    if is_manual(node, notes) {
        let line = node
            .find("when")
            .or(node.find("rules"))
            .map_or(node.line, |node| node.line);
        let why = "nothing waits for a click in the middle of a run";
        let hint = "start the pipeline by hand (`on.manual`), or give the environment approvals";
        notes.add(line, "when: manual", why, hint);
        comments.push(by_hand(line, "it ran when somebody clicked"));
        return condition::by_hand_only();
    }
    if own == Some("delayed") {
        notes.add(
            node.line,
            "when: delayed",
            "a job does not wait for a time",
            "leave it out",
        );
    }
    let status = match own {
        Some("always") => Some(Status::Always),
        Some("on_failure") => Some(Status::Failure),
        _ => None,
    };
    let Some(found) = found else {
        // Without rules, a job is none of a merge request's.
        let event = match triggers.pull_request.is_some() && !reader.has_workflow {
            true => vec!["!pull_request".to_owned()],
            false => Vec::new(),
        };
        return When {
            event,
            status,
            ..When::default()
        };
    };
    let mut whole = found.condition;
    if let Some(status) = status {
        whole = Condition::All(vec![whole, Condition::Is(Test::Status(status))]);
    }
    let why = match verdict_within(&whole, triggers) {
        Verdict::When(when) => return when,
        Verdict::Never => "it never holds here".to_owned(),
        Verdict::Unsayable(part) => format!("`when` cannot say this: {part}"),
    };
    let hint = "write a `when` that says it; until then only a manual run has this job";
    notes.add(found.line, &found.shown, &why, hint);
    comments.push(by_hand(found.line, &format!("{}: {why}", found.shown)));
    condition::by_hand_only()
}

/// Whether it ran when somebody clicked.
fn is_manual(node: &Node, notes: &mut Notes) -> bool {
    let rules = rules::read(node, notes);
    node.text_of("when") == Some("manual") || rules.is_some_and(|rules| rules.is_manual)
}

/// The commands of some keys, one after another.
fn script_lines(node: &Node, keys: &[&str]) -> Vec<(u32, String)> {
    let nodes = keys.iter().filter_map(|key| node.find(key));
    nodes.flat_map(Node::texts).collect()
}

fn image(node: &Node, own: &Pairs, job: &mut Job, notes: &mut Notes) {
    let image = node.find("image");
    let text = image.and_then(|image| image.text().or(image.text_of("name")));
    job.image = match text {
        Some(text) => Some(VARIABLES.in_value(text, own, image.map_or(1, |one| one.line), notes)),
        None => {
            let why = "without `image` it ran in whatever the runner had";
            let hint = "choose an image that has what the script needs";
            notes.add(node.line, "image", why, hint);
            Some(images::LINUX.into())
        }
    };
}

fn services(node: &Node, own: &Pairs, job: &mut Job, notes: &mut Notes) {
    let list = node.find("services").map(Node::items).unwrap_or_default();
    for item in list {
        let Some(text) = item.text().or(item.text_of("name")) else {
            continue;
        };
        let image = VARIABLES.in_value(text, own, item.line, notes);
        if image.starts_with("docker:") || image.contains("dind") {
            let why = "a step has no Docker engine to talk to";
            let hint = "build images in a job with `build`, start others as `services`";
            notes.add(item.line, &image, why, hint);
            continue;
        }
        let last = image.rsplit('/').next().unwrap_or_default();
        let name = last.split([':', '@']).next().unwrap_or_default();
        let mut service = Service {
            name: names::service(item.text_of("alias").unwrap_or(name)),
            env: super::variables(item.find("variables"), own, notes),
            ..Service::default()
        };
        // A service gets the variables of the job, as those of a database's image.
        let prefixes = ["POSTGRES_", "MYSQL_", "MARIADB_", "MONGO_", "RABBITMQ_"];
        for (key, value) in own {
            let is_meant = prefixes.iter().any(|prefix| key.starts_with(prefix))
                && key.starts_with(&names::variable(name).chars().take(5).collect::<String>());
            if is_meant && !service.env.iter().any(|(name, _)| name == key) {
                service.env.push((key.clone(), value.clone()));
            }
        }
        service.image = image;
        for key in ["command", "entrypoint"] {
            if let Some(command) = item.find(key) {
                let what = format!("{key}: {}", command.shown());
                let why = "a service runs what its image starts";
                notes.add(command.line, &what, why, "use an image that starts it so");
            }
        }
        images::make_ready(&mut service);
        job.services.push(service);
    }
}

fn steps(node: &Node, lines: &[(u32, String)], own: &Pairs, job: &mut Job, notes: &mut Notes) {
    let after = script_lines(node, &["after_script"]);
    let always = When {
        status: Some(Status::Always),
        ..When::default()
    };
    for (name, lines, when) in [
        (None, lines, When::default()),
        (Some("after"), &after, always),
    ] {
        let mut translated = Vec::new();
        let mut secrets = Vec::new();
        for (line, text) in lines {
            script::inspect(text, *line, notes);
            let text = script::without_sudo(text);
            for secret in script::secrets(&text, *line, &[own], notes) {
                super::add(&mut secrets, secret);
            }
            translated.push((*line, VARIABLES.in_script(&text, *line, notes)));
        }
        let run = script::commands(&translated);
        if !run.trim().is_empty() {
            job.steps.push(Step {
                name: name.map(str::to_owned),
                run,
                secrets,
                when,
                ..Step::default()
            });
        }
    }
}

/// `parallel: matrix`, each of whose entries is a product of its own.
fn matrix(node: &Node, job: &mut Job, notes: &mut Notes) {
    const ROWS_MAX: usize = 200;
    let Some(parallel) = node.find("parallel") else {
        return;
    };
    let Some(rows) = parallel.find("matrix") else {
        let what = format!("parallel: {}", parallel.shown());
        let why = "a job is not simply started several times";
        notes.add(
            parallel.line,
            &what,
            why,
            "write a `matrix` with an axis such as `part: [1, 2]`",
        );
        return;
    };
    let mut matrix = Matrix::default();
    for row in rows.items() {
        let mut axes: Vec<(String, Vec<String>)> = Vec::new();
        for axis in row.entries() {
            let mut values = Vec::new();
            for (_, value) in axis.value.texts() {
                if !value.is_empty() {
                    super::add(&mut values, value);
                }
            }
            let name = names::axis(&axis.key);
            set(
                &mut job.env,
                &axis.key,
                &format!("${{{{ matrix.{name} }}}}"),
            );
            if !values.is_empty() {
                axes.push((name, values));
            }
        }
        if rows.items().len() == 1 {
            matrix.axes = axes;
            break;
        }
        let mut cells: Vec<Pairs> = vec![Pairs::new()];
        for (axis, values) in axes {
            let with = |cell: &Pairs, value: &String| {
                let mut cell = cell.clone();
                cell.push((axis.clone(), value.clone()));
                cell
            };
            let longer = cells
                .iter()
                .flat_map(|cell| values.iter().map(move |one| with(cell, one)));
            cells = longer.take(ROWS_MAX).collect();
        }
        matrix.include.extend(cells);
    }
    matrix.include.truncate(ROWS_MAX);
    job.matrix = matrix;
}
