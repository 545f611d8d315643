//! `.travis.yml`: one machine a job, in which the phases of a build follow one another.
//!
//! The phases up to `script` become one step, because they shared a shell; what comes after them
//! becomes steps that ask for the status. Versions and `env` become the matrix.

mod conditions;
mod deploys;
mod keep;
mod matrix;
mod phases;

use super::condition::by_hand_only;
use super::images;
use super::model::{Filter, Job, Notes, Pipeline, Step, When, add, by_hand};
use super::names::{self, Names};
use super::source::{Entry, Node};
use super::variables::{Table, both, script};

const VARIABLES: Table = Table {
    known: &[
        both("TRAVIS_COMMIT", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("TRAVIS_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("TRAVIS_TAG", "$SEAWORTHY_TAG", "${{ tag }}"),
        both(
            "TRAVIS_REPO_SLUG",
            "$SEAWORTHY_REPOSITORY",
            "${{ repository }}",
        ),
        both("TRAVIS_BUILD_NUMBER", "$SEAWORTHY_RUN", "${{ run }}"),
        both("TRAVIS_BUILD_ID", "$SEAWORTHY_RUN", "${{ run }}"),
        both("TRAVIS_EVENT_TYPE", "$SEAWORTHY_EVENT", "${{ event }}"),
        both("TRAVIS_BUILD_DIR", "/workspace", "/workspace"),
        script("TRAVIS_JOB_NAME", "$SEAWORTHY_JOB"),
        script("TRAVIS_BUILD_WEB_URL", "$SEAWORTHY_URL"),
        script("TRAVIS_PULL_REQUEST", "$SEAWORTHY_PULL_REQUEST"),
        script("TRAVIS", "$CI"),
    ],
    prefixes: &["TRAVIS_"],
};

/// The keys that mean something, or nothing that is of interest here.
const KEYS: &[&str] = &[
    "language",
    "os",
    "dist",
    "arch",
    "sudo",
    "group",
    "version",
    "git",
    "env",
    "services",
    "addons",
    "cache",
    "before_install",
    "install",
    "before_script",
    "script",
    "before_cache",
    "after_success",
    "after_failure",
    "after_script",
    "before_deploy",
    "deploy",
    "after_deploy",
    "branches",
    "matrix",
    "jobs",
    "stages",
    "if",
    "compiler",
    "name",
    "stage",
];

/// Translates the file.
pub(super) fn pipeline(root: &Node, notes: &mut Notes) -> Pipeline {
    let mut pipeline = Pipeline::default();
    if root.entries().is_empty() {
        return pipeline;
    }
    let reader = Reader::new(root, notes);
    triggers(root, &mut pipeline, notes);
    pipeline.env = reader.global_env.clone();
    let mut names = Names::default();
    let mut stages: Vec<(String, Vec<String>)> = Vec::new();
    for stage in root.find("stages").map(Node::items).unwrap_or_default() {
        let name = stage.text().or(stage.text_of("name"));
        stages.extend(name.map(|name| (name.to_lowercase(), Vec::new())));
    }
    for (stage, job) in reader.jobs(&mut names, notes) {
        match stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, jobs)) => jobs.push(job.name.clone()),
            None => stages.push((stage, vec![job.name.clone()])),
        }
        pipeline.jobs.push(job);
    }
    stages.retain(|(_, jobs)| !jobs.is_empty());
    // A stage begins when the one before it has passed.
    for pair in stages.windows(2) {
        for job in &mut pipeline.jobs {
            if pair[1].1.contains(&job.name) {
                job.needs.clone_from(&pair[0].1);
            }
        }
    }
    pipeline
}

/// What all jobs of the file share.
struct Reader<'n> {
    root: &'n Node,
    language: String,
    global_env: Vec<(String, String)>,
}

