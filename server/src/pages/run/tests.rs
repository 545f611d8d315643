//! `…/runs/{number}/tests`: which tests failed, and have they failed before?

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use pipelines::ids::RunId;
use pipelines::job::State;

use super::head::{Head, Opened, RunPath, Tab, USUAL_RUNS};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::moments::Took;
use crate::pages::words::{self, Status};
use crate::store::views::kept::{self, Back, CaseRow, PastRow, ReportRow};
use crate::store::views::runs::RunRow;

/// Failed tests shown.
const FAILED_MAX: i64 = 100;
/// Slow tests shown.
const SLOW_MAX: i64 = 20;

#[derive(Template)]
#[template(path = "run_tests.html")]
struct Tests {
    f: Frame,
    head: Head,
    reports: Vec<Report>,
    new: Vec<Failed>,
    still: Vec<Failed>,
    more: i64,
    slow: Vec<Slow>,
}

/// What the tests of one job said.
struct Report {
    job: String,
    href: String,
    passed: i64,
    failed: i64,
    skipped: i64,
    problems: Vec<String>,
}

/// A test that failed.
struct Failed {
    status: Status,
    name: String,
    suite: String,
    job: String,
    href: String,
    took: Took,
    message: Option<String>,
    /// How it ended before: the newest run last.
    past: Vec<Past>,
    /// What the past says about it.
    word: Option<String>,
}

struct Past {
    number: i64,
    href: String,
    status: Status,
}

struct Slow {
    name: String,
    suite: String,
    job: String,
    took: Took,
}

/// Answers `GET …/runs/{number}/tests`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let opened = Opened::find(&ask, path, Tab::Tests).await?;
    let (row, run) = (&opened.row, RunId(opened.row.id));
    let reports = kept::reports(ask.reader(), run).await?;
    let failed = kept::failed(ask.reader(), run, FAILED_MAX).await?;
    let back = Back {
        repo: opened.repo,
        pipeline: &row.pipeline,
        branch: row.branch.as_deref(),
        number: row.number,
    };
    let past = match failed.is_empty() {
        true => Vec::new(),
        false => kept::past(ask.reader(), run, back, USUAL_RUNS).await?,
    };
    let past = by_test(&past);
    let cases = failed.iter().map(|case| judged(row, case, &past));
    let (new, still): (Vec<_>, Vec<_>) = cases.partition(|(is_new, _)| *is_new);
    let without = |cases: Vec<(bool, Failed)>| cases.into_iter().map(|(_, case)| case).collect();
    let slow = kept::slowest(ask.reader(), run, SLOW_MAX).await?;
    let all: i64 = reports.iter().map(|report| report.failed).sum();
    let page = Tests {
        reports: reports.iter().map(|report| said(row, report)).collect(),
        more: all - i64::try_from(failed.len()).unwrap_or(all),
        new: without(new),
        still: without(still),
        slow: slow.into_iter().map(slow_line).collect(),
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
}

fn said(run: &RunRow, row: &ReportRow) -> Report {
    Report {
        job: row.job.clone(),
        href: links::job(&run.owner, &run.repo, run.number, &row.job),
        passed: row.passed,
        failed: row.failed,
        skipped: row.skipped,
        problems: serde_json::from_str(&row.problems).unwrap_or_default(),
    }
}

fn slow_line(case: CaseRow) -> Slow {
    Slow {
        name: case.name,
        suite: case.suite,
        job: case.job,
        took: Took::between(0, case.millis),
    }
}

/// A test is known by its job, suite and name.
type Key<'a> = (&'a str, &'a str, &'a str);

fn by_test(rows: &[PastRow]) -> HashMap<Key<'_>, Vec<&PastRow>> {
    let mut all: HashMap<Key<'_>, Vec<&PastRow>> = HashMap::new();
    for row in rows {
        let key = (row.job.as_str(), row.suite.as_str(), row.name.as_str());
        all.entry(key).or_default().push(row);
    }
    all
}

/// A failed test with its past; whether it is new: it did not fail in the run before.
fn judged(run: &RunRow, case: &CaseRow, past: &HashMap<Key<'_>, Vec<&PastRow>>) -> (bool, Failed) {
    let key = (case.job.as_str(), case.suite.as_str(), case.name.as_str());
    let past = past.get(&key).map(Vec::as_slice).unwrap_or_default();
    let is_bad = |row: &&&PastRow| row.state == "failed";
    let failures = past.iter().filter(is_bad).count();
    let is_new = past.first().is_none_or(|last| last.state != "failed");
    let since = past.iter().take_while(is_bad).last();
    let word = match (past.len(), since) {
        (0, _) => Some("no earlier result".to_owned()),
        (_, Some(first)) => Some(format!("fails since #{}", first.number)),
        (runs, None) if failures > 0 => {
            Some(format!("flaky: failed in {failures} of {runs} runs before"))
        }
        (_, None) => None,
    };
    let dot = |row: &&PastRow| Past {
        number: row.number,
        href: format!("{}/tests", links::run(&run.owner, &run.repo, row.number)),
        status: words::of_state(match row.state.as_str() {
            "failed" => State::Failed,
            "skipped" => State::Skipped,
            _ => State::Passed,
        }),
    };
    let failed = Failed {
        status: words::of_state(State::Failed),
        name: case.name.clone(),
        suite: case.suite.clone(),
        job: case.job.clone(),
        href: links::job(&run.owner, &run.repo, run.number, &case.job),
        took: Took::between(0, case.millis),
        message: case.message.clone(),
        past: past.iter().rev().map(dot).collect(),
        word,
    };
    (is_new, failed)
}
