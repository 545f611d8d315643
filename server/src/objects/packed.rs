//! A log that has ended, packed: the same bytes in a fraction of the space, and still read from any
//! byte on.
//!
//! The format is Zstandard's seekable one: frames of [`FRAME`] plain bytes, each with a checksum, and
//! behind them a table of their sizes within a frame that other readers skip. So `zstd -d` gives the
//! log back without us.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// Plain bytes of a frame: what is read for one line of the log.
const FRAME: usize = 256 * 1024;
/// How hard to try: beyond, it takes much longer for little.
const LEVEL: i32 = 3;
/// A frame that other readers skip begins with this.
const SKIPPED: u32 = 0x184D_2A5E;
/// The table ends with this.
const SEEKABLE: u32 = 0x8F92_EAB1;
/// What follows the table's entries: their number, a byte of flags, and [`SEEKABLE`].
const FOOT: usize = 9;
/// An entry of the table: packed and plain bytes of a frame.
const ENTRY: usize = 8;

/// The packed twin of a log's file.
pub(super) fn twin(path: &Path) -> PathBuf {
    path.with_extension("log.zst")
}

/// A log's bytes, however they are stored.
pub(super) enum LogFile {
    /// As they came. While there is such a file, it is the log, whatever stands beside it.
    Plain(File),
    /// Packed.
    Packed(Box<Packed>),
}

impl LogFile {
    /// Opens the log of this path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self::Plain(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::Packed(Box::new(Packed::open(&twin(path))?)))
            }
            Err(error) => Err(error),
        }
    }

    /// How many bytes the log has.
    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => Ok(file.metadata()?.len()),
            Self::Packed(packed) => Ok(packed.end().plain),
        }
    }
}

impl Read for LogFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Packed(packed) => packed.read(into),
        }
    }
}

impl Seek for LogFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Plain(file) => file.seek(to),
            Self::Packed(packed) => packed.seek(to),
        }
    }
}

/// Where something begins, in the packed file and in the plain one.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    packed: u64,
    plain: u64,
}

/// An open packed log.
pub(super) struct Packed {
    file: File,
    /// Where each frame begins, and where the last one ends.
    places: Vec<Place>,
    /// The plain byte that is read next.
    at: u64,
    /// The frame that was read last, and its plain bytes.
    frame: Option<(usize, Vec<u8>)>,
    decompressor: Decompressor<'static>,
}

impl Packed {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        Ok(Self {
            places: read_table(&mut file)?,
            file,
            at: 0,
            frame: None,
            decompressor: Decompressor::new()?,
        })
    }

    fn end(&self) -> Place {
        self.places.last().copied().unwrap_or_default()
    }

    fn plain(&mut self, frame: usize) -> io::Result<&[u8]> {
        if self.frame.as_ref().is_none_or(|(held, _)| *held != frame) {
            let (from, to) = (self.places[frame], self.places[frame + 1]);
            let mut packed = Vec::new();
            self.file.seek(SeekFrom::Start(from.packed))?;
            let wanted = to.packed - from.packed;
            (&mut self.file).take(wanted).read_to_end(&mut packed)?;
            let plain = self.decompressor.decompress(&packed, FRAME)?;
            if plain.len() as u64 != to.plain - from.plain {
                return Err(damaged("a frame is not as long as the table says"));
            }
            self.frame = Some((frame, plain));
        }
        Ok(self.frame.as_ref().map_or(&[], |(_, plain)| plain))
    }
}

