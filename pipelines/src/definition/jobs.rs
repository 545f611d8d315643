//! One job of a pipeline file, and the steps of one.

use std::collections::HashSet;

use super::keys::{JOB, RETRY, STEP};
use super::problem::{At, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Entry, Kind, Node};
use super::{
    Env, JobDefinition, StepDefinition, StepsDefinition, When, WorkDefinition, build, deploy, keep,
    syntax, when,
};
use crate::expression::{Template, refuse_in_script};
use crate::limits::{JOB_TIMEOUT_DEFAULT, JOB_TIMEOUT_MAX, NEEDS_MAX, RETRIES_MAX, STEPS_MAX};
use crate::names::{JobName, SecretName, is_image_reference};
use crate::plan::{Retry, RetryOn};

/// Reads a job; nothing comes back if it could not even be told what it does. `names` are those of
/// all jobs of the file.
pub(crate) fn job(
    reader: &mut Reader,
    entry: &Entry,
    names: &HashSet<&str>,
) -> Option<JobDefinition> {
    let name = reader.parse_name(&entry.key, entry.place);
    let fields = reader.fields(&entry.value, &JOB)?;
    let needs = match fields.find("needs") {
        Some(needs) => read_needs(reader, &needs.value),
        None => Vec::new(),
    };
    check_needs(reader, &needs, &entry.key, names);
    let when = match fields.find("when") {
        Some(entry) => when::when(reader, &entry.value),
        None => When::default(),
    };
    let matrix = fields.find("matrix");
    let matrix = matrix.and_then(|entry| when::matrix(reader, &entry.value));
    let timeout_max = JOB_TIMEOUT_MAX.as_secs();
    let timeout = fields.find("timeout");
    let timeout = timeout.and_then(|entry| reader.seconds(&entry.value, "`timeout`", timeout_max));
    let retry = fields.find("retry");
    let retry = retry.and_then(|entry| read_retry(reader, &entry.value));
    let work = work_of(reader, entry, &fields);
    Some(JobDefinition {
        name: name?,
        needs,
        when,
        timeout_seconds: timeout.unwrap_or(JOB_TIMEOUT_DEFAULT.as_secs() as u32),
        retry: retry.unwrap_or_default(),
        matrix,
        work: work?,
    })
}

fn read_needs(reader: &mut Reader, node: &Node) -> Vec<At<JobName>> {
    let items = reader.items(node, "`needs`");
    if items.len() > NEEDS_MAX {
        let count = items.len();
        let message = format!("the job has {count} needs; at most {NEEDS_MAX} may be");
        reader.report(Problem::new(node.place, "", message));
        return Vec::new();
    }
    let names = items.iter();
    names
        .filter_map(|item| reader.name(item, "`needs`"))
        .collect()
}

fn check_needs(reader: &mut Reader, needs: &[At<JobName>], job: &str, names: &HashSet<&str>) {
    for (index, need) in needs.iter().enumerate() {
        let name = need.value.as_str();
        let problem = |message: String| Problem::new(need.place, name, message);
        if name == job {
            reader.report(problem(format!("job `{name}` cannot need itself")));
        } else if needs[..index].iter().any(|other| other.value == need.value) {
            reader.report(problem(format!("`{name}` is needed twice")));
        } else if !names.contains(name) && !reader.is_full() {
            let mut others: Vec<_> = names.iter().copied().collect();
            others.retain(|other| *other != job);
            others.sort_unstable();
            let problem = problem(format!("there is no job `{name}`"));
            reader.report(problem.nearest(name, others));
        }
    }
}

fn read_retry(reader: &mut Reader, node: &Node) -> Option<Retry> {
    if !matches!(node.kind, Kind::Mapping(_)) {
        let attempts = reader.count(node, "`retry`", RETRIES_MAX)?;
        let on = Vec::new();
        return Some(Retry { attempts, on });
    }
    let fields = reader.fields(node, &RETRY)?;
    let attempts = match fields.find("attempts") {
        Some(entry) => reader.count(&entry.value, "`attempts`", RETRIES_MAX)?,
        None => 1,
    };
    let mut on = Vec::new();
    if let Some(entry) = fields.find("on") {
        for item in reader.list(&entry.value, "`on`", 32) {
            on.extend(retry_on(reader, item));
        }
    }
    Some(Retry { attempts, on })
}

