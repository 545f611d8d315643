//! The steps of a stage, and what follows it in `post`.

use super::super::globs;
use super::super::model::{Notes, Pairs, Status, Step, When, add, by_hand};
use super::super::names;
use super::super::script::{self, Part};
use super::VARIABLES;
use super::arguments::{Arguments, Value, raw, script as text_of, template};
use super::groovy::Statement;
use super::plugins;
use super::sections::{self, Scope};

/// What was found in a block of steps.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) steps: Vec<Step>,
    pub(super) comments: Vec<String>,
    pub(super) junit: Vec<String>,
    pub(super) artifacts: Vec<String>,
    /// The scripts as they are written: for an image that they may build.
    pub(super) lines: Vec<(u32, String)>,
    parts: Vec<(Part, Around)>,
}

/// What surrounds a step: `dir`, `withEnv`, `withCredentials`, `timeout`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Around {
    dir: Option<String>,
    env: Pairs,
    pub(super) secrets: Pairs,
    timeout: Option<String>,
    /// Variables from farther outside, which values can speak of.
    own: Pairs,
}

/// Reads the steps of a stage, which become one step of its name.
pub(super) fn of_stage(name: &str, block: &Statement, scope: &Scope, notes: &mut Notes) -> Found {
    let around = Around {
        own: scope.env.clone(),
        secrets: scope.secrets.clone(),
        ..Around::default()
    };
    let mut found = Found::default();
    for statement in block.block() {
        read(statement, &around, &mut found, notes);
    }
    found.finish(name, &When::default());
    found
}

/// Reads `post`: each of its conditions is a step.
pub(super) fn post(block: &Statement, scope: &Scope, notes: &mut Notes) -> Found {
    let mut all = Found::default();
    for condition in block.block() {
        let status = match condition.name.as_str() {
            "always" | "cleanup" => Status::Always,
            "success" => Status::Success,
            "failure" | "unsuccessful" => Status::Failure,
            name => {
                let why = "a step follows success, failure or both, and no other state";
                let hint = "use a `when` with `status`, or leave it out";
                notes.add(condition.line, &format!("post {{ {name} }}"), why, hint);
                continue;
            }
        };
        let when = When {
            status: (status != Status::Success).then_some(status),
            ..When::default()
        };
        let mut found = of_stage(&condition.name, condition, scope, notes);
        found.inspect(notes);
        for step in &mut found.steps {
            step.when = when.clone();
        }
        all.steps.append(&mut found.steps);
        all.comments.append(&mut found.comments);
        all.junit.append(&mut found.junit);
        all.artifacts.append(&mut found.artifacts);
    }
    all
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.comments, &self.junit, &self.artifacts];
        self.steps.is_empty() && lists.iter().all(|list| list.is_empty())
    }

    /// Puts what was read together: scripts with the same surroundings are one step.
    fn finish(&mut self, name: &str, when: &When) {
        let mut group: Vec<Part> = Vec::new();
        let mut last: Option<Around> = None;
        let parts = std::mem::take(&mut self.parts);
        let is_one = parts
            .iter()
            .all(|(_, around)| around.timeout == parts[0].1.timeout);
        for (part, around) in parts {
            if last
                .as_ref()
                .is_some_and(|last| last.timeout != around.timeout)
            {
                self.close(name, when, (&mut group, &mut last), is_one);
            }
            group.push(part);
            match &mut last {
                Some(last) => last.secrets.extend(around.secrets),
                None => last = Some(around),
            }
        }
        self.close(name, when, (&mut group, &mut last), is_one);
    }

    /// Notes what will not work in its scripts.
    pub(super) fn inspect(&self, notes: &mut Notes) {
        for (line, text) in &self.lines {
            script::inspect(text, *line, notes);
        }
    }

    fn close(
        &mut self,
        name: &str,
        when: &When,
        (group, last): (&mut Vec<Part>, &mut Option<Around>),
        is_one: bool,
    ) {
        let Some(around) = last.take() else { return };
        let parts = std::mem::take(group);
        let mut step = Step {
            name: names::step(name),
            when: when.clone(),
            timeout: around.timeout,
            ..Step::default()
        };
        for (_, secret) in &around.secrets {
            add(&mut step.secrets, secret.clone());
        }
        if let ([part], true) = (parts.as_slice(), is_one) {
            step.env.clone_from(&part.env);
        }
        step.run = script::joined(&parts);
        self.steps.push(step);
    }
}

