//! The matrix of a job of a workflow.

use super::super::images::{self, Machine};
use super::super::model::{Matrix, Notes, Pairs, add};
use super::super::names;
use super::super::source::{Kind, Node};
use super::expressions::Scope;

/// Leaves out of a matrix what is no Linux. Whether anything is left.
pub(super) fn only_linux(
    axis: &str,
    scope: &mut Scope,
    matrix: &mut Matrix,
    line: u32,
    notes: &mut Notes,
) -> bool {
    let mut others = Vec::new();
    let mut first = None;
    let mut is_ours = |label: &String| match images::machine(label) {
        Machine::Other => {
            add(&mut others, label.clone());
            false
        }
        Machine::Linux | Machine::Own => {
            first.get_or_insert_with(|| label.clone());
            true
        }
    };
    for (name, values) in &mut matrix.axes {
        if name == axis {
            values.retain(&mut is_ours);
        }
    }
    for rows in [&mut matrix.include, &mut matrix.exclude] {
        rows.retain(|row| {
            row.iter()
                .all(|(name, value)| name != axis || is_ours(value))
        });
        rows.iter_mut()
            .for_each(|row| row.retain(|(name, _)| name != axis));
        rows.retain(|row| !row.is_empty());
    }
    matrix.axes.retain(|(name, _)| name != axis);
    scope.axes.retain(|name| name != axis);
    if !others.is_empty() {
        let what = format!("runs-on: {}", others.join(", "));
        let why = "steps run in Linux containers only, so these are left out of the matrix";
        notes.add(line, &what, why, "leave them to another system");
    }
    if let Some(first) = first {
        scope.fixed.push((axis.to_owned(), first));
        return true;
    }
    others.is_empty()
}

pub(super) fn read(node: &Node, scope: &mut Scope, notes: &mut Notes) -> Matrix {
    let mut matrix = Matrix::default();
    let Some(strategy) = node.find("strategy") else {
        return matrix;
    };
    if let Some(most) = strategy.find("max-parallel") {
        let what = format!("max-parallel: {}", most.shown());
        let why = "how many jobs run at once is what the runners have slots for";
        notes.add(most.line, &what, why, "leave it out");
    }
    let Some(node) = strategy.find("matrix") else {
        return matrix;
    };
    if let Some(text) = node.text() {
        let why = "a matrix stands in the file, and is not computed";
        notes.add(
            node.line,
            &format!("matrix: {text}"),
            why,
            "write its axes out",
        );
    }
    for entry in node.entries() {
        match entry.key.as_str() {
            "include" => matrix.include = rows(&entry.value, notes),
            "exclude" => matrix.exclude = rows(&entry.value, notes),
            key => {
                let mut values = Vec::new();
                for item in entry.value.items() {
                    match &item.kind {
                        Kind::Text(text) if !text.contains("${{") && !text.is_empty() => {
                            add(&mut values, text.clone());
                        }
                        _ => {
                            let what = format!("matrix.{key}: {}", item.shown());
                            let why = "a value of a matrix is a plain text";
                            let hint = "write an axis for each of its parts, or use `include`";
                            notes.add(item.line, &what, why, hint);
                        }
                    }
                }
                if !values.is_empty() {
                    matrix.axes.push((names::axis(key), values));
                }
            }
        }
    }
    let is_axis = |name: &String| matrix.axes.iter().any(|(axis, _)| axis == name);
    matrix
        .exclude
        .retain(|row| row.iter().all(|(name, _)| is_axis(name)));
    scope.axes = matrix.names().into_iter().map(str::to_owned).collect();
    matrix
}

fn rows(node: &Node, notes: &mut Notes) -> Vec<Pairs> {
    let mut rows = Vec::new();
    for item in node.items() {
        let mut row = Pairs::new();
        for entry in item.entries() {
            match entry.value.text() {
                Some(text) if !text.is_empty() && !text.contains("${{") => {
                    row.push((names::axis(&entry.key), text.trim().to_owned()));
                }
                Some("") | None if entry.value.entries().is_empty() => {}
                _ => {
                    let what = format!("{}: {}", entry.key, entry.value.shown());
                    let why = "a value of a matrix is a plain text";
                    notes.add(entry.line, &what, why, "write it out");
                }
            }
        }
        if !row.is_empty() {
            rows.push(row);
        }
    }
    rows
}