fn retry_on(reader: &mut Reader, node: &Node) -> Option<RetryOn> {
    let text = reader.plain_text(node, "`on`")?;
    let code = text.value.strip_prefix("exit:").map(str::parse::<u8>);
    match (text.value.as_str(), code) {
        ("timeout", _) => Some(RetryOn::Timeout),
        ("failure", _) => Some(RetryOn::Failure),
        // Always so; named by those who want to be sure.
        ("infrastructure", _) => None,
        (_, Some(Ok(code @ 1..))) => Some(RetryOn::Exit(code.into())),
        _ => {
            let problem = Problem::new(text.place, &text.value, "this is no reason to try again");
            reader.report(problem.hint("known are `exit:75` (any code), `timeout` and `failure`"));
            None
        }
    }
}

fn work_of(reader: &mut Reader, job: &Entry, fields: &Fields<'_>) -> Option<WorkDefinition> {
    let kinds = ["steps", "build", "deploy"];
    let found: Vec<&Entry> = kinds.iter().filter_map(|key| fields.find(key)).collect();
    let [entry] = found.as_slice() else {
        let problem = match found.as_slice() {
            // A misspelt key is the cause, and has been told with a hint.
            [] if fields.has_strange(&JOB) => return None,
            [] => Problem::new(job.place, &job.key, "the job does nothing")
                .hint("give it one of `steps`, `build` and `deploy`"),
            [_, second, ..] => Problem::new(
                second.place,
                &second.key,
                "a job has only one of `steps`, `build` and `deploy`",
            )
            .hint("make it two jobs, one of which `needs` the other"),
            [_] => return None,
        };
        reader.report(problem);
        return None;
    };
    if entry.key == "steps" {
        let image = fields.find("image");
        let image = image.map(|entry| image_of(reader, &entry.value));
        return steps_work(reader, (fields, &entry.value), image.as_ref());
    }
    for key in OF_STEPS {
        if let Some(strange) = fields.find(key) {
            let message = format!("`{key}` is for jobs with `steps`, not with `{}`", entry.key);
            reader.report(Problem::new(strange.place, key, message));
        }
    }
    match entry.key.as_str() {
        "build" => build::build(reader, &entry.value).map(WorkDefinition::Build),
        _ => deploy::deploy(reader, &entry.value).map(WorkDefinition::Deploy),
    }
}

/// Keys of a job that mean nothing without steps.
const OF_STEPS: [&str; 8] = [
    "image",
    "env",
    "secrets",
    "services",
    "cache",
    "artifacts",
    "reports",
    "outputs",
];

