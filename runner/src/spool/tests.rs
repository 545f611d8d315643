use std::sync::Mutex;

use pipelines::job::Outcome;
use pipelines::limits::LOG_BYTES_MAX;
use pipelines::log::{Voice, records};

use super::*;
use crate::report::Finish;
use crate::stop::Verdict;

/// A server's end of a log, with faults: each call takes the next one.
#[derive(Clone, Default)]
struct Server {
    stored: Arc<Mutex<Vec<u8>>>,
    faults: Arc<Mutex<Vec<Fault>>>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The call never arrives.
    Away,
    /// It is stored, but the answer is lost.
    AnswerLost,
    /// Only this many bytes are stored.
    Partial(usize),
    /// The server was restored and has forgotten this many bytes.
    Forgets(usize),
    /// The lease is gone.
    Stale,
}

impl Uplink for Server {
    async fn put(&self, offset: u64, bytes: Vec<u8>) -> Result<LogAck, CallError> {
        assert!(bytes.len() <= LOG_CHUNK_BYTES_MAX);
        let fault = self.faults.lock().unwrap().pop();
        let mut stored = self.stored.lock().unwrap();
        let mut keep = bytes.len();
        match fault {
            Some(Fault::Away) => return Err(CallError::Unreachable("away".into())),
            Some(Fault::Stale) => return Err(CallError::Stale("gone".into())),
            Some(Fault::Partial(bytes)) => keep = keep.min(bytes),
            Some(Fault::Forgets(bytes)) => {
                let left = stored.len().saturating_sub(bytes);
                stored.truncate(left);
            }
            Some(Fault::AnswerLost) | None => {}
        }
        let have = stored.len() as u64;
        if offset <= have {
            let known = usize::try_from(have - offset).unwrap();
            if known < keep {
                stored.extend_from_slice(&bytes[known..keep]);
            }
        }
        if let Some(Fault::AnswerLost) = fault {
            return Err(CallError::Unreachable("reset".into()));
        }
        Ok(LogAck {
            offset: stored.len() as u64,
        })
    }
}

async fn write_lines(server: &Server, stop: &Stop, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let log = open(&file, 0, server.clone(), stop.clone()).await.unwrap();
    for index in 0..count {
        log.note(1, &format!("line {index} {}", "x".repeat(300)))
            .await;
        if index % 500 == 0 {
            log.flush().await;
        }
    }
    log.flush().await;
}

fn seen(server: &Server) -> Vec<String> {
    let stored = server.stored.lock().unwrap();
    records(&stored)
        .map(|record| {
            let text = String::from_utf8(record.text.to_vec()).unwrap();
            text.trim_end_matches(['x', ' ']).to_owned()
        })
        .collect()
}

/// F19
#[tokio::test]
async fn every_line_arrives_once_whatever_the_server_does() {
    let server = Server::default();
    let faults = [
        Fault::Away,
        Fault::AnswerLost,
        Fault::Partial(7),
        Fault::Partial(0),
        Fault::Forgets(100_000),
        Fault::AnswerLost,
        Fault::Away,
        Fault::Forgets(1),
    ];
    server.faults.lock().unwrap().extend(faults);
    let stop = Stop::default();
    write_lines(&server, &stop, 6000).await;
    let expected: Vec<String> = (0..6000).map(|index| format!("line {index}")).collect();
    assert_eq!(seen(&server), expected);
    assert!(server.faults.lock().unwrap().is_empty());
    assert!(!stop.lost().is_cancelled());
}

#[tokio::test]
async fn a_stale_lease_ends_the_log_and_frees_its_writers() {
    let server = Server::default();
    server.faults.lock().unwrap().push(Fault::Stale);
    let stop = Stop::default();
    write_lines(&server, &stop, 3000).await;
    assert!(stop.lost().is_cancelled());
    assert!(seen(&server).is_empty());
}

