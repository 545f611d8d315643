//! Lines of a job's log: as fragments the page's script asks for, and as plain text.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use pipelines::ids::{Attempt, JobId, RepoId, RunId};
use pipelines::limits::LOG_CHUNK_LINES;
use pipelines::log::{Record, Voice, records};

use super::ask::{Ask, missing};
use super::moments::{Lasting, utc};
use super::{ansi, assets, words};
use crate::error::{Failure, PageError};
use crate::objects::{Index, Objects, Window, is_error};
use crate::store::views::jobs::{self, JobRow, StepRow};
use crate::store::views::runs;

/// Bytes of one line that are drawn; the raw log has all of it.
const LINE_SHOWN_MAX: usize = 4096;
/// Once a window has drawn this much, further lines are kept short: hostile output stays a page.
const WINDOW_SHOWN_MAX: usize = 256 * 1024;
/// What a line may still be then.
const LINE_SHORT_MAX: usize = 256;

/// How the time of each line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Not at all.
    Off,
    /// By the clock, in UTC.
    Clock,
    /// Since the first line of the attempt, in seconds.
    Since(i64),
    /// Since the line before, in seconds.
    Gap,
}

/// The log of one attempt and what is known about it.
pub(crate) struct Log {
    pub(crate) job: JobRow,
    pub(crate) run: runs::RunRow,
    pub(crate) attempt: Attempt,
    /// Whether nothing will be added.
    pub(crate) ended: bool,
    pub(crate) steps: Vec<StepRow>,
    pub(crate) attempts: Vec<jobs::AttemptRow>,
    /// When retention deleted the log, and how many bytes it had.
    pub(crate) deleted: Option<(i64, i64)>,
    pub(crate) index: std::sync::Arc<Index>,
    pub(super) objects: Objects,
}

/// The place of a job in an address.
pub(crate) type JobPath = Path<(String, String, i64, String)>;

impl Log {
    /// The log that the address and `?attempt=` name.
    pub(crate) async fn find(ask: &Ask, Path(path): JobPath) -> Result<Self, PageError> {
        let (owner, name, number, job) = path;
        let repo = ask.repo(&owner, &name).await?;
        let run = runs::find(ask.reader(), RepoId(repo.id), number).await?;
        let run =
            run.ok_or_else(|| missing(format!("there is no run {number} of {owner}/{name}")))?;
        let found = jobs::find(ask.reader(), RunId(run.id), &job).await?;
        let found = found.ok_or_else(|| missing(format!("run {number} has no job {job}")))?;
        let attempt = ask.number("attempt").unwrap_or(found.attempt);
        let attempt = Attempt(u32::try_from(attempt).unwrap_or(0));
        Self::open(ask, run, found, attempt).await
    }

    /// The log of an attempt of a job.
    pub(crate) async fn open(
        ask: &Ask,
        run: runs::RunRow,
        job: JobRow,
        attempt: Attempt,
    ) -> Result<Self, PageError> {
        let id = JobId(job.id);
        let attempts = jobs::attempts(ask.reader(), id).await?;
        let this = attempts
            .iter()
            .find(|row| row.attempt == i64::from(attempt.0));
        if attempt.0 > 0 && this.is_none() {
            return Err(missing(format!("{} has no attempt {attempt}", job.name)));
        }
        let index = ask.app.objects.index(id, attempt).await;
        Ok(Self {
            deleted: this
                .and_then(|row| Some((row.log_deleted_at?, row.log_bytes.unwrap_or_default()))),
            ended: this.map_or(job.state.is_final(), |row| row.state.is_final()),
            steps: jobs::steps(ask.reader(), id, attempt).await?,
            index: index.map_err(anyhow::Error::from)?,
            objects: ask.app.objects.clone(),
            job,
            run,
            attempt,
            attempts,
        })
    }

