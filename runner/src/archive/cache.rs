//! Caches: tar, packed with zstd. Packed here from what the engine gives, checked here before
//! anything of one goes back to an engine; nothing is ever unpacked on this machine.
//!
//! The format is narrower than tar: GNU headers, long names in GNU's way, no extended headers. So
//! there is one size and one name for each entry, and nothing that two readers could read
//! differently. Owners and rights are kept, but for set-user-id and the like.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use pipelines::limits::{
    ARCHIVE_PATH_BYTES_MAX, CACHE_BYTES_MAX, CACHE_RATIO_FREE_BYTES, CACHE_RATIO_MAX,
    CACHE_UNPACKED_BYTES_MAX,
};
use tar::EntryType;

use super::shape::{Kind, Shape};
use super::{Sink, Sunk};

/// How hard zstd tries: its own default.
const LEVEL: i32 = 3;

/// What is in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its files, folders and links.
    pub entries: u64,
    /// Its size, unpacked, in bytes.
    pub bytes: u64,
}

/// A cache being packed.
pub struct Packer {
    builder: tar::Builder<zstd::Encoder<'static, Sink>>,
    shape: Shape,
    bytes: u64,
    left_out: Option<String>,
}

/// A cache that was packed.
#[derive(Debug)]
pub struct Packed {
    /// The file it is in.
    pub file: Sunk,
    /// What is in it.
    pub content: Content,
    /// The first thing that was not kept, and why.
    pub left_out: Option<String>,
}

impl Packer {
    /// Begins a cache of these absolute paths in a new file.
    pub fn create(file: &Path, roots: &[String]) -> io::Result<Self> {
        let sink = Sink::create(file, CACHE_BYTES_MAX)?;
        let encoder = zstd::Encoder::new(sink, LEVEL)?;
        Ok(Self {
            builder: tar::Builder::new(encoder),
            shape: Shape::new(roots),
            bytes: 0,
            left_out: None,
        })
    }

    /// Adds the files of one of its paths, as an engine gives them: named from its last part on.
    pub fn add(&mut self, files: impl Read, root: &str) -> io::Result<()> {
        let mut archive = tar::Archive::new(files);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = renamed(&entry.path_bytes(), root);
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let kind = match entry.header().entry_type() {
                EntryType::Directory => Kind::Folder,
                EntryType::Regular | EntryType::Continuous => Kind::File,
                EntryType::Symlink => Kind::Symlink(target),
                EntryType::Link => Kind::Hardlink(renamed(&target, root)),
                // Pipes, sockets, devices: they mean nothing to another container.
                _ => continue,
            };
            if let Err(why) = self.shape.admit(&path, &kind) {
                match kind {
                    Kind::Symlink(_) | Kind::Hardlink(_) => self.left_out.get_or_insert(why),
                    Kind::Folder | Kind::File => return Err(io::Error::other(why)),
                };
                continue;
            }
            self.bytes += entry.size();
            if self.bytes > CACHE_UNPACKED_BYTES_MAX {
                let text = format!("it is larger than {} GiB", CACHE_UNPACKED_BYTES_MAX >> 30);
                return Err(io::Error::other(text));
            }
            let header = header(entry.header())?;
            append(&mut self.builder, header, (&path, &kind), &mut entry)?;
        }
        Ok(())
    }

    /// The cache is whole.
    pub fn finish(self) -> io::Result<Packed> {
        let file = self.builder.into_inner()?.finish()?.finish()?;
        let content = Content {
            entries: self.shape.entries(),
            bytes: self.bytes,
        };
        if is_bomb(content.bytes, file.bytes) {
            let text = format!("it would become more than {CACHE_RATIO_MAX} times its size");
            return Err(io::Error::other(text));
        }
        Ok(Packed {
            file,
            content,
            left_out: self.left_out,
        })
    }
}

/// Reads a packed cache of `bytes` bytes to its end and refuses it at the first thing that is not as
/// it should be.
pub fn check(packed: impl Read, bytes: u64, roots: &[String]) -> io::Result<Content> {
    copy(packed, bytes, roots, &mut tar::Builder::new(io::sink()))
}

