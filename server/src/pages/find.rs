//! Search within a job's log, as a part of its page: the form, the true total, a list of matches
//! with their context, and the way from one to the next.

use pipelines::ids::JobId;
use pipelines::limits::{LOG_SEARCH_PATTERN_BYTES_MAX, LOG_SEARCH_TIME};
use pipelines::log::records;

use super::ask::Ask;
use super::log::Log;
use super::{ansi, links};
use crate::error::PageError;
use crate::objects::Pattern;

/// Matches in the list, around the one that is looked at.
const LISTED: usize = 30;
/// Lines shown before and after a match.
const CONTEXT: u64 = 1;
/// Bytes of a listed line.
const LINE_MAX: usize = 300;

/// What was searched for, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) q: String,
    pub(crate) case: bool,
    pub(crate) regexp: bool,
    /// Whether the lines that look like errors are listed instead.
    pub(crate) errors: bool,
    /// What is wrong with the pattern.
    pub(crate) problem: Option<String>,
    pub(crate) total: u64,
    /// How many lines were searched, if the time was up before the end.
    pub(crate) searched: Option<u64>,
    /// The numbers of the first matches.
    pub(crate) lines: Vec<u64>,
    pub(crate) listed: Vec<Match>,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

/// A match and the lines around it.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) current: bool,
    pub(crate) lines: Vec<(u64, String, bool)>,
    pub(crate) href: String,
}

impl Search {
    /// What the address asks for.
    pub(crate) async fn run(log: &Log, ask: &Ask) -> Result<Self, PageError> {
        let mut search = Self {
            q: ask.get("q").unwrap_or_default().to_owned(),
            case: ask.get("case").is_some(),
            regexp: ask.get("re").is_some(),
            errors: ask.get("only") == Some("errors"),
            ..Self::default()
        };
        if ask.get("part").is_some() {
            // No part of the page shows it, and parts are asked for again and again.
            return Ok(search);
        }
        if search.errors {
            search.total = log.index.error_count;
            search.lines.clone_from(&log.index.errors);
        } else if !search.q.is_empty() {
            search.find(log).await?;
        }
        Ok(search)
    }

    /// Whether anything was asked for.
    pub(crate) fn is_on(&self) -> bool {
        self.errors || !self.q.is_empty()
    }

    /// The numbers of the matches, for the script.
    pub(crate) fn numbers(&self) -> String {
        super::log::numbers(self.lines.iter().take(1000))
    }

    async fn find(&mut self, log: &Log) -> Result<(), PageError> {
        if self.q.len() > LOG_SEARCH_PATTERN_BYTES_MAX {
            self.problem = Some(format!(
                "it is longer than {LOG_SEARCH_PATTERN_BYTES_MAX} bytes"
            ));
            return Ok(());
        }
        let pattern = match Pattern::new(&self.q, self.regexp, self.case) {
            Ok(pattern) => pattern,
            Err(problem) => {
                self.problem = Some(problem);
                return Ok(());
            }
        };
        let id = (JobId(log.job.id), log.attempt);
        let found = log
            .objects
            .search(id, log.index.clone(), pattern, LOG_SEARCH_TIME);
        let found = found.await.map_err(anyhow::Error::from)?;
        self.searched = (found.searched < log.index.lines).then_some(found.searched);
        (self.total, self.lines) = (found.total, found.lines);
        Ok(())
    }

    /// Fills the list and the links, seen from line `at`.
    pub(crate) async fn list(
        &mut self,
        log: &Log,
        ask: &Ask,
        at: Option<u64>,
    ) -> Result<(), PageError> {
        let href = |line: u64| {
            let line = line.to_string();
            let pairs = [("at", line.as_str())];
            format!("{}#L{line}", address(log, ask, &pairs))
        };
        let at = at.unwrap_or(0);
        let before = self.lines.partition_point(|line| *line < at);
        let after = self.lines.partition_point(|line| *line <= at);
        self.previous = before.checked_sub(1).map(|place| href(self.lines[place]));
        self.next = self.lines.get(after).copied().map(href);
        let start = before
            .saturating_sub(LISTED / 2)
            .min(self.lines.len().saturating_sub(LISTED));
        for number in self.lines.iter().copied().skip(start).take(LISTED) {
            let first = number.saturating_sub(CONTEXT).max(1);
            let window = log.read(first, number - first + 1 + CONTEXT).await?;
            let lines = (first..).zip(records(&window.bytes)).map(|(line, record)| {
                let mut html = String::new();
                ansi::line(record.text, LINE_MAX, &mut html);
                (line, html, line == number)
            });
            self.listed.push(Match {
                current: number == at,
                lines: lines.collect(),
                href: href(number),
            });
        }
        Ok(())
    }
}

/// The job's page as it was asked for, with its search, but for what `pairs` say.
pub(crate) fn address(log: &Log, ask: &Ask, pairs: &[(&str, &str)]) -> String {
    let attempt = log.attempt.to_string();
    let mut all = vec![("attempt", attempt.as_str())];
    for name in ["times", "q", "case", "re", "only"] {
        if !pairs.iter().any(|(known, _)| *known == name) {
            all.push((name, ask.get(name).unwrap_or_default()));
        }
    }
    all.extend_from_slice(pairs);
    let run = &log.run;
    let base = links::job(&run.owner, &run.repo, run.number, &log.job.name);
    links::query(&base, &all)
}