    /// Refuses where retention has deleted the log.
    pub(crate) fn there(&self) -> Result<(), PageError> {
        match self.deleted {
            Some((at, _)) => Err(PageError(Failure::deleted("the log", at))),
            None => Ok(()),
        }
    }

    /// The records of some lines, from line `first` on. Long ones may be cut.
    pub(crate) async fn read(&self, first: u64, count: u64) -> Result<Window, PageError> {
        let log = (JobId(self.job.id), self.attempt);
        let read = self
            .objects
            .window(log, self.index.clone(), first, count)
            .await;
        Ok(read.map_err(anyhow::Error::from)?)
    }

    /// Some lines as HTML, with a heading where a step begins.
    pub(crate) async fn html(
        &self,
        (first, count): (u64, u64),
        times: Times,
        ask: &Ask,
    ) -> Result<String, PageError> {
        let Window { bytes, missing } = self.read(first, count).await?;
        let mut out = String::with_capacity(bytes.len() * 2);
        let chosen = chosen(ask);
        let mut before = match times {
            Times::Gap if first > 1 => self.at_ms(first - 1).await?,
            _ => None,
        };
        for (number, record) in (first..).zip(records(&bytes)) {
            let steps = &self.index.steps;
            if let Ok(place) = steps.binary_search_by_key(&number, |(at, _)| *at) {
                self.heading(number, steps[place].1, ask, &mut out);
            }
            let max = if out.len() > WINDOW_SHOWN_MAX {
                LINE_SHORT_MAX
            } else {
                LINE_SHOWN_MAX
            };
            let line = Line {
                number,
                missing: missing.get(&number).copied().unwrap_or(0),
                chosen: chosen.is_some_and(|(from, to)| (from..=to).contains(&number)),
                before: before.replace(record.at_ms),
                record,
            };
            line.write((times, max), &mut out);
        }
        Ok(out)
    }

    /// When a line was read.
    async fn at_ms(&self, number: u64) -> Result<Option<i64>, PageError> {
        let window = self.read(number, 1).await?;
        Ok(records(&window.bytes).next().map(|record| record.at_ms))
    }

    fn heading(&self, number: u64, step: u32, ask: &Ask, out: &mut String) {
        let found = self
            .steps
            .iter()
            .find(|row| row.position == i64::from(step));
        let Some(row) = found else {
            // Work without steps, and what comes before the first, needs no heading.
            let _ = write!(
                out,
                "<h2 data-before=\"{number}\"><span>Seaworthy</span></h2>"
            );
            return;
        };
        let lasting = Lasting::new(Some(row.started_at), row.finished_at, ask.now);
        let _ = write!(
            out,
            "<h2 data-before=\"{number}\">{}{} <span>{}",
            words::of_state(*row.state).icon(),
            words::escaped(&row.name),
            lasting.map_or_else(String::new, |lasting| lasting.to_string()),
        );
        if let Some(code) = row.exit_code.filter(|code| *code != 0) {
            let _ = write!(out, " · exit code {code}");
        }
        out.push_str("</span></h2>");
    }

    /// The lines above which a heading stands.
    pub(crate) fn heads(&self) -> String {
        numbers(self.index.steps.iter().map(|(at, _)| at))
    }
}

/// Numbers as scripts read them.
pub(crate) fn numbers<'a>(all: impl Iterator<Item = &'a u64>) -> String {
    let all: Vec<_> = all.map(u64::to_string).collect();
    all.join(",")
}

/// The lines that `?at=7` or `?at=7-9` mean.
pub(crate) fn chosen(ask: &Ask) -> Option<(u64, u64)> {
    let at = ask.get("at")?;
    let (from, to) = at.split_once('-').unwrap_or((at, at));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    Some((from, to))
}

/// A line as it is shown.
struct Line<'a> {
    number: u64,
    /// Bytes of it that were not read.
    missing: usize,
    chosen: bool,
    /// When the line before it was read, in milliseconds.
    before: Option<i64>,
    record: Record<'a>,
}

