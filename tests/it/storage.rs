//! The server's storage under callers that leave, disks that fill and disks that fail.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use tests::api::Run;
use tests::caller::Caller;
use tests::campaign::scale;
use tests::program::Program;
use tests::require;
use tests::runners::RunnerOptions;
use tests::volume::Volume;
use tests::world::{WEBHOOK_SECRET, World};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::files::{FILE, job, steps};

const SOON: Duration = Duration::from_secs(30);
/// The exit code of a server whose disk failed.
const DISK_FAILED: i32 = 5;
/// The exit code of a program that does not use this storage.
const STORAGE_REFUSED: i32 = 4;

/// Sends the first `bytes` of a request, all of it if there are fewer, and hangs up after `patience`.
async fn leave_after(
    world: &World,
    request: &[u8],
    bytes: usize,
    patience: Duration,
) -> Result<()> {
    let address = world.api.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(&request[..bytes.min(request.len())])
        .await?;
    // How a caller is late is what this is about: no condition could be waited for.
    tokio::time::timeout(patience, stream.readable()).await.ok();
    Ok(())
}

/// A request as it goes over the wire.
fn raw(path: &str, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let mut text = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// F46
#[tokio::test]
async fn callers_that_hang_up_at_any_moment_leave_nothing_half_done() -> Result<()> {
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let file = steps(&["echo hello", "echo again"])?;
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    world
        .run_when("acme/shop", &sha, "is queued", |run| run.state == "queued")
        .await?;
    let token = world.admin(&["token", "add", "hasty"]).await?;
    let token = token.lines().last().context("no token was printed")?;
    let bearer = (
        "Authorization".to_owned(),
        format!("Bearer {}", token.trim()),
    );
    let rerun = raw("/api/v1/repos/acme/shop/runs/1/rerun", &[bearer], "");
    for round in 0..scale(10, 400) {
        let pings = (0..20_usize).map(|number| {
            let body = format!("{{\"zen\":\"{round} {number}\"}}");
            let headers = world
                .github
                .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
            raw("/webhooks/github", &headers, &body)
        });
        let calls = pings.chain((0..5).map(|_| rerun.clone())).enumerate();
        let hasty = calls.map(async |(number, request)| {
            // Every fifth is cut before its end, the others are left between at once and 4 ms.
            let part = if number % 5 == 0 {
                request.len() - 1
            } else {
                request.len()
            };
            let patience = Duration::from_micros(200 * (number as u64 % 20));
            leave_after(&world, &request, part, patience).await
        });
        join_all(hasty).await.into_iter().collect::<Result<()>>()?;
    }
    let (status, body) = world.api.get("/readyz").await?;
    ensure!(status == 200, "the writer is stuck: {body}");
    let history = world.history().await?;
    world
        .eventually("every delivery to be handled", SOON, async || {
            let open = "select count(*) from deliveries where state = 'stored'";
            ensure!(history.number(open).await? == 0);
            Ok(())
        })
        .await?;
    let half = "select count(*) from runs where id not in (select run_id from jobs) \
                or id not in (select run_id from events where kind = 'run.event')";
    assert_eq!(
        history.number(half).await?,
        0,
        "a run without its jobs or its beginning"
    );
    let numbers = "select max(number) - count(*) from runs";
    assert_eq!(
        history.number(numbers).await?,
        0,
        "a number was taken and its run is not there"
    );
    Ok(())
}

/// Webhooks until one is not stored: what is answered, and how many were stored before.
async fn pings_until_refused(world: &World) -> Result<(u16, String, i64)> {
    for stored in 0..1000 {
        // A large one: in the room that the database has already, small ones still fit.
        let body = format!(
            "{{\"zen\":\"{stored}\",\"more\":\"{}\"}}",
            "x".repeat(200_000)
        );
        let headers = world
            .github
            .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
        let answer = world.github.send_raw(&headers, body).await?;
        if answer.status != 202 {
            return Ok((answer.status, answer.body, stored));
        }
    }
    anyhow::bail!("the disk is never full")
}

/// F37
#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() -> Result<()> {
    let _turn = require!(Disks);
    let disk = Volume::new(64)?;
    let folder = World::folder()?;
    disk.link(&folder.path().join("data"))?;
    let world = World::start_in(folder, &[]).await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let jobs = scale(4, 20);
    let jobs = (0..jobs).map(|number| {
        job(
            &format!("j{number}"),
            "",
            &["echo begin", "sleep 4", "echo end"],
        )
    });
    let file = format!(
        "on: {{ push: {{}} }}\njobs:\n{}",
        jobs.collect::<Result<String>>()?
    );
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let begun = |run: &Run| run.jobs.iter().any(|job| job.state == "running");
    let run = world.run_when("acme/shop", &sha, "works", begun).await?;

    disk.fill()?;
    let (status, words, stored) = pings_until_refused(&world).await?;
    assert_eq!(status, 503);
    assert!(
        words.contains("could not be stored") && words.contains("free space"),
        "{words}"
    );
    assert_eq!(world.api.get("/").await?.0, 200);
    assert_eq!(world.api.get("/repos/acme/shop/runs/1").await?.0, 200);
    world
        .eventually("the runner to hold a result", SOON, async || {
            ensure!(world.tail().contains("trying again"));
            ensure!(world.api.get("/readyz").await?.0 == 503);
            Ok(())
        })
        .await?;

    disk.empty()?;
    world
        .eventually("writes to be taken again", SOON, async || {
            ensure!(world.api.get("/readyz").await?.0 == 200);
            Ok(())
        })
        .await?;
    let run = world.run_of("acme/shop", &run.commit).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    for job in &run.jobs {
        let log = world.api.log("acme/shop", run.number, &job.name).await?;
        let said: Vec<&str> = log
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        let said = said.iter().filter(|word| ["begin", "end"].contains(word));
        assert_eq!(said.collect::<Vec<_>>(), [&"begin", &"end"], "{log}");
    }
    let pings = "select count(*) from deliveries where event = 'ping'";
    assert_eq!(world.history().await?.number(pings).await?, stored);
    Ok(())
}

