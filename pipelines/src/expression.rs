//! `${{ … }}`: texts with gaps that an event fills.
//!
//! Only a fixed list of variables, and no operators: what needs deciding is decided by `when`, or
//! in a script, which gets the same values as `$SEAWORTHY_…`. Filling in is text in, text out; the
//! result is never read again, so a branch called `${{ author }}` stays what it is.

use crate::definition::{At, Place, Problem, nearest};
use crate::event::GitEvent;
use crate::names::{BranchName, CommitSha, RepoName, TagName};

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
    fn value(self, event: &GitEvent, repository: &RepoName) -> String {
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
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap(Variable),
}

/// A value longer than this is cut by no one, but counted as this long when a plan is measured.
const GAP_BYTES: usize = 255;

impl Template {
    /// Finds the gaps of a text, or says what is wrong with them.
    pub(crate) fn parse(text: &At<String>) -> Result<Template, Vec<Problem>> {
        let mut parts = Vec::new();
        let mut problems = Vec::new();
        for piece in pieces(&text.value) {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text.to_owned())),
                Piece::Expression { whole, inner } => match variable(inner) {
                    Some(variable) => parts.push(Part::Gap(variable)),
                    None => problems.push(unknown(text.place, whole, inner)),
                },
                Piece::Unclosed(rest) => {
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
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with its gaps filled.
    pub(crate) fn fill(&self, event: &GitEvent, repository: &RepoName) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Gap(variable) => variable.value(event, repository),
        };
        self.parts.iter().map(part).collect()
    }

    /// The most bytes it is thought to have when filled.
    pub(crate) fn bytes(&self) -> usize {
        let part = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Gap(_) => GAP_BYTES,
        };
        self.parts.iter().map(part).sum()
    }
}

/// Expressions that a script holds: they would reach the shell as they stand, and fail there.
pub(crate) fn refuse_in_script(text: &At<String>) -> Vec<Problem> {
    let problem = |piece| match piece {
        Piece::Expression { whole, inner } if variable(inner).is_some() || is_later(inner) => {
            let message = "`${{ … }}` is not filled in inside `run`";
            let problem = Problem::new(text.place, whole, message);
            Some(match variable(inner) {
                Some(variable) => problem.hint(format!(
                    "use the environment variable `$SEAWORTHY_{}`",
                    variable.as_str().to_uppercase()
                )),
                None => problem,
            })
        }
        // Another program's templates are none of our business.
        Piece::Expression { .. } | Piece::Text(_) | Piece::Unclosed(_) => None,
    };
    pieces(&text.value)
        .into_iter()
        .filter_map(problem)
        .collect()
}

fn variable(name: &str) -> Option<Variable> {
    Variable::ALL
        .into_iter()
        .find(|known| known.as_str() == name)
}

/// Whether this is described, but comes in a later version.
fn is_later(name: &str) -> bool {
    name == "run"
        || ["matrix.", "inputs.", "jobs."]
            .iter()
            .any(|head| name.starts_with(head))
}

fn unknown(place: Place, whole: &str, inner: &str) -> Problem {
    if is_later(inner) {
        return Problem::new(place, whole, format!("`{inner}` is not supported yet"));
    }
    let names = || Variable::ALL.into_iter().map(Variable::as_str);
    let problem = Problem::new(place, whole, "this expression is not known");
    match nearest(inner, names()) {
        Some(name) => problem.hint(format!("did you mean `${{{{ {name} }}}}`?")),
        None => {
            let names: Vec<_> = names().collect();
            problem.hint(format!("known are {}", names.join(", ")))
        }
    }
}

enum Piece<'t> {
    Text(&'t str),
    Expression { whole: &'t str, inner: &'t str },
    Unclosed(&'t str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    const OPEN: &str = "${{";
    const CLOSE: &str = "}}";
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let Some(length) = rest[start..].find(CLOSE) else {
            pieces.push(Piece::Unclosed(&rest[start..]));
            return pieces;
        };
        let end = start + length + CLOSE.len();
        let whole = &rest[start..end];
        let inner = whole[OPEN.len()..whole.len() - CLOSE.len()].trim();
        pieces.push(Piece::Expression { whole, inner });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}
