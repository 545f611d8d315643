//! What must hold for a job or a step: `when`; and jobs made many: `matrix`.

use super::keys::WHEN;
use super::problem::{At, Problem};
use super::reader::Reader;
use super::tree::{Entry, Kind, Node};
use super::{EventFilter, MatrixDefinition, When, triggers};
use crate::expression::{WORD_RULE, is_word};
use crate::limits::{JOBS_MAX, MATRIX_AXES_MAX};
use crate::plan::Condition;

/// Reads `when`.
pub(crate) fn when(reader: &mut Reader, node: &Node) -> When {
    let mut when = When::default();
    let Some(fields) = reader.fields(node, &WHEN) else {
        return when;
    };
    let mut patterns = |key: &str| {
        let entry = fields.find(key)?;
        reader.patterns(&entry.value, &format!("`{key}`"))
    };
    when.branch = patterns("branch");
    when.tag = patterns("tag");
    when.path = patterns("path");
    if let Some(entry) = fields.find("event") {
        when.event = Some(events(reader, &entry.value));
    }
    if let Some(entry) = fields.find("status") {
        when.status = status(reader, &entry.value);
    }
    if let Some(entry) = fields.find("matrix") {
        let axes = reader.mapping(&entry.value, "`matrix`").unwrap_or(&[]);
        for axis in axes {
            let what = format!("`{}`", axis.key);
            if let Some(patterns) = reader.patterns(&axis.value, &what) {
                let name = At {
                    value: axis.key.clone(),
                    place: axis.place,
                };
                when.matrix.push((name, patterns));
            }
        }
    }
    when
}

fn events(reader: &mut Reader, node: &Node) -> EventFilter {
    let mut filter = EventFilter::default();
    for item in reader.items(node, "`event`") {
        let Some(mut text) = reader.plain_text(item, "`event`") else {
            continue;
        };
        let list = match text.value.strip_prefix('!') {
            Some(rest) => {
                text.value = rest.to_owned();
                &mut filter.unwanted
            }
            None => &mut filter.wanted,
        };
        list.extend(triggers::event_kind(reader, &text));
    }
    filter
}

/// One word, or both of the first two, which is always.
fn status(reader: &mut Reader, node: &Node) -> Condition {
    const WORDS: [&str; 3] = ["success", "failure", "always"];
    let mut condition = None;
    for item in reader.items(node, "`status`") {
        let one = match reader.one_of(item, "`status`", &WORDS) {
            Some("failure") => Condition::Failure,
            Some("always") => Condition::Always,
            Some(_) | None => Condition::Success,
        };
        condition = Some(match condition {
            Some(other) if other != one => Condition::Always,
            Some(_) | None => one,
        });
    }
    condition.unwrap_or_default()
}

/// Reads `matrix`. The number of cells is counted before any is made.
pub(crate) fn matrix(reader: &mut Reader, node: &Node) -> Option<MatrixDefinition> {
    let entries = reader.mapping(node, "`matrix`")?;
    let mut matrix = MatrixDefinition::default();
    for entry in entries {
        match entry.key.as_str() {
            "include" => matrix.include = cells(reader, &entry.value, "`include`"),
            "exclude" => matrix.exclude = cells(reader, &entry.value, "`exclude`"),
            _ => matrix.axes.extend(axis(reader, entry)),
        }
    }
    if matrix.axes.is_empty() && matrix.include.is_empty() {
        let problem = Problem::new(node.place, "matrix", "the matrix has no values");
        reader.report(problem.hint("write `matrix: { toolchain: [stable, beta] }`"));
        return None;
    }
    if matrix.axes.len() > MATRIX_AXES_MAX {
        let count = matrix.axes.len();
        let message = format!("the matrix has {count} axes; at most {MATRIX_AXES_MAX} may be");
        reader.report(Problem::new(node.place, "matrix", message));
        return None;
    }
    let product = matrix.axes.iter();
    let product = product.fold(1_usize, |all, (_, values)| all.saturating_mul(values.len()));
    let count = product.saturating_add(matrix.include.len());
    if count > JOBS_MAX {
        let more = if count == usize::MAX {
            "more than "
        } else {
            ""
        };
        let message = format!(
            "the matrix has {more}{count} cells; a pipeline may have at most {JOBS_MAX} jobs"
        );
        reader.report(Problem::new(node.place, "matrix", message));
        return None;
    }
    unknown_axes(reader, node, &matrix);
    Some(matrix)
}

fn axis(reader: &mut Reader, entry: &Entry) -> Option<(String, Vec<String>)> {
    if !is_word(&entry.key) {
        let message = "this is not a valid name of an axis";
        reader.report(Problem::new(entry.place, &entry.key, message).hint(WORD_RULE));
        return None;
    }
    let what = format!("`{}`", entry.key);
    let mut values = Vec::new();
    for item in reader.items(&entry.value, &what) {
        // Beyond the limit the whole matrix is refused by its size; no need to read on.
        if values.len() > JOBS_MAX {
            values.resize(reader.items(&entry.value, &what).len(), String::new());
            break;
        }
        let value = value(reader, item, &what)?;
        if values.contains(&value) {
            let message = format!("{what} has this value twice");
            reader.report(Problem::new(item.place, &value, message));
        } else {
            values.push(value);
        }
    }
    (!values.is_empty()).then(|| (entry.key.clone(), values))
}

/// A value as it is written: `3.10` stays `3.10`.
fn value(reader: &mut Reader, node: &Node, what: &str) -> Option<String> {
    let text = reader.plain_text(node, what)?;
    if text.value.len() > 255 || text.value.chars().any(char::is_control) {
        let message = "a value of a matrix is one line of at most 255 bytes";
        reader.report(Problem::new(text.place, &text.value, message));
        return None;
    }
    Some(text.value)
}

fn cells(reader: &mut Reader, node: &Node, what: &str) -> Vec<Vec<(String, String)>> {
    let items = match &node.kind {
        Kind::Mapping(_) => std::slice::from_ref(node),
        Kind::Sequence(_) | Kind::Scalar { .. } => reader.list(node, what, JOBS_MAX),
    };
    let mut cells = Vec::new();
    for item in items {
        let entries = reader.mapping(item, what).unwrap_or(&[]);
        let mut cell = Vec::new();
        for entry in entries {
            if !is_word(&entry.key) {
                let message = "this is not a valid name of an axis";
                reader.report(Problem::new(entry.place, &entry.key, message).hint(WORD_RULE));
            } else if let Some(value) = value(reader, &entry.value, &format!("`{}`", entry.key)) {
                cell.push((entry.key.clone(), value));
            }
        }
        if cell.is_empty() {
            reader.report(Problem::new(
                item.place,
                "",
                format!("{what} has an empty cell"),
            ));
        } else {
            cells.push(cell);
        }
    }
    cells
}

/// A cell is left out by axes that there are: a typo would leave out nothing.
fn unknown_axes(reader: &mut Reader, node: &Node, matrix: &MatrixDefinition) {
    let known = || matrix.axes.iter().map(|(name, _)| name.as_str());
    for (name, _) in matrix.exclude.iter().flatten() {
        if !known().any(|axis| axis == name) {
            let message = format!("`exclude` names `{name}`, which is no axis");
            reader.report(Problem::new(node.place, name, message).nearest(name, known()));
        }
    }
}
