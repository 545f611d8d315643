//! Artifacts and test reports: files of the workspace that match patterns, kept on the server.
//!
//! The workspace is read once, from the engine, as far as the patterns reach. Each file that is
//! meant is written to this machine's disk, hashed, sent, and removed.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pipelines::junit::{self, TestReport};
use pipelines::limits::{ARTIFACT_BYTES_MAX, ARTIFACTS_MAX, JUNIT_BYTES_MAX};
use pipelines::pattern::{InvalidPattern, Patterns};
use pipelines::wire::ArtifactKind;
use tokio::sync::mpsc;

use super::{Keeper, paths, patiently, words};
use crate::archive::{self, Sink, Sunk};
use crate::client::{CallError, KeptFile};
use crate::engine::Engine;
use crate::engine::docker::WORKSPACE;
use crate::logs::StepLog;
use crate::report::Finish;

/// Which files of a workspace are meant.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    patterns: Patterns,
    starts: Vec<String>,
}

impl Wish {
    /// What these patterns mean; one that means a folder means what is in it.
    pub(super) fn of(texts: &[String]) -> Result<Self, InvalidPattern> {
        let mut patterns = Patterns::default();
        let mut starts = Vec::new();
        for text in texts {
            let text = text.trim_end_matches('/');
            patterns.add(text)?;
            if text != "!**" && text != "**" && !text.ends_with("/**") {
                patterns.add(&format!("{text}/**"))?;
            }
            if !text.starts_with('!') {
                let parts: Vec<&str> = text.split('/').collect();
                let plain = parts.iter().take_while(|part| !part.contains('*'));
                starts.push(plain.copied().collect::<Vec<_>>().join("/"));
            }
        }
        if patterns.matches_nothing() || starts.iter().any(String::is_empty) {
            starts = vec![String::new()];
        }
        starts.sort();
        Ok(Self {
            patterns,
            starts: paths::outermost(starts),
        })
    }

    /// Where to look: paths within which everything is that can be meant.
    pub(super) fn starts(&self) -> impl Iterator<Item = &str> {
        self.starts.iter().map(String::as_str)
    }

    /// Whether a file is meant. What belongs to git is so only by its name.
    pub(super) fn means(&self, path: &str) -> bool {
        let is_git = path == ".git" || path.starts_with(".git/");
        let is_named = || self.starts.iter().any(|start| start.starts_with(".git"));
        (!is_git || is_named()) && self.patterns.matches(path)
    }
}

/// A file that is meant, on this machine's disk.
struct Found {
    path: String,
    is_artifact: bool,
    is_report: bool,
    file: PathBuf,
    sunk: Sunk,
}

/// What is looked for, and where it is put.
struct Search {
    artifacts: Option<Wish>,
    reports: Option<Wish>,
    folder: PathBuf,
    found: mpsc::Sender<Found>,
    count: usize,
}

/// Why a search ends early, and whose fault it is.
enum Broken {
    Work(String),
    Ours(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Ours(error)
    }
}

/// Keeps the files that are meant; answers what the reports say, if there are any.
pub(super) async fn keep<E: Engine>(
    keeper: &Keeper<'_, E>,
    log: &StepLog,
) -> Result<Option<TestReport>, Finish> {
    let wish = |patterns: &[String]| match patterns.is_empty() {
        true => Ok(None),
        false => Wish::of(patterns).map(Some),
    };
    let (artifacts, reports) = (wish(&keeper.work.artifacts), wish(&keeper.work.junit));
    let invalid = |error: InvalidPattern| Finish::failed(error.to_string());
    let (artifacts, reports) = (artifacts.map_err(invalid)?, reports.map_err(invalid)?);
    let both = artifacts.iter().chain(&reports);
    let mut starts: Vec<String> = both.flat_map(Wish::starts).map(str::to_owned).collect();
    starts.sort();
    let starts = match starts.first().is_some_and(String::is_empty) {
        true => vec![String::new()],
        false => paths::outermost(starts),
    };
    let (sender, receiver) = mpsc::channel(1);
    let search = Search {
        artifacts,
        reports,
        folder: keeper.job.folder.join("kept"),
        found: sender,
        count: 0,
    };
    let folder = search.folder.clone();
    let made = tokio::fs::create_dir_all(&folder).await;
    made.map_err(|error| Finish::infrastructure(format!("cannot make a folder: {error}")))?;
    let mut tests = TestReport::default();
    let sent = send(keeper, receiver, &mut tests);
    let (searched, sent) = tokio::join!(find(keeper, search, starts), sent);
    // It goes with the job's folder in any case.
    let _ = tokio::fs::remove_dir_all(&folder).await;
    let counts = sent?;
    searched?;
    tell(keeper, log, (&counts, &tests)).await;
    Ok((counts.reports > 0).then(|| keeper.tell(tests)))
}

