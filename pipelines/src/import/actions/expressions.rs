//! `${{ … }}` of a workflow: in values, in scripts, and as conditions.

use super::super::model::{Notes, Pairs, Triggers, add};
use super::super::names;
use super::super::script::{insert, missing};
use super::super::source::Node;
use super::super::variables::{Table, both, line_of, script};

pub(super) const VARIABLES: Table = Table {
    known: &[
        both("GITHUB_SHA", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("GITHUB_REF_NAME", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("GITHUB_HEAD_REF", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both(
            "GITHUB_REPOSITORY",
            "$SEAWORTHY_REPOSITORY",
            "${{ repository }}",
        ),
        both("GITHUB_ACTOR", "$SEAWORTHY_AUTHOR", "${{ author }}"),
        both("GITHUB_EVENT_NAME", "$SEAWORTHY_EVENT", "${{ event }}"),
        both("GITHUB_RUN_NUMBER", "$SEAWORTHY_RUN", "${{ run }}"),
        both("GITHUB_RUN_ID", "$SEAWORTHY_RUN", "${{ run }}"),
        both("GITHUB_WORKSPACE", "/workspace", "/workspace"),
        both("RUNNER_TEMP", "/tmp", "/tmp"),
        script("GITHUB_RUN_ATTEMPT", "$SEAWORTHY_ATTEMPT"),
        script("GITHUB_JOB", "$SEAWORTHY_JOB"),
        // What would be shown on a page of GitHub's is shown in the log.
        script("GITHUB_STEP_SUMMARY", "/dev/stdout"),
    ],
    prefixes: &["GITHUB_", "RUNNER_", "ACTIONS_"],
};

/// What expressions of a job can speak of.
#[derive(Debug, Default, Clone)]
pub(super) struct Scope {
    /// The names of the jobs, theirs and ours.
    pub(super) jobs: Pairs,
    pub(super) inputs: Vec<String>,
    pub(super) triggers: Triggers,
    /// The ids of the steps that are scripts.
    pub(super) step_ids: Vec<String>,
    pub(super) env: Pairs,
    /// Variables that hold a secret, with its name.
    pub(super) secret_env: Pairs,
    /// Axes of the matrix, ours.
    pub(super) axes: Vec<String>,
    /// Axes that have one value only, because other machines are left out.
    pub(super) fixed: Pairs,
}

/// The parts of a text: as they are, or (as an error) what stands in an expression.
pub(super) fn pieces(text: &str) -> Vec<Result<&str, &str>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${{") {
        let Some((inner, behind)) = behind.split_once("}}") else {
            break;
        };
        if !before.is_empty() {
            pieces.push(Ok(before));
        }
        pieces.push(Err(inner.trim()));
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Ok(rest));
    }
    pieces
}

/// The name of a secret, if the expression is one.
pub(super) fn secret(inner: &str) -> Option<String> {
    match inner.strip_prefix("secrets.") {
        Some(name) => names::is_variable(name).then(|| names::secret(name)),
        None => (inner == "github.token").then(|| "github_token".into()),
    }
}

impl Scope {
    /// What stands for an expression in a value.
    pub(super) fn value(&self, inner: &str) -> Option<String> {
        if let Some((first, _)) = inner.split_once("||") {
            // The second is for events that have no first.
            return self.value(first.trim());
        }
        let gap = |name: &str| Some(format!("${{{{ {name} }}}}"));
        match inner {
            "github.sha" | "github.event.pull_request.head.sha" => return gap("commit"),
            "github.ref_name" | "github.head_ref" => return gap("branch"),
            "github.repository" => return gap("repository"),
            "github.actor" | "github.triggering_actor" => return gap("author"),
            "github.event_name" => return gap("event"),
            "github.run_number" | "github.run_id" => return gap("run"),
            "github.workspace" => return Some("/workspace".into()),
            "runner.os" => return Some("Linux".into()),
            "runner.temp" => return Some("/tmp".into()),
            _ => {}
        }
        if let Some(text) = inner
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
        {
            return (!text.contains('\'')).then(|| text.to_owned());
        }
        let (head, name) = inner.split_once('.')?;
        match head {
            "matrix" => {
                let axis = names::axis(name);
                if let Some((_, value)) = self.fixed.iter().find(|(key, _)| *key == axis) {
                    return Some(value.clone());
                }
                self.axes
                    .contains(&axis)
                    .then(|| gap(&format!("matrix.{axis}")))?
            }
            "env" => {
                let found = self.env.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())
            }
            "inputs" => self.input(name),
            "github" => self.input(name.strip_prefix("event.inputs.")?),
            "needs" => {
                let (job, output) = name.split_once(".outputs.")?;
                let (_, job) = self.jobs.iter().find(|(theirs, _)| theirs == job)?;
                gap(&format!("jobs.{job}.outputs.{}", names::axis(output)))
            }
            _ => None,
        }
    }

    fn input(&self, name: &str) -> Option<String> {
        let name = names::axis(name);
        let is_known = self.inputs.contains(&name);
        is_known.then(|| format!("${{{{ inputs.{name} }}}}"))
    }

    /// A value with our gaps. An expression that has none stays out, and is noted.
    pub(super) fn fill(&self, text: &str, line: u32, notes: &mut Notes) -> String {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Ok(literal) => filled.push_str(literal),
                Err(inner) => match self.value(inner) {
                    Some(value) => filled.push_str(&value),
                    None => note(inner, line, notes),
                },
            }
        }
        filled
    }

    /// A script with variables for its expressions, and the secrets it needs for that.
    pub(super) fn script(&self, text: &str, line: u32, notes: &mut Notes) -> (String, Vec<String>) {
        let (mut filled, mut secrets) = (String::new(), Vec::new());
        for piece in pieces(text) {
            let inner = match piece {
                Ok(literal) => {
                    filled.push_str(literal);
                    continue;
                }
                Err(inner) => inner,
            };
            let at = filled.matches('\n').count();
            let variable = match (self.variable(inner), secret(inner)) {
                (Some(variable), _) => variable,
                (None, Some(secret)) => {
                    let variable = format!("${{{}}}", names::secret_variable(&secret));
                    add(&mut secrets, secret);
                    variable
                }
                (None, None) => {
                    note(inner, line_of(text, line, at), notes);
                    missing(inner)
                }
            };
            insert(&mut filled, &variable);
        }
        // `'${{ x }}'` needs no quotes that end and begin again.
        let filled = filled.replace("''\"${", "\"${").replace("}\"''", "}\"");
        (VARIABLES.in_script(&filled, line, notes), secrets)
    }

    /// What a script writes for an expression.
    fn variable(&self, inner: &str) -> Option<String> {
        if let Some(name) = inner.strip_prefix("env.") {
            return names::is_variable(name).then(|| format!("${{{name}}}"));
        }
        if matches!(
            inner,
            "github.event.pull_request.number" | "github.event.number"
        ) {
            return Some("${SEAWORTHY_PULL_REQUEST}".into());
        }
        if let Some(file) = super::outputs::file_of(inner, self) {
            return Some(format!("$(cat {file})"));
        }
        let value = self.value(inner)?;
        let Some(gap) = value
            .strip_prefix("${{ ")
            .and_then(|gap| gap.strip_suffix(" }}"))
        else {
            return Some(value);
        };
        let words = gap
            .replace("matrix.", "matrix_")
            .replace("inputs.", "input_");
        let words = match words.strip_prefix("jobs.") {
            Some(rest) => format!("output_{}", rest.replace(".outputs.", "_")),
            None => words,
        };
        Some(format!("${{SEAWORTHY_{}}}", names::variable(&words)))
    }
}

