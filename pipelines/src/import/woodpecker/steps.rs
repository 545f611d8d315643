//! Woodpecker's steps, cut into jobs where an image is built between them.

use super::super::model::{Job, Notes, Pairs, Step};
use super::super::names::{self, Names};
use super::super::script;
use super::super::source::Node;
use super::{VARIABLES, conditions, leave, named, plugins, service};

/// Variables, and those that hold a secret: its name here.
type Environment = (Pairs, Pairs);

/// The jobs of a list of steps.
pub(super) fn jobs(
    list: Option<&Node>,
    own: &Pairs,
    names: &mut Names,
    notes: &mut Notes,
) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut services = Vec::new();
    for (name, node) in list.map(named).unwrap_or_default() {
        if node.find("detach").is_some_and(Node::is_true) {
            services.extend(service(&name, node, own, notes));
            continue;
        }
        if let Some(mut build) = plugins::build_job(&name, node, own, notes) {
            build.name = names.unique(&name);
            build.needs = jobs
                .last()
                .map(|job| job.name.clone())
                .into_iter()
                .collect();
            jobs.push(build);
            continue;
        }
        if jobs.last().is_none_or(|job| job.build.is_some()) {
            let word = match jobs.is_empty() {
                true => "main",
                false => name.as_str(),
            };
            jobs.push(Job {
                line: node.line,
                name: names.unique(word),
                needs: jobs
                    .last()
                    .map(|job| job.name.clone())
                    .into_iter()
                    .collect(),
                ..Job::default()
            });
        }
        if let Some(job) = jobs.last_mut() {
            step(job, &name, node, own, notes);
        }
    }
    for job in jobs.iter_mut().filter(|job| job.build.is_none()) {
        job.services.extend(services.iter().cloned());
        share_image(job);
    }
    jobs
}

/// An image that several steps have is the job's.
fn share_image(job: &mut Job) {
    let Some(first) = job.steps.first().and_then(|step| step.image.clone()) else {
        return;
    };
    for step in &mut job.steps {
        if step.image.as_ref() == Some(&first) {
            step.image = None;
        }
    }
    job.image = Some(first);
}

fn step(job: &mut Job, name: &str, node: &Node, own: &Pairs, notes: &mut Notes) {
    let image = node.text_of("image").unwrap_or_default();
    let Some(commands) = node.find("commands").map(Node::texts) else {
        let what = format!("{name}: {image}");
        leave(job, node.line, &what, plugins::advice(image), notes);
        return;
    };
    let Ok(when) = conditions::when(node.find("when"), notes) else {
        let why = (
            "its `when` could not be translated",
            "write it with a simpler `when`",
        );
        leave(job, node.line, name, why, notes);
        return;
    };
    let mut lines = Vec::new();
    for (line, text) in commands {
        script::inspect(&text, line, notes);
        lines.push((line, VARIABLES.in_script(&text, line, notes)));
    }
    let (env, mut secret_env) = environment(node.find("environment"), own, notes);
    secret_env.extend(old_secrets(node.find("secrets")));
    let part = script::Part {
        run: script::commands(&lines),
        dir: node.text_of("directory").map(str::to_owned),
        exports: exports(&secret_env),
        ..script::Part::default()
    };
    let mut secrets: Vec<String> = Vec::new();
    for (_, secret) in &secret_env {
        super::add(&mut secrets, secret.clone());
    }
    job.steps.push(Step {
        name: Some(name.to_owned()),
        run: part.script(),
        image: Some(VARIABLES.in_value(image, own, node.line, notes)),
        env,
        secrets,
        when,
        ..Step::default()
    });
    strange(name, node, notes);
}

/// Variables with the names that the script knows, where ours are called otherwise.
fn exports(secrets: &Pairs) -> Vec<String> {
    let renamed = secrets
        .iter()
        .filter(|(variable, secret)| *variable != names::secret_variable(secret));
    renamed
        .map(|(variable, secret)| {
            format!("export {variable}=\"${}\"", names::secret_variable(secret))
        })
        .collect()
}

fn strange(name: &str, node: &Node, notes: &mut Notes) {
    for entry in node.entries() {
        let (why, hint) = match entry.key.as_str() {
            "name" | "image" | "commands" | "environment" | "secrets" | "when" | "directory" => {
                continue;
            }
            "pull" | "detach" | "backend_options" => continue,
            "depends_on" => (
                "the steps of a job run one after another",
                "make it a job of its own with `needs`, if it should run beside others",
            ),
            "failure" => (
                "a step that fails makes the job fail",
                "append `|| true` to what may fail",
            ),
            "volumes" => (
                "no folder of the host is mounted into a container",
                "use `cache` for what should be kept",
            ),
            "privileged" | "devices" | "cap_add" => (
                "no container has privileges",
                "build images in a job with `build`; for the rest there is no way",
            ),
            "settings" => ("only plugins have settings", "give them to the commands"),
            _ => ("a step has no such thing here", "see docs/pipeline-file.md"),
        };
        let what = format!("{name}: {}: {}", entry.key, entry.value.shown());
        notes.add(entry.line, &what, why, hint);
    }
}

/// `environment` as a mapping or a list of `A=1`.
pub(super) fn environment(node: Option<&Node>, own: &Pairs, notes: &mut Notes) -> Environment {
    let (mut env, mut secrets) = (Pairs::new(), Pairs::new());
    let Some(node) = node else {
        return (env, secrets);
    };
    for (line, text) in node.texts() {
        if let Some((key, value)) = text.split_once('=') {
            let value = VARIABLES.in_value(value, own, line, notes);
            env.push((key.to_owned(), value));
        }
    }
    for entry in node.entries() {
        match entry.value.text_of("from_secret") {
            Some(secret) => secrets.push((entry.key.clone(), names::secret(secret))),
            None => {
                let value = VARIABLES.in_value(&entry.value.shown(), own, entry.line, notes);
                env.push((entry.key.clone(), value));
            }
        }
    }
    (env, secrets)
}

/// `secrets: [name]` or `[{ source, target }]`, as it was until version 3.
fn old_secrets(node: Option<&Node>) -> Pairs {
    let mut secrets = Pairs::new();
    for item in node.map(Node::items).unwrap_or_default() {
        match item.text() {
            Some(name) => secrets.push((name.to_ascii_uppercase(), names::secret(name))),
            None => {
                if let (Some(source), Some(target)) =
                    (item.text_of("source"), item.text_of("target"))
                {
                    secrets.push((target.to_ascii_uppercase(), names::secret(source)));
                }
            }
        }
    }
    secrets
}