/// F38
#[tokio::test]
async fn a_full_disk_for_logs_ends_the_jobs_that_talk_and_nothing_else() -> Result<()> {
    let _turn = require!(Disks);
    let disk = Volume::new(16)?;
    let folder = World::folder()?;
    std::fs::create_dir(folder.path().join("data"))?;
    disk.link(&folder.path().join("data/logs"))?;
    disk.fill()?;
    let world = World::start_in(folder, &[]).await?;
    let repository = world.repository("acme/shop").await?;
    let _runner = world
        .runner_with("r1", &[], RunnerOptions::scripted())
        .await?;
    let begun = job("short", "", &["echo hello"])? + &job("long", "", &["echo hello", "sleep 60"])?;
    let begun = format!("on: {{ push: {{}} }}\njobs:\n{begun}");
    let sha = repository
        .commit("main", "Begin", &[(FILE, &begun)])
        .await?;
    let run = world.run_of("acme/shop", &sha).await?;
    let ends =
        ["short", "long"].map(|name| run.job(name).map(|job| (job.state.as_str(), job.why())));
    let [short, long] = ends;
    let ((short, why), (long, reason)) = (short?, long?);
    // What has come to its end keeps its result.
    assert_eq!(
        (short, long),
        ("passed", "infrastructure_error"),
        "{}",
        run.summary()
    );
    let full = "the server's disk for logs is full";
    assert!(
        why.contains(full) && reason.contains(full),
        "{}",
        run.summary()
    );
    // With room, the next one is as ever.
    disk.empty()?;
    let sha = repository
        .commit("main", "Again", &[(FILE, &steps(&["echo hello"])?)])
        .await?;
    let run = world.run_of("acme/shop", &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    Ok(())
}

/// F43
#[tokio::test]
async fn a_read_only_disk_is_refused_with_a_sentence() -> Result<()> {
    let _turn = require!(Disks);
    let disk = Volume::new(16)?;
    let folder = World::folder()?;
    disk.link(&folder.path().join("data"))?;
    let world = World::start_in(folder, &[]).await?;
    world.stop_server().await?;
    disk.read_only()?;
    let mut second = world.second_server()?;
    assert_eq!(second.exit(SOON).await?.code(), Some(STORAGE_REFUSED));
    let said = second.output();
    assert!(
        said.to_lowercase().contains("read-only file system"),
        "{said}"
    );
    Ok(())
}

/// Makes every `fsync` of a process fail from now on, for as long as this lives.
async fn failing_disk(pid: u32, log: &Path) -> Result<Program> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &pid.to_string(), "-e", "trace=fsync,fdatasync"]);
    strace.args(["-e", "inject=fsync,fdatasync:error=EIO"]);
    let mut strace = Program::start("strace", &mut strace, log)?;
    strace.says("attached", SOON).await?;
    Ok(strace)
}