fn note(inner: &str, line: u32, notes: &mut Notes) {
    let (why, hint) = if inner.starts_with("vars.") {
        (
            "there are no variables of a repository",
            "write the value into `env`",
        )
    } else if inner.starts_with("secrets.") || inner == "github.token" {
        (
            "a value cannot hold a secret",
            "name it under `secrets` of a step and use its variable",
        )
    } else if inner.contains("hashFiles") {
        (
            "a value cannot hash files",
            "name the files under `key` of the cache",
        )
    } else if inner.starts_with("steps.") {
        (
            "a value cannot hold what a step put out",
            "write it into a file in the workspace and read that",
        )
    } else {
        (
            "there is no such value here",
            "see docs/pipeline-file.md for what `${{ … }}` knows",
        )
    };
    notes.add(line, &format!("${{{{ {inner} }}}}"), why, hint);
}

/// `env`, and those of its variables that hold a secret: the name of the secret for each.
pub(super) fn environment(node: Option<&Node>, scope: &Scope, notes: &mut Notes) -> (Pairs, Pairs) {
    let (mut env, mut secrets) = (Pairs::new(), Pairs::new());
    for entry in node.map(Node::entries).unwrap_or_default() {
        if !names::is_variable(&entry.key) {
            let why = "this is not a name of a variable";
            notes.add(entry.line, &entry.key, why, "use letters, digits and `_`");
            continue;
        }
        let text = entry.value.text().unwrap_or_default();
        let secret = match pieces(text)[..] {
            [Err(inner)] => secret(inner),
            _ => None,
        };
        match secret {
            Some(secret) => secrets.push((entry.key.clone(), secret)),
            None => {
                let value = scope.fill(text, entry.line, notes);
                env.push((entry.key.clone(), value));
            }
        }
    }
    (env, secrets)
}
