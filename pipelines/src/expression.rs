//! `${{ … }}`: texts with gaps that an event fills, and some that only the run can.
//!
//! Only a fixed list of variables, and no operators: what needs deciding is decided by `when`, or
//! in a script, which gets the same values as `$SEAWORTHY_…`. Filling in is text in, text out; the
//! result is never read again, so a branch called `${{ author }}` stays what it is.

use std::collections::BTreeMap;

use crate::definition::{At, Place, Problem, nearest};
use crate::event::GitEvent;
use crate::limits::PROBLEMS_MAX;
use crate::names::{BranchName, CommitSha, JobName, RepoName, TagName};
use crate::plan::{Late, Part, Text};

/// What may stand in `${{ … }}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Branch,
    Tag,
    Commit,
    ShortCommit,
    Event,
    Author,
    Repository,
}

impl Variable {
    pub(crate) const ALL: [Variable; 7] = [
        Self::Branch,
        Self::Tag,
        Self::Commit,
        Self::ShortCommit,
        Self::Event,
        Self::Author,
        Self::Repository,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Commit => "commit",
            Self::ShortCommit => "short_commit",
            Self::Event => "event",
            Self::Author => "author",
            Self::Repository => "repository",
        }
    }

    /// The value; empty where the event has none, as a tag's push has no branch.
    pub(crate) fn value(self, event: &GitEvent, repository: &RepoName) -> String {
        match self {
            Self::Branch => event.branch.as_ref().map_or("", BranchName::as_str).into(),
            Self::Tag => event.tag.as_ref().map_or("", TagName::as_str).into(),
            Self::Commit => event.commit.as_str().into(),
            Self::ShortCommit => CommitSha::short(&event.commit).into(),
            Self::Event => event.kind.as_str().into(),
            Self::Author => event.author.clone(),
            Self::Repository => repository.to_string(),
        }
    }
}

/// A text with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Gap(Gap),
}

/// What may stand in `${{ … }}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Of the event: filled when the plan is made.
    Known(Variable),
    /// `matrix.AXIS`: likewise, for each cell.
    Matrix(String),
    /// `inputs.NAME`: likewise.
    Input(String),
    /// `run` and `jobs.JOB.outputs.NAME`: filled when the job starts.
    Late(Late),
}

impl Gap {
    fn parse(text: &str) -> Option<Gap> {
        if let Some(known) = Variable::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
        {
            return Some(Self::Known(known));
        }
        if text == "run" {
            return Some(Self::Late(Late::Run));
        }
        let mut words = text.split('.');
        let gap = match (words.next()?, words.next()?, words.next(), words.next()) {
            ("matrix", axis, None, None) if is_word(axis) => Self::Matrix(axis.to_owned()),
            ("inputs", name, None, None) if is_word(name) => Self::Input(name.to_owned()),
            ("jobs", job, Some("outputs"), Some(name)) if is_word(name) => {
                Self::Late(Late::Output {
                    job: job.parse::<JobName>().ok()?,
                    name: name.to_owned(),
                })
            }
            _ => return None,
        };
        words.next().is_none().then_some(gap)
    }

    /// The variable of a script that has the same value.
    fn variable(&self) -> String {
        let name = match self {
            Self::Known(variable) => variable.as_str().to_owned(),
            Self::Matrix(axis) => format!("matrix_{axis}"),
            Self::Input(name) => format!("input_{name}"),
            Self::Late(Late::Run) => "run".to_owned(),
            Self::Late(Late::Output { job, name }) => format!("output_{job}_{name}"),
        };
        variable_name(&name)
    }
}

/// Whether this can be the name of an axis, an input or an output.
pub(crate) fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 63
        && bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// The rule of [`is_word`], for messages.
pub(crate) const WORD_RULE: &str = "use 1 to 63 of a-z, 0-9, `_`, `-`, beginning with a letter";

/// `SEAWORTHY_…`: the variable of a script that holds what is called `name` in files.
pub(crate) fn variable_name(name: &str) -> String {
    format!("SEAWORTHY_{}", name.replace('-', "_").to_ascii_uppercase())
}

/// What fills the gaps when a plan is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) event: &'a GitEvent,
    pub(crate) repository: &'a RepoName,
    /// The job's cell; empty without a matrix.
    pub(crate) matrix: &'a BTreeMap<String, String>,
    /// Every declared input, defaults filled in.
    pub(crate) inputs: &'a BTreeMap<String, String>,
}

/// A value longer than this is cut by no one, but counted as this long when a plan is measured.
const GAP_BYTES: usize = 255;

