//! Something wrong with a file, told so that its author can put it right.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::PROBLEMS_MAX;

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The offending text, shortened to one line; empty where there is none.
    pub text: String,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, text: &str, message: impl Into<String>) -> Problem {
        Problem {
            line: place.line,
            column: place.column,
            text: shorten(text),
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// With a hint at the nearest of the names that could have been meant, if one is near.
    #[must_use]
    pub(crate) fn nearest<'a>(
        self,
        text: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Problem {
        match nearest(text, names) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Where something begins in a file: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    /// The beginning of the file: where what is missing altogether is reported.
    pub(crate) const START: Place = Place { line: 1, column: 1 };
}

/// A value and the place it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// In the file's order, each once, and no more than help.
pub(crate) fn tidy(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    problems.truncate(PROBLEMS_MAX);
    problems
}

/// The first line of a text, cut where it is long.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let line = text.trim_start().lines().next().unwrap_or("");
    let is_cut = line.chars().nth(CHARS_MAX).is_some() || line.len() < text.trim().len();
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = line.chars().take(CHARS_MAX).map(visible).collect();
    if is_cut {
        short.push('…');
    }
    short
}

/// The name a person most likely meant.
pub(crate) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const CHARS_MAX: usize = 64;
    if text.chars().nth(CHARS_MAX).is_some() {
        return None;
    }
    let text = text.to_lowercase();
    let near = names.into_iter().map(|name| (distance(&text, name), name));
    // A third of the letters may be wrong: more would guess at words of another meaning.
    let near = near.filter(|(far, name)| *far <= (name.len().max(text.len()) / 3).max(1));
    near.min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// How many letters must be put in, left out, changed or swapped with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
