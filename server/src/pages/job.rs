//! `…/jobs/{job}`: what did it print, and where did it break?

use askama::Template;
use axum::response::Response;
use pipelines::ids::{JobId, RunId};
use pipelines::limits::LOG_CHUNK_LINES;

use super::ask::Ask;
use super::find::{self, Search};
use super::frame::{Frame, Place};
use super::log::{JobPath, Log, chosen, numbers, times};
use super::moments::{Lasting, When, day};
use super::run::artifacts::size;
use super::why::Tail;
use super::words::{self, Family, Status};
use super::{assets, links};
use crate::error::PageError;
use crate::live::Topic;

/// Lines of the window that is shown without a script.
const WINDOW: u64 = 1000;
/// Marks of errors that are drawn beside the log: more could not be told apart.
const MARKS: usize = 1000;
/// How much of it stands above the line that was asked for.
const ABOVE: u64 = 300;

#[derive(Template)]
#[template(path = "job.html")]
struct Job {
    f: Frame,
    status: Status,
    name: String,
    run_href: String,
    run_number: i64,
    run_title: String,
    lasting: Option<Lasting>,
    started: Option<When>,
    runner: Option<String>,
    reason: Option<String>,
    stop: Option<String>,
    /// Whether it can still be cancelled.
    is_open: bool,
    waiting: Option<String>,
    deploy: Option<String>,
    attempts: Vec<AttemptLink>,
    steps: Vec<StepLink>,
    log: Shown,
}

impl Job {
    fn is_failed(&self) -> bool {
        self.status.family == Family::Failed
    }
}

struct AttemptLink {
    status: Status,
    number: i64,
    href: String,
    current: bool,
    reason: Option<String>,
}

struct StepLink {
    status: Status,
    name: String,
    lasting: Option<Lasting>,
    /// Its first line, if it printed anything.
    href: Option<String>,
}

