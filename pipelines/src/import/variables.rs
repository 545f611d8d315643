//! The variables that other systems give to scripts, and what ours are called.

use super::model::{Notes, Pairs};
use super::names;

/// One variable of theirs: what a script writes for it here, and what a value does.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) theirs: &'static str,
    pub(super) script: &'static str,
    /// Nothing if only scripts can have it.
    pub(super) value: Option<&'static str>,
}

/// A variable that is known in scripts and in values.
pub(super) const fn both(
    theirs: &'static str,
    script: &'static str,
    value: &'static str,
) -> Variable {
    Variable {
        theirs,
        script,
        value: Some(value),
    }
}

/// A variable that only scripts have.
pub(super) const fn script(theirs: &'static str, script: &'static str) -> Variable {
    Variable {
        theirs,
        script,
        value: None,
    }
}

/// The variables of a system.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) known: &'static [Variable],
    /// How the system's own names begin: what begins so and is not known gets a note.
    pub(super) prefixes: &'static [&'static str],
}

/// A `$NAME` or `${NAME…}` in a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Reference {
        whole: &'t str,
        name: &'t str,
        /// What stands between the name and the `}`: `:-default`.
        rest: &'t str,
    },
}

impl Table {
    fn find(&self, name: &str) -> Option<&Variable> {
        self.known.iter().find(|known| known.theirs == name)
    }

    fn is_theirs(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// A script with our variables in place of theirs. `own` are those the file sets itself.
    pub(super) fn in_script(&self, text: &str, line: u32, notes: &mut Notes) -> String {
        let mut result = String::new();
        let mut at = 0;
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => {
                    at += text.matches('\n').count();
                    result.push_str(text);
                }
                Piece::Reference { whole, name, rest } => match self.find(name) {
                    Some(known) => result.push_str(&reference(known, rest, whole)),
                    None => {
                        if self.is_theirs(name) {
                            note_unknown(name, line_of(text, line, at), notes);
                        }
                        result.push_str(whole);
                    }
                },
            }
        }
        result
    }

    /// A value with `${{ … }}` in place of their variables, and with what the file's own ones hold:
    /// a value of ours is not given to a shell.
    pub(super) fn in_value(&self, text: &str, own: &Pairs, line: u32, notes: &mut Notes) -> String {
        let mut result = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => result.push_str(text),
                Piece::Reference { whole, name, rest } => {
                    let known = self.find(name);
                    if rest.starts_with(":0:") && known.is_some_and(is_commit) {
                        result.push_str("${{ short_commit }}");
                    } else if let Some(value) = known.and_then(|known| known.value) {
                        result.push_str(value);
                    } else if let Some((_, value)) = own.iter().find(|(key, _)| key == name) {
                        result.push_str(value);
                    } else {
                        notes.add(
                            line,
                            whole,
                            "a value here cannot hold this variable, so it stands as text",
                            "write the value out, or use the variable in the script",
                        );
                        result.push_str(whole);
                    }
                }
            }
        }
        result
    }
}

/// The names of the variables that a text fills in.
pub(super) fn names(text: &str) -> Vec<&str> {
    let name = |piece| match piece {
        Piece::Reference { name, .. } => Some(name),
        Piece::Text(_) => None,
    };
    pieces(text).into_iter().filter_map(name).collect()
}

fn is_commit(known: &Variable) -> bool {
    known.value == Some("${{ commit }}")
}

fn reference(known: &Variable, rest: &str, whole: &str) -> String {
    // `${SHA:0:8}` is not known to every shell, and always means the short form.
    if rest.starts_with(":0:") && is_commit(known) {
        return "$SEAWORTHY_SHORT_COMMIT".into();
    }
    match known.script.strip_prefix('$') {
        // A path of ours, not a variable.
        None => known.script.to_owned(),
        Some(name) if whole.starts_with("${") => format!("${{{name}{rest}}}"),
        Some(name) => format!("${name}"),
    }
}

/// The line of a script's part: the lines of a block begin below its key.
pub(super) fn line_of(text: &str, line: u32, at: usize) -> u32 {
    let block = u32::from(text.trim_end().contains('\n'));
    line.saturating_add(block)
        .saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
}

fn note_unknown(name: &str, line: u32, notes: &mut Notes) {
    notes.add(
        line,
        &format!("${name}"),
        "there is no such variable here",
        "see docs/pipeline-file.md for those a script has, or set it under `env`",
    );
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] == b'\\' || text[at..].starts_with("$$") {
            // What stands behind a backslash is itself; a second `$` likewise.
            at += 1;
            at += text[at..].chars().next().map_or(0, char::len_utf8);
            continue;
        }
        match (bytes[at] == b'$').then(|| name_at(&text[at..])).flatten() {
            Some((length, name, rest)) => {
                if from < at {
                    pieces.push(Piece::Text(&text[from..at]));
                }
                let whole = &text[at..at + length];
                pieces.push(Piece::Reference { whole, name, rest });
                at += length;
                from = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
    pieces
}

/// Reads the reference a text begins with: its length, its name, and what follows the name.
fn name_at(text: &str) -> Option<(usize, &str, &str)> {
    let name_length = |text: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.find(|c| !is_part(c)).unwrap_or(text.len())
    };
    if let Some(inner) = text.strip_prefix("${") {
        let end = inner.find('}')?;
        let (name, rest) = inner[..end].split_at(name_length(&inner[..end]));
        return names::is_variable(name).then_some((end + 3, name, rest));
    }
    let inner = text.strip_prefix('$')?;
    let name = &inner[..name_length(inner)];
    names::is_variable(name).then_some((name.len() + 1, name, ""))
}
