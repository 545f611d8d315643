//! What was found in pipeline files: for a person, for a program, for GitHub's annotations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipelines::definition::Problem;
use pipelines::plan::Plan;
use serde_json::{Value, json};

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `file:line:column: error: message`, with the line itself.
    Human,
    /// One JSON document.
    Json,
    /// Workflow commands of GitHub Actions, which become annotations.
    Github,
}

/// What was found in one file.
pub(crate) struct Finding {
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    /// Its text, as far as it could be read.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
    /// What it does for the event, if that was asked.
    pub(crate) planned: Option<Planned>,
}

/// What a pipeline does for an event.
pub(crate) enum Planned {
    /// This.
    Run(Box<Plan>),
    /// Nothing, for this reason.
    NotTriggered(String),
}

/// All findings, printed.
pub(crate) fn print(format: Format, findings: &[Finding]) -> String {
    match format {
        Format::Human => findings.iter().map(human).collect(),
        Format::Json => {
            let files: Vec<Value> = findings.iter().map(json).collect();
            let problems: usize = findings.iter().map(|found| found.problems.len()).sum();
            let document = json!({ "files": files, "problems": problems });
            format!("{document:#}\n")
        }
        Format::Github => findings.iter().map(github).collect(),
    }
}

fn human(found: &Finding) -> String {
    let mut out = String::new();
    for problem in &found.problems {
        out += &human_problem(&found.file, &found.text, problem);
    }
    match &found.planned {
        Some(Planned::Run(plan)) => {
            // Writing to a text does not fail.
            let _ = writeln!(out, "{}:\n{plan}", found.file.display());
        }
        Some(Planned::NotTriggered(reason)) => {
            let _ = writeln!(out, "{}: starts nothing: {reason}", found.file.display());
        }
        None => {}
    }
    out
}

/// One problem, with its line and a mark below the place.
pub(crate) fn human_problem(file: &Path, text: &str, problem: &Problem) -> String {
    let Problem { line, column, .. } = problem;
    let mut out = format!(
        "{}:{line}:{column}: error: {}\n",
        file.display(),
        problem.message
    );
    if let Some(mark) = marked_line(text, problem) {
        out += &mark;
    }
    if let Some(hint) = &problem.hint {
        // Writing to a text does not fail.
        let _ = writeln!(out, "  hint: {hint}");
    }
    out
}

/// Most characters shown of a line.
const LINE_CHARS_MAX: usize = 160;

/// The line of a problem, and carets below the offending text.
fn marked_line(text: &str, problem: &Problem) -> Option<String> {
    let place = usize::try_from(problem.line).ok()?.checked_sub(1)?;
    let line = text.lines().nth(place)?;
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = line.chars().take(LINE_CHARS_MAX).map(shown).collect();
    let indent = usize::try_from(problem.column).ok()?.checked_sub(1)?;
    let length = line.chars().count();
    if line.trim().is_empty() || indent > length {
        return None;
    }
    let wide = problem.text.trim_end_matches('…').chars().count();
    let wide = wide.clamp(1, (length - indent).max(1));
    let number = problem.line;
    let (gap, carets) = (" ".repeat(indent), "^".repeat(wide));
    Some(format!("{number:>5} | {line}\n      | {gap}{carets}\n"))
}

fn json(found: &Finding) -> Value {
    let mut value = json!({ "file": found.file, "problems": found.problems });
    match &found.planned {
        Some(Planned::Run(plan)) => value["plan"] = json!(plan),
        Some(Planned::NotTriggered(reason)) => value["not_triggered"] = json!(reason),
        None => {}
    }
    value
}

fn github(found: &Finding) -> String {
    let mut out = String::new();
    for problem in &found.problems {
        let message = match &problem.hint {
            Some(hint) => format!("{}\nhint: {hint}", problem.message),
            None => problem.message.clone(),
        };
        // Writing to a text does not fail.
        let _ = writeln!(
            out,
            "::error file={},line={},col={}::{}",
            property(&found.file.display().to_string()),
            problem.line,
            problem.column,
            data(&message)
        );
    }
    out
}

/// A text as a workflow command takes it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The same for a property, which ends at a comma or colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