impl<'n> Reader<'n> {
    fn new(root: &'n Node, notes: &mut Notes) -> Reader<'n> {
        let language = root.find("language").map(|node| match node.items() {
            [first, ..] => first.shown(),
            [] => node.shown(),
        });
        let language = language.unwrap_or_else(|| "ruby".into()).to_lowercase();
        for entry in root.entries() {
            strange(entry, &language, notes);
        }
        let mut reader = Reader {
            root,
            language,
            global_env: Vec::new(),
        };
        reader.global_env = matrix::global_env(root, notes);
        reader
    }

    /// The jobs with the stage each belongs to.
    fn jobs(&self, names: &mut Names, notes: &mut Notes) -> Vec<(String, Job)> {
        let list = self.root.find("jobs").or(self.root.find("matrix"));
        let include = list.and_then(|list| list.find("include"));
        let include = include.map(Node::items).unwrap_or_default();
        if let Some(allowed) = list.and_then(|list| list.find("allow_failures")) {
            notes.add(
                allowed.line,
                "allow_failures",
                "a job that fails makes the run fail",
                "move those versions to a job that nothing needs, or append `|| true`",
            );
        }
        let mut matrix = matrix::read(self, notes);
        if let Some(exclude) = list.and_then(|list| list.find("exclude")) {
            matrix::exclude(self, exclude, &mut matrix, notes);
        }
        let mut jobs = Vec::new();
        let mut own = Vec::new();
        let mut stage = "test".to_owned();
        for entry in include {
            if let Some(text) = entry.text_of("stage") {
                stage = text.to_lowercase();
            }
            let differs = [
                "script",
                "stage",
                "install",
                "before_install",
                "deploy",
                "language",
            ];
            if stage != "test" || differs.iter().any(|key| entry.find(key).is_some()) {
                own.push((stage.clone(), entry));
            } else {
                matrix::include(self, entry, &mut matrix, notes);
            }
        }
        // With nothing but jobs of their own, the file's own phases are what they inherit.
        if own.is_empty() || !matrix.is_empty() || self.root.find("script").is_some() {
            let mut job = self.job(self.root, names.unique("test"), notes);
            matrix::apply(self, matrix, &mut job);
            jobs.push(("test".to_owned(), job));
        }
        for (stage, entry) in own {
            let name = entry.text_of("name").unwrap_or(&stage);
            let mut job = self.job(entry, names.unique(name), notes);
            matrix::apply_one(self, entry, &mut job, notes);
            jobs.push((stage, job));
        }
        jobs
    }

    /// A value of the job, or else of the file.
    fn find(&self, node: &'n Node, key: &str) -> Option<&'n Node> {
        node.find(key).or_else(|| self.root.find(key))
    }

    fn job(&self, node: &'n Node, name: String, notes: &mut Notes) -> Job {
        let language = node.text_of("language").unwrap_or(&self.language);
        let mut job = Job {
            line: node.line,
            name,
            image: images::of_language(language, None),
            ..Job::default()
        };
        if job.image.is_none() {
            let line = self.find(node, "language").map_or(1, |node| node.line);
            let hint = "give the job an `image` in which the language is installed";
            notes.add(
                line,
                language,
                "there is no image known for this language",
                hint,
            );
            job.image = Some(images::LINUX.into());
        }
        self.machine(node, &mut job, notes);
        if let Some(condition) = node.find("if") {
            match conditions::when(condition, notes) {
                Some(when) => job.when = when,
                None => {
                    job.when = by_hand_only();
                    job.by_hand
                        .push(by_hand(condition.line, &condition.shown()));
                }
            }
        }
        if let Some(services) = self.find(node, "services") {
            job.services = keep::services(services, &mut job.by_hand, notes);
        }
        if let Some(cache) = self.find(node, "cache") {
            job.caches = keep::caches(cache, &self.language);
        }
        phases::steps(self, node, &mut job, notes);
        if let Some(deploys) = self.find(node, "deploy") {
            let around = ["before_deploy", "after_deploy"].map(|key| {
                let lines = self
                    .find(node, key)
                    .map(|lines| phases::lines(lines, notes));
                lines.unwrap_or_default()
            });
            deploys::steps(deploys, &around, &mut job, notes);
        }
        job
    }

    fn machine(&self, node: &Node, job: &mut Job, notes: &mut Notes) {
        let others = ["osx", "windows", "freebsd", "ppc64le", "s390x", "arm64"];
        for key in ["os", "arch"] {
            let Some(value) = self.find_in(node, key) else {
                continue;
            };
            for item in value.items() {
                if item.text().is_some_and(|text| others.contains(&text)) {
                    notes.add(
                        item.line,
                        &format!("{key}: {}", item.shown()),
                        "steps run in Linux containers of the runner's own architecture",
                        "leave it to another system, or start a runner there",
                    );
                    job.by_hand.push(by_hand(item.line, &item.shown()));
                }
            }
        }
    }

    fn find_in<'a>(&'a self, node: &'a Node, key: &str) -> Option<&'a Node> {
        node.find(key).or_else(|| self.root.find(key))
    }
}

fn strange(entry: &Entry, language: &str, notes: &mut Notes) {
    let key = entry.key.as_str();
    if KEYS.contains(&key) || matrix::axis_of(key).is_some() {
        if key == "git" && entry.value.find("submodules").is_some() {
            let hint = "add `git submodule update --init` as a first step";
            notes.add(
                entry.line,
                "git.submodules",
                "the checkout is what git itself has",
                hint,
            );
        }
        return;
    }
    let (why, hint) = match key {
        "notifications" => (
            "messages are not sent from a pipeline file",
            "the result is a check on the commit; let GitHub tell people about it",
        ),
        key if key.starts_with('.') || key.starts_with('_') => return,
        "before_all" | "x-templates" => return,
        _ => ("there is no such thing here", "see docs/pipeline-file.md"),
    };
    let what = match key {
        _ if entry.value.text().is_some() => format!("{key}: {}", entry.value.shown()),
        _ => key.to_owned(),
    };
    // A version key of another language than the file's is a leftover.
    if key != language {
        notes.add(entry.line, &what, why, hint);
    }
}

/// Without `branches`, each push and pull request starts a build.
fn triggers(root: &Node, pipeline: &mut Pipeline, notes: &mut Notes) {
    let mut push = Filter::default();
    let only = root.find("branches").and_then(|node| node.find("only"));
    let except = root.find("branches").and_then(|node| node.find("except"));
    for (list, negation) in [(only, ""), (except, "!")] {
        for (line, text) in list.map(Node::texts).unwrap_or_default() {
            for (pattern, is_tag) in conditions::names(&text, line, notes) {
                let list = if is_tag {
                    &mut push.tags
                } else {
                    &mut push.branches
                };
                add(list, format!("{negation}{pattern}"));
            }
        }
    }
    let pull_request = Filter {
        branches: push.branches.clone(),
        ..Filter::default()
    };
    pipeline.triggers.push = Some(push);
    pipeline.triggers.pull_request = Some(pull_request);
    let Some(condition) = root.find("if") else {
        return;
    };
    let Some(When { event, .. }) = conditions::when(condition, notes) else {
        return;
    };
    if !event.is_empty() && !event.iter().any(|event| event == "pull_request") {
        pipeline.triggers.pull_request = None;
    }
}

/// A step for a phase behind the script.
fn later_step(name: &str, run: String, when: When) -> Step {
    Step {
        name: Some(name.into()),
        run,
        when,
        ..Step::default()
    }
}

/// The name of an axis.
fn axis_name(text: &str) -> String {
    names::axis(text)
}
