//! `…/log/all`: every line of a log on one page, for the browser's own search and for printing. It
//! is sent chunk by chunk, and the browser draws only the chunks that are looked at.

use askama::Template;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use pipelines::limits::{LOG_CHUNK_LINES, LOG_WHOLE_LINES_MAX};

use super::ask::Ask;
use super::frame::{Frame, Place};
use super::links;
use super::log::{JobPath, Log, Times, times};
use super::words::{self, Status};
use crate::error::PageError;

#[derive(Template)]
#[template(path = "log_all.html")]
struct Whole {
    f: Frame,
    status: Status,
    name: String,
    run_number: i64,
    href: String,
    raw: String,
    lines: u64,
    /// How many lines are shown, if not all are.
    cut: Option<u64>,
}

/// Where the lines go.
const MARK: &str = "<!--lines-->";

/// Answers `GET …/log/all`.
pub(crate) async fn page(ask: Ask, path: JobPath) -> Result<Response, PageError> {
    let log = Log::find(&ask, path).await?;
    log.there()?;
    let (run, job) = (&log.run, &log.job);
    let status = words::of_state(*job.state);
    let href = links::job(&run.owner, &run.repo, run.number, &job.name);
    let attempt = log.attempt.to_string();
    let lines = log.index.lines;
    let title = format!("Whole log · {} #{} · {}", run.repo, run.number, job.name);
    let page = Whole {
        f: ask.frame(Place::Overview, status.family, &title),
        status,
        name: job.name.clone(),
        run_number: run.number,
        raw: links::query(&format!("{href}/log.txt"), &[("attempt", &attempt)]),
        href: links::query(&href, &[("attempt", &attempt)]),
        lines,
        cut: (lines > LOG_WHOLE_LINES_MAX).then_some(LOG_WHOLE_LINES_MAX),
    };
    let html = page.render().map_err(anyhow::Error::from)?;
    let (before, after) = html.split_once(MARK).unwrap_or((&html, ""));
    let (before, after) = (before.to_owned(), after.to_owned());
    let wanted = times(&ask, &log).await?;
    let text = |text: String| stream::once(async move { Ok::<_, PageError>(text) });
    let body = text(before)
        .chain(chunks(log, ask, wanted))
        .chain(text(after))
        .map(|part| part.map_err(|_| std::io::Error::other("the log could not be read")));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn chunks(
    log: Log,
    ask: Ask,
    times: Times,
) -> impl futures_util::Stream<Item = Result<String, PageError>> {
    let last = log.index.lines.min(LOG_WHOLE_LINES_MAX);
    stream::try_unfold((log, ask, 1), move |(log, ask, first)| async move {
        if first > last {
            return Ok(None);
        }
        let count = (LOG_CHUNK_LINES as u64).min(last + 1 - first);
        let html = log.html((first, count), times, &ask).await?;
        let section = format!("<section>{html}</section>");
        Ok(Some((section, (log, ask, first + count))))
    })
}
