//! Where the lines of a log are, so that any window of it is read without reading the rest.
//!
//! An index is made by reading the log once and kept while the program runs; when the log has grown,
//! only what is new is read. It is never stored: the log is the truth.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pipelines::ids::{Attempt, JobId};
use pipelines::limits::{
    LOG_CHUNK_LINES, LOG_LINE_BYTES_MAX, LOG_PAGE_BYTES_MAX, LOG_PAGE_LINE_BYTES_MAX,
};
use pipelines::log::Record;

use super::{LogFile, Objects, blocking, is_error};

/// How many logs are remembered: beyond that, all are forgotten and read anew as they are asked for.
const REMEMBERED_MAX: usize = 256;
/// Bytes of a record that are looked at: longer than what stands before its text, and enough of that
/// to see an error.
pub(super) const HEAD_MAX: usize = 512;
/// How many lines that look like errors are remembered.
const ERRORS_MAX: usize = 10_000;

/// The remembered indexes.
pub(super) type Indexes = Arc<Mutex<HashMap<(JobId, Attempt), Arc<Index>>>>;

/// Where the lines of one log are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Bytes of the file that hold whole lines.
    bytes: u64,
    /// How many lines there are.
    pub lines: u64,
    /// How many bytes their texts have, with a line end each: the size of the raw log.
    pub text_bytes: u64,
    /// Where each chunk of [`LOG_CHUNK_LINES`] begins.
    chunks: Vec<Place>,
    /// The number of the first line of each stretch of one step, and the step. Lines count from 1.
    pub steps: Vec<(u64, u32)>,
    /// The numbers of the first lines that look like errors.
    pub errors: Vec<u64>,
    /// How many lines look like errors.
    pub error_count: u64,
}

/// Lines as pages read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Their records.
    pub bytes: Vec<u8>,
    /// How many bytes are missing at the end of those lines that were cut, by the lines' numbers.
    pub missing: BTreeMap<u64, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: u64,
    text: u64,
}

impl Index {
    fn push(&mut self, head: &[u8], length: u64) {
        if self.lines.is_multiple_of(LOG_CHUNK_LINES as u64) {
            self.chunks.push(Place {
                file: self.bytes,
                text: self.text_bytes,
            });
        }
        let record = Record::read(head);
        // The head may be cut within the text, never before it.
        let before = (head.len() - record.text.len()) as u64;
        self.lines += 1;
        self.bytes += length;
        self.text_bytes += length - before;
        if self
            .steps
            .last()
            .is_none_or(|(_, step)| *step != record.step)
        {
            self.steps.push((self.lines, record.step));
        }
        if is_error(record.text) {
            self.error_count += 1;
            if self.errors.len() < ERRORS_MAX {
                self.errors.push(self.lines);
            }
        }
    }

    /// The chunk in which a byte of the raw log lies: its first line, and its first byte there.
    fn chunk_of_text(&self, text: u64) -> (u64, u64) {
        let after = self.chunks.partition_point(|place| place.text <= text);
        let chunk = after.saturating_sub(1);
        let start = self.chunks.get(chunk).map_or(0, |place| place.text);
        ((chunk * LOG_CHUNK_LINES) as u64 + 1, start)
    }

    fn grow(&mut self, file: LogFile) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        reader.seek(SeekFrom::Start(self.bytes))?;
        let (mut head, mut length) = (Vec::with_capacity(HEAD_MAX), 0);
        loop {
            let block = reader.fill_buf()?;
            if block.is_empty() {
                return Ok(());
            }
            let end = block.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(block.len(), |end| end + 1);
            let text = end.unwrap_or(block.len());
            head.extend_from_slice(&block[..text.min(HEAD_MAX - head.len())]);
            length += taken as u64;
            reader.consume(taken);
            if end.is_some() {
                self.push(&head, length);
                head.clear();
                length = 0;
            }
        }
    }
}

