//! What a job of this runner has done, on disk: a runner that is killed and started again goes on
//! from here.
//!
//! Each line is written, and is on the disk, before what it says is acted on. It holds no secrets,
//! and nothing of the work itself: both are asked for again, by the key of the claim
//! ([`crate::claims`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pipelines::timestamp::Timestamp;
use pipelines::wire::{Assignment, LeaseProof};
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::keep::caches::Wanted;
use crate::logs::JobLog;
use crate::report::Finish;
use crate::stop::Stop;
use crate::{clock, spool};

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The job was taken. Its log on disk begins at `log_base`.
    Taken {
        lease: LeaseProof,
        at: Timestamp,
        log_base: u64,
    },
    /// The workspace is filled, and these caches are to be kept.
    Ready { caches: Vec<Wanted> },
    /// A step begins.
    Begun { step: u32, at: Timestamp },
    /// A step has ended.
    Ended {
        step: u32,
        finish: Finish,
        exit_code: Option<i64>,
        at: Timestamp,
    },
    /// The job has ended; the rest is telling it, and cleaning up.
    Finished(Finish),
}

/// What a former life of the runner has done of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Whose, since when, and where its log begins.
    pub(crate) taken: Option<(LeaseProof, Timestamp, u64)>,
    /// The caches to be kept, once the workspace is filled.
    pub(crate) ready: Option<Vec<Wanted>>,
    /// When steps began.
    pub(crate) begun: BTreeMap<u32, Timestamp>,
    /// How steps ended, with their exit codes.
    pub(crate) ended: BTreeMap<u32, (Finish, Option<i64>, Timestamp)>,
    /// How the job ended.
    pub(crate) finished: Option<Finish>,
}

impl Past {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Taken {
                lease,
                at,
                log_base,
            } => self.taken = Some((lease, at, log_base)),
            Entry::Ready { caches } => self.ready = Some(caches),
            Entry::Begun { step, at } => {
                self.begun.insert(step, at);
            }
            Entry::Ended {
                step,
                finish,
                exit_code,
                at,
            } => {
                self.ended.insert(step, (finish, exit_code, at));
            }
            Entry::Finished(finish) => self.finished = Some(finish),
        }
    }

    /// The whole lines of a journal, and their length: the last may be torn.
    fn read(bytes: &[u8]) -> (Self, usize) {
        let (mut past, mut length) = (Self::default(), 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.strip_suffix(b"\n");
            let Some(Ok(entry)) = whole.map(serde_json::from_slice) else {
                break;
            };
            past.add(entry);
            length += line.len();
        }
        (past, length)
    }
}

/// The journal of one job's attempt.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Mutex<File>,
    past: Past,
}

impl Journal {
    /// Opens the journal at `path`, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = File::options();
        let file = options.append(true).create(true).open(path)?;
        let (past, length) = Past::read(&std::fs::read(path)?);
        file.set_len(length as u64)?;
        if let Some(folder) = path.parent() {
            // The name, too, has to outlast the machine.
            File::open(folder)?.sync_all()?;
        }
        let file = Mutex::new(file);
        Ok(Self { file, past })
    }

    /// The journal in the folder of a job's attempt. What another lease has left there is removed.
    pub(crate) fn of(folder: &Path, assignment: &Assignment, desk: &Desk) -> std::io::Result<Self> {
        let path = folder.join("journal");
        std::fs::create_dir_all(folder)?;
        // The attempts of `seaworthy exec` all have the same names.
        if matches!(desk, Desk::Server(_)) {
            let journal = Self::open(&path)?;
            if (journal.past.taken).is_some_and(|(lease, ..)| lease == assignment.lease) {
                return Ok(journal);
            }
        }
        std::fs::remove_dir_all(folder)?;
        std::fs::create_dir_all(folder)?;
        let journal = Self::open(&path)?;
        journal.write(&Entry::Taken {
            lease: assignment.lease,
            at: clock::now(),
            log_base: assignment.log_offset,
        })?;
        tracing::trace!(target: "failpoint", "runner.taken");
        Ok(journal)
    }

    /// Opens the job's log, or goes on with it.
    pub(crate) async fn open_log(
        &self,
        folder: &Path,
        assignment: &Assignment,
        (desk, stop): (&Desk, &Stop),
    ) -> anyhow::Result<JobLog> {
        let (file, have) = (folder.join("log"), assignment.log_offset);
        match self.past.taken {
            Some((_, _, base)) if file.exists() => {
                spool::reopen(&file, (base, have), desk.clone(), stop.clone()).await
            }
            Some(_) | None => spool::open(&file, have, desk.clone(), stop.clone()).await,
        }
    }

    /// What was in it when it was opened.
    pub(crate) fn past(&self) -> &Past {
        &self.past
    }

    /// Adds a line, and waits until it is on the disk: some milliseconds, a few times a step.
    pub(crate) fn write(&self, entry: &Entry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // A torn line of a writer that panicked is told by the reader.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_back_without_its_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let first = Journal::open(&path).unwrap();
        assert_eq!(*first.past(), Past::default());
        let begun = |step| Entry::Begun {
            step,
            at: Timestamp(7),
        };
        first.write(&begun(1)).unwrap();
        first.write(&Entry::Finished(Finish::failed("no"))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"begun\":{\"st"].concat()).unwrap();
        let second = Journal::open(&path).unwrap();
        assert_eq!(second.past().finished, Some(Finish::failed("no")));
        second.write(&begun(2)).unwrap();
        let steps = Journal::open(&path).unwrap().past().begun.clone();
        assert_eq!(steps.into_keys().collect::<Vec<_>>(), [1, 2]);
    }
}
