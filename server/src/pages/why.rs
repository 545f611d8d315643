//! Why something failed, in the words it left behind: the last lines of what ended it.

use askama::Template;
use pipelines::log::{Record, Voice, records};

use super::log::Log;
use super::{ansi, links};
use crate::error::PageError;
use crate::objects::is_error;

/// Most lines of a reason: one screen holds it and what to do about it.
const LINES_MAX: usize = 15;
/// How far back lines of the failing step are looked for.
const LOOK_BACK: u64 = 1000;
/// Bytes of a line that are shown.
const LINE_MAX: usize = 400;

/// The end of a log.
#[derive(Debug, Clone, Template)]
#[template(path = "tail.html")]
pub(crate) struct Tail {
    pub(crate) href: String,
    pub(crate) lines: Vec<TailLine>,
    /// The line where reading should begin.
    pub(crate) at: Option<u64>,
}

/// A line of it.
#[derive(Debug, Clone)]
pub(crate) struct TailLine {
    pub(crate) number: u64,
    pub(crate) html: String,
    pub(crate) bad: bool,
}

impl Tail {
    /// The last lines of the step that ended the attempt, or of all of it where no step did.
    pub(crate) async fn read(log: &Log) -> Result<Self, PageError> {
        let failed = log.steps.iter().find(|step| is_bad(*step.state));
        let step = failed.and_then(|step| u32::try_from(step.position).ok());
        let first = log.index.lines.saturating_sub(LOOK_BACK) + 1;
        let bytes = log.read(first, LOOK_BACK).await?.bytes;
        let said = |record: &Record<'_>| {
            record.voice != Voice::Note && step.is_none_or(|step| record.step == step)
        };
        let all: Vec<_> = (first..)
            .zip(records(&bytes))
            .filter(|(_, r)| said(r))
            .collect();
        let recent = &all[all.len().saturating_sub(200)..];
        let mark = recent.iter().find(|(_, record)| is_error(record.text));
        let at = mark.or(all.last()).map(|(number, _)| *number);
        // The first reason is shown, and the lines after it; without one, the very end.
        let place = all
            .iter()
            .position(|(number, _)| Some(*number) == at)
            .unwrap_or(0);
        let start = place.saturating_sub(2).min(all.len());
        let start = if mark.is_some() {
            start
        } else {
            all.len().saturating_sub(LINES_MAX)
        };
        let shown = all[start..].iter().take(LINES_MAX);
        let run = &log.run;
        Ok(Self {
            href: links::job(&run.owner, &run.repo, run.number, &log.job.name),
            lines: shown
                .map(|(number, record)| tail_line(*number, record))
                .collect(),
            at,
        })
    }
}

fn is_bad(state: pipelines::job::State) -> bool {
    super::words::of_state(state).family == super::words::Family::Failed
}

fn tail_line(number: u64, record: &Record<'_>) -> TailLine {
    let mut html = String::new();
    ansi::line(record.text, LINE_MAX, &mut html);
    TailLine {
        number,
        html,
        bad: is_error(record.text),
    }
}