/// F40, for what is in the database.
#[tokio::test]
async fn a_disk_that_fails_ends_the_server_and_nothing_acknowledged_is_lost() -> Result<()> {
    let _turn = require!(Disks);
    let world = World::start().await?;
    let ping = async |number: usize| {
        let body = format!("{{\"zen\":\"{number}\"}}");
        let headers = world
            .github
            .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
        world.github.send_raw(&headers, body).await
    };
    assert_eq!(ping(1).await?.status, 202);
    let _strace = failing_disk(world.server_pid().await?, &world.dir().join("strace")).await?;
    // It may be gone before it can answer; what it may not do is to accept.
    if let Ok(answer) = ping(2).await {
        assert_eq!(answer.status, 503, "{}", answer.body);
    }
    assert_eq!(world.server_ended(SOON).await?.code(), Some(DISK_FAILED));
    world.start_server().await?;
    assert_eq!(ping(3).await?.status, 202);
    let (first, third) = (
        "select count(*) from deliveries where cast(body as text) like '%\"1\"%'",
        "select count(*) from deliveries where cast(body as text) like '%\"3\"%'",
    );
    let history = world.history().await?;
    assert_eq!(
        (history.number(first).await?, history.number(third).await?),
        (1, 1)
    );
    Ok(())
}

/// F40, for what is in a log.
#[tokio::test]
async fn a_disk_that_fails_under_a_log_ends_the_server_and_the_log_is_sent_again() -> Result<()> {
    let _turn = require!(Disks);
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    let file = steps(&["true"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let job = caller.claim().await?;
    let record = |text: &str| format!("1 0 o {text}\n").into_bytes();
    caller.log(&job, 0, record("one")).await?;
    let length = record("one").len() as u64;
    let _strace = failing_disk(world.server_pid().await?, &world.dir().join("strace")).await?;
    assert!(caller.log(&job, length, record("two")).await.is_err());
    assert_eq!(world.server_ended(SOON).await?.code(), Some(DISK_FAILED));
    world.start_server().await?;
    caller.log(&job, length, record("two")).await?;
    let log = world.api.log("acme/shop", 1, "work").await?;
    assert_eq!(
        (log.matches("one").count(), log.matches("two").count()),
        (1, 1),
        "{log}"
    );
    Ok(())
}

/// F45
#[tokio::test]
async fn many_writers_and_a_long_reader_wait_for_nobody() -> Result<()> {
    let world = World::start().await?;
    let log = world.data().join("seaworthy.db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |file| file.len());
    let reader = world.history().await?.snapshot().await?;
    let until = Instant::now() + Duration::from_secs(scale(3, 60));
    let writers = (0..64_usize).map(async |writer| {
        let mut slowest = Duration::ZERO;
        let mut count = 0_usize;
        while Instant::now() < until {
            let body = format!("{{\"zen\":\"{writer} {count}\"}}");
            let headers = world
                .github
                .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
            let began = Instant::now();
            let answer = world.github.send_raw(&headers, body).await?;
            slowest = slowest.max(began.elapsed());
            ensure!(answer.status == 202, "{}: {}", answer.status, answer.body);
            count += 1;
        }
        Ok((count, slowest))
    });
    let done = join_all(writers)
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let stored: usize = done.iter().map(|(count, _)| count).sum();
    let slowest = done.iter().map(|(_, slowest)| *slowest).max();
    let largest = size();
    println!("{stored} stored, the slowest in {slowest:?}, {largest} bytes of WAL");
    ensure!(
        largest <= 256 * 1024 * 1024,
        "the log of writes has {largest} bytes"
    );
    reader.end().await?;
    let pings = "select count(*) from deliveries where event = 'ping'";
    assert_eq!(
        world.history().await?.number(pings).await?,
        i64::try_from(stored)?
    );
    world
        .eventually("the log of writes to shrink", SOON, async || {
            // It is a writer that begins it anew.
            world.admin(&["login"]).await?;
            ensure!(size() <= 16 * 1024 * 1024, "{} bytes", size());
            Ok(())
        })
        .await
}
