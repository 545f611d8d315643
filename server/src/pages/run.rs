//! `/repos/{owner}/{repo}/runs/{number}`: did it work; if not, why; what now?

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use pipelines::ids::{Attempt, JobId, RepoId, RunId};
use pipelines::job::State;

use self::file::FileLine;
use self::head::{Head, Opened, RunPath, Tab, USUAL_RUNS};
use super::ask::Ask;
use super::frame::Frame;
use super::links;
use super::log::Log;
use super::moments::{Lasting, Took, usual};
use super::why::Tail;
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::store::views::jobs::{self, JobRow};
use crate::store::views::kept;
use crate::store::views::runs::RunRow;

pub(crate) mod artifacts;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod graph;
mod head;
pub(crate) mod tests;
pub(crate) mod timing;

/// Passed jobs are folded away beyond this many.
const PASSED_SHOWN: usize = 8;
/// Failed tests looked at, and named for each failed job.
const FAILED_TESTS_MAX: i64 = 1000;
const TESTS_SHOWN: usize = 5;
/// Failed jobs whose reason is shown in full.
const WHY_MAX: usize = 3;

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    f: Frame,
    head: Head,
    sha: String,
    why: Vec<Why>,
    groups: Vec<Group>,
    outputs: Vec<(String, String, String)>,
    file: Vec<FileLine>,
    problems: usize,
}

/// Why a job did not pass.
struct Why {
    status: Status,
    job: String,
    href: String,
    reason: Option<String>,
    step: Option<(String, Option<i64>)>,
    deploy: Option<String>,
    /// The tests of it that failed: their names, and how many more there are.
    tests: (Vec<String>, usize),
    tail: Tail,
}

impl Why {
    /// An exit code in the heading says it already; a limit, or a fault of ours, must be told.
    fn needs_reason(&self) -> bool {
        !matches!(self.step, Some((_, Some(_))))
    }
}

/// Jobs with one thing in common.
struct Group {
    name: &'static str,
    /// Whether it is folded away at first.
    folded: bool,
    jobs: Vec<JobLine>,
}

struct JobLine {
    status: Status,
    name: String,
    /// Its cell of the matrix: `toolchain stable, os debian`.
    cell: String,
    href: String,
    kind: &'static str,
    needs: String,
    environment: Option<(String, Option<String>)>,
    attempt: i64,
    lasting: Option<Lasting>,
    usual: Option<Took>,
    /// How full its bar is, in percent of what is usual, and whether it is over.
    bar: Option<(i64, bool)>,
    reason: Option<String>,
}

/// Answers `GET /repos/{owner}/{repo}/runs/{number}`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let opened = Opened::find(&ask, path, Tab::Summary).await?;
    let Opened {
        ref row, ref jobs, ..
    } = opened;
    let is_failed = opened.head.run.status.family == Family::Failed;
    let why = match is_failed {
        true => why(&ask, row, jobs).await?,
        false => Vec::new(),
    };
    let groups = groups(&ask, row, opened.repo, jobs).await?;
    let problems = opened.problems();
    let page = Run {
        sha: row.commit_sha.clone(),
        why,
        groups,
        outputs: outputs(jobs),
        problems: problems.len(),
        file: match problems.is_empty() {
            true => Vec::new(),
            false => file::lines(opened.detail.file.as_deref(), problems),
        },
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
}

/// The jobs that ended the run, the first one first, each with its last words.
async fn why(ask: &Ask, run: &RunRow, rows: &[JobRow]) -> Result<Vec<Why>, PageError> {
    let bad = |row: &&JobRow| words::of_state(*row.state).family == Family::Failed;
    let mut failed: Vec<&JobRow> = rows.iter().filter(bad).collect();
    failed.sort_by_key(|row| row.finished_at);
    let tests = kept::failed(ask.reader(), RunId(run.id), FAILED_TESTS_MAX).await?;
    let mut all = Vec::new();
    for row in failed.into_iter().take(WHY_MAX) {
        let attempt = Attempt(u32::try_from(row.attempt).unwrap_or(0));
        let log = Log::open(ask, run.clone(), row.clone(), attempt).await?;
        let step = log
            .steps
            .iter()
            .find(|s| words::of_state(*s.state).family == Family::Failed);
        all.push(Why {
            status: words::of_state(*row.state),
            job: row.name.clone(),
            href: links::job(&run.owner, &run.repo, run.number, &row.name),
            reason: row.reason.clone(),
            step: step.map(|step| (step.name.clone(), step.exit_code)),
            deploy: row
                .deploy
                .map(|number| links::deploy(&run.owner, &run.repo, number)),
            tests: failed_tests(&tests, &row.name),
            tail: Tail::read(&log).await?,
        });
    }
    Ok(all)
}

