//! A job's log between its process and the server: on disk, sent again until it is acknowledged.
//!
//! Two tasks share one file. [`keep`] takes records from the queue and appends them; [`ship`] sends
//! what the server does not have. An absent server therefore costs disk, never output, and a lost
//! or repeated call costs nothing: the server answers with the offset it wants next.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pipelines::limits::LOG_CHUNK_BYTES_MAX;
use pipelines::wire::LogAck;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::client::{CallError, retry};
use crate::desk::Desk;
use crate::logs::{Entry, JobLog};
use crate::stop::{Stop, StopCause};

mod bound;
mod known;

pub(crate) use known::Known;

/// How long output is gathered before it is sent: short enough to look live to a person.
const BATCH: Duration = Duration::from_millis(200);
/// Between two tries of what the disk refuses.
const DISK_RETRY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });
/// How often in a row the disk may refuse before the job is ended: some time to make room.
const DISK_TRIES: u32 = 20;
/// Bytes kept free for the last word of a log whose disk is full: what is missing.
const RESERVE: usize = 4096;

/// Where the log goes: the server, or a stand-in of it.
pub trait Uplink: Clone + Send + Sync + 'static {
    /// Offers the bytes that begin at `offset`; answers how much is stored.
    fn put(
        &self,
        offset: u64,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<LogAck, CallError>> + Send;
}

impl Uplink for Desk {
    async fn put(&self, offset: u64, bytes: Vec<u8>) -> Result<LogAck, CallError> {
        self.log(offset, bytes).await
    }
}

/// Opens the log of a job whose first `offset` bytes the server has already. It ends when all
/// writers are gone, or when `stop` says that the lease is lost; a refused call says so itself, and
/// a disk that keeps refusing ends the job.
pub async fn open(
    file: &Path,
    offset: u64,
    uplink: impl Uplink,
    stop: Stop,
) -> anyhow::Result<JobLog> {
    let create = tokio::fs::File::create(file).await;
    let created = create.with_context(|| format!("cannot write the log at {}", file.display()))?;
    let spool = Spool {
        base: offset,
        path: file.to_owned(),
    };
    let created = created.into_std().await;
    // A disk that is full already will say so when the log is written.
    let _ = tokio::fs::write(spool.reserve(), [b' '; RESERVE]).await;
    Ok(start(
        (created, spool),
        Known::default(),
        (offset, offset),
        uplink,
        stop,
    ))
}

/// Goes on with a log that a former life of the runner has begun at `base`, and of which the server
/// has `acknowledged` bytes.
pub async fn reopen(
    file: &Path,
    (base, acknowledged): (u64, u64),
    uplink: impl Uplink,
    stop: Stop,
) -> anyhow::Result<JobLog> {
    let path = file.to_owned();
    let read = move || {
        let file = File::options().read(true).write(true).open(path)?;
        let (known, length) = Known::read(&file)?;
        file.set_len(length)?;
        Ok((file, known, length))
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (opened, known, length) = read
        .map_err(std::io::Error::other)
        .flatten()
        .with_context(|| format!("cannot go on with the log at {}", file.display()))?;
    let end = base + length;
    anyhow::ensure!(
        (base..=end).contains(&acknowledged),
        "the runner was restarted, and its log on disk ({base} to {end}) does not meet the server's ({acknowledged})"
    );
    let spool = Spool {
        base,
        path: file.to_owned(),
    };
    Ok(start(
        (opened, spool),
        known,
        (end, acknowledged),
        uplink,
        stop,
    ))
}

fn start(
    (file, spool): (File, Spool),
    known: Known,
    (end, stored): (u64, u64),
    uplink: impl Uplink,
    stop: Stop,
) -> JobLog {
    let full = known.has_note_like(bound::FULL);
    let (log, entries) = JobLog::after(known);
    let (written, progress) = watch::channel(Progress {
        written: end,
        hurry: false,
    });
    let acknowledged = Arc::new(watch::channel(stored).0);
    let (base, reserve) = (spool.base, spool.reserve());
    tokio::spawn(ship(
        spool,
        progress,
        acknowledged.clone(),
        uplink,
        stop.clone(),
    ));
    let keeper = Keeper {
        file: Arc::new(file),
        reserve,
        base,
        written,
        acknowledged: acknowledged.subscribe(),
        full,
        dropped: None,
        broken: false,
        stop,
    };
    tokio::spawn(keeper.keep(entries));
    log
}

/// How much is in the file, counted from the log's beginning, and whether somebody waits for it.
#[derive(Debug, Clone, Copy)]
struct Progress {
    written: u64,
    hurry: bool,
}

#[derive(Debug, Clone)]
struct Spool {
    base: u64,
    path: PathBuf,
}

impl Spool {
    /// A file that is deleted to make room for the last word.
    fn reserve(&self) -> PathBuf {
        self.path.with_extension("reserve")
    }

    /// The bytes from `offset` on: at most one call's worth, and whole records where possible.
    async fn read(&self, offset: u64, end: u64) -> std::io::Result<Vec<u8>> {
        let length = (end - offset).min(LOG_CHUNK_BYTES_MAX as u64);
        let mut file = tokio::fs::File::open(&self.path).await?;
        let start = std::io::SeekFrom::Start(offset - self.base);
        file.seek(start).await?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(LOG_CHUNK_BYTES_MAX)];
        file.read_exact(&mut bytes).await?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(last + 1);
        }
        Ok(bytes)
    }
}

