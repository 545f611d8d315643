//! A tolerant reader of the part of Groovy in which declarative Jenkinsfiles are written.
//!
//! It knows blocks, statements and texts. Everything else is kept as it stands, so that what only
//! Groovy itself could understand is told with its line and never makes the reader fail.

use crate::definition::{Place, Problem};
use crate::limits::{DEPTH_MAX, FILE_BYTES_MAX};

/// `name arguments` or `name arguments { block }`.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) name: String,
    /// What stands behind the name, as it is written.
    pub(super) rest: String,
    pub(super) block: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn block(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The first statement of that name within.
    pub(super) fn find(&self, name: &str) -> Option<&Statement> {
        self.block().iter().find(|one| one.name == name)
    }

    /// As one line, to show what is meant.
    pub(super) fn shown(&self) -> String {
        let block = if self.block.is_some() { " {…}" } else { "" };
        let space = if self.rest.is_empty() || self.rest.starts_with('(') {
            ""
        } else {
            " "
        };
        format!("{}{space}{}{block}", self.name, self.rest)
    }
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Vec<Statement>, Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        let size = text.len();
        let message = format!("the file has {size} bytes; at most {FILE_BYTES_MAX} may be");
        return Err(vec![Problem::new(Place::START, "", message)]);
    }
    let mut reader = Reader {
        rest: text,
        line: 1,
        depth: 0,
    };
    let statements = reader.statements().map_err(|problem| vec![problem])?;
    match statements.is_empty() {
        true => Err(vec![Problem::new(Place::START, "", "the file is empty")]),
        false => Ok(statements),
    }
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Statements up to the `}` that ends them, or to the end of the file.
    fn statements(&mut self) -> Result<Vec<Statement>, Problem> {
        let mut statements = Vec::new();
        loop {
            self.blank();
            match self.rest.chars().next() {
                None if self.depth == 0 => return Ok(statements),
                None => return Err(self.problem("a block has no `}`")),
                Some('}') if self.depth > 0 => {
                    self.take(1);
                    return Ok(statements);
                }
                Some('}') => return Err(self.problem("this `}` closes nothing")),
                Some(_) => statements.push(self.statement()?),
            }
        }
    }

    fn statement(&mut self) -> Result<Statement, Problem> {
        let line = self.line;
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == '@';
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let name = self.take(length).to_owned();
        let mut rest = String::new();
        let mut brackets = 0_usize;
        let mut block: Option<Vec<Statement>> = None;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\n' | ';' if brackets == 0 && !continues(&rest) => break,
                '}' if brackets == 0 => break,
                '{' if brackets == 0 => {
                    self.take(1);
                    let inner = self.inner()?;
                    // `a: {…}, b: {…}`: all of it is one statement's.
                    block.get_or_insert_default().extend(inner);
                    if !self.rest.trim_start_matches([' ', '\t']).starts_with(',') {
                        break;
                    }
                }
                '/' if self.rest.starts_with("//") || self.rest.starts_with("/*") => self.comment(),
                '\'' | '"' => rest.push_str(self.text()),
                _ => {
                    match c {
                        '(' | '[' | '{' => brackets += 1,
                        ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
                        _ => {}
                    }
                    rest.push_str(self.take(c.len_utf8()));
                }
            }
        }
        if self.rest.starts_with(';') {
            self.take(1);
        }
        // What begins with no word would otherwise never end.
        if name.is_empty() && rest.is_empty() && block.is_none() {
            let length = self.rest.chars().next().map_or(0, char::len_utf8);
            rest.push_str(self.take(length));
        }
        let rest = rest.trim().to_owned();
        Ok(Statement {
            line,
            name,
            rest,
            block,
        })
    }

    fn inner(&mut self) -> Result<Vec<Statement>, Problem> {
        if self.depth >= DEPTH_MAX {
            return Err(self.problem("this is nested too deep"));
        }
        self.depth += 1;
        let inner = self.statements()?;
        self.depth -= 1;
        Ok(inner)
    }

    /// Takes bytes, which end at the end of a character.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        let lines = taken.matches('\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        taken
    }

    /// A text with its quotes; one without an end goes to the end of its line.
    fn text(&mut self) -> &'t str {
        let rest = self.rest;
        let quote = &rest[..1];
        let long = quote.repeat(3);
        let (open, is_long) = match rest.starts_with(&long) {
            true => (long.as_str(), true),
            false => (quote, false),
        };
        let mut at = open.len();
        while at < rest.len() {
            let behind = &rest[at..];
            if behind.starts_with(open) {
                return self.take(at + open.len());
            }
            if !is_long && behind.starts_with('\n') {
                return self.take(at);
            }
            let escape = usize::from(behind.starts_with('\\'));
            let next = behind[escape..].chars().next().map_or(0, char::len_utf8);
            at += escape + next;
        }
        self.take(rest.len())
    }

    /// Spaces, empty lines, comments.
    fn blank(&mut self) {
        loop {
            let trimmed = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == ';');
            self.take(self.rest.len() - trimmed.len());
            match self.rest.starts_with("//")
                || self.rest.starts_with("/*")
                || self.rest.starts_with("#!")
            {
                true => self.comment(),
                false => return,
            }
        }
    }

    fn comment(&mut self) {
        let end = match self.rest.starts_with("/*") {
            true => self.rest.find("*/").map(|at| at + 2),
            false => self.rest.find('\n'),
        };
        self.take(end.unwrap_or(self.rest.len()));
    }

    fn problem(&self, message: &str) -> Problem {
        let place = Place {
            line: self.line,
            column: 1,
        };
        let hint = "only declarative Jenkinsfiles (`pipeline { … }`) are read";
        Problem::new(place, "", message).hint(hint)
    }
}

/// Whether a statement goes on in the next line.
fn continues(rest: &str) -> bool {
    let rest = rest.trim_end();
    rest.ends_with([',', '+', '=', ':', '?']) || rest.ends_with("&&") || rest.ends_with("||")
}