/// Goes through the files of the workspace. Ends early when nobody takes what is found.
async fn find<E: Engine>(
    keeper: &Keeper<'_, E>,
    mut search: Search,
    starts: Vec<String>,
) -> Result<(), Finish> {
    for start in starts {
        let path = match start.as_str() {
            "" => WORKSPACE.to_owned(),
            start => format!("{WORKSPACE}/{start}"),
        };
        let Some(files) = keeper.engine.read_files(keeper.key, &path).await? else {
            continue;
        };
        let go = move |reader| {
            let gone = search.through(reader, &start);
            Ok((search, gone))
        };
        let (back, gone) = archive::consume(files, go).await.map_err(unread)?;
        search = back;
        match gone {
            Ok(()) => {}
            Err(Broken::Work(text)) => return Err(Finish::failed(text)),
            Err(Broken::Ours(error)) => return Err(unread(error)),
        }
    }
    Ok(())
}

fn unread(error: io::Error) -> Finish {
    Finish::infrastructure(format!("cannot read the files of the job: {error}"))
}

impl Search {
    /// Goes through an archive whose names begin with the last part of `start`.
    fn through(&mut self, files: impl Read, start: &str) -> Result<(), Broken> {
        let mut archive = tar::Archive::new(files);
        for entry in archive.entries()? {
            let entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path_bytes();
            // A name that is no text cannot be meant.
            let Some(path) = std::str::from_utf8(&name)
                .ok()
                .map(|name| whole(name, start))
            else {
                continue;
            };
            drop(name);
            let means = |wish: &Option<Wish>| wish.as_ref().is_some_and(|wish| wish.means(&path));
            let (is_artifact, is_report) = (means(&self.artifacts), means(&self.reports));
            if !is_artifact && !is_report {
                continue;
            }
            self.count += 1;
            if self.count > ARTIFACTS_MAX {
                let text = format!("more than {ARTIFACTS_MAX} files are to be kept: pack them");
                return Err(Broken::Work(text));
            }
            let file = self.folder.join(self.count.to_string());
            let sunk = sink(entry, &file).map_err(|error| match error.kind() {
                io::ErrorKind::FileTooLarge => {
                    Broken::Work(format!("`{path}` is not kept: {error}"))
                }
                // The disk, or the stream from the engine.
                _ => Broken::Ours(error),
            })?;
            let found = Found {
                path,
                is_artifact,
                is_report,
                file,
                sunk,
            };
            if self.found.blocking_send(found).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn sink(mut from: impl Read, file: &Path) -> io::Result<Sunk> {
    let mut sink = Sink::create(file, ARTIFACT_BYTES_MAX)?;
    io::copy(&mut from, &mut sink)?;
    sink.finish()
}

/// The path within the workspace of an entry whose name begins with the last part of `start`.
fn whole(name: &str, start: &str) -> String {
    let rest = name.split_once('/').map_or("", |(_, rest)| rest);
    match (start, rest) {
        ("", rest) => rest.to_owned(),
        (start, "") => start.to_owned(),
        (start, rest) => format!("{start}/{rest}"),
    }
}

/// What was kept.
#[derive(Default)]
struct Counts {
    artifacts: usize,
    reports: usize,
    bytes: u64,
}

/// Sends what is found, one after the other.
async fn send<E: Engine>(
    keeper: &Keeper<'_, E>,
    mut receiver: mpsc::Receiver<Found>,
    tests: &mut TestReport,
) -> Result<Counts, Finish> {
    let mut counts = Counts::default();
    while let Some(found) = receiver.recv().await {
        if found.is_report {
            counts.reports += 1;
            read(&found, tests).await;
            upload(keeper, &found, ArtifactKind::Junit).await?;
        }
        if found.is_artifact {
            counts.artifacts += 1;
            counts.bytes += found.sunk.bytes;
            upload(keeper, &found, ArtifactKind::Artifact).await?;
        }
        // It goes with the job's folder in any case.
        let _ = tokio::fs::remove_file(&found.file).await;
    }
    Ok(counts)
}

async fn upload<E: Engine>(
    keeper: &Keeper<'_, E>,
    found: &Found,
    kind: ArtifactKind,
) -> Result<(), Finish> {
    let job = keeper.job;
    let kept = KeptFile {
        path: found.path.clone(),
        kind,
        digest: found.sunk.digest.clone(),
    };
    let name = &job.assignment.name;
    let sent = patiently(job, || job.desk.keep_artifact(name, &kept, &found.file)).await;
    sent.map_err(|error| {
        let text = format!("`{}` cannot be kept: {error}", found.path);
        match error {
            CallError::Refused {
                status: 400..=499, ..
            } => Finish::failed(text),
            CallError::Refused { .. }
            | CallError::Stale(_)
            | CallError::Unauthorized(_)
            | CallError::Upgrade(_)
            | CallError::Unreachable(_) => Finish::infrastructure(text),
        }
    })
}

/// Adds what a report says, or why it says nothing.
async fn read(found: &Found, tests: &mut TestReport) {
    let (file, bytes) = (found.file.clone(), found.sunk.bytes);
    let parse = move || {
        if bytes > JUNIT_BYTES_MAX {
            return Err(format!("it is larger than {} MiB", JUNIT_BYTES_MAX >> 20));
        }
        let content = std::fs::read(file).map_err(|error| error.to_string())?;
        junit::parse(&content).map_err(|error| error.to_string())
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    match parsed.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(report) => tests.add(report),
        Err(why) => tests
            .problems
            .push(format!("`{}` is not read: {why}", found.path)),
    }
}

async fn tell<E>(keeper: &Keeper<'_, E>, log: &StepLog, (counts, tests): (&Counts, &TestReport)) {
    let work = keeper.work;
    let none = |what: &str, patterns: &[String]| {
        format!("no {what}: no file matches {}", patterns.join(", "))
    };
    if !work.artifacts.is_empty() {
        let text = match counts.artifacts {
            0 => none("artifacts", &work.artifacts),
            1 => format!("kept 1 artifact, {}", words::size(counts.bytes)),
            many => format!("kept {many} artifacts, {}", words::size(counts.bytes)),
        };
        log.note(&text).await;
    }
    if !work.junit.is_empty() {
        let text = match counts.reports {
            0 => none("test reports", &work.junit),
            reports => format!(
                "tests: {} passed, {} failed, {} skipped, in {reports} reports",
                tests.passed, tests.failed, tests.skipped
            ),
        };
        log.note(&text).await;
    }
    for problem in &tests.problems {
        log.note(problem).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(patterns: &[&str]) -> (Vec<String>, Vec<&'static str>) {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        let wish = Wish::of(&patterns).unwrap();
        let files = [
            "a.txt",
            "dist/app.js",
            "dist/tmp/x",
            "dist2/y",
            ".git/config",
        ];
        let files = files.into_iter().filter(|file| wish.means(file));
        (wish.starts().map(str::to_owned).collect(), files.collect())
    }

    #[test]
    fn a_folder_means_what_is_in_it() {
        for patterns in [&["dist"], &["dist/"], &["dist/**"]] {
            let expected = (vec!["dist".to_owned()], vec!["dist/app.js", "dist/tmp/x"]);
            assert_eq!(meant(patterns), expected);
        }
    }

    #[test]
    fn what_is_excluded_is_so_with_all_that_is_in_it() {
        let expected = (vec!["dist".to_owned()], vec!["dist/app.js"]);
        assert_eq!(meant(&["dist/*", "!dist/tmp"]), expected);
    }

    #[test]
    fn what_belongs_to_git_is_meant_only_by_its_name() {
        let all = vec!["a.txt", "dist/app.js", "dist/tmp/x", "dist2/y"];
        assert_eq!(meant(&["**"]), (vec![String::new()], all));
        let named = (vec![".git".to_owned()], vec![".git/config"]);
        assert_eq!(meant(&[".git/*"]), named);
    }
}