fn read(statement: &Statement, around: &Around, found: &mut Found, notes: &mut Notes) {
    let arguments = Arguments::read(&statement.rest);
    let line = statement.line;
    match statement.name.as_str() {
        "sh" => shell(&arguments, line, around, found, notes),
        "echo" => {
            if let Some(value) = arguments.main("message") {
                let text = text_of(value, line, notes);
                push(format!("echo {}", script::quote(&text)), around, found);
            }
        }
        "error" => {
            let text = arguments
                .main("message")
                .map(|value| text_of(value, line, notes));
            let text = script::quote(&text.unwrap_or_default());
            push(format!("echo {text} >&2\nexit 1"), around, found);
        }
        "sleep" => {
            if let Some(time) = arguments.main("time") {
                push(format!("sleep {}", time.plain()), around, found);
            }
        }
        "junit" => globs_of(arguments.main("testResults"), line, &mut found.junit, notes),
        "archiveArtifacts" => {
            globs_of(
                arguments.main("artifacts"),
                line,
                &mut found.artifacts,
                notes,
            );
        }
        "checkout" | "cleanWs" | "deleteDir" | "milestone" | "script" | "git" | "dir"
        | "withEnv" | "withCredentials" | "timeout" | "timestamps" | "ansiColor" | "wrap"
        | "catchError" | "warnError" | "retry" | "container" | "steps" => {
            wrapped(statement, &arguments, around, found, notes);
        }
        _ => {
            let (why, hint) = plugins::advice(&statement.name);
            notes.add(line, &statement.shown(), why, hint);
            found.comments.push(by_hand(line, &statement.shown()));
        }
    }
}

fn shell(arguments: &Arguments, line: u32, around: &Around, found: &mut Found, notes: &mut Notes) {
    let Some(value) = arguments.main("script") else {
        return;
    };
    let text = raw(value, line, notes);
    if text.trim().is_empty() {
        found
            .comments
            .push(by_hand(line, "sh with a command that only Groovy knows"));
        return;
    }
    found.lines.push((line, text.clone()));
    let text = VARIABLES.in_script(&text, line, notes);
    push(script::without_sudo(&text), around, found);
}

fn push(run: String, around: &Around, found: &mut Found) {
    let mut around = around.clone();
    // A step has the secrets that its script speaks of, and no others.
    around
        .secrets
        .retain(|(variable, _)| run.contains(variable.as_str()));
    let renamed = around.secrets.iter();
    let renamed = renamed.filter(|(variable, secret)| *variable != names::secret_variable(secret));
    let exports = renamed.map(|(variable, secret)| {
        format!("export {variable}=\"${}\"", names::secret_variable(secret))
    });
    let part = Part {
        name: None,
        dir: around.dir.clone(),
        exports: exports.collect(),
        env: around.env.clone(),
        run,
    };
    found.parts.push((part, around));
}

/// Steps around others, and those that mean nothing here.
fn wrapped(
    statement: &Statement,
    arguments: &Arguments,
    around: &Around,
    found: &mut Found,
    notes: &mut Notes,
) {
    let line = statement.line;
    let mut inner = around.clone();
    let mut note = |why: &str, hint: &str| notes.add(line, &statement.shown(), why, hint);
    match statement.name.as_str() {
        // Each job begins with a fresh checkout of the commit.
        "checkout" if statement.rest.contains("scm") => return,
        "cleanWs" | "deleteDir" | "milestone" => return,
        "checkout" | "git" => {
            note(
                "the commit that is built is checked out, and nothing else",
                "fetch the other repository in a step with `git`",
            );
            found.comments.push(by_hand(line, &statement.shown()));
            return;
        }
        "script" => {
            note(
                "a script block is a program in Groovy",
                "write it for the shell, in a step or a script of the repository",
            );
            found.comments.push(by_hand(
                line,
                "script {…}: its `sh` steps are here, its logic is not",
            ));
        }
        "dir" => {
            let dir = arguments.places.first().map(|dir| dir.plain().to_owned());
            inner.dir = match (&around.dir, dir) {
                (Some(outer), Some(dir)) => Some(format!("{outer}/{dir}")),
                (_, dir) => dir,
            };
        }
        "withEnv" => {
            for value in arguments.places.iter().flat_map(list) {
                let text = template(&value, &around.own, line, notes);
                match text.split_once('=') {
                    Some((key, value)) if names::is_variable(key) => {
                        inner.env.push((key.to_owned(), value.to_owned()));
                    }
                    _ => {
                        let why = "only `NAME=value` is read here";
                        notes.add(line, &text, why, "export it in the script");
                    }
                }
            }
        }
        "withCredentials" => {
            for value in arguments.places.iter().flat_map(list) {
                plugins::credentials(value.plain(), line, &mut inner, notes);
            }
        }
        "timeout" => inner.timeout = sections::span(arguments),
        "catchError" | "warnError" => note(
            "a step that fails makes the job fail",
            "append `|| true` to what may fail",
        ),
        "retry" => note(
            "a step is not tried again; a job is",
            "give the job `retry: { attempts: 2, on: [failure] }`",
        ),
        "container" => note(
            "it ran in another container of the pod",
            "give the step the `image` of that container",
        ),
        _ => {}
    }
    for statement in statement.block() {
        read(statement, &inner, found, notes);
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::List(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn globs_of(value: Option<&Value>, line: u32, list: &mut Vec<String>, notes: &mut Notes) {
    let text = value.map(Value::plain).unwrap_or_default();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match globs::glob(one.trim_end_matches('/')) {
            Some(found) => found.patterns.into_iter().for_each(|one| add(list, one)),
            None => {
                let why = "this pattern cannot be said with `*` and `**`";
                notes.add(line, one, why, "write one or several simpler ones");
            }
        }
    }
}