impl Read for Packed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.end().plain {
            return Ok(0);
        }
        let at = self.at;
        let frame = self.places.partition_point(|place| place.plain <= at) - 1;
        let skip = usize::try_from(at - self.places[frame].plain).map_err(io::Error::other)?;
        let plain = &self.plain(frame)?[skip..];
        let count = plain.len().min(into.len());
        into[..count].copy_from_slice(&plain[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Packed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.end().plain.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a packed log is damaged: {what}"),
    )
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

fn read_table(file: &mut File) -> io::Result<Vec<Place>> {
    let length = file.metadata()?.len();
    let mut foot = [0; FOOT];
    let at = length.checked_sub(FOOT as u64);
    file.seek(SeekFrom::Start(at.ok_or_else(|| damaged("it is cut off"))?))?;
    file.read_exact(&mut foot)?;
    if number(&foot[5..]) != SEEKABLE || foot[4] != 0 {
        return Err(damaged("its end is none"));
    }
    let entries = number(&foot[..4]) as usize * ENTRY;
    let at = length.checked_sub((FOOT + entries) as u64);
    file.seek(SeekFrom::Start(
        at.ok_or_else(|| damaged("its table is cut off"))?,
    ))?;
    let mut table = vec![0; entries];
    file.read_exact(&mut table)?;
    let mut places = vec![Place::default()];
    let mut end = Place::default();
    for entry in table.chunks_exact(ENTRY) {
        let plain = number(&entry[4..]);
        if plain == 0 || plain as usize > FRAME {
            return Err(damaged("its table makes no sense"));
        }
        end.packed += u64::from(number(&entry[..4]));
        end.plain += u64::from(plain);
        places.push(end);
    }
    if end.packed > length {
        return Err(damaged("its table makes no sense"));
    }
    Ok(places)
}

/// Packs the log of this path into a file beside it, durably, and compares the two. Returns that file
/// and how many bytes the log has.
pub(super) fn pack(path: &Path) -> io::Result<(PathBuf, u64)> {
    let unfinished = path.with_extension("log.zst.new");
    let mut plain = File::open(path)?;
    let mut file = File::create(&unfinished)?;
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    let (mut table, mut frame, mut length) = (Vec::new(), Vec::new(), 0);
    loop {
        frame.clear();
        (&mut plain).take(FRAME as u64).read_to_end(&mut frame)?;
        if frame.is_empty() {
            break;
        }
        let packed = compressor.compress(&frame)?;
        for count in [packed.len(), frame.len()] {
            let count = u32::try_from(count).map_err(io::Error::other)?;
            table.extend_from_slice(&count.to_le_bytes());
        }
        length += frame.len() as u64;
        file.write_all(&packed)?;
    }
    let count = u32::try_from(table.len() / ENTRY).map_err(io::Error::other)?;
    let size = u32::try_from(table.len() + FOOT).map_err(io::Error::other)?;
    table.splice(0..0, [SKIPPED.to_le_bytes(), size.to_le_bytes()].concat());
    table.extend_from_slice(&count.to_le_bytes());
    table.push(0);
    table.extend_from_slice(&SEEKABLE.to_le_bytes());
    file.write_all(&table)?;
    file.sync_all()?;
    compare(path, &unfinished, length)?;
    Ok((unfinished, length))
}

/// What will be all that is left must give back every byte.
fn compare(plain: &Path, packed: &Path, length: u64) -> io::Result<()> {
    let mut plain = BufReader::with_capacity(FRAME, File::open(plain)?).take(length);
    let mut packed = Packed::open(packed)?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    loop {
        one.clear();
        two.clear();
        (&mut plain).take(FRAME as u64).read_to_end(&mut one)?;
        (&mut packed).take(FRAME as u64).read_to_end(&mut two)?;
        if one != two {
            return Err(damaged("it is not what was packed"));
        }
        if one.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_log_gives_back_every_byte_from_any_place_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.log");
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 7] {
            let plain: Vec<u8> = (0..length).map(|n| ((n * n) >> 7) as u8).collect();
            std::fs::write(&path, &plain).unwrap();
            let (packed, bytes) = pack(&path).unwrap();
            assert_eq!(bytes, length as u64);
            std::fs::rename(packed, twin(&path)).unwrap();
            std::fs::remove_file(&path).unwrap();
            let mut file = LogFile::open(&path).unwrap();
            assert_eq!(file.length().unwrap(), length as u64);
            for at in [
                0,
                1,
                FRAME - 1,
                FRAME,
                FRAME + 2,
                2 * FRAME,
                length,
                9 * FRAME,
            ] {
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                let mut rest = Vec::new();
                file.read_to_end(&mut rest).unwrap();
                assert_eq!(rest, plain.get(at..).unwrap_or_default(), "{length} {at}");
            }
        }
    }

    #[test]
    fn a_damaged_packed_log_is_an_error_and_never_other_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.log");
        let plain = b"one line\n".repeat(40_000);
        std::fs::write(&path, &plain).unwrap();
        let (packed, _) = pack(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let whole = std::fs::read(packed).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(twin(&path), bytes).unwrap();
            let mut read = Vec::new();
            let all = LogFile::open(&path).and_then(|mut file| file.read_to_end(&mut read));
            all.map(|_| read == plain)
        };
        assert!(read(&whole).unwrap());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            // Some bits are for other readers: what stands before the table, and one of each frame.
            assert!(read(&bytes).unwrap_or(true), "byte {at}");
            assert!(read(&whole[..at]).is_err(), "cut at {at}");
        }
    }
}