impl Objects {
    /// Where the lines of a log are now.
    pub async fn index(&self, job: JobId, attempt: Attempt) -> io::Result<Arc<Index>> {
        let length = self.length(job, attempt).await?;
        let known = self.indexes().get(&(job, attempt)).cloned();
        let known = known.unwrap_or_default();
        if known.bytes == length {
            return Ok(known);
        }
        if length == 0 {
            return Ok(Arc::default());
        }
        // A log that is shorter than its index was replaced, as by a restored backup.
        let (path, shorter) = (self.path(job, attempt), length < known.bytes);
        let grown = blocking(move || {
            let mut index = if shorter {
                Index::default()
            } else {
                (*known).clone()
            };
            index.grow(LogFile::open(&path)?)?;
            Ok(Arc::new(index))
        });
        let grown = grown.await?;
        let mut indexes = self.indexes();
        if indexes.len() >= REMEMBERED_MAX {
            indexes.clear();
        }
        indexes.insert((job, attempt), grown.clone());
        Ok(grown)
    }

    /// What [`Objects::lines`] reads, with long lines cut so that it stays a few MiB whatever the
    /// log holds.
    pub async fn window(
        &self,
        (job, attempt): (JobId, Attempt),
        index: Arc<Index>,
        first: u64,
        count: u64,
    ) -> io::Result<Window> {
        let path = self.path(job, attempt);
        let read = blocking(move || {
            let mut window = Window::default();
            let mut reader = open(&path, &index, first, count)?;
            for number in first..first.saturating_add(reader.limit) {
                let left = LOG_PAGE_BYTES_MAX.saturating_sub(window.bytes.len());
                let max = left.clamp(LOG_PAGE_LINE_BYTES_MAX, LOG_LINE_BYTES_MAX + HEAD_MAX);
                let missing = read_line(&mut *reader.file, max, &mut window.bytes)?;
                if missing > 0 {
                    window.missing.insert(number, missing);
                }
            }
            Ok(window)
        });
        read.await
    }

    /// The records of up to `count` lines from line `first` (from 1) on, however long.
    pub async fn lines(
        &self,
        (job, attempt): (JobId, Attempt),
        index: Arc<Index>,
        first: u64,
        count: u64,
    ) -> io::Result<Vec<u8>> {
        let path = self.path(job, attempt);
        let read = blocking(move || {
            let mut lines = Vec::new();
            let mut reader = open(&path, &index, first, count)?;
            for _ in 0..reader.limit {
                reader.file.read_until(b'\n', &mut lines)?;
            }
            Ok(lines)
        });
        read.await
    }

    /// The line in which a byte of the raw log lies or shortly before it, and that line's first byte.
    pub fn line_of_text(&self, index: &Index, text: u64) -> (u64, u64) {
        index.chunk_of_text(text)
    }

