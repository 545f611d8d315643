//! What is acknowledged is on the disk by then: the system calls of the server say so.
//!
//! This shows the order of `fsync` and answer. It does not show what a disk does that lies about
//! having written: for that one would have to take the power away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::caller::Caller;
use tests::program::{Program, signal};
use tests::require;
use tests::world::{WEBHOOK_SECRET, World};
use tokio::process::Command;

use crate::files::{FILE, steps};

const SOON: Duration = Duration::from_secs(30);

/// Notes the writes of a server while it lives.
struct Trace {
    strace: Program,
    file: PathBuf,
}

impl Trace {
    async fn of(world: &World) -> Result<Self> {
        let file = world.dir().join("calls");
        let pid = world.server_pid().await?.to_string();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-y", "-s", "40", "-p", &pid, "-o"])
            .arg(&file);
        command.args(["-e", "trace=pwrite64,write,writev,sendto,fsync,fdatasync"]);
        let log = world.dir().join("strace");
        let mut strace = Program::start("strace", &mut command, &log)?;
        strace.says("attached", SOON).await?;
        Ok(Self { strace, file })
    }

    /// All that was noted.
    async fn end(mut self) -> Result<String> {
        let pid = self.strace.pid().context("strace runs")?;
        signal("INT", pid)?;
        self.strace.exit(SOON).await?;
        Ok(String::from_utf8_lossy(&std::fs::read(&self.file)?).into_owned())
    }
}

/// Whether everything that was written to a file whose name ends so was synced, and the sync had
/// ended, before this answer was given.
fn is_durable_before(calls: &str, file: &str, answer: &str) -> Result<bool> {
    let place = format!("{file}>");
    let (mut written, mut synced) = (None, None);
    let mut syncing = Vec::new();
    for (at, line) in calls.lines().enumerate() {
        let (thread, call) = line.split_once(' ').context("a thread and its call")?;
        let call = call.trim_start();
        let is_sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        let is_here = call.contains(&place);
        if call.contains(answer) {
            return Ok(written.is_some() && synced > written);
        } else if is_sync && is_here && call.contains("unfinished") {
            syncing.push(thread);
        } else if is_sync && is_here && call.ends_with("= 0") {
            synced = Some(at);
        } else if call.contains("sync resumed") && syncing.contains(&thread) {
            ensure!(call.ends_with("= 0"), "{line}");
            syncing.retain(|other| *other != thread);
            synced = Some(at);
        } else if is_here {
            written = Some(at);
        }
    }
    anyhow::bail!("`{answer}` was never said in:\n{calls}")
}

/// P1, F41 as far as it goes.
#[tokio::test]
async fn a_webhook_is_on_the_disk_before_it_is_accepted() -> Result<()> {
    let _turn = require!(Disks);
    let world = World::start().await?;
    let trace = Trace::of(&world).await?;
    let body = "{\"zen\":\"1\"}";
    let headers = world
        .github
        .signed_headers("ping", body.as_bytes(), WEBHOOK_SECRET);
    assert_eq!(world.github.send_raw(&headers, body).await?.status, 202);
    let calls = trace.end().await?;
    let is_durable = is_durable_before(&calls, "seaworthy.db-wal", "HTTP/1.1 202")?;
    assert!(is_durable, "{calls}");
    Ok(())
}

/// F41 as far as it goes.
#[tokio::test]
async fn a_log_is_on_the_disk_before_it_is_acknowledged() -> Result<()> {
    let _turn = require!(Disks);
    let world = World::start().await?;
    let repository = world.repository("acme/shop").await?;
    let caller = Caller::register(&world, "r1").await?;
    let file = steps(&["true"])?;
    repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let job = caller.claim().await?;
    let trace = Trace::of(&world).await?;
    caller.log(&job, 0, b"1 0 o hello\n".to_vec()).await?;
    let calls = trace.end().await?;
    let name = Path::new("logs/0").join(format!("{}.1.log", job.job));
    let is_durable = is_durable_before(&calls, &name.to_string_lossy(), "HTTP/1.1 200")?;
    assert!(is_durable, "{calls}");
    Ok(())
}