/// F53
#[tokio::test]
async fn a_full_log_drops_output_says_so_and_keeps_notes() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("log")).unwrap();
    let written = LOG_BYTES_MAX - bound::NOTES_RESERVE - 10;
    let mut keeper = Keeper {
        file: Arc::new(file),
        reserve: PathBuf::from("none"),
        base: 0,
        written: watch::channel(Progress {
            written,
            hurry: false,
        })
        .0,
        acknowledged: watch::channel(0).1,
        full: false,
        dropped: None,
        broken: false,
        stop: Stop::default(),
    };
    let mut buffer = Vec::new();
    for (voice, line) in [
        (Voice::Out, "1 2 o more than ten bytes\n"),
        (Voice::Out, "1 2 o x\n"),
        (Voice::Note, "1 2 n exit code 3\n"),
    ] {
        keeper.take(&mut buffer, line.as_bytes(), voice);
    }
    keeper.tell_gap(&mut buffer);
    let texts: Vec<_> = records(&buffer)
        .map(|record| String::from_utf8_lossy(record.text).into_owned())
        .collect();
    let dropped = "the log is longer than 1024 MB: further output is dropped";
    assert_eq!(texts, [dropped, "exit code 3", "22 bytes dropped"]);
}

/// F53
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_ends_the_job_and_frees_its_writers() {
    let (server, stop) = (Server::default(), Stop::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let log = open(&file, 0, server.clone(), stop.clone()).await.unwrap();
    for index in 0..3000 {
        log.note(1, &format!("line {index}")).await;
    }
    log.flush().await;
    let Verdict::Finished(finish) = stop.verdict(Finish::stopped()) else {
        panic!("the job is not ended");
    };
    assert_eq!(finish.outcome, Outcome::InfrastructureError);
    let reason = finish.reason.unwrap();
    assert!(reason.starts_with("the runner's disk is full"), "{reason}");
    assert!(seen(&server).is_empty());
}

#[tokio::test]
async fn a_log_that_cannot_be_read_back_ends_the_job() {
    let (server, stop) = (Server::default(), Stop::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let log = open(&file, 0, server.clone(), stop.clone()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    log.note(1, "line").await;
    log.flush().await;
    assert!(stop.token().is_cancelled());
    assert!(!stop.lost().is_cancelled());
}

#[tokio::test]
async fn a_log_goes_on_where_a_killed_runner_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, server) = (folder.path().join("log"), Server::default());
    let whole = b"1 3 n pulled\n1 3 o one\n1 3 e first\n1 3 o two\n";
    // The server has the first two records; the last one was being written.
    server
        .stored
        .lock()
        .unwrap()
        .extend_from_slice(&whole[..23]);
    std::fs::write(&file, [&whole[..], b"1 3 o thr"].concat()).unwrap();
    let stop = Stop::default();
    let log = reopen(&file, (0, 23), server.clone(), stop).await.unwrap();
    let step = log.step(3);
    step.note_once("pulled").await;
    let (mut out, mut err) = (step.stream_again(Voice::Out), step.stream_again(Voice::Err));
    out.write(b"one\ntw").await;
    out.write(b"o\nthree\nfo").await;
    err.write(b"first\nsecond\n").await;
    out.write(b"ur").await;
    out.end().await;
    log.flush().await;
    let stored = server.stored.lock().unwrap().clone();
    let told: Vec<_> = records(&stored)
        .map(|record| record.text.to_vec())
        .collect();
    let expected = ["pulled", "one", "first", "two", "three", "second", "four"];
    assert_eq!(told, expected.map(|text| text.as_bytes().to_vec()));
}

#[tokio::test]
async fn a_log_that_is_shorter_than_the_servers_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, "1 3 o one\n").unwrap();
    let opened = reopen(&file, (0, 20), Server::default(), Stop::default()).await;
    let refused = opened.err().unwrap().to_string();
    assert!(refused.contains("does not meet the server's"), "{refused}");
}