struct Keeper {
    /// Not tokio's: that one tells of a failed write at the next call, when part of it is lost.
    file: Arc<File>,
    reserve: PathBuf,
    base: u64,
    written: watch::Sender<Progress>,
    acknowledged: watch::Receiver<u64>,
    full: bool,
    /// How much of a full log was dropped since it was last told, and of which step.
    dropped: Option<(u32, u64)>,
    /// The disk was given up: what comes is dropped if it still refuses, so that nobody waits.
    broken: bool,
    stop: Stop,
}

impl Keeper {
    async fn keep(mut self, mut entries: mpsc::Receiver<Entry>) {
        let lost = self.stop.lost().clone();
        let mut batch = Vec::new();
        loop {
            let count = tokio::select! {
                count = entries.recv_many(&mut batch, 256) => count,
                () = lost.cancelled() => return,
            };
            if count == 0 {
                return;
            }
            let mut buffer = Vec::new();
            let mut flushes = Vec::new();
            for entry in batch.drain(..) {
                match entry {
                    Entry::Record { bytes, voice } => self.take(&mut buffer, &bytes, voice),
                    Entry::Flush(done) => {
                        if !self.broken {
                            self.tell_gap(&mut buffer);
                        }
                        flushes.push(done);
                    }
                }
            }
            tokio::select! {
                () = self.append(buffer) => {}
                () = lost.cancelled() => return,
            }
            if !flushes.is_empty() {
                self.flush(flushes, &lost).await;
            }
        }
    }

    /// Appends. While the disk refuses, the queue fills and the process waits; after
    /// [`DISK_TRIES`] the job is ended. From then on each batch has one try, behind word of what is
    /// missing.
    async fn append(&mut self, output: Vec<u8>) {
        let (dropped, mut buffer) = (self.dropped, Vec::new());
        if self.broken {
            self.tell_gap(&mut buffer);
        }
        buffer.extend_from_slice(&output);
        if buffer.is_empty() {
            return;
        }
        let bytes: Arc<[u8]> = buffer.into();
        let at = self.written.borrow().written - self.base;
        let mut tries = 1;
        while let Err(error) = self.write(at, bytes.clone()).await {
            if self.broken {
                self.dropped = dropped;
                self.lose(&output);
                return;
            }
            tracing::error!(%error, tries, "cannot write a log to disk: its job waits");
            if tries >= DISK_TRIES {
                self.broken = true;
                // Best effort: the reason of the job's end says it, too.
                let _ = tokio::fs::remove_file(&self.reserve).await;
                self.stop.ask(StopCause::Broken(cannot_write(&error)));
                self.lose(&output);
                return;
            }
            tries += 1;
            tokio::time::sleep(DISK_RETRY).await;
        }
        self.written
            .send_modify(|progress| progress.written += bytes.len() as u64);
    }

