//! The server or a runner is killed at every place that has a name, and nothing is lost or doubled.
//!
//! The names are read from the sources (`target: "failpoint"`). A place that another story names is
//! that story's; every other one must be come to here, or the story fails.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::campaign::{scale, sources};
use tests::github::Repository;
use tests::history::History;
use tests::runners::{Runner, RunnerOptions};
use tests::world::World;
use tests::{program, require};

use crate::files::{FILE, job, steps};

const SOON: Duration = Duration::from_secs(60);
/// Whoever was killed is away for a while, and no lease should run out meanwhile. What the webhooks of
/// that while told is found by looking.
const SETTINGS: [(&str, &str); 2] = [("SEAWORTHY_LEASE", "20"), ("SEAWORTHY_GITHUB_POLL", "1")];
/// How many lines a run's log has.
const LINES: u32 = 20;
/// Each place is killed at the first time it is come to, the second …, until it is not come to so often.
fn times() -> usize {
    scale(1, 5)
}

/// What is done so that a place is come to, beside a push and a run.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Nothing,
    /// No webhook tells of the push.
    Whisper,
    /// The run is cancelled in its midst.
    Cancel,
    /// The server is asked to end in the midst of the run.
    Drain,
    /// The runner goes away in the midst of the run, for good.
    LoseRunner,
    /// What has ended is an hour older at the start: its logs are packed.
    Age,
}

/// An hour is more than a log stays as it was written.
const AGE: &str = "update attempts set started_at = started_at - 3600000, \
                   finished_at = finished_at - 3600000; \
                   update steps set started_at = started_at - 3600000, \
                   finished_at = finished_at - 3600000";

fn deed(place: &str) -> Deed {
    match place {
        "reconcile.found" => Deed::Whisper,
        "run.cancelled" => Deed::Cancel,
        "drain.begun" => Deed::Drain,
        "lease.lost" => Deed::LoseRunner,
        "log.packed" | "log.replaced" => Deed::Age,
        _ => Deed::Nothing,
    }
}

/// Where a program of this member can be killed and no other story does it.
fn places(member: &str) -> Result<Vec<String>> {
    let mut stories = sources("tests/it")?;
    stories.remove("tests/it/kills.rs");
    let is_elsewhere = |name: &String| {
        let (once, often) = (format!("\"{name}\""), format!("\"{name}:"));
        let mut texts = stories.values();
        texts.any(|text| text.contains(&once) || text.contains(&often))
    };
    let mut found = Vec::new();
    for text in sources(&format!("{member}/src"))?.values() {
        let names = text.split("target: \"failpoint\", \"").skip(1);
        found.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found.retain(|name| !is_elsewhere(name));
    found.sort();
    found.dedup();
    ensure!(!found.is_empty(), "{member} has no place with a name");
    Ok(found)
}

fn file() -> Result<String> {
    let talk = format!(
        "echo nonce >> nonces\nn=1\nwhile [ $n -le {LINES} ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.05; done"
    );
    steps(&[&talk, "echo nonces: $(wc -l < nonces)"])
}

/// What is pushed so that somebody is killed over it.
struct Victim<'a> {
    world: &'a World,
    repository: Repository,
    name: String,
}

impl<'a> Victim<'a> {
    async fn new(world: &'a World) -> Result<Self> {
        let name = world.name("kills");
        let repository = world.repository(&name).await?;
        Ok(Self {
            world,
            repository,
            name,
        })
    }

    /// Gives the commit.
    async fn push(&self, title: &str, deed: Deed) -> Result<String> {
        let file = file()?;
        let files = [(FILE, file.as_str()), ("title", title)];
        match deed {
            Deed::Whisper => self.repository.commit_silently("main", title, &files).await,
            Deed::Nothing | Deed::Cancel | Deed::Drain | Deed::LoseRunner | Deed::Age => {
                self.repository.commit("main", title, &files).await
            }
        }
    }

    async fn number(&self, sha: &str) -> Result<u64> {
        let runs = self.world.api.runs(&self.name).await?;
        let run = runs.iter().find(|run| run.commit == sha);
        Ok(run.context("no run yet")?.number)
    }