fn steps_work(
    reader: &mut Reader,
    (fields, node): (&Fields<'_>, &Node),
    image: Option<&Option<At<Template>>>,
) -> Option<WorkDefinition> {
    let env = env_of(reader, fields);
    let steps = steps(reader, node, image);
    let services = fields.find("services");
    let services = services.map(|entry| keep::services(reader, &entry.value));
    let caches = fields.find("cache");
    let caches = caches.map(|entry| keep::caches(reader, &entry.value));
    let artifacts = fields.find("artifacts");
    let artifacts = artifacts.map(|entry| keep::file_patterns(reader, &entry.value, "`artifacts`"));
    let junit = fields.find("reports");
    let junit = junit.map(|entry| keep::junit(reader, &entry.value));
    let outputs = fields.find("outputs");
    let outputs = outputs.map(|entry| keep::outputs(reader, &entry.value));
    Some(WorkDefinition::Steps(StepsDefinition {
        env,
        services: services.unwrap_or_default(),
        caches: caches.unwrap_or_default(),
        secrets: secrets_of(reader, fields),
        steps: steps?,
        artifacts: artifacts.unwrap_or_default(),
        junit: junit.unwrap_or_default(),
        outputs: outputs.unwrap_or_default(),
    }))
}

fn secrets_of(reader: &mut Reader, fields: &Fields<'_>) -> Vec<SecretName> {
    match fields.find("secrets") {
        Some(entry) => keep::secrets(reader, &entry.value),
        None => Vec::new(),
    }
}

fn env_of(reader: &mut Reader, fields: &Fields<'_>) -> Env {
    match fields.find("env") {
        Some(entry) => syntax::env(reader, &entry.value, "`env`"),
        None => Env::new(),
    }
}

/// The image of a job or step. `None` has been reported.
pub(crate) fn image_of(reader: &mut Reader, node: &Node) -> Option<At<Template>> {
    let image = reader.late_template(node, "`image`")?;
    if image
        .value
        .literal()
        .is_some_and(|text| !is_image_reference(text))
    {
        let problem = Problem::new(image.place, &node.shown(), "this is not a valid image");
        reader.report(problem.hint("write it as `rust:1.95` or `registry.example/name:tag`"));
        return None;
    }
    Some(image)
}

/// `image` is the job's: outer `None` if it has none, inner `None` if that was wrong.
fn steps(
    reader: &mut Reader,
    node: &Node,
    image: Option<&Option<At<Template>>>,
) -> Option<Vec<StepDefinition>> {
    let Kind::Sequence(items) = &node.kind else {
        reader.wrong(node, "`steps`", "a list");
        return None;
    };
    let count = items.len();
    if count == 0 || count > STEPS_MAX {
        let message = match count {
            0 => "`steps` is an empty list".into(),
            _ => format!("the job has {count} steps; at most {STEPS_MAX} may be"),
        };
        reader.report(Problem::new(node.place, "", message));
        return None;
    }
    let steps = items.iter().filter_map(|item| step(reader, item, image));
    Some(steps.collect())
}

fn step(
    reader: &mut Reader,
    node: &Node,
    image: Option<&Option<At<Template>>>,
) -> Option<StepDefinition> {
    let (run, fields) = match &node.kind {
        Kind::Mapping(_) => {
            let fields = reader.fields(node, &STEP)?;
            let Some(entry) = fields.find("run") else {
                let problem = Problem::new(node.place, &node.shown(), "the step has no `run`");
                reader.report(problem.hint("say what it does: `run: cargo test`"));
                return None;
            };
            (&entry.value, Some(fields))
        }
        Kind::Scalar { .. } | Kind::Sequence(_) => (node, None),
    };
    let run = script(reader, run);
    let field = |key| fields.and_then(|fields: Fields<'_>| fields.find(key));
    let own = field("image").map(|entry| image_of(reader, &entry.value));
    let env = fields.map_or_else(Env::new, |fields| env_of(reader, &fields));
    let secrets = fields.map_or_else(Vec::new, |fields| secrets_of(reader, &fields));
    let when = field("when").map(|entry| when::when(reader, &entry.value));
    let when = when.unwrap_or_default();
    let timeout = field("timeout");
    let timeout = timeout
        .and_then(|entry| reader.seconds(&entry.value, "`timeout`", JOB_TIMEOUT_MAX.as_secs()));
    let name = field("name").and_then(|entry| step_name(reader, &entry.value));
    let image = match own.as_ref().or(image) {
        Some(image) => image.clone(),
        None => {
            let problem = Problem::new(node.place, &node.shown(), "the step has no image");
            reader.report(problem.hint("give the job (or the step) an `image`"));
            None
        }
    };
    let run = run?;
    Some(StepDefinition {
        name: name.unwrap_or_else(|| super::problem::shorten(&run)),
        run,
        image: image?,
        env,
        secrets,
        timeout_seconds: timeout,
        when,
    })
}

fn script(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = reader.text(node, "a step")?;
    if text.value.trim().is_empty() {
        reader.report(Problem::new(text.place, "", "the step's command is empty"));
        return None;
    }
    let problems = refuse_in_script(&text);
    problems
        .into_iter()
        .for_each(|problem| reader.report(problem));
    Some(text.value)
}

fn step_name(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = reader.plain_text(node, "`name`")?;
    if text.value.chars().any(char::is_control) || text.value.chars().count() > 100 {
        let message = "the name of a step is one line of at most 100 characters";
        reader.report(Problem::new(text.place, &text.value, message));
        return None;
    }
    Some(text.value)
}
