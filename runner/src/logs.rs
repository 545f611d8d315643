//! A job's log on its way: bytes of a process → lines → records → a bounded queue.
//!
//! Whoever writes is held back when the disk is slow (the queue is bounded), never by a slow or
//! absent server: what takes from the queue writes to the spool first ([`crate::spool`]). Secrets
//! are hidden before anything is a line ([`mask`]): what is not in the queue is nowhere.

use std::sync::Arc;

use pipelines::limits::LOG_LINE_BYTES_MAX;
use pipelines::log::{Record, Voice};
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::spool::Known;

pub mod mask;

use mask::{MaskStream, Masks};

/// Records that wait for the disk before their writer has to wait as well.
const QUEUE_MAX: usize = 1024;

/// What travels from the writers of a log to its spool.
pub(crate) enum Entry {
    /// One record, encoded.
    Record {
        /// Its bytes, with the line end.
        bytes: Vec<u8>,
        /// Who speaks: notes are kept even when a log is full.
        voice: Voice,
    },
    /// Answered once everything before it is where it should be.
    Flush(oneshot::Sender<()>),
}

/// The log of one job's attempt. Clones write to the same log.
#[derive(Clone)]
pub struct JobLog {
    queue: mpsc::Sender<Entry>,
    masks: Masks,
    known: Arc<Known>,
}

impl JobLog {
    /// A log and the place where its entries arrive.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Entry>) {
        Self::after(Known::default())
    }

    /// The same for a log of which a part is there already.
    pub(crate) fn after(known: Known) -> (Self, mpsc::Receiver<Entry>) {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let log = Self {
            queue,
            masks: Masks::default(),
            known: Arc::new(known),
        };
        (log, entries)
    }

    /// A log without a server, for `seaworthy exec` and for tests.
    pub fn local() -> (Self, LocalLog) {
        let (log, entries) = Self::new();
        (log, LocalLog { entries })
    }

    /// The secrets that are hidden in it.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Writes what Seaworthy itself has to say. Several lines become several records.
    pub async fn note(&self, step: u32, text: &str) {
        self.line(step, Voice::Note, text.as_bytes()).await;
    }

    /// The same, unless the part of the log that a former life of the runner wrote has it.
    pub async fn note_once(&self, step: u32, text: &str) {
        if !self.known.has_note(step, &self.masks.text(text)) {
            self.note(step, text).await;
        }
    }

    /// Writes lines of output. A final line end is not needed, and adds nothing.
    pub async fn line(&self, step: u32, voice: Voice, bytes: &[u8]) {
        let bytes = self.masks.bytes(bytes);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let mut splitter = LineSplitter::default();
        let mut pieces = splitter.push(bytes);
        // An empty text is a line, too: a blank one.
        pieces.push(Piece::Line(splitter.partial));
        for piece in pieces {
            self.piece(step, voice, piece).await;
        }
    }

    /// The log of one step.
    pub fn step(&self, step: u32) -> StepLog {
        StepLog {
            log: self.clone(),
            step,
        }
    }

    /// Waits until everything written so far is with the server, or nobody wants it any more.
    pub async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            // A dropped sender means that the log has ended: there is nothing to wait for.
            let _ = answer.await;
        }
    }

    async fn piece(&self, step: u32, voice: Voice, piece: Piece) {
        match piece {
            Piece::Line(text) => self.record(step, voice, &text).await,
            Piece::Cut(text) => {
                self.record(step, voice, &text).await;
                let note = format!(
                    "line cut at {} KB: it goes on below",
                    LOG_LINE_BYTES_MAX / 1024
                );
                self.record(step, Voice::Note, note.as_bytes()).await;
            }
        }
    }

    async fn record(&self, step: u32, voice: Voice, text: &[u8]) {
        let mut bytes = Vec::with_capacity(text.len() + 24);
        let at_ms = clock::now().0;
        Record {
            at_ms,
            step,
            voice,
            text,
        }
        .write(&mut bytes);
        // A closed queue means that nobody wants the log any more: the work is being stopped.
        let _ = self.queue.send(Entry::Record { bytes, voice }).await;
    }
}