    /// Waits until its first step is at work, and gives the run's number.
    async fn is_talking(&self, sha: &str) -> Result<u64> {
        let talks = self.world.eventually("the step to talk", SOON, async || {
            let number = self.number(sha).await?;
            let log = self.world.api.log(&self.name, number, "work").await?;
            ensure!(log.contains("line 3."), "it is:\n{log}");
            Ok(number)
        });
        talks.await
    }

    /// Fails while anything of it is still to be done.
    async fn is_over(&self, sha: &str) -> Result<()> {
        self.number(sha).await?;
        let undone = self.world.undone().await?;
        ensure!(undone.is_empty(), "{undone:?}");
        Ok(())
    }

    /// Fails unless it has ended as it should, its log whole and its step started once.
    async fn is_unharmed(&self, sha: &str, place: &str) -> Result<()> {
        let run = self.world.run_of(&self.name, sha).await?;
        let (end, least) = match deed(place) {
            Deed::Nothing | Deed::Whisper | Deed::Drain | Deed::Age => ("passed", LINES),
            Deed::Cancel => ("cancelled", 3),
            Deed::LoseRunner => ("infrastructure_error", 3),
        };
        ensure!(run.state == end, "{}\n{}", run.summary(), self.world.tail());
        ensure!(run.job("work")?.attempt == 1, "it was repeated");
        let log = self.world.api.log(&self.name, run.number, "work").await?;
        let numbers = numbers(&log);
        let last = numbers.last().copied().unwrap_or(0).max(least);
        ensure!(
            numbers == (1..=last).collect::<Vec<_>>(),
            "its lines:\n{log}"
        );
        ensure!(
            end != "passed" || log.contains("nonces: 1"),
            "started once:\n{log}"
        );
        Ok(())
    }

    /// Pushes, and does what brings the server to the place; whether it was killed there.
    async fn kill_server(&self, runner: &mut Runner, (place, nth): (&str, usize)) -> Result<bool> {
        let (world, deed) = (self.world, deed(place));
        let failpoint = format!("{place}:{nth}");
        let mut settings = vec![("SEAWORTHY_FAILPOINT", failpoint.as_str())];
        match deed {
            // Long enough for a busy machine to be heard within it.
            Deed::LoseRunner => settings.push(("SEAWORTHY_LEASE", "8")),
            Deed::Nothing | Deed::Whisper | Deed::Cancel | Deed::Drain | Deed::Age => {}
        }
        let before = deaths(world, place)?;
        world.stop_server().await?;
        if deed == Deed::Age {
            History::change(&world.data(), AGE).await?;
        }
        // It may be killed before it is ready.
        if let Err(error) = world.start_server_with(&settings).await {
            ensure!(deaths(world, place)? > before, "{error:#}");
            world.start_server().await?;
        }
        let sha = self.push(&failpoint, deed).await?;
        match deed {
            Deed::Nothing | Deed::Whisper | Deed::Age => {}
            Deed::Cancel => {
                let number = self.is_talking(&sha).await?;
                let path = format!("/api/v1/repos/{}/runs/{number}/cancel", self.name);
                // There is no answer when the server dies of it.
                drop(world.api.post(&path, &serde_json::json!({})).await);
            }
            Deed::Drain => {
                self.is_talking(&sha).await?;
                program::signal("TERM", world.server_pid().await?)?;
            }
            Deed::LoseRunner => {
                self.is_talking(&sha).await?;
                runner.kill().await?;
            }
        }
        let end = world.eventually(&failpoint, SOON, async || {
            if world.server_ended(Duration::ZERO).await.is_ok() {
                return Ok(true);
            }
            self.is_over(&sha).await.map(|()| false)
        });
        if end.await? {
            world.start_server().await?;
        }
        if deed == Deed::LoseRunner {
            runner.restart()?;
        }
        self.is_unharmed(&sha, place).await.context(failpoint)?;
        Ok(deaths(world, place)? > before)
    }