    fn indexes(&self) -> std::sync::MutexGuard<'_, HashMap<(JobId, Attempt), Arc<Index>>> {
        // A panic elsewhere leaves the map whole: every write to it is one insertion.
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log, to be read from some line on, and how many of the lines asked for there are.
struct Reader {
    file: Box<dyn BufRead>,
    limit: u64,
}

fn open(path: &Path, index: &Index, first: u64, count: u64) -> io::Result<Reader> {
    let skip = first.saturating_sub(1);
    let limit = count.min(index.lines.saturating_sub(skip));
    let chunk = usize::try_from(skip / LOG_CHUNK_LINES as u64).unwrap_or(usize::MAX);
    let Some(place) = index.chunks.get(chunk).filter(|_| limit > 0) else {
        return Ok(Reader {
            file: Box::new(io::empty()),
            limit: 0,
        });
    };
    let mut file = LogFile::open(path)?;
    file.seek(SeekFrom::Start(place.file))?;
    let mut file = BufReader::with_capacity(256 * 1024, file.take(index.bytes - place.file));
    for _ in 0..skip % LOG_CHUNK_LINES as u64 {
        file.skip_until(b'\n')?;
    }
    Ok(Reader {
        file: Box::new(file),
        limit,
    })
}

/// Appends a line with its end, but no more than `max` bytes of it. Returns how many are missing.
pub(super) fn read_line(
    reader: &mut (impl BufRead + ?Sized),
    max: usize,
    lines: &mut Vec<u8>,
) -> io::Result<usize> {
    let (mut kept, mut missing) = (0, 0);
    loop {
        let block = reader.fill_buf()?;
        let end = block.iter().position(|byte| *byte == b'\n');
        let text = end.unwrap_or(block.len());
        let taken = text.min(max - kept);
        lines.extend_from_slice(&block[..taken]);
        kept += taken;
        missing += text - taken;
        let done = end.is_some() || block.is_empty();
        reader.consume(end.map_or(text, |end| end + 1));
        if done {
            lines.push(b'\n');
            return Ok(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelines::log::{Voice, records};

    fn log(lines: std::ops::Range<u32>) -> Vec<u8> {
        let mut file = Vec::new();
        for n in lines {
            let text = format!("line {n}");
            let record = Record {
                at_ms: 1_764_000_000_000 + i64::from(n),
                step: n / 700,
                voice: Voice::Out,
                text: text.as_bytes(),
            };
            record.write(&mut file);
        }
        file
    }

    #[tokio::test]
    async fn any_window_of_a_growing_log_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, id) = (Objects::new(folder.path()), (JobId(3), Attempt(1)));
        assert_eq!(objects.index(id.0, id.1).await.unwrap().lines, 0);
        let whole = log(0..2000);
        let (one, two) = whole.split_at(11_111);
        objects
            .alone(id.0)
            .await
            .append(id.1, 0, one)
            .await
            .unwrap();
        assert!(objects.index(id.0, id.1).await.unwrap().lines > 100);
        objects
            .alone(id.0)
            .await
            .append(id.1, one.len() as u64, two)
            .await
            .unwrap();
        let index = objects.index(id.0, id.1).await.unwrap();
        assert_eq!((index.lines, index.steps.len()), (2000, 3));
        assert_eq!(index.steps, [(1, 0), (701, 1), (1401, 2)]);
        let texts: u64 = (0..2000).map(|n| format!("line {n}\n").len() as u64).sum();
        assert_eq!(index.text_bytes, texts);
        for (first, count, wanted) in [(1, 3, 3), (499, 4, 4), (1999, 10, 2), (2001, 5, 0)] {
            let bytes = objects
                .lines(id, index.clone(), first, count)
                .await
                .unwrap();
            let read: Vec<_> = records(&bytes).collect();
            assert_eq!(read.len(), wanted);
            if let Some(record) = read.first() {
                assert_eq!(record.text, format!("line {}", first - 1).as_bytes());
            }
        }
        let (line, byte) = objects.line_of_text(&index, texts - 1);
        assert_eq!(line, 1501);
        assert!(byte < texts);
    }

    #[tokio::test]
    async fn a_window_stays_small_whatever_the_lines_are_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, id) = (Objects::new(folder.path()), (JobId(3), Attempt(1)));
        let mut file = Vec::new();
        let texts = [10, 3 << 20, 10].into_iter();
        let texts = texts.chain(std::iter::repeat_n(LOG_LINE_BYTES_MAX, 200));
        for length in texts.clone() {
            let record = Record {
                at_ms: 1,
                step: 0,
                voice: Voice::Out,
                text: &b"x".repeat(length),
            };
            record.write(&mut file);
        }
        let alone = objects.alone(id.0).await;
        alone.append(id.1, 0, &file).await.unwrap();
        let index = objects.index(id.0, id.1).await.unwrap();
        let window = objects.window(id, index.clone(), 1, 500).await.unwrap();
        assert!(window.bytes.len() < 3 << 20, "{}", window.bytes.len());
        let wanted: Vec<_> = texts.collect();
        let read: Vec<_> = (1..)
            .zip(records(&window.bytes))
            .map(|(number, r)| r.text.len() + window.missing.get(&number).copied().unwrap_or(0))
            .collect();
        assert_eq!(read, wanted);
        assert!(!window.missing.contains_key(&1) && !window.missing.contains_key(&4));
        // Other windows begin at the right line, and the whole is still to be had.
        let part = objects.window(id, index.clone(), 3, 1).await.unwrap();
        assert_eq!((part.bytes.len(), part.missing.len()), (17, 0));
        assert_eq!(objects.lines(id, index, 1, 500).await.unwrap(), file);
    }
}
