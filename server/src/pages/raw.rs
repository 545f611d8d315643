//! A job's log as it was printed, byte for byte: whole, or a range of it.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use pipelines::ids::JobId;
use pipelines::limits::LOG_CHUNK_LINES;
use pipelines::log::records;

use super::ask::Ask;
use super::log::{JobPath, Log};
use crate::error::PageError;

/// Answers `GET …/log.txt`: what was printed, byte for byte, whole or a range of it.
pub(crate) async fn page(
    ask: Ask,
    path: JobPath,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let log = Log::find(&ask, path).await?;
    log.there()?;
    let total = log.index.text_bytes;
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let range = asked.and_then(|text| range(text, total));
    if asked.is_some() && range.is_none() {
        let all = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, all).into_response());
    }
    let (first, last) = range.unwrap_or((0, total.saturating_sub(1)));
    let length = if total == 0 { 0 } else { last - first + 1 };
    let mut answer = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ]
    .into_iter()
    .collect::<HeaderMapBuilder>();
    let status = if range.is_some() {
        answer.add(
            header::CONTENT_RANGE,
            format!("bytes {first}-{last}/{total}"),
        );
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    Ok((
        status,
        answer.0,
        Body::from_stream(text(log, first, length)),
    )
        .into_response())
}

#[derive(Default)]
struct HeaderMapBuilder(HeaderMap);

impl HeaderMapBuilder {
    fn add(&mut self, name: header::HeaderName, value: String) {
        // Digits and words of ours are always a header value.
        if let Ok(value) = value.parse() {
            self.0.insert(name, value);
        }
    }
}

impl FromIterator<(header::HeaderName, String)> for HeaderMapBuilder {
    fn from_iter<I: IntoIterator<Item = (header::HeaderName, String)>>(pairs: I) -> Self {
        let mut map = Self::default();
        pairs
            .into_iter()
            .for_each(|(name, value)| map.add(name, value));
        map
    }
}

/// One range of bytes: first and last, both within. More than one is not served.
fn range(text: &str, total: u64) -> Option<(u64, u64)> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let last = total.checked_sub(1)?;
    let (first, end) = match (start, end) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), last),
        (start, "") => (start.parse().ok()?, last),
        (start, end) => (start.parse().ok()?, end.parse::<u64>().ok()?.min(last)),
    };
    (first <= end && first <= last).then_some((first, end))
}

/// The texts of the lines from a byte on, a chunk of lines at a time: memory stays flat.
fn text(
    log: Log,
    first: u64,
    length: u64,
) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    let (line, start) = log.objects.line_of_text(&log.index, first);
    let begin = (log, line, first - start, length);
    stream::try_unfold(begin, |(log, line, skip, left)| async move {
        if left == 0 || line > log.index.lines {
            return Ok(None);
        }
        let size = LOG_CHUNK_LINES as u64;
        let id = (JobId(log.job.id), log.attempt);
        let bytes = log.objects.lines(id, log.index.clone(), line, size).await?;
        let mut texts = Vec::with_capacity(bytes.len());
        for record in records(&bytes) {
            texts.extend_from_slice(record.text);
            texts.push(b'\n');
        }
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(texts.len());
        texts.drain(..skip);
        texts.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - texts.len() as u64;
        Ok(Some((texts, (log, line + size, 0, left))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_the_log_or_refused() {
        let table = [
            ("bytes=0-", Some((0, 99))),
            ("bytes=90-200", Some((90, 99))),
            ("bytes=-10", Some((90, 99))),
            ("bytes=5-5", Some((5, 5))),
            ("bytes=100-", None),
            ("bytes=9-5", None),
            ("bytes=1-2,5-6", None),
            ("lines=1-2", None),
        ];
        for (text, wanted) in table {
            assert_eq!(range(text, 100), wanted, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), None);
    }
}