/// The receiving end of [`JobLog::local`].
pub struct LocalLog {
    entries: mpsc::Receiver<Entry>,
}

impl LocalLog {
    /// The next record, encoded; `None` once all writers are gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.entries.recv().await? {
                Entry::Record { bytes, .. } => return Some(bytes),
                Entry::Flush(done) => {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
        }
    }
}

/// The log of one step.
#[derive(Clone)]
pub struct StepLog {
    log: JobLog,
    step: u32,
}

impl StepLog {
    /// The secrets that are hidden in it.
    pub fn masks(&self) -> &Masks {
        &self.log.masks
    }
    /// Writes what Seaworthy itself has to say.
    pub async fn note(&self, text: &str) {
        self.log.note(self.step, text).await;
    }
    /// Writes one line of output.
    pub async fn line(&self, voice: Voice, bytes: &[u8]) {
        self.log.line(self.step, voice, bytes).await;
    }
    /// The same, unless it is there; see [`JobLog::note_once`].
    pub async fn note_once(&self, text: &str) {
        self.log.note_once(self.step, text).await;
    }
    /// Takes the bytes of one stream of a process as they come.
    pub fn stream(&self, voice: Voice) -> StreamLog {
        StreamLog {
            log: self.clone(),
            voice,
            masked: self.log.masks.stream(),
            splitter: LineSplitter::default(),
            known: 0,
        }
    }
    /// Takes one stream again from its beginning, and leaves out what the log has of it.
    pub fn stream_again(&self, voice: Voice) -> StreamLog {
        StreamLog {
            known: self.log.known.lines(self.step, voice),
            ..self.stream(voice)
        }
    }
}

/// One stream of a process on its way into the log.
pub struct StreamLog {
    log: StepLog,
    voice: Voice,
    masked: MaskStream,
    splitter: LineSplitter,
    /// So many records are in the log already, and come again.
    known: u64,
}

impl StreamLog {
    /// Takes some bytes; whole lines go on at once, the rest waits for its line end.
    pub async fn write(&mut self, bytes: &[u8]) {
        let shown = self.masked.push(bytes);
        self.take(&shown).await;
    }
    async fn take(&mut self, shown: &[u8]) {
        for piece in self.splitter.push(shown) {
            self.put(piece).await;
        }
    }
    async fn put(&mut self, piece: Piece) {
        if self.known > 0 {
            self.known -= 1;
            return;
        }
        self.log.log.piece(self.log.step, self.voice, piece).await;
    }
    /// The stream has ended: a last line without its end is written as a line.
    pub async fn end(&mut self) {
        let shown = self.masked.end();
        self.take(&shown).await;
        let rest = std::mem::take(&mut self.splitter.partial);
        if !rest.is_empty() {
            self.put(Piece::Line(rest)).await;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Line(Vec<u8>),
    /// The first part of a line that is too long; what follows is the rest of it.
    Cut(Vec<u8>),
}

/// Cuts bytes at line ends, whatever the borders of the chunks they come in. No byte but `\n` is
/// changed or lost, and no more than one line is ever held.
#[derive(Debug, Default)]
struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            self.extend(text, &mut pieces);
            if whole {
                pieces.push(Piece::Line(std::mem::take(&mut self.partial)));
            }
        }
        pieces
    }

    fn extend(&mut self, mut text: &[u8], pieces: &mut Vec<Piece>) {
        while self.partial.len() + text.len() > LOG_LINE_BYTES_MAX {
            let room = LOG_LINE_BYTES_MAX - self.partial.len();
            self.partial.extend_from_slice(&text[..room]);
            text = &text[room..];
            pieces.push(Piece::Cut(std::mem::take(&mut self.partial)));
        }
        self.partial.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests;
