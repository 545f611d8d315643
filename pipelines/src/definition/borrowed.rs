//! Where the parts of a pipeline stand that come from files of other repositories.
//!
//! A problem has one place, in the file that is read. So that a borrowed part can still say where in
//! its own file it stands, it is read as if its file were appended to this one: its lines count from
//! far behind the end of this one, and are turned back when a problem is told.

use super::problem::{Place, Problem};
use super::tree::{Kind, Node};
use crate::limits::FILE_BYTES_MAX;
use crate::template::TemplateSource;

/// More than a file can have lines.
const LINES: u32 = 2 * FILE_BYTES_MAX as u32;

/// The appended files, each as often as a part of it was taken: where it was asked for, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Borrowed {
    parts: Vec<(Place, TemplateSource)>,
}

impl Borrowed {
    /// Notes a part that was asked for at `at`, and moves it behind all others.
    pub(crate) fn append(&mut self, at: Place, source: &TemplateSource, part: &mut Node) {
        self.parts.push((at, source.clone()));
        let first = u32::try_from(self.parts.len()).ok();
        match first.and_then(|number| number.checked_mul(LINES)) {
            Some(first) if first.checked_add(LINES).is_some() => shift(part, first),
            // So many parts that their lines cannot be told apart: the asking must do as a place.
            Some(_) | None => put_at(part, at),
        }
    }

    /// Problems with places in the file that is read; those of borrowed parts say whose they are.
    pub(crate) fn settle(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let settled = problems.into_iter().map(|problem| self.settled(problem));
        settled.collect()
    }

    fn settled(&self, mut problem: Problem) -> Problem {
        let mut is_told = false;
        // A part can be asked for by a borrowed part, which was noted before it.
        while let Some(number) = (problem.line / LINES).checked_sub(1)
            && let Some((at, source)) = self.parts.get(number as usize)
        {
            if !is_told {
                let (line, column) = (problem.line % LINES, problem.column);
                problem.message = format!("{source}:{line}:{column}: {}", problem.message);
                is_told = true;
            }
            (problem.line, problem.column) = (at.line, at.column);
        }
        problem
    }
}

fn shift(node: &mut Node, lines: u32) {
    each_place(node, &mut |place| {
        place.line = place.line.saturating_add(lines);
    });
}

fn put_at(node: &mut Node, at: Place) {
    each_place(node, &mut |place| *place = at);
}

fn each_place(node: &mut Node, change: &mut impl FnMut(&mut Place)) {
    change(&mut node.place);
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::Sequence(items) => items.iter_mut().for_each(|item| each_place(item, change)),
        Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| {
            change(&mut entry.place);
            each_place(&mut entry.value, change);
        }),
    }
}
