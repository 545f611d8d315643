//! Writes YAML for people: comments where they belong, short values on one line, scripts as blocks.

/// Something to be written.
#[derive(Debug, Clone)]
pub(super) enum Out {
    /// A key without a value.
    Nothing,
    Text(String),
    /// On one line if it fits.
    List(Vec<Out>),
    /// On one line if it is short.
    Map(Vec<(String, Out)>),
    /// One item a line.
    Items(Vec<Item>),
    /// One key a line.
    Block(Vec<Field>),
}

/// An entry of a list, with the comments above it; without a value it is only those.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) above: Vec<String>,
    pub(super) value: Option<Out>,
}

/// An entry of a mapping, with the comments above it; without a value it is only those.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) above: Vec<String>,
    pub(super) key: String,
    pub(super) value: Option<Out>,
    /// Whether an empty line stands before it.
    pub(super) apart: bool,
}

impl Out {
    pub(super) fn text(text: &str) -> Out {
        Out::Text(text.to_owned())
    }

    pub(super) fn texts(texts: &[String]) -> Out {
        Out::List(texts.iter().map(|text| Out::text(text)).collect())
    }

    pub(super) fn pairs(pairs: &[(String, String)]) -> Out {
        let pair = |(key, value): &(String, String)| (key.clone(), Out::text(value));
        Out::Map(pairs.iter().map(pair).collect())
    }
}

/// The whole as a file.
pub(super) fn write(head: &[String], fields: &[Field]) -> String {
    let mut file = String::new();
    comments(&mut file, head, 0);
    block(&mut file, fields, 0);
    file
}

const WIDTH: usize = 100;

fn indent(file: &mut String, depth: usize) {
    file.extend(std::iter::repeat_n(' ', depth));
}

fn comments(file: &mut String, lines: &[String], depth: usize) {
    for line in lines.iter().flat_map(|line| line.lines()) {
        indent(file, depth);
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        file.push_str(format!("# {line}").trim_end());
        file.push('\n');
    }
}

fn block(file: &mut String, fields: &[Field], depth: usize) {
    for field in fields {
        if field.apart {
            file.push('\n');
        }
        comments(file, &field.above, depth);
        if let Some(out) = &field.value {
            indent(file, depth);
            file.push_str(&scalar(&field.key, Place::Flow));
            file.push(':');
            value(file, out, depth);
        }
    }
}

/// Writes what stands behind a `:`; the mapping it belongs to begins at `depth`.
fn value(file: &mut String, out: &Out, depth: usize) {
    if let Some(line) = on_one_line(out, WIDTH.saturating_sub(depth + 16)) {
        file.push_str(&format!(" {line}\n"));
        return;
    }
    match out {
        Out::Nothing => file.push('\n'),
        Out::Text(text) => literal(file, text, depth),
        Out::List(list) => {
            file.push('\n');
            let item = |out: &Out| Item {
                above: Vec::new(),
                value: Some(out.clone()),
            };
            let list: Vec<_> = list.iter().map(item).collect();
            items(file, &list, depth + 2);
        }
        Out::Items(list) => {
            file.push('\n');
            items(file, list, depth + 2);
        }
        Out::Map(_) | Out::Block(_) => {
            file.push('\n');
            block(file, &fields_of(out), depth + 2);
        }
    }
}

fn fields_of(out: &Out) -> Vec<Field> {
    match out {
        Out::Block(fields) => fields.clone(),
        Out::Map(entries) => {
            let field = |(key, value): &(String, Out)| Field {
                above: Vec::new(),
                key: key.clone(),
                value: Some(value.clone()),
                apart: false,
            };
            entries.iter().map(field).collect()
        }
        Out::Nothing | Out::Text(_) | Out::List(_) | Out::Items(_) => Vec::new(),
    }
}

