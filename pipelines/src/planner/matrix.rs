//! The cells of a matrix, and how the jobs made from them are called.

use std::collections::{BTreeMap, HashSet};

use crate::definition::{Definition, JobDefinition, MatrixDefinition};
use crate::names::JobName;

/// What a job is made for: its name in the plan, and the values of its cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) name: JobName,
    pub(super) values: BTreeMap<String, String>,
}

/// The cells of every job, in the file's order: one without values for a job without a matrix.
pub(super) fn cells(definition: &Definition) -> Vec<Vec<Cell>> {
    // A cell must not take the name of another job, whichever comes first.
    let mut taken: HashSet<String> = definition.jobs().map(ToString::to_string).collect();
    let jobs = definition.jobs.iter();
    jobs.map(|job| of_job(job, &mut taken)).collect()
}

fn of_job(job: &JobDefinition, taken: &mut HashSet<String>) -> Vec<Cell> {
    let Some(matrix) = &job.matrix else {
        return vec![Cell {
            name: job.name.value.clone(),
            values: BTreeMap::new(),
        }];
    };
    let cell = |(values, order): (BTreeMap<String, String>, Vec<String>)| Cell {
        name: name(&job.name.value, &order, taken),
        values,
    };
    expand(matrix).into_iter().map(cell).collect()
}

/// The values of each cell, and the same in the order of the axes.
fn expand(matrix: &MatrixDefinition) -> Vec<(BTreeMap<String, String>, Vec<String>)> {
    let mut cells: Vec<BTreeMap<String, String>> = match matrix.axes.is_empty() {
        true => Vec::new(),
        false => vec![BTreeMap::new()],
    };
    for (axis, values) in &matrix.axes {
        let with = |cell: &BTreeMap<String, String>, value: &String| {
            let mut cell = cell.clone();
            cell.insert(axis.clone(), value.clone());
            cell
        };
        let longer = cells
            .iter()
            .flat_map(|cell| values.iter().map(move |value| with(cell, value)));
        cells = longer.collect();
    }
    let agrees = |cell: &BTreeMap<String, String>, with: &[(String, String)]| {
        with.iter()
            .all(|(axis, value)| cell.get(axis) == Some(value))
    };
    cells.retain(|cell| !matrix.exclude.iter().any(|with| agrees(cell, with)));
    include(matrix, &mut cells);
    let order = |cell: &BTreeMap<String, String>| {
        let own = matrix.axes.iter().filter_map(|(axis, _)| cell.get(axis));
        let is_own = |axis: &String| matrix.axes.iter().any(|(own, _)| own == axis);
        let added = cell.iter().filter(|(axis, _)| !is_own(axis));
        let added = added
            .map(|(_, value)| value)
            .filter(|_| matrix.axes.is_empty());
        own.chain(added).cloned().collect()
    };
    cells
        .into_iter()
        .map(|cell| {
            let order = order(&cell);
            (cell, order)
        })
        .collect()
}

/// An entry is added to every cell that it agrees with on the axes it names, if it names none of
/// them otherwise; else it is a cell of its own.
fn include(matrix: &MatrixDefinition, cells: &mut Vec<BTreeMap<String, String>>) {
    let is_axis = |name: &String| matrix.axes.iter().any(|(axis, _)| axis == name);
    let originals = cells.len();
    for entry in &matrix.include {
        let mut added = false;
        for cell in &mut cells[..originals] {
            let agrees = entry
                .iter()
                .all(|(name, value)| !is_axis(name) || cell.get(name) == Some(value));
            if agrees {
                added = true;
                cell.extend(entry.iter().cloned());
            }
        }
        if !added {
            cells.push(entry.iter().cloned().collect());
        }
    }
}

/// `test-stable-17-2`: the job and its values, in letters that names may have, cut where that is too
/// long, and counted on where it is taken.
fn name(job: &JobName, values: &[String], taken: &mut HashSet<String>) -> JobName {
    const BYTES_MAX: usize = 63;
    let tame = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9' | '_') => letter,
        _ => '-',
    };
    let mut whole = job.to_string();
    for value in values {
        whole.push('-');
        whole.extend(value.chars().map(tame));
    }
    for count in 1_usize.. {
        let tail = match count {
            1 => String::new(),
            count => format!("-{count}"),
        };
        let cut = whole.len().min(BYTES_MAX - tail.len());
        let text = format!("{}{tail}", whole[..cut].trim_end_matches('-'));
        if taken.contains(&text) {
            continue;
        }
        if let Ok(name) = text.parse() {
            taken.insert(text);
            return name;
        }
    }
    job.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(jobs: &str) -> String {
        let text = format!("on: push\njobs:\n{jobs}");
        let definition = Definition::parse(&text).unwrap();
        let all = cells(&definition).into_iter().flatten();
        let show = |cell: Cell| format!("{} {:?}", cell.name, cell.values);
        all.map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_combination_is_a_cell_and_the_first_axis_changes_slowest() {
        insta::assert_snapshot!(names(
            "  test: { image: x, steps: [y], matrix: { python: [3.10, '3.9'], os: [Debian 12, alpine] } }"
        ));
    }

    #[test]
    fn cells_are_left_out_extended_and_added() {
        insta::assert_snapshot!(names(
            "  test:
    image: x
    steps: [y]
    matrix:
      os: [linux, windows]
      node: [20, 22]
      exclude: [{ os: windows, node: 20 }]
      include:
        - { os: linux, flags: fast }
        - { node: 22, npm: 10 }
        - { os: plan9, node: 4 }"
        ));
    }

    #[test]
    fn names_are_unique_whatever_the_values_are() {
        insta::assert_snapshot!(names(
            "  test: { image: x, steps: [y], matrix: { v: ['a.b', 'a b', 'ü', '../..'] } }
  test-a-b: { image: x, steps: [y] }"
        ));
    }
}
