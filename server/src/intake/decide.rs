//! What the files of a commit mean for an event. Pure: everything needed has been read.

use std::collections::BTreeMap;

use pipelines::definition::{Definition, Problem};
use pipelines::environment::Environments;
use pipelines::event::GitEvent;
use pipelines::limits::FILES_MAX;
use pipelines::names::{InvalidName, PipelineName};
use pipelines::plan::Plan;
use pipelines::planner::{Context, Planned, plan};
use pipelines::template::Templates;

use super::material::Material;
use crate::github::contents::{Content, Found, stem};
use crate::store::repos::Repo;

/// What became of each pipeline, and of the environments.
#[derive(Debug)]
pub(super) struct Decided {
    /// By pipeline.
    pub(super) decisions: Vec<Decision>,
    /// The environments to put on record; none if their file is broken and the record stays.
    pub(super) environments: Option<Environments>,
}

/// What an event means for one pipeline.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) pipeline: PipelineName,
    /// The file the verdict is about, as it was read.
    pub(super) file: String,
    /// When it starts by itself: fields of cron and zone. None if the file cannot be read.
    pub(super) schedules: Option<Vec<(String, String)>>,
    pub(super) verdict: Verdict,
}

/// The three things it can mean.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A run.
    Run(Plan),
    /// A run that fails at once, for the first cause.
    Broken(String, Vec<Problem>),
    /// Nothing, for this reason.
    NotTriggered(String),
}

/// The environments file, read.
enum Targets {
    Good(Environments),
    Broken {
        file: String,
        reason: String,
        problems: Vec<Problem>,
    },
}

/// Decides about every pipeline of the commit.
pub(super) fn decide(material: &Material, repo: &Repo, event: &GitEvent) -> Decided {
    let targets = targets(material.environments.as_ref());
    let mut by_name: BTreeMap<PipelineName, Vec<&Found>> = BTreeMap::new();
    for found in &material.files {
        by_name.entry(name(&found.path).0).or_default().push(found);
    }
    let too_many = material.files.len() > FILES_MAX;
    let decisions = by_name.into_iter().map(|(pipeline, files)| {
        let (file, verdict) = match files.as_slice() {
            _ if too_many => {
                let words = format!("`.seaworthy/` holds more than {FILES_MAX} pipeline files");
                (String::new(), Verdict::Broken(words, Vec::new()))
            }
            [found] => judge((found, &material.templates), &targets, &|environments| {
                Context {
                    pipeline: &pipeline,
                    environments,
                    event,
                    repository: &repo.name,
                    changed: &material.changed,
                }
            }),
            several => (String::new(), Verdict::Broken(doubled(several), Vec::new())),
        };
        Decision {
            pipeline: pipeline.clone(),
            schedules: schedules(&files, &material.templates),
            file,
            verdict,
        }
    });
    Decided {
        decisions: decisions.collect(),
        environments: match targets {
            Targets::Good(environments) => Some(environments),
            Targets::Broken { .. } => None,
        },
    }
}

fn schedules(files: &[&Found], templates: &Templates) -> Option<Vec<(String, String)>> {
    let [file] = files else { return None };
    let Content::Text(text) = &file.content else {
        return None;
    };
    let definition = Definition::parse_with(text, templates).ok()?;
    let pair = |(cron, zone): (&str, &str)| (cron.to_owned(), zone.to_owned());
    Some(definition.schedules().map(pair).collect())
}

fn judge<'a>(
    (found, templates): (&Found, &Templates),
    targets: &'a Targets,
    context: &dyn Fn(&'a Environments) -> Context<'a>,
) -> (String, Verdict) {
    let text = match (&found.content, name(&found.path).1) {
        (Content::Text(text), None) => text.to_string(),
        (Content::Text(text), Some(broken_rule)) => {
            let words = format!("{}: {broken_rule}", found.path);
            return (text.to_string(), Verdict::Broken(words, Vec::new()));
        }
        (Content::Unreadable(reason), _) => {
            let words = format!("{}: {reason}", found.path);
            return (String::new(), Verdict::Broken(words, Vec::new()));
        }
    };
    let broken =
        |problems: Vec<Problem>| Verdict::Broken(first_cause(&found.path, &problems), problems);
    let definition = match Definition::parse_with(&text, templates) {
        Ok(definition) => definition,
        Err(problems) => return (text, broken(problems)),
    };
    let later = definition.later();
    if !later.is_empty() {
        return (text, broken(later));
    }
    match targets {
        Targets::Good(environments) => {
            let verdict = match plan(&definition, &context(environments)) {
                Ok(Planned::Run(plan)) => Verdict::Run(plan),
                Ok(Planned::NotTriggered(reason)) => Verdict::NotTriggered(reason),
                Err(problems) => broken(problems),
            };
            (text, verdict)
        }
        Targets::Broken {
            file,
            reason,
            problems,
        } => {
            // Whether the event starts the pipeline, and a plan without a deploy, do not depend on
            // environments; only who deploys has to hear of their file.
            let deploys = !definition.environments().is_empty();
            match plan(
                &definition,
                &context(NO_ENVIRONMENTS.get_or_init(Environments::none)),
            ) {
                Ok(Planned::NotTriggered(reason)) => (text, Verdict::NotTriggered(reason)),
                Ok(Planned::Run(_)) | Err(_) if deploys => (
                    file.clone(),
                    Verdict::Broken(reason.clone(), problems.clone()),
                ),
                Ok(Planned::Run(plan)) => (text, Verdict::Run(plan)),
                Err(problems) => (text, broken(problems)),
            }
        }
    }
}

static NO_ENVIRONMENTS: std::sync::OnceLock<Environments> = std::sync::OnceLock::new();

fn targets(found: Option<&Found>) -> Targets {
    let Some(found) = found else {
        return Targets::Good(Environments::none());
    };
    let text = match &found.content {
        Content::Text(text) => text,
        Content::Unreadable(reason) => {
            return Targets::Broken {
                file: String::new(),
                reason: format!("{}: {reason}", found.path),
                problems: Vec::new(),
            };
        }
    };
    match Environments::parse(text) {
        Ok(environments) => Targets::Good(environments),
        Err(problems) => Targets::Broken {
            file: text.to_string(),
            reason: first_cause(&found.path, &problems),
            problems,
        },
    }
}

fn first_cause(path: &str, problems: &[Problem]) -> String {
    match problems.first() {
        Some(problem) => format!("{path}:{problem}"),
        None => format!("{path} cannot be read"),
    }
}

fn doubled(files: &[&Found]) -> String {
    let paths: Vec<_> = files.iter().map(|found| found.path.as_str()).collect();
    format!(
        "{} name the same pipeline: keep one of them",
        paths.join(" and ")
    )
}

/// The pipeline a file names. A file whose name is none still gets its run, so that somebody hears of
/// it: then under a name made from it, and with the rule that is broken.
pub(super) fn name(path: &str) -> (PipelineName, Option<String>) {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = match stem(file) {
        Some(".seaworthy") | None => "default",
        Some(stem) => stem,
    };
    let broken: InvalidName = match stem.parse() {
        Ok(name) => return (name, None),
        Err(error) => error,
    };
    let tame = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '-',
    };
    let made: String = stem.chars().map(tame).take(60).collect();
    let made = made.trim_start_matches('-').parse();
    let name = made.unwrap_or_else(|_: InvalidName| "unnamed".parse().expect("a word is a name"));
    (name, Some(broken.to_string()))
}