/// The first names of the failed tests of a job, and how many more there are.
fn failed_tests(all: &[kept::CaseRow], job: &str) -> (Vec<String>, usize) {
    let of_job = || all.iter().filter(|case| case.job == job);
    let names = of_job().take(TESTS_SHOWN).map(|case| case.name.clone());
    (
        names.collect(),
        of_job().count().saturating_sub(TESTS_SHOWN),
    )
}

async fn groups(
    ask: &Ask,
    run: &RunRow,
    repo: RepoId,
    rows: &[JobRow],
) -> Result<Vec<Group>, PageError> {
    let reasons = crate::dispatch::why_queued(&ask.app, Some(RunId(run.id))).await?;
    let mut took: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (name, ms) in jobs::durations(ask.reader(), repo, &run.pipeline, USUAL_RUNS).await? {
        took.entry(name).or_default().push(ms);
    }
    let mut groups = ["Failed", "Running", "Waiting", "Passed", "Not run"].map(|name| Group {
        name,
        folded: false,
        jobs: Vec::new(),
    });
    for row in rows {
        let usual = took.get(&row.name).cloned().and_then(usual);
        let reason = reasons.get(&JobId(row.id)).cloned().or_else(|| said(row));
        let line = job_line(ask, run, row, (usual, reason));
        groups[group(*row.state)].jobs.push(line);
    }
    let mut groups: Vec<_> = groups.into_iter().filter(|g| !g.jobs.is_empty()).collect();
    let many = groups.len() > 1;
    for group in &mut groups {
        let can = matches!(group.name, "Passed" | "Not run");
        group.folded = can && many && group.jobs.len() > PASSED_SHOWN;
    }
    Ok(groups)
}

/// What a job says about itself; a waiting one, what it waits for.
fn said(row: &JobRow) -> Option<String> {
    match *row.state {
        State::Waiting => {
            let needs = needs(row);
            (!needs.is_empty()).then(|| format!("waits for {needs}"))
        }
        State::Running => row
            .stop
            .as_ref()
            .map(|stop| format!("asked to stop: {stop}")),
        State::Queued
        | State::Passed
        | State::Failed
        | State::Cancelled
        | State::Skipped
        | State::TimedOut
        | State::InfrastructureError
        | State::Superseded => row.reason.clone(),
    }
}

fn group(state: State) -> usize {
    match state {
        State::Failed | State::TimedOut | State::InfrastructureError => 0,
        State::Running => 1,
        State::Waiting | State::Queued => 2,
        State::Passed => 3,
        State::Cancelled | State::Skipped | State::Superseded => 4,
    }
}

fn needs(row: &JobRow) -> String {
    let needs: Vec<String> = serde_json::from_str(&row.needs).unwrap_or_default();
    needs.join(", ")
}

/// The values of a job's cell of the matrix; empty without one.
fn cell(row: &JobRow) -> String {
    let cell: BTreeMap<String, String> = serde_json::from_str(&row.matrix).unwrap_or_default();
    let values = cell.iter().map(|(axis, value)| format!("{axis} {value}"));
    values.collect::<Vec<_>>().join(", ")
}

fn job_line(
    ask: &Ask,
    run: &RunRow,
    row: &JobRow,
    (usual, reason): (Option<Took>, Option<String>),
) -> JobLine {
    let lasting = Lasting::new(row.started_at, row.finished_at, ask.now);
    let bar = match (lasting, usual) {
        (Some(lasting), Some(usual)) if lasting.is_open() => {
            let (took, usual) = (lasting.took().0.as_millis(), usual.0.as_millis().max(1));
            let percent = i64::try_from(took * 100 / usual).unwrap_or(100);
            Some((percent.min(100), percent > 120))
        }
        _ => None,
    };
    JobLine {
        status: words::of_state(*row.state),
        name: row.name.clone(),
        cell: cell(row),
        href: links::job(&run.owner, &run.repo, run.number, &row.name),
        kind: match row.kind.as_str() {
            "build" => "image",
            "deploy" => "deploy",
            _ => "",
        },
        // A waiting or skipped job says so in its reason.
        needs: if row.started_at.is_some() {
            needs(row)
        } else {
            String::new()
        },
        environment: row.environment.clone().map(|environment| {
            let href = row
                .deploy
                .map(|number| links::deploy(&run.owner, &run.repo, number));
            (environment, href)
        }),
        attempt: row.attempt,
        lasting,
        usual,
        bar,
        reason,
    }
}

/// What the jobs made: job, name and value.
fn outputs(rows: &[JobRow]) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for row in rows {
        let made: BTreeMap<String, String> = serde_json::from_str(&row.outputs).unwrap_or_default();
        all.extend(
            made.into_iter()
                .map(|(name, value)| (row.name.clone(), name, value)),
        );
    }
    all
}