    /// Writes all of it at its place: whatever a failed try left there is written over.
    async fn write(&self, at: u64, bytes: Arc<[u8]>) -> std::io::Result<()> {
        let file = self.file.clone();
        let write = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, at));
        write.await.map_err(std::io::Error::other).flatten()
    }

    async fn flush(&mut self, waiting: Vec<oneshot::Sender<()>>, lost: &CancellationToken) {
        self.written.send_modify(|progress| progress.hurry = true);
        let written = self.written.borrow().written;
        tokio::select! {
            // An error means that the shipper has ended, which it does only when the log is lost.
            _ = self.acknowledged.wait_for(|offset| *offset >= written) => {}
            () = lost.cancelled() => {}
        }
        self.written.send_modify(|progress| progress.hurry = false);
        for done in waiting {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// Why the job ends, in words for whoever reads its result.
fn cannot_write(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "the runner's disk is full: it cannot keep this job's log. Make room under its state folder"
                .into()
        }
        _ => format!("the runner cannot write this job's log to its disk: {error}"),
    }
}

async fn ship(
    spool: Spool,
    mut progress: watch::Receiver<Progress>,
    acknowledged: Arc<watch::Sender<u64>>,
    uplink: impl Uplink,
    stop: Stop,
) {
    let lost = stop.lost();
    let mut offset = *acknowledged.borrow();
    let mut unread = 0;
    loop {
        let news = progress.wait_for(|progress| progress.written > offset);
        let ended = tokio::select! {
            news = news => news.is_err(),
            () = lost.cancelled() => true,
        };
        if ended {
            return;
        }
        gather(&mut progress, offset).await;
        let end = progress.borrow().written;
        let sent = match spool.read(offset, end).await {
            Ok(bytes) => {
                unread = 0;
                retry(lost, || uplink.put(offset, bytes.clone())).await
            }
            Err(error) => {
                tracing::error!(%error, path = %spool.path.display(), "cannot read a log back");
                unread += 1;
                if unread >= DISK_TRIES {
                    let text = format!("the runner cannot read this job's log back: {error}");
                    stop.ask(StopCause::Broken(text));
                    return;
                }
                tokio::time::sleep(DISK_RETRY).await;
                continue;
            }
        };
        match sent {
            Ok(ack) if (spool.base..=end).contains(&ack.offset) => {
                offset = ack.offset;
                acknowledged.send_replace(offset);
            }
            Ok(ack) => {
                tracing::error!(
                    offset = ack.offset,
                    from = spool.base,
                    to = end,
                    "the server wants a part of a log that is not here: the job is given up"
                );
                lost.cancel();
                return;
            }
            // The job ends, and without a log its result can be told all the same.
            Err(CallError::Refused {
                status: 507,
                message,
            }) => {
                tracing::error!(message, "a log cannot be kept: its job is ended");
                stop.ask(StopCause::Broken(message));
                return;
            }
            Err(error) => {
                if !lost.is_cancelled() {
                    tracing::warn!(%error, "a log was refused: the job is given up");
                    lost.cancel();
                }
                return;
            }
        }
    }
}

/// Waits for the batch to fill, unless somebody waits for it.
async fn gather(progress: &mut watch::Receiver<Progress>, offset: u64) {
    let full = |progress: &Progress| {
        progress.hurry || progress.written - offset >= LOG_CHUNK_BYTES_MAX as u64
    };
    // Either end of this wait, the time or an ended writer, means: send now.
    let _ = tokio::time::timeout(BATCH, progress.wait_for(full)).await;
}

#[cfg(test)]
mod tests;