fn items(file: &mut String, list: &[Item], depth: usize) {
    for item in list {
        comments(file, &item.above, depth);
        let Some(out) = &item.value else { continue };
        indent(file, depth);
        file.push('-');
        let is_block = matches!(out, Out::Map(_) | Out::Block(_));
        match on_one_line(out, WIDTH.saturating_sub(depth + 2)) {
            None if is_block => {
                // The first key stands behind the dash.
                let mut inner = String::new();
                block(&mut inner, &fields_of(out), depth + 2);
                let head = inner.find(|c| c != ' ').unwrap_or(0);
                file.push(' ');
                file.push_str(&inner[head..]);
            }
            Some(_) | None => value(file, out, depth),
        }
    }
}

/// The value on one line, if it is one that goes there and fits.
fn on_one_line(out: &Out, width: usize) -> Option<String> {
    match out {
        Out::Text(text) if text.contains('\n') && is_literal(text) => None,
        // A long line of text is no better on several.
        Out::Text(text) => Some(scalar(text, Place::Block)),
        Out::List(list) => {
            let parts: Option<Vec<_>> = list.iter().map(in_flow).collect();
            let line = format!("[{}]", parts?.join(", "));
            (line.chars().count() <= width).then_some(line)
        }
        Out::Map(entries) => {
            const ENTRIES_MAX: usize = 3;
            if entries.len() > ENTRIES_MAX {
                return None;
            }
            let line = flow_map(entries)?;
            (line.chars().count() <= width.min(80)).then_some(line)
        }
        Out::Nothing | Out::Items(_) => None,
        Out::Block(fields) => fields.is_empty().then(|| "{}".to_owned()),
    }
}

fn flow_map(entries: &[(String, Out)]) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in entries {
        parts.push(format!("{}: {}", scalar(key, Place::Flow), in_flow(value)?));
    }
    match parts.is_empty() {
        true => Some("{}".into()),
        false => Some(format!("{{ {} }}", parts.join(", "))),
    }
}

fn in_flow(out: &Out) -> Option<String> {
    match out {
        Out::Text(text) => (!text.contains('\n')).then(|| scalar(text, Place::Flow)),
        Out::List(list) => {
            let parts: Option<Vec<_>> = list.iter().map(in_flow).collect();
            Some(format!("[{}]", parts?.join(", ")))
        }
        Out::Map(entries) => flow_map(entries),
        Out::Nothing | Out::Items(_) | Out::Block(_) => None,
    }
}

/// Whether a text of several lines can be written as it is.
fn is_literal(text: &str) -> bool {
    let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{feff}';
    // What ends in several empty lines, or has none but those, would need more care than it is worth.
    !text.contains(is_odd) && !text.ends_with("\n\n") && !text.trim().is_empty()
}

fn literal(file: &mut String, text: &str, depth: usize) {
    file.push_str(" |");
    if text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with([' ', '\t']))
        || text.starts_with('\n')
    {
        file.push('2');
    }
    if !text.ends_with('\n') {
        file.push('-');
    }
    file.push('\n');
    for line in text.lines() {
        if !line.is_empty() {
            indent(file, depth + 2);
            file.push_str(line);
        }
        file.push('\n');
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Block,
    Flow,
}

/// A text on one line, quoted where YAML would read something else.
fn scalar(text: &str, place: Place) -> String {
    if is_plain(text, place) {
        return text.to_owned();
    }
    let needs_escape = text.chars().any(|c| c.is_control() || c == '\u{feff}');
    if !needs_escape && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    if !needs_escape {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || c == '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn is_plain(text: &str, place: Place) -> bool {
    let is_first_bad = |c: char| "-?:,[]{}#&*!|>'\"%@`=~".contains(c) || c.is_whitespace();
    let is_word = !matches!(text, "" | "null" | "Null" | "NULL" | "~");
    let starts_well = match text.strip_prefix('-') {
        // `-x` is a text, `- x` is a list.
        Some(rest) => {
            rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && place == Place::Block
        }
        None => !text.starts_with(is_first_bad),
    };
    is_word
        && starts_well
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(|c| c.is_control() || c == '\u{feff}')
        && !(place == Place::Flow && text.contains([',', '[', ']', '{', '}', '#', ':']))
}
