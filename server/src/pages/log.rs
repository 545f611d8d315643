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
use crate::error::PageError;
use crate::objects::{Index, Objects, Window};
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
            let missing = missing.get(&number).copied().unwrap_or(0);
            line((number, missing), &record, (times, max), &mut out);
        }
        Ok(out)
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
        let heads: Vec<_> = self
            .index
            .steps
            .iter()
            .map(|(at, _)| at.to_string())
            .collect();
        heads.join(",")
    }
}

/// One line. Its number is the link, and is not selected with the text.
fn line(
    (number, missing): (u64, usize),
    record: &Record<'_>,
    (times, max): (Times, usize),
    out: &mut String,
) {
    let class = match record.voice {
        Voice::Out if is_error(record.text) => " class=\"x\"",
        Voice::Err if is_error(record.text) => " class=\"e x\"",
        Voice::Out => "",
        Voice::Err => " class=\"e\"",
        Voice::Note => " class=\"n\"",
    };
    let _ = write!(
        out,
        "<div id=\"L{number}\"{class}><a href=\"?at={number}#L{number}\">{number}</a>"
    );
    match times {
        Times::Off => {}
        Times::Clock => {
            let at = pipelines::timestamp::Timestamp(record.at_ms);
            let _ = write!(out, "<time class=\"raw\">{}</time>", utc(at, "%H:%M:%S"));
        }
        Times::Since(start) => {
            let ms = (record.at_ms - start).max(0);
            let _ = write!(
                out,
                "<time class=\"raw\">{}.{} s</time>",
                ms / 1000,
                ms / 100 % 10
            );
        }
    }
    let shown = ansi::line(record.text, max, out);
    if shown.overwritten > 0 {
        let _ = write!(
            out,
            " <span class=\"cut\">({} earlier states)</span>",
            shown.overwritten
        );
    }
    let cut = shown.cut + missing;
    if cut > 0 {
        let _ = write!(
            out,
            " <span class=\"cut\">… {cut} bytes more, see raw</span>"
        );
    }
    // The line end is for copying: blocks are joined by it.
    out.push_str("</div>\n");
}

/// Whether a line looks like the reason of a failure. A hint for the eye; nothing is decided by it.
pub(crate) fn is_error(text: &[u8]) -> bool {
    const BEGINS: [&str; 12] = [
        "error:",
        "error[",
        "Error:",
        "ERROR",
        "FAIL",
        "--- FAIL",
        "fatal:",
        "Traceback ",
        "npm ERR!",
        "npm error",
        "##[error]",
        "AssertionError",
    ];
    let plain = ansi::plain(text, 400);
    let plain = plain.trim_start();
    BEGINS.iter().any(|begin| plain.starts_with(begin))
        || plain.contains("panicked at")
        || plain.ends_with("FAILED")
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
        ("x-done", if log.ended { "yes" } else { "no" }.to_owned()),
    ];
    Ok((headers, Html(html)).into_response())
}

/// How the reader wants times, by `?times=`.
pub(crate) async fn times(ask: &Ask, log: &Log) -> Result<Times, PageError> {
    Ok(match ask.get("times") {
        Some("clock") => Times::Clock,
        Some("since") => {
            let first = log.read(1, 1).await?;
            Times::Since(
                records(&first.bytes)
                    .next()
                    .map_or(0, |record| record.at_ms),
            )
        }
        Some(_) | None => Times::Off,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_failures_are_seen_through_colours() {
        for text in [
            "\x1b[1;31merror\x1b[0m: x",
            "  --- FAIL: TestX",
            "thread 'a' panicked at b",
        ] {
            assert!(is_error(text.as_bytes()), "{text}");
        }
        assert!(is_error(b"\x1b[1merror[E0308]\x1b[0m: mismatched"));
        assert!(!is_error(b"no error here"));
    }
}
