//! Files of other systems, translated into ours as far as they map.
//!
//! Text in, values out: the file to write, and a note for each thing that has no translation or
//! not quite the same one. A translation never guesses in silence: what is left out has a note,
//! and what would make a run pass without its work is left to a person.

mod actions;
mod builds;
mod condition;
mod gitlab;
mod globs;
mod images;
mod jenkins;
mod mend;
mod model;
mod names;
mod needs;
mod operators;
mod script;
mod source;
mod travis;
mod triggered;
mod variables;
mod woodpecker;
mod write;
mod yaml;

use std::fmt;

use crate::definition::{Place, Problem};
use model::{Notes, Pipeline};

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.travis.yml`.
    Travis,
    /// `.woodpecker.yml`, or one of `.woodpecker/`; `.drone.yml` of old.
    Woodpecker,
    /// A workflow of GitHub Actions.
    Actions,
    /// `.gitlab-ci.yml`.
    Gitlab,
    /// A declarative Jenkinsfile.
    Jenkins,
}

impl Kind {
    /// All of them, in the documentation's order.
    pub const ALL: [Kind; 5] = [
        Kind::Travis,
        Kind::Woodpecker,
        Kind::Actions,
        Kind::Gitlab,
        Kind::Jenkins,
    ];

    /// The word for it on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Travis => "travis",
            Kind::Woodpecker => "woodpecker",
            Kind::Actions => "actions",
            Kind::Gitlab => "gitlab",
            Kind::Jenkins => "jenkins",
        }
    }

    /// Whose file it most likely is, by its path and, if that says nothing, by what is in it.
    pub fn guess(path: &str, text: &str) -> Option<Kind> {
        let path = path.replace('\\', "/");
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_in = |folder: &str| path.contains(&format!("{folder}/"));
        if name.starts_with(".travis.y") {
            Some(Kind::Travis)
        } else if name.starts_with(".woodpecker.y") || is_in(".woodpecker") {
            Some(Kind::Woodpecker)
        } else if name.contains("gitlab-ci") {
            Some(Kind::Gitlab)
        } else if is_in(".github/workflows") || is_in(".gitea/workflows") {
            Some(Kind::Actions)
        } else if name.starts_with("Jenkinsfile") || name.to_lowercase().ends_with(".jenkinsfile") {
            Some(Kind::Jenkins)
        } else {
            Kind::of_content(text)
        }
    }

    fn of_content(text: &str) -> Option<Kind> {
        let has = |key: &str| text.lines().any(|line| line.starts_with(key));
        let within = |word: &str| text.contains(word);
        if has("pipeline {") || has("pipeline{") {
            Some(Kind::Jenkins)
        } else if has("jobs:") && (within("runs-on:") || within("uses:")) {
            Some(Kind::Actions)
        } else if has("language:") || has("dist:") || (has("script:") && has("install:")) {
            Some(Kind::Travis)
        } else if (has("steps:") || has("pipeline:")) && within("commands:") {
            Some(Kind::Woodpecker)
        } else if has("stages:") || within("\n  script:") || has("include:") {
            Some(Kind::Gitlab)
        } else {
            None
        }
    }

    /// What the pipeline is called, by the path of the file it comes from.
    pub fn pipeline_name(self, path: &str) -> String {
        let path = path.replace('\\', "/");
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').find(|part| !part.is_empty());
        let is_own = match self {
            Kind::Travis | Kind::Gitlab => false,
            Kind::Woodpecker => path.contains(".woodpecker/"),
            Kind::Actions => true,
            Kind::Jenkins => !name.starts_with("Jenkinsfile"),
        };
        match stem.filter(|_| is_own).map(names::job) {
            // That file says where deploys may go.
            Some(stem) if stem == "environments" => "environments-pipeline".into(),
            Some(stem) => stem,
            None => self.as_str().into(),
        }
    }

    /// In words, as a sentence has it.
    fn described(self) -> &'static str {
        match self {
            Kind::Travis => "a Travis CI file",
            Kind::Woodpecker => "a Woodpecker file",
            Kind::Actions => "a GitHub Actions workflow",
            Kind::Gitlab => "a GitLab CI file",
            Kind::Jenkins => "a Jenkinsfile",
        }
    }
}

/// Something of the source that was not translated, or not quite.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// The line of the source, from 1.
    pub line: u32,
    /// What stands there, on one line.
    pub what: String,
    /// Why it has no translation, or what is different now.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}; {}",
            self.line, self.what, self.why, self.hint
        )
    }
}

/// A translated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of `.seaworthy/NAME.yml`.
    pub file: String,
    /// How many jobs it has.
    pub jobs: usize,
    /// What was not translated, in the source's order.
    pub notes: Vec<Note>,
}

/// Translates a file, or says why nothing of it could be.
pub fn import(kind: Kind, text: &str) -> Result<Imported, Vec<Problem>> {
    let mut notes = Notes::default();
    let mut pipeline = match kind {
        Kind::Travis => travis::pipeline(&source::read(text)?, &mut notes),
        Kind::Woodpecker => woodpecker::pipeline(&source::read(text)?, &mut notes),
        Kind::Actions => actions::pipeline(&source::read(text)?, &mut notes),
        Kind::Gitlab => gitlab::pipeline(&source::read(text)?, &mut notes),
        Kind::Jenkins => jenkins::pipeline(text, &mut notes)?,
    };
    mend::mend(&mut pipeline, &mut notes);
    triggered::drop_needless(&mut pipeline);
    if kind != Kind::Actions {
        // There, as here, a job is skipped with what it needs.
        needs::loosen(&mut pipeline);
    }
    triggered::let_people_start(&mut pipeline);
    leave_out_empty(&mut pipeline);
    let notes = notes.into_list();
    if pipeline.jobs.is_empty() {
        let mut problems: Vec<_> = notes.into_iter().map(problem).collect();
        let message = format!(
            "nothing here could be translated: is it {}?",
            kind.described()
        );
        problems.push(Problem::new(Place::START, "", message));
        return Err(problems);
    }
    if pipeline.triggers.is_empty() {
        pipeline.triggers.push = Some(model::Filter::default());
    }
    Ok(Imported {
        file: write::file(&pipeline, kind.described()),
        jobs: pipeline.jobs.len(),
        notes,
    })
}

fn problem(note: Note) -> Problem {
    let place = Place {
        line: note.line,
        column: 1,
    };
    Problem::new(place, &note.what, format!("{}: {}", note.what, note.why)).hint(note.hint)
}

/// Leaves out jobs with nothing to do. One that others wait for fails instead, because what comes
/// behind it must not run without its work.
fn leave_out_empty(pipeline: &mut Pipeline) {
    if pipeline.jobs.iter().all(model::Job::does_nothing) {
        pipeline.jobs.clear();
        return;
    }
    let mut kept = Vec::new();
    let jobs = std::mem::take(&mut pipeline.jobs);
    let needed: Vec<String> = jobs.iter().flat_map(|job| job.needs.clone()).collect();
    for mut job in jobs {
        if !job.does_nothing() {
            kept.push(job);
        } else if needed.contains(&job.name) {
            job.image.get_or_insert_with(|| images::LINUX.to_owned());
            job.steps.push(model::Step {
                name: Some("to be written by hand".into()),
                run: "exit 1".into(),
                ..model::Step::default()
            });
            kept.push(job);
        } else {
            pipeline.by_hand.push(format!("{}: by hand", job.name));
            pipeline.by_hand.extend(job.by_hand);
            pipeline.by_hand.extend(job.after_steps);
        }
    }
    pipeline.jobs = kept;
}

#[cfg(test)]
mod tests;
