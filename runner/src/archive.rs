//! Folders as tar streams: made while they are sent, never whole in memory, symlinks never followed.
//! And the other way: streams read on a thread of their own, while they come.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

pub mod cache;
mod shape;
mod sink;

pub use sink::{Sink, Sunk, hex};

/// Bytes of one piece of a stream.
const PIECE_BYTES: usize = 128 * 1024;
/// Pieces that wait for their reader.
const PIECES_MAX: usize = 4;

/// Which rights the entries of an archive get. Git knows one bit, "executable"; the rest of what a
/// checkout shows is the umask of this machine, which nobody should depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// As a fresh checkout usually has them: 755 and 644.
    Usual,
    /// Everybody may write: 777 and 666. Steps may run as any user, and without capabilities not
    /// even root may write to the files of another.
    Open,
}

/// An archive being written.
pub type Builder = tar::Builder<PieceWriter>;

/// Runs `write` on a thread of its own and gives its archive as a stream. An error of `write` ends
/// the stream with that error, so that a torn archive is never taken for a whole one.
pub fn stream<F>(write: F) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    F: FnOnce(&mut Builder) -> io::Result<()> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let writer = PieceWriter {
            sender: sender.clone(),
            piece: Vec::new(),
        };
        let mut builder = tar::Builder::new(writer);
        builder.follow_symlinks(false);
        let written = write(&mut builder)
            .and_then(|()| builder.into_inner())
            .and_then(|mut writer| writer.flush());
        if let Err(error) = written {
            // Whoever read may be gone: then nobody needs the error.
            let _ = sender.blocking_send(Err(error));
        }
    });
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// Gives a stream to `work`, on a thread of its own, and answers what that does. `work` need not read
/// to the end. When the call is dropped, its reader breaks off with an error.
pub async fn consume<T, F>(
    mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
    work: F,
) -> io::Result<T>
where
    F: FnOnce(PieceReader) -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let reader = PieceReader {
        receiver,
        piece: Bytes::new(),
        has_ended: false,
    };
    let worker = tokio::task::spawn_blocking(move || work(reader));
    while let Some(piece) = pieces.next().await {
        if sender.send(piece.map(Some)).await.is_err() {
            break;
        }
    }
    // Nobody reads any more: then nobody waits for the end.
    let _ = sender.send(Ok(None)).await;
    worker.await.map_err(io::Error::other)?
}

/// The reading end of a stream, for a thread that may wait.
pub struct PieceReader {
    receiver: mpsc::Receiver<io::Result<Option<Bytes>>>,
    piece: Bytes,
    has_ended: bool,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.has_ended {
            match self.receiver.blocking_recv() {
                Some(Ok(Some(piece))) => self.piece = piece,
                Some(Ok(None)) => self.has_ended = true,
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("stopped before its end")),
            }
        }
        let bytes = self.piece.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.piece.split_to(bytes));
        Ok(bytes)
    }
}

/// Appends a whole folder, itself first.
pub fn append_folder(builder: &mut Builder, folder: &Path, rights: Rights) -> io::Result<()> {
    append_tree(builder, folder, Path::new("."), rights)
}

/// Appends a file, or a folder with all that is in it, as `name`.
pub fn append_tree(
    builder: &mut Builder,
    root: &Path,
    name: &Path,
    rights: Rights,
) -> io::Result<()> {
    append(builder, root, name, rights)?;
    let mut stack = Vec::new();
    if std::fs::symlink_metadata(root)?.is_dir() {
        stack.push(PathBuf::new());
    }
    while let Some(relative) = stack.pop() {
        for entry in sorted_names(&root.join(&relative))? {
            let path = relative.join(entry);
            let absolute = root.join(&path);
            append(builder, &absolute, &name.join(&path), rights)?;
            if std::fs::symlink_metadata(&absolute)?.is_dir() {
                stack.push(path);
            }
        }
    }
    Ok(())
}

/// The names in a folder, sorted: the same tree gives the same archive.
pub fn sorted_names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let names: io::Result<Vec<_>> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

/// Appends one file, folder or symlink as `name`. Sockets, devices and pipes are left out.
pub fn append(builder: &mut Builder, path: &Path, name: &Path, rights: Rights) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    let executable = found.mode() & 0o111 != 0;
    let mode = match rights {
        Rights::Usual if executable => 0o755,
        Rights::Usual => 0o644,
        Rights::Open if executable => 0o777,
        Rights::Open => 0o666,
    };
    header.set_mode(mode);
    header.set_size(0);
    if found.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        builder.append_link(&mut header, name, std::fs::read_link(path)?)
    } else if found.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        builder.append_data(&mut header, name, io::empty())
    } else if found.is_file() {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(found.len());
        builder.append_data(&mut header, name, std::fs::File::open(path)?)
    } else {
        Ok(())
    }
}

/// The writing end of a stream: gathers small writes into pieces.
pub struct PieceWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the archive"))
    }
}
