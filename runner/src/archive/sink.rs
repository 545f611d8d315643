//! A file being written: hashed on the way, and never larger than it may be.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use aws_lc_rs::digest;

/// See the module's text.
pub struct Sink {
    file: BufWriter<File>,
    digest: digest::Context,
    bytes: u64,
    bytes_max: u64,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sunk {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
}

impl Sink {
    /// Begins a new file at `path`; what was there is gone.
    pub fn create(path: &Path, bytes_max: u64) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(File::create(path)?),
            digest: digest::Context::new(&digest::SHA256),
            bytes: 0,
            bytes_max,
        })
    }

    /// The file is whole.
    pub fn finish(mut self) -> io::Result<Sunk> {
        self.file.flush()?;
        Ok(Sunk {
            bytes: self.bytes,
            digest: hex(self.digest.finish().as_ref()),
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            let text = format!("it is larger than {} MiB", self.bytes_max >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
