//! What a log on disk has already, so that a restarted runner goes on with it without gap or repeat.
//!
//! Counted are records, not bytes: an engine gives the whole output of a step again, it becomes the
//! same records again, and the first so many of each stream are left out.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use pipelines::log::{Record, Voice};

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Records of standard output and of standard error, by step.
    lines: BTreeMap<u32, [u64; 2]>,
    notes: HashSet<(u32, Vec<u8>)>,
}

impl Known {
    /// Reads a log; answers the length of its whole records, too. A last record without its end was
    /// being written when the runner was killed: nobody has it.
    pub(super) fn read(file: &File) -> std::io::Result<(Self, u64)> {
        let mut known = Self::default();
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let (mut length, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            let Some(text) = line.strip_suffix(b"\n") else {
                return Ok((known, length));
            };
            length += read as u64;
            known.count(Record::read(text));
        }
    }

    fn count(&mut self, record: Record<'_>) {
        let lines = self.lines.entry(record.step).or_default();
        match record.voice {
            Voice::Out => lines[0] += 1,
            Voice::Err => lines[1] += 1,
            Voice::Note => {
                self.notes.insert((record.step, record.text.to_owned()));
            }
        }
    }

    /// How many records of a stream of a step are there.
    pub(crate) fn lines(&self, step: u32, voice: Voice) -> u64 {
        let lines = self.lines.get(&step).copied().unwrap_or_default();
        match voice {
            Voice::Out => lines[0],
            Voice::Err => lines[1],
            Voice::Note => 0,
        }
    }

    /// Whether a step has this note.
    pub(crate) fn has_note(&self, step: u32, text: &str) -> bool {
        self.notes.contains(&(step, text.as_bytes().to_owned()))
    }

    /// Whether any step has a note that begins so.
    pub(super) fn has_note_like(&self, start: &str) -> bool {
        let mut notes = self.notes.iter();
        notes.any(|(_, text)| text.starts_with(start.as_bytes()))
    }
}
