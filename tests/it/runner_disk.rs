//! A runner whose disk is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use tests::require;
use tests::world::World;

use crate::files::{FILE, steps};

/// A small disk of a story's own. It is gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let size = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "seaworthy-test"]);
        ensure!(mount.arg(folder).status()?.success(), "mount {folder:?}");
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still hold it.
        let umount = Command::new("umount").arg("-l").arg(&self.0).status();
        drop(umount);
    }
}

/// F53: a log that does not fit, while the server is there.
#[tokio::test]
async fn a_full_disk_of_a_runner_fails_that_step_alone_and_the_log_says_what_is_missing()
-> Result<()> {
    let _turn = require!(Docker);
    let world = World::start().await?;
    let _disk = SmallDisk::at(&world.dir().join("runner-r1/state"), "8m")?;
    let name = world.name("full");
    let repository = world.repository(&name).await?;
    let mut runner = world.runner("r1", &[]).await?;
    let much = "echo first words\nyes 'a line of output as good as any other' | head -c 20000000";
    let file = steps(&[much])?;
    let sha = repository.commit("main", "Much", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "infrastructure_error", "{}", run.summary());
    let why = run.job("work")?.why().to_owned();
    assert!(why.starts_with("the runner's disk is full"), "{why}");
    let log = world.api.log(&name, run.number, "work").await?;
    let last: Vec<&str> = log.lines().rev().take(5).collect();
    assert!(
        last.iter().any(|line| line.ends_with("bytes dropped")),
        "{last:#?}"
    );
    assert!(log.contains("first words"));
    assert!(runner.program().ended().is_none(), "the runner lives");
    let file = steps(&["echo little"])?;
    let sha = repository
        .commit("main", "Little", &[(FILE, &file)])
        .await?;
    let run = world.run_of(&name, &sha).await?;
    assert_eq!(run.state, "passed", "{}", run.summary());
    Ok(())
}
