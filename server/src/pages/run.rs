//! `/repos/{owner}/{repo}/runs/{number}`: did it work; if not, why; what now?

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use pipelines::definition::Problem;
use pipelines::ids::{Attempt, JobId, RepoId, RunId};
use pipelines::job::State;

use super::ask::{Ask, missing};
use super::frame::{Frame, Place};
use super::lines::RunLine;
use super::links;
use super::log::Log;
use super::moments::{Lasting, Took, When, usual};
use super::why::Tail;
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::jobs::{self, JobRow};
use crate::store::views::runs::{self, RunRow};

/// Runs that say what is usual.
const USUAL_RUNS: i64 = 20;
/// Events shown.
const EVENTS_MAX: i64 = 200;
/// Passed jobs are folded away beyond this many.
const PASSED_SHOWN: usize = 8;
/// Failed jobs whose reason is shown in full.
const WHY_MAX: usize = 3;

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    f: Frame,
    run: RunLine,
    sha: String,
    trust: String,
    usual: Option<Took>,
    rerun_of: Option<(i64, String)>,
    rerun_as: Option<(i64, String)>,
    is_open: bool,
    why: Vec<Why>,
    groups: Vec<Group>,
    outputs: Vec<(String, String, String)>,
    file: Vec<FileLine>,
    problems: usize,
    events: Vec<EventLine>,
}

/// Why a job did not pass.
struct Why {
    status: Status,
    job: String,
    href: String,
    reason: Option<String>,
    step: Option<(String, Option<i64>)>,
    deploy: Option<String>,
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

struct FileLine {
    number: usize,
    text: String,
    problems: Vec<Problem>,
}

struct EventLine {
    at: When,
    text: String,
}

/// Answers `GET /repos/{owner}/{repo}/runs/{number}`.
pub(crate) async fn page(
    ask: Ask,
    Path((owner, name, number)): Path<(String, String, i64)>,
) -> Result<Response, PageError> {
    let repo = ask.repo(&owner, &name).await?;
    let id = RepoId(repo.id);
    let row = runs::find(ask.reader(), id, number).await?;
    let row = row.ok_or_else(|| missing(format!("there is no run {number} of {owner}/{name}")))?;
    let run_id = RunId(row.id);
    let detail = runs::detail(ask.reader(), run_id).await?;
    let rows = jobs::of_run(ask.reader(), run_id).await?;
    let line = RunLine::new(&row, ask.now);
    let title = format!("{} · {} #{}", line.status.word, row.repo, row.number);
    let f = ask
        .frame(Place::Overview, line.status.family, &title)
        .live(&[Topic::Run(run_id).to_string()])
        .under(&[
            ("Overview", "/".into()),
            (&line.repo, line.repo_href.clone()),
        ]);
    let problems: Vec<Problem> = serde_json::from_str(&detail.problems).unwrap_or_default();
    let is_failed = line.status.family == Family::Failed;
    let other = |number: i64| (number, links::run(&row.owner, &row.repo, number));
    let page = Run {
        f,
        sha: row.commit_sha.clone(),
        trust: detail.trust,
        usual: usual(runs::durations(ask.reader(), id, &row.pipeline, USUAL_RUNS).await?),
        rerun_of: detail.rerun_of.map(other),
        rerun_as: detail.rerun_as.map(other),
        is_open: !row.state.is_final(),
        why: if is_failed {
            why(&ask, &row, &rows).await?
        } else {
            Vec::new()
        },
        groups: groups(&ask, &row, id, &rows).await?,
        outputs: outputs(&rows),
        problems: problems.len(),
        file: file(detail.file.as_deref(), problems),
        events: events(&ask, run_id).await?,
        run: line,
    };
    ask.show(&page)
}

/// The jobs that ended the run, the first one first, each with its last words.
async fn why(ask: &Ask, run: &RunRow, rows: &[JobRow]) -> Result<Vec<Why>, PageError> {
    let bad = |row: &&JobRow| words::of_state(*row.state).family == Family::Failed;
    let mut failed: Vec<&JobRow> = rows.iter().filter(bad).collect();
    failed.sort_by_key(|row| row.finished_at);
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
            tail: Tail::read(&log).await?,
        });
    }
    Ok(all)
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

/// The pipeline file, each problem under its line. What has no line of its own stands at the end.
fn file(text: Option<&str>, problems: Vec<Problem>) -> Vec<FileLine> {
    let mut lines: Vec<FileLine> = text
        .unwrap_or_default()
        .lines()
        .zip(1..)
        .map(|(text, number)| FileLine {
            number,
            text: text.to_owned(),
            problems: Vec::new(),
        })
        .collect();
    if lines.is_empty() && !problems.is_empty() {
        lines.push(FileLine {
            number: 1,
            text: String::new(),
            problems: Vec::new(),
        });
    }
    let last = lines.len().saturating_sub(1);
    for problem in problems {
        let place = (problem.line as usize).saturating_sub(1).min(last);
        lines[place].problems.push(problem);
    }
    lines
}

async fn events(ask: &Ask, run: RunId) -> Result<Vec<EventLine>, PageError> {
    let rows = runs::events(ask.reader(), run, EVENTS_MAX).await?;
    let line = |row: &runs::EventRow| {
        Some(EventLine {
            at: row.at.into(),
            text: event_words(row)?,
        })
    };
    Ok(rows.iter().filter_map(line).collect())
}

/// An event as a sentence; none for what is kept for machines only.
fn event_words(row: &runs::EventRow) -> Option<String> {
    let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap_or_default();
    let text = |name: &str| detail.get(name).and_then(serde_json::Value::as_str);
    let state = text("state").and_then(|word| word.parse::<State>().ok());
    let state = state.map(|state| words::of_state(state).lower());
    let reason = text("reason")
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    match row.kind.as_str() {
        "run.created" => Some("Run created".into()),
        "run.state" => Some(format!("Run {}{reason}", state?)),
        "job.state" => {
            let job = row.job.as_deref().unwrap_or("A job");
            Some(format!("{job} {}{reason}", state?))
        }
        _ => None,
    }
}
