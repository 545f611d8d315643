//! A job's log: a file of records, one per line of output, the same on the wire and on disk.
//!
//! A record is `MILLISECONDS STEP KIND TEXT\n`, where the text is the step's own bytes, untouched
//! but for the line end. Offsets count bytes of this file, so a chunk can be sent again at will.

/// Which voice a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The step's standard output.
    Out,
    /// The step's standard error.
    Err,
    /// Seaworthy itself.
    Note,
}

/// One line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was read, in milliseconds since 1970.
    pub at_ms: i64,
    /// The step it belongs to, from 0.
    pub step: u32,
    /// Who speaks.
    pub voice: Voice,
    /// The line, without its end. Any bytes but `\n`.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Appends the record to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        debug_assert!(!self.text.contains(&b'\n'), "a record is one line");
        let voice = match self.voice {
            Voice::Out => 'o',
            Voice::Err => 'e',
            Voice::Note => 'n',
        };
        buffer.extend_from_slice(format!("{} {} {voice} ", self.at_ms, self.step).as_bytes());
        buffer.extend_from_slice(self.text);
        buffer.push(b'\n');
    }

    /// Reads one record, given without its final `\n`. What is no record is shown as it stands.
    pub fn read(line: &'a [u8]) -> Record<'a> {
        Self::parse(line).unwrap_or(Record {
            at_ms: 0,
            step: 0,
            voice: Voice::Note,
            text: line,
        })
    }

    fn parse(line: &'a [u8]) -> Option<Record<'a>> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<i64>().ok();
        let at_ms = number()?;
        let step = u32::try_from(number()?).ok()?;
        let voice = match parts.next()? {
            b"o" => Voice::Out,
            b"e" => Voice::Err,
            b"n" => Voice::Note,
            _ => return None,
        };
        Some(Record {
            at_ms,
            step,
            voice,
            text: parts.next()?,
        })
    }
}

/// The records of a whole log, in order. A last line without its end is left out: it is not whole yet.
pub fn records(file: &[u8]) -> impl Iterator<Item = Record<'_>> {
    file.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
        .map(Record::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_as_written_whatever_bytes_they_hold() {
        let texts: [&[u8]; 4] = [b"", b"a b  c", b"\xff\x00\r\x1b[31m", "ünï".as_bytes()];
        let mut file = Vec::new();
        let record = |text| Record {
            at_ms: 12,
            step: 3,
            voice: Voice::Err,
            text,
        };
        texts.iter().for_each(|text| record(text).write(&mut file));
        let read: Vec<_> = records(&file).collect();
        assert_eq!(read, texts.map(record));
    }

    #[test]
    fn a_line_without_its_end_is_not_a_record_yet() {
        assert_eq!(records(b"1 0 o whole\n2 0 o ha").count(), 1);
    }
}