    /// The same of the runner.
    async fn kill_runner(&self, runner: &mut Runner, (place, nth): (&str, usize)) -> Result<bool> {
        let failpoint = format!("{place}:{nth}");
        runner.stop().await?;
        runner.restart_with(&[("SEAWORTHY_FAILPOINT", &failpoint)])?;
        let sha = self.push(&failpoint, Deed::Nothing).await?;
        let end = self.world.eventually(&failpoint, SOON, async || {
            if runner.program().ended().is_some() {
                return Ok(true);
            }
            self.is_over(&sha).await.map(|()| false)
        });
        let is_killed = end.await?;
        if is_killed {
            runner.restart()?;
        }
        self.is_unharmed(&sha, place).await.context(failpoint)?;
        Ok(is_killed)
    }
}

/// The numbers of the lines of a log, as they stand there.
fn numbers(log: &str) -> Vec<u32> {
    let lines = log.lines().filter_map(|line| line.rsplit_once("line "));
    let numbers = lines.filter_map(|(_, number)| number.strip_suffix('.')?.parse().ok());
    numbers.collect()
}

/// How often the server has been killed there.
fn deaths(world: &World, place: &str) -> Result<usize> {
    let log = std::fs::read_to_string(world.dir().join("server.log"))?;
    let words = format!("killed at {place}");
    Ok(log.lines().filter(|line| line.ends_with(&words)).count())
}

/// F42, F7, F17
#[tokio::test]
async fn a_server_killed_at_any_named_place_loses_and_doubles_nothing() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start_with(&SETTINGS).await?;
    let victim = Victim::new(&world).await?;
    let mut runner = world.runner("r1", &[]).await?;
    for place in places("server")? {
        for nth in 1..=times() {
            if !victim.kill_server(&mut runner, (&place, nth)).await? {
                ensure!(nth > 1, "nothing comes to {place}");
                break;
            }
        }
    }
    world.check_invariants().await
}

/// F42, F14
#[tokio::test]
async fn a_runner_killed_at_any_named_place_loses_and_doubles_nothing() -> Result<()> {
    let _turn = require!(Docker);
    let world = World::start_with(&SETTINGS).await?;
    let victim = Victim::new(&world).await?;
    let mut runner = world.runner("r1", &[]).await?;
    for place in places("runner")? {
        for nth in 1..=times() {
            if !victim.kill_runner(&mut runner, (&place, nth)).await? {
                ensure!(nth > 1, "nothing comes to {place}");
                break;
            }
        }
    }
    world.check_invariants().await
}

/// F42, F17: wherever it happens to be.
#[tokio::test]
async fn a_server_killed_again_and_again_in_a_run_of_ten_jobs_keeps_every_line() -> Result<()> {
    const JOBS: usize = 10;
    let _turn = require!(Docker);
    let world = World::start_with(&SETTINGS).await?;
    let name = world.name("again");
    let repository = world.repository(&name).await?;
    let options = RunnerOptions {
        arguments: ["--slots", "4"].map(str::to_owned).to_vec(),
        ..RunnerOptions::default()
    };
    let _runner = world.runner_with("r1", &[], options).await?;
    let lines = scale(40, 200);
    let talk = format!(
        "n=1\nwhile [ $n -le {lines} ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.05; done"
    );
    let jobs = (0..JOBS).map(|number| job(&format!("job-{number}"), "", &[&talk]));
    let file = format!("on: push\njobs:\n{}", jobs.collect::<Result<String>>()?);
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let mut stored = 0;
    for kill in 0..scale(4, 20) {
        // Some way further in what is stored: another place each time, and never twice the same.
        let wanted = stored + 200 + kill * 7919 % 1000;
        let grows = world.eventually("the logs to grow", SOON, async || {
            let now = bytes_below(&world.data().join("logs"))?;
            ensure!(now >= wanted, "{now} bytes of {wanted}");
            Ok(now)
        });
        stored = grows.await?;
        world.kill_server().await?;
        world.start_server().await?;
    }
    let run = world.run_of(&name, &sha).await?;
    ensure!(run.state == "passed", "{}", run.summary());
    for job in &run.jobs {
        ensure!(job.attempt == 1, "{} was repeated", job.name);
        let log = world.api.log(&name, run.number, &job.name).await?;
        ensure!(
            numbers(&log) == (1..=lines).collect::<Vec<_>>(),
            "{}:\n{log}",
            job.name
        );
    }
    world.check_invariants().await
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        sum += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(sum)
}