/// The window of the log and what the script needs to show all of it.
struct Shown {
    html: String,
    lines: u64,
    first: u64,
    last: u64,
    chunk: usize,
    fragments: String,
    raw: String,
    whole: String,
    heads: String,
    /// The lines that look like errors, as far as marks are drawn, and how many there are.
    errors: String,
    error_count: u64,
    only_errors: String,
    attempt: String,
    wanted_times: String,
    search: Search,
    clear: String,
    ended: bool,
    /// How large the raw log is.
    size: String,
    /// The day on which retention deleted the log, and how large it was.
    deleted: Option<(String, String)>,
    open_at: Option<u64>,
    pages: Vec<(&'static str, Option<String>)>,
    times: Vec<(&'static str, String, bool)>,
}

/// Answers `GET …/jobs/{job}`.
pub(crate) async fn page(ask: Ask, path: JobPath) -> Result<Response, PageError> {
    let log = Log::find(&ask, path).await?;
    let (run, job) = (&log.run, &log.job);
    let this = log
        .attempts
        .iter()
        .find(|row| row.attempt == i64::from(log.attempt.0));
    let is_newest = i64::from(log.attempt.0) == job.attempt;
    let state = if is_newest {
        *job.state
    } else {
        this.map_or(*job.state, |row| *row.state)
    };
    let status = words::of_state(state);
    let list = links::repo(&run.owner, &run.repo);
    let run_href = links::run(&run.owner, &run.repo, run.number);
    let title = format!(
        "{} · {} #{} · {}",
        status.word, run.repo, run.number, job.name
    );
    let topics = [
        Topic::Job(JobId(job.id)),
        Topic::Log(JobId(job.id)),
        Topic::Run(RunId(run.id)),
    ];
    let f = ask
        .frame(Place::Overview, status.family, &title)
        .live(&topics.map(|topic| topic.to_string()))
        .under(&[
            ("Overview", "/".into()),
            (&format!("{}/{}", run.owner, run.repo), list),
            (&format!("#{}", run.number), run_href.clone()),
        ]);
    let reasons = crate::dispatch::why_queued(&ask.app, Some(RunId(run.id))).await?;
    let started = this.map(|row| row.started_at).or(job.started_at);
    let ended = this.map_or(job.finished_at, |row| row.finished_at);
    let page = Job {
        f,
        status,
        name: job.name.clone(),
        run_href,
        run_number: run.number,
        run_title: run.title.clone(),
        lasting: Lasting::new(started, ended, ask.now),
        started: started.map(When::from),
        runner: this
            .map(|row| row.runner.clone())
            .or_else(|| job.runner.clone()),
        reason: if is_newest {
            job.reason.clone()
        } else {
            this.and_then(|r| r.reason.clone())
        },
        is_open: is_newest && !job.state.is_final(),
        stop: job.stop.clone().filter(|_| !job.state.is_final()),
        waiting: reasons.get(&JobId(job.id)).cloned(),
        deploy: job
            .deploy
            .map(|number| links::deploy(&run.owner, &run.repo, number)),
        attempts: attempts(&log),
        steps: steps(&log, &ask),
        log: shown(&log, &ask, status.family).await?,
    };
    ask.show(&page)
}

fn base(log: &Log) -> String {
    let run = &log.run;
    links::job(&run.owner, &run.repo, run.number, &log.job.name)
}

fn attempts(log: &Log) -> Vec<AttemptLink> {
    let link = |row: &crate::store::views::jobs::AttemptRow| AttemptLink {
        status: words::of_state(*row.state),
        number: row.attempt,
        href: links::query(&base(log), &[("attempt", &row.attempt.to_string())]),
        current: row.attempt == i64::from(log.attempt.0),
        reason: row.reason.clone(),
    };
    log.attempts.iter().map(link).collect()
}

fn steps(log: &Log, ask: &Ask) -> Vec<StepLink> {
    let attempt = log.attempt.to_string();
    let link = |row: &crate::store::views::jobs::StepRow| {
        let first = log
            .index
            .steps
            .iter()
            .find(|(_, step)| i64::from(*step) == row.position);
        StepLink {
            status: words::of_state(*row.state),
            name: row.name.clone(),
            lasting: Lasting::new(Some(row.started_at), row.finished_at, ask.now),
            href: first.map(|(at, _)| {
                let pairs = [("attempt", attempt.as_str()), ("at", &at.to_string())];
                format!("{}#L{at}", links::query(&base(log), &pairs))
            }),
        }
    };
    log.steps.iter().map(link).collect()
}

/// Which lines are shown: around the one asked for, else around the failure, else the end.
async fn shown(log: &Log, ask: &Ask, family: Family) -> Result<Shown, PageError> {
    let mut search = Search::run(log, ask).await?;
    let asked = chosen(ask).map(|(from, _)| from);
    let from = ask.number("from").and_then(|n| u64::try_from(n).ok());
    let failing = match (asked, from) {
        (None, None) if search.is_on() && !search.lines.is_empty() => search.lines.first().copied(),
        (None, None) if family == Family::Failed => Tail::read(log).await?.at,
        _ => None,
    };
    search.list(log, ask, asked.or(failing)).await?;
    let lines = log.index.lines;
    let end = (lines + 1).saturating_sub(WINDOW).max(1);
    let first = match (from, asked.or(failing)) {
        (Some(from), _) => from.clamp(1, lines.max(1)),
        (None, Some(at)) => at.saturating_sub(ABOVE).clamp(1, end),
        (None, None) => end,
    };
    let last = (first + WINDOW - 1).min(lines);
    let attempt = log.attempt.to_string();
    let wanted = ask.get("times").unwrap_or_default();
    let fragments = [
        ("attempt", &*attempt),
        ("times", wanted),
        ("v", assets::version()),
    ];
    let of_attempt =
        |tail: &str| links::query(&format!("{}/{tail}", base(log)), &[("attempt", &attempt)]);
    let nothing = [("q", ""), ("only", ""), ("case", ""), ("re", "")];
    Ok(Shown {
        html: log
            .html((first, WINDOW), times(ask, log).await?, ask)
            .await?,
        lines,
        first,
        last,
        chunk: LOG_CHUNK_LINES,
        fragments: links::query(&format!("{}/log", base(log)), &fragments),
        raw: of_attempt("log.txt"),
        whole: of_attempt("log/all"),
        heads: log.heads(),
        errors: numbers(log.index.errors.iter().take(MARKS)),
        error_count: log.index.error_count,
        only_errors: find::address(log, ask, &[("q", ""), ("only", "errors")]),
        clear: find::address(log, ask, &nothing),
        wanted_times: wanted.to_owned(),
        search,
        ended: log.ended,
        size: size(i64::try_from(log.index.text_bytes).unwrap_or(i64::MAX)),
        deleted: log.deleted.map(|(at, bytes)| (day(at), size(bytes))),
        open_at: asked.is_none().then_some(failing).flatten(),
        pages: pages(log, ask, (first, last), asked.or(failing)),
        times: [
            ("off", ""),
            ("clock", "clock"),
            ("since start", "since"),
            ("gap", "gap"),
        ]
        .map(|(name, word)| {
            let href = find::address(log, ask, &[("times", word)]);
            (name, href, wanted == word)
        })
        .to_vec(),
        attempt,
    })
}

/// The other windows of the log.
fn pages(
    log: &Log,
    ask: &Ask,
    (first, last): (u64, u64),
    at: Option<u64>,
) -> Vec<(&'static str, Option<String>)> {
    let lines = log.index.lines;
    let end = (lines + 1).saturating_sub(WINDOW).max(1);
    let to = |from: u64| find::address(log, ask, &[("from", &from.to_string())]);
    let seen = at.unwrap_or(first.saturating_sub(1));
    let errors = &log.index.errors;
    let error = errors.get(errors.partition_point(|line| *line <= seen));
    let error = error.map(|line| {
        let href = find::address(log, ask, &[("at", &line.to_string())]);
        format!("{href}#L{line}")
    });
    vec![
        ("First", (first > 1).then(|| to(1))),
        (
            "Previous",
            (first > 1).then(|| to(first.saturating_sub(WINDOW).max(1))),
        ),
        ("Next", (last < lines).then(|| to(last + 1))),
        ("Last", (last < lines).then(|| to(end))),
        ("Next error", error),
    ]
}
