//! The arguments of a statement, and texts in which Groovy fills in values.

use super::super::model::{Notes, Pairs};
use super::super::names;
use super::super::script::{insert, missing};
use super::VARIABLES;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text; Groovy fills in `$…` if it stands in double quotes.
    Text {
        text: String,
        fills: bool,
    },
    List(Vec<Value>),
    /// Anything else, as it is written.
    Code(String),
}

impl Value {
    /// The text, or the code as it is written.
    pub(super) fn plain(&self) -> &str {
        match self {
            Value::Text { text, .. } | Value::Code(text) => text,
            Value::List(_) => "",
        }
    }

    /// The texts of a list, or the one text.
    pub(super) fn all(&self) -> Vec<&str> {
        match self {
            Value::List(items) => items.iter().map(Value::plain).collect(),
            one => vec![one.plain()],
        }
    }
}

/// Arguments by place and by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    pub(super) places: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl Arguments {
    pub(super) fn read(text: &str) -> Arguments {
        let text = text.trim();
        let inner = match text
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
        {
            Some(inner) => inner,
            None => text,
        };
        let mut arguments = Arguments::default();
        for part in split(inner, ',') {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            match part.split_once(':') {
                Some((name, rest)) if !name.is_empty() && name.trim().chars().all(is_part) => {
                    arguments.named.push((name.trim().to_owned(), value(rest)));
                }
                _ => arguments.places.push(value(part)),
            }
        }
        arguments
    }

    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.named
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The argument of that name, or the first by place.
    pub(super) fn main(&self, name: &str) -> Option<&Value> {
        self.find(name).or_else(|| self.places.first())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(Value::plain)
    }
}

/// The parts of a text between separators that stand in no bracket or quote.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\'' | '"' => {
                at += quoted(&text[at..]).0;
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    parts.push(&text[from..]);
    parts
}

/// The length of the quoted text that begins here, and of its quote.
fn quoted(text: &str) -> (usize, usize) {
    let quote = &text[..1];
    let long = quote.repeat(3);
    let open = if text.starts_with(&long) {
        long.as_str()
    } else {
        quote
    };
    let mut at = open.len();
    while at < text.len() {
        if text[at..].starts_with(open) {
            return (at + open.len(), open.len());
        }
        let escape = usize::from(text[at..].starts_with('\\'));
        at += escape + text[at + escape..].chars().next().map_or(0, char::len_utf8);
    }
    (text.len(), open.len().min(text.len()))
}

/// One value.
pub(super) fn value(text: &str) -> Value {
    let text = text.trim();
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let items = split(inner, ',').into_iter().map(str::trim);
        return Value::List(items.filter(|item| !item.is_empty()).map(value).collect());
    }
    if text.starts_with(['\'', '"']) {
        let (length, quote) = quoted(text);
        let behind = text[length..].trim();
        // One without an end may end within a character.
        let is_closed = length >= 2 * quote && text[..length].ends_with(&text[..quote]);
        if is_closed && (behind.is_empty() || behind == ".stripIndent()") {
            let inner = unescaped(&text[quote..length - quote]);
            let fills = text.starts_with('"');
            let text = match quote {
                3 => outdented(&inner),
                _ => inner,
            };
            return Value::Text { text, fills };
        }
    }
    Value::Code(text.to_owned())
}

/// Without Groovy's escapes; `\$` keeps its backslash until values have been filled in.
fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some(c @ ('\'' | '"' | '\\')) => result.push(c),
            // The shell goes on in the next line as well.
            Some('\n') => result.push_str("\\\n"),
            Some(c) => result.extend(['\\', c]),
            None => result.push('\\'),
        }
    }
    result
}

/// A text of several lines without the indentation that its lines share.
fn outdented(text: &str) -> String {
    let text = text.trim_start_matches('\n').trim_end();
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let depth = |line: &str| line.len() - line.trim_start().len();
    let shared = lines().skip(1).map(depth).min();
    let first = lines().next().map_or(0, depth);
    // The first line stands directly behind the quotes, or is indented as the others.
    let shared = shared.map_or(first, |shared| {
        if first == 0 {
            shared
        } else {
            shared.min(first)
        }
    });
    let cut = |line: &str| {
        line.get(shared.min(depth(line))..)
            .unwrap_or_default()
            .to_owned()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// A text as a script: what Groovy would fill in, the shell does.
pub(super) fn script(value: &Value, line: u32, notes: &mut Notes) -> String {
    VARIABLES.in_script(&raw(value, line, notes), line, notes)
}

/// The same, with Jenkins' own variables.
pub(super) fn raw(value: &Value, line: u32, notes: &mut Notes) -> String {
    match value {
        Value::Text { text, fills: true } => filled(text, line, notes),
        Value::Text { text, fills: false } => text.clone(),
        Value::Code(code) => {
            let why = "only Groovy knows what this is";
            notes.add(line, code, why, "write the command out");
            String::new()
        }
        Value::List(_) => String::new(),
    }
}

/// A text as a value with our gaps.
pub(super) fn template(value: &Value, own: &Pairs, line: u32, notes: &mut Notes) -> String {
    match value {
        Value::Text { text, fills: true } => {
            let text = filled(text, line, notes);
            VARIABLES.in_value(&text, own, line, notes)
        }
        other => other.plain().to_owned(),
    }
}

/// `${env.X}` and `${X}` as the variable that the shell knows.
fn filled(text: &str, line: u32, notes: &mut Notes) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('\\') {
            // The shell's own.
            result.push_str(before);
            result.push('$');
            rest = &behind[1..];
            continue;
        }
        result.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let (inner, length) = match behind.strip_prefix("${") {
            Some(inner) => {
                let end = inner.find('}').unwrap_or(inner.len());
                (&inner[..end], (end + 3).min(behind.len()))
            }
            None => {
                let end = behind[1..]
                    .find(|c| !is_part(c))
                    .unwrap_or(behind.len() - 1);
                let name = behind[1..=end].trim_end_matches('.');
                (name, name.len() + 1)
            }
        };
        rest = &behind[length..];
        match variable(inner.trim()) {
            Some(name) => insert(&mut result, &format!("${{{name}}}")),
            None if inner.is_empty() => result.push('$'),
            None => {
                let why = "only Groovy can compute this";
                notes.add(
                    line,
                    &format!("${{{inner}}}"),
                    why,
                    "compute it in the shell",
                );
                insert(&mut result, &missing(inner));
            }
        }
    }
    result.push_str(rest);
    result
}

fn variable(inner: &str) -> Option<String> {
    if let Some(name) = inner.strip_prefix("params.") {
        let is_name = names::is_variable(name);
        return is_name.then(|| format!("SEAWORTHY_INPUT_{}", names::variable(&names::axis(name))));
    }
    let name = inner.strip_prefix("env.").unwrap_or(inner);
    names::is_variable(name).then(|| name.to_owned())
}
