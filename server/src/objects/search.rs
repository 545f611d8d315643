//! Search within one log: the true total, and where the matches are.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipelines::ids::{Attempt, JobId};
use pipelines::limits::{LOG_LINE_BYTES_MAX, LOG_SEARCH_LINES};
use pipelines::log::Record;
use regex::bytes::{Regex, RegexBuilder};

use super::index::{HEAD_MAX, read_line};
use super::{Index, LogFile, Objects};

/// A pattern may become this large, in bytes, once it is compiled: a small text can ask for a huge
/// one. Matching takes linear time whatever the pattern is.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Lines between two looks whether the time is up.
const LOOK_EVERY: u64 = 256;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// A text, or a regular expression; the error says in one line what is wrong with that.
    pub fn new(text: &str, regexp: bool, case: bool) -> Result<Self, String> {
        let escaped = if regexp {
            text.to_owned()
        } else {
            regex::escape(text)
        };
        let built = RegexBuilder::new(&escaped)
            .case_insensitive(!case)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(4 * PATTERN_BYTES_MAX)
            .build();
        built.map(Self).map_err(|error| {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
    }

    /// Whether a line, given without its end, is meant. Colours do not hide a match.
    pub fn matches(&self, line: &[u8], plain: &mut Vec<u8>) -> bool {
        if !line.contains(&0x1b) {
            return self.0.is_match(line);
        }
        without_colours(line, plain);
        self.0.is_match(plain)
    }
}

/// The line without `ESC [ … m`, which may stand in the middle of a word.
fn without_colours(line: &[u8], plain: &mut Vec<u8>) {
    plain.clear();
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(body) = rest.strip_prefix(b"[") else {
            continue;
        };
        let end = body.iter().position(|byte| !(b' '..=b'?').contains(byte));
        rest = end.map_or(&[], |end| &body[end + 1..]);
    }
    plain.extend_from_slice(rest);
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many of the lines searched match.
    pub total: u64,
    /// The numbers of the first [`LOG_SEARCH_LINES`] of them.
    pub lines: Vec<u64>,
    /// How many lines were searched: fewer than the log has if the time was up.
    pub searched: u64,
}

impl Objects {
    /// Searches a log from its first line on, for at most `limit`.
    pub async fn search(
        &self,
        (job, attempt): (JobId, Attempt),
        index: Arc<Index>,
        pattern: Pattern,
        limit: Duration,
    ) -> io::Result<Found> {
        if index.lines == 0 {
            return Ok(Found::default());
        }
        // Each search keeps a processor busy: a few at once are enough.
        let _turn = self.searches.acquire().await.map_err(io::Error::other)?;
        let (path, late) = (self.path(job, attempt), Arc::new(AtomicBool::new(false)));
        let stop = StopOnDrop(late.clone());
        let mut search = tokio::task::spawn_blocking(move || {
            search(LogFile::open(&path)?, &index, &pattern, &late)
        });
        let found = tokio::select! {
            found = &mut search => found,
            () = tokio::time::sleep(limit) => {
                drop(stop);
                search.await
            }
        };
        found.map_err(io::Error::other)?
    }
}

/// Ends the search when its time is up, or when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn search(
    file: impl Read,
    index: &Index,
    pattern: &Pattern,
    late: &AtomicBool,
) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut found = Found::default();
    let (mut line, mut plain) = (Vec::new(), Vec::new());
    while found.searched < index.lines {
        if found.searched % LOOK_EVERY == 0 && late.load(Ordering::Relaxed) {
            break;
        }
        line.clear();
        read_line(&mut reader, LOG_LINE_BYTES_MAX + HEAD_MAX, &mut line)?;
        line.pop();
        found.searched += 1;
        if pattern.matches(Record::read(&line).text, &mut plain) {
            found.total += 1;
            if found.lines.len() < LOG_SEARCH_LINES {
                found.lines.push(found.searched);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelines::log::Voice;

    const LOG: (JobId, Attempt) = (JobId(3), Attempt(1));

    async fn of_texts<'a>(objects: &Objects, texts: impl Iterator<Item = &'a [u8]>) -> Arc<Index> {
        let mut file = Vec::new();
        for text in texts {
            let (at_ms, step, voice) = (1, 0, Voice::Out);
            let record = Record {
                at_ms,
                step,
                voice,
                text,
            };
            record.write(&mut file);
        }
        let alone = objects.alone(LOG.0).await;
        alone.append(LOG.1, 0, &file).await.unwrap();
        objects.index(LOG.0, LOG.1).await.unwrap()
    }

    #[tokio::test]
    async fn all_matches_are_counted_and_the_first_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(folder.path());
        let texts: [&[u8]; 3] = [b"An \x1b[31mer\x1b[0mror", b"err\xffor", b"none"];
        let index = of_texts(&objects, texts.into_iter().cycle().take(6000)).await;
        let pattern = Pattern::new("ERROR", false, false).unwrap();
        let hour = Duration::from_secs(3600);
        let found = objects.search(LOG, index.clone(), pattern, hour).await;
        let found = found.unwrap();
        assert_eq!((found.total, found.searched), (2000, 6000));
        assert_eq!(found.lines.len(), LOG_SEARCH_LINES);
        assert_eq!(found.lines[..3], [1, 4, 7]);
        for (text, regexp, case, wanted) in [
            ("ERROR", false, true, 0),
            ("^err.*or$|n.*or$", true, true, 2000),
            ("er+or$", false, true, 0),
        ] {
            let pattern = Pattern::new(text, regexp, case).unwrap();
            let found = objects.search(LOG, index.clone(), pattern, hour).await;
            assert_eq!(found.unwrap().total, wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn a_search_that_takes_too_long_says_how_far_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(folder.path());
        let index = of_texts(&objects, std::iter::repeat_n(&b"x"[..], 100_000)).await;
        let pattern = Pattern::new("x", false, false).unwrap();
        let late = AtomicBool::new(true);
        let file = LogFile::open(&objects.path(LOG.0, LOG.1)).unwrap();
        let found = search(file, &index, &pattern, &late).unwrap();
        assert_eq!((found.total, found.searched), (0, 0));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_in_a_line() {
        let refused = Pattern::new("a(b", true, false).unwrap_err();
        assert_eq!(refused, "unclosed group");
        assert!(Pattern::new("a(b", false, false).is_ok());
        assert!(Pattern::new(r"(\w{1000}){1000}", true, false).is_err());
    }
}