/// Like [`check`]; what has passed is written to `to` on the way, as an archive made anew.
pub fn copy<W: Write>(
    packed: impl Read,
    bytes: u64,
    roots: &[String],
    to: &mut tar::Builder<W>,
) -> io::Result<Content> {
    let unpacked = Bounded {
        inner: zstd::Decoder::new(packed)?,
        packed: bytes,
        bytes: 0,
    };
    let mut archive = tar::Archive::new(unpacked);
    let mut shape = Shape::new(roots);
    let (mut long_name, mut long_target) = (None, None);
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        if entry.header().as_gnu().is_none() {
            return refused("a header is not one of ours");
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName if long_name.is_none() => {
                long_name = Some(long(&mut entry)?);
                continue;
            }
            EntryType::GNULongLink if long_target.is_none() => {
                long_target = Some(long(&mut entry)?);
                continue;
            }
            _ => {}
        }
        let path = match long_name.take() {
            Some(path) => path,
            None => entry.header().path_bytes().into_owned(),
        };
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        let short = || entry.header().link_name_bytes().unwrap_or_default();
        let target = long_target.take().unwrap_or_else(|| short().into_owned());
        let kind = match kind {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular => Kind::File,
            EntryType::Symlink => Kind::Symlink(target),
            EntryType::Link => Kind::Hardlink(target),
            EntryType::XHeader | EntryType::XGlobalHeader => {
                return refused("it has an extended header, which could contradict the plain one");
            }
            // Devices, pipes, and whatever else there is.
            _ => return refused("it has something that is no file, folder or link"),
        };
        if kind != Kind::File && entry.header().entry_size()? != 0 {
            return refused("it has a folder or link with content");
        }
        shape.admit(path, &kind).or_else(refused)?;
        let header = header(entry.header())?;
        append(to, header, (path, &kind), &mut entry)?;
    }
    let bytes = end(archive.into_inner())?;
    Ok(Content {
        entries: shape.entries(),
        bytes,
    })
}

/// A name that is too long for a header.
fn long(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    entry
        .take(ARCHIVE_PATH_BYTES_MAX + 2)
        .read_to_end(&mut name)?;
    if name.pop() != Some(0) || name.len() as u64 > ARCHIVE_PATH_BYTES_MAX {
        return refused("a path is too long");
    }
    Ok(name)
}

/// Reads on behind the last entry: only the padding may be there. Answers the size of it all.
fn end(mut rest: Bounded<impl Read>) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(rest.bytes),
            bytes if buffer[..bytes].iter().any(|byte| *byte != 0) => {
                return refused("something follows its end");
            }
            _ => {}
        }
    }
}

fn refused<T>(why: impl Into<String>) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, why.into()))
}

/// What is kept of a header.
fn header(of: &tar::Header) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(of.entry_type());
    header.set_uid(of.uid()?);
    header.set_gid(of.gid()?);
    header.set_mode(of.mode()? & 0o777);
    header.set_mtime(of.mtime()?);
    Ok(header)
}

fn append<W: Write>(
    to: &mut tar::Builder<W>,
    mut header: tar::Header,
    (path, kind): (&[u8], &Kind),
    entry: &mut tar::Entry<'_, impl Read>,
) -> io::Result<()> {
    let path = Path::new(OsStr::from_bytes(path));
    match kind {
        Kind::Folder => {
            header.set_size(0);
            to.append_data(&mut header, path, io::empty())
        }
        Kind::File => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(entry.size());
            to.append_data(&mut header, path, entry)
        }
        Kind::Symlink(target) | Kind::Hardlink(target) => {
            header.set_size(0);
            to.append_link(&mut header, path, OsStr::from_bytes(target))
        }
    }
}

/// A name as an engine gives it, as the whole path without the first `/`.
fn renamed(name: &[u8], root: &str) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let rest = name.iter().position(|byte| *byte == b'/');
    let rest = rest.map_or(&b""[..], |at| &name[at..]);
    [root.trim_start_matches('/').as_bytes(), rest].concat()
}

fn is_bomb(bytes: u64, packed: u64) -> bool {
    bytes > CACHE_RATIO_FREE_BYTES && bytes / CACHE_RATIO_MAX > packed
}

/// What comes out of an archive, up to the bounds.
struct Bounded<R> {
    inner: R,
    packed: u64,
    bytes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        if self.bytes > CACHE_UNPACKED_BYTES_MAX || is_bomb(self.bytes, self.packed) {
            return refused("it becomes too large");
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