impl Line<'_> {
    /// Its number is the link, and is not selected with the text.
    fn write(&self, (times, max): (Times, usize), out: &mut String) {
        let (number, record) = (self.number, &self.record);
        let error = record.voice != Voice::Note && is_error(record.text);
        let voice = match record.voice {
            Voice::Out => "",
            Voice::Err => "e",
            Voice::Note => "n",
        };
        let marks = [
            voice,
            if error { "x" } else { "" },
            if self.chosen { "at" } else { "" },
        ];
        let marks: Vec<_> = marks.into_iter().filter(|mark| !mark.is_empty()).collect();
        let _ = write!(out, "<div id=\"L{number}\"");
        if !marks.is_empty() {
            let _ = write!(out, " class=\"{}\"", marks.join(" "));
        }
        let _ = write!(out, "><a href=\"?at={number}#L{number}\">{number}</a>");
        let seconds = |out: &mut String, ms: i64| {
            let ms = ms.max(0);
            let (whole, tenth) = (ms / 1000, ms / 100 % 10);
            let _ = write!(out, "<time class=\"raw\">{whole}.{tenth} s</time>");
        };
        match times {
            Times::Off => {}
            Times::Clock => {
                let at = pipelines::timestamp::Timestamp(record.at_ms);
                let _ = write!(out, "<time class=\"raw\">{}</time>", utc(at, "%H:%M:%S"));
            }
            Times::Since(start) => seconds(out, record.at_ms - start),
            Times::Gap => seconds(out, record.at_ms - self.before.unwrap_or(record.at_ms)),
        }
        self.text(max, out);
    }

    fn text(&self, max: usize, out: &mut String) {
        let shown = ansi::line(self.record.text, max, out);
        if shown.overwritten > 0 {
            let _ = write!(
                out,
                " <span class=\"cut\">({} earlier states)</span>",
                shown.overwritten
            );
        }
        let cut = shown.cut + self.missing;
        if cut > 0 {
            let _ = write!(
                out,
                " <span class=\"cut\">… {cut} bytes more, see raw</span>"
            );
        }
        // The line end is for copying: blocks are joined by it.
        out.push_str("</div>\n");
    }
}

/// Answers `GET …/log`: a chunk, or what came after a line.
pub(crate) async fn lines(ask: Ask, path: JobPath) -> Result<Response, PageError> {
    let log = Log::find(&ask, path).await?;
    let size = LOG_CHUNK_LINES as u64;
    let number = |name| ask.number(name).and_then(|n| u64::try_from(n).ok());
    let first = match number("after") {
        Some(after) => after + 1,
        None => number("chunk").unwrap_or(0).saturating_mul(size) + 1,
    };
    let html = log
        .html((first, size), times(&ask, &log).await?, &ask)
        .await?;
    // A whole chunk of an attempt that ended never changes, as long as the program does not. One that
    // is not whole may be an answer from before the end of the log arrived.
    let whole = first.saturating_add(size - 1) <= log.index.lines;
    let kept = whole && log.ended && ask.get("v") == Some(assets::version());
    let cache = if kept {
        "private, max-age=31536000, immutable"
    } else {
        "private, no-cache"
    };
    let headers = [
        ("cache-control", cache.to_owned()),
        ("x-lines", log.index.lines.to_string()),
        ("x-heads", log.heads()),
        ("x-errors", log.index.error_count.to_string()),
        ("x-done", if log.ended { "yes" } else { "no" }.to_owned()),
    ];
    Ok((headers, Html(html)).into_response())
}

/// How the reader wants times, by `?times=`.
pub(crate) async fn times(ask: &Ask, log: &Log) -> Result<Times, PageError> {
    Ok(match ask.get("times") {
        Some("clock") => Times::Clock,
        Some("since") => Times::Since(log.at_ms(1).await?.unwrap_or(0)),
        Some("gap") => Times::Gap,
        Some(_) | None => Times::Off,
    })
}