impl Template {
    /// Finds the gaps of a text, or says what is wrong with them. Whether an axis, an input or an
    /// output exists shows only when the whole file is known.
    pub(crate) fn parse(text: &At<String>) -> Result<Template, Vec<Problem>> {
        let mut parts = Vec::new();
        let mut problems = Vec::new();
        for piece in pieces(&text.value) {
            match piece {
                Found::Text(text) => parts.push(Piece::Text(text.to_owned())),
                Found::Expression { whole, inner } => match Gap::parse(inner) {
                    Some(gap) => parts.push(Piece::Gap(gap)),
                    // Beyond the limit nothing is shown.
                    None if problems.len() >= PROBLEMS_MAX => {}
                    None => problems.push(unknown(text.place, whole, inner)),
                },
                Found::Unclosed(rest) => {
                    let problem = Problem::new(text.place, rest, "this `${{` has no `}}`");
                    problems.push(problem.hint("write `${{ branch }}`"));
                }
            }
        }
        match problems.is_empty() {
            true => Ok(Template { parts }),
            false => Err(problems),
        }
    }

    /// The text itself, if it has no gaps.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its gaps, in order.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.parts.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Gap(gap) => Some(gap),
        })
    }

    /// The text with its gaps filled, but for those that must wait for the run.
    pub(crate) fn fill(&self, values: &Values<'_>) -> Text {
        let mut parts = Vec::new();
        let mut text = String::new();
        for piece in &self.parts {
            match piece {
                Piece::Text(more) => text.push_str(more),
                Piece::Gap(Gap::Known(variable)) => {
                    text.push_str(&variable.value(values.event, values.repository));
                }
                // Both have been seen to exist; a cell that `include` added may lack an axis.
                Piece::Gap(Gap::Matrix(axis)) => {
                    text.push_str(values.matrix.get(axis).map_or("", String::as_str));
                }
                Piece::Gap(Gap::Input(name)) => {
                    text.push_str(values.inputs.get(name).map_or("", String::as_str));
                }
                Piece::Gap(Gap::Late(late)) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Gap(late.clone()));
                }
            }
        }
        if parts.is_empty() {
            return Text::Known(text);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Text::Late(parts)
    }

    /// How many bytes [`Template::fill`] will make, found without making them. What is filled in
    /// late counts as about as long as a name.
    pub(crate) fn filled_bytes(&self, values: &Values<'_>) -> usize {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Gap(Gap::Known(variable)) => {
                variable.value(values.event, values.repository).len()
            }
            Piece::Gap(Gap::Matrix(axis)) => values.matrix.get(axis).map_or(0, String::len),
            Piece::Gap(Gap::Input(name)) => values.inputs.get(name).map_or(0, String::len),
            Piece::Gap(Gap::Late(_)) => GAP_BYTES,
        };
        self.parts.iter().map(part).sum()
    }

    /// The most bytes it is thought to have when filled.
    pub(crate) fn bytes(&self) -> usize {
        let part = |part: &Piece| match part {
            Piece::Text(text) => text.len(),
            Piece::Gap(_) => GAP_BYTES,
        };
        self.parts.iter().map(part).sum()
    }
}

/// Expressions that a script holds: they would reach the shell as they stand, and fail there.
pub(crate) fn refuse_in_script(text: &At<String>) -> Vec<Problem> {
    let problem = |piece| match piece {
        Found::Expression { whole, inner } => {
            // Another program's templates are none of our business.
            let gap = Gap::parse(inner)?;
            let message = "`${{ … }}` is not filled in inside `run`";
            let problem = Problem::new(text.place, whole, message);
            Some(problem.hint(format!(
                "use the environment variable `${}`",
                gap.variable()
            )))
        }
        Found::Text(_) | Found::Unclosed(_) => None,
    };
    pieces(&text.value)
        .into_iter()
        .filter_map(problem)
        .collect()
}

fn unknown(place: Place, whole: &str, inner: &str) -> Problem {
    let problem = Problem::new(place, whole, "this expression is not known");
    let shape = match inner.split('.').next() {
        Some("matrix") => Some("matrix.AXIS"),
        Some("inputs") => Some("inputs.NAME"),
        Some("jobs") => Some("jobs.JOB.outputs.NAME"),
        _ => None,
    };
    if let Some(shape) = shape {
        return problem.hint(format!("write `${{{{ {shape} }}}}`"));
    }
    let known = Variable::ALL.into_iter().map(Variable::as_str);
    let names: Vec<_> = known.chain(["run"]).collect();
    match nearest(inner, names.iter().copied()) {
        Some(name) => problem.hint(format!("did you mean `${{{{ {name} }}}}`?")),
        None => problem.hint(format!(
            "known are {}, matrix.AXIS, inputs.NAME and jobs.JOB.outputs.NAME",
            names.join(", ")
        )),
    }
}

enum Found<'t> {
    Text(&'t str),
    Expression { whole: &'t str, inner: &'t str },
    Unclosed(&'t str),
}

fn pieces(text: &str) -> Vec<Found<'_>> {
    const OPEN: &str = "${{";
    const CLOSE: &str = "}}";
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        if start > 0 {
            pieces.push(Found::Text(&rest[..start]));
        }
        let Some(length) = rest[start..].find(CLOSE) else {
            pieces.push(Found::Unclosed(&rest[start..]));
            return pieces;
        };
        let end = start + length + CLOSE.len();
        let whole = &rest[start..end];
        let inner = whole[OPEN.len()..whole.len() - CLOSE.len()].trim();
        pieces.push(Found::Expression { whole, inner });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(Found::Text(rest));
    }
    pieces
}
