//! The bound of a log: what comes after it is dropped, and the log says so and how much.

use pipelines::limits::LOG_BYTES_MAX;
use pipelines::log::{Record, Voice, records};

use super::Keeper;
use crate::clock;

/// How the note begins that says that a log is full.
pub(super) const FULL: &str = "the log is longer than";
/// Kept free below the limit of a log, so that a full one can still say how the job ended.
pub(super) const NOTES_RESERVE: u64 = 1024 * 1024;

impl Keeper {
    /// Takes a record if the log has room for it. What comes after is dropped, and the log says so.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, bytes: &[u8], voice: Voice) {
        let size = self.written.borrow().written + (buffer.len() + bytes.len()) as u64;
        let limit = match voice {
            Voice::Out | Voice::Err => LOG_BYTES_MAX - NOTES_RESERVE,
            Voice::Note => LOG_BYTES_MAX,
        };
        if size <= limit && !(self.full && voice != Voice::Note) {
            buffer.extend_from_slice(bytes);
            return;
        }
        let step = self.lose(bytes);
        if self.full {
            return;
        }
        self.full = true;
        let text = format!(
            "{FULL} {} MB: further output is dropped",
            LOG_BYTES_MAX / 1024 / 1024
        );
        Record {
            at_ms: clock::now().0,
            step,
            voice: Voice::Note,
            text: text.as_bytes(),
        }
        .write(buffer);
    }

    /// Counts records that nobody will read; answers the step of the last one.
    pub(super) fn lose(&mut self, bytes: &[u8]) -> u32 {
        let mut last = 0;
        for record in records(bytes) {
            let (_, before) = self.dropped.unwrap_or_default();
            self.dropped = Some((record.step, before + record.text.len() as u64 + 1));
            last = record.step;
        }
        last
    }

    /// Marks how much is missing of a log that was full, or whose disk was.
    pub(super) fn tell_gap(&mut self, buffer: &mut Vec<u8>) {
        if let Some((step, bytes)) = self.dropped.take() {
            Record {
                at_ms: clock::now().0,
                step,
                voice: Voice::Note,
                text: format!("{bytes} bytes dropped").as_bytes(),
            }
            .write(buffer);
        }
    }
}
