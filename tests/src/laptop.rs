//! A developer's machine: a working tree, and the real `seaworthy` run in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::engines::busybox;
use crate::program::{Program, output, seaworthy, without_proxy};

/// A working tree of a repository of its own, and a cache that is nobody else's.
#[derive(Debug)]
pub struct Laptop {
    folder: tempfile::TempDir,
    /// `owner/name`, which labels everything on the engine.
    pub repository: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Done {
    /// The output without what differs from run to run: times, and the width of columns.
    pub fn story(&self) -> String {
        let mut lines = Vec::new();
        for line in self.out.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            lines.push(without_times(&words).join(" "));
        }
        lines.join("\n")
    }
}

/// Leaves out `0.4 s` and `3 min 07 s`.
fn without_times<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let is_unit = |word: &str| matches!(word.trim_end_matches([':', ',']), "s" | "min");
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let is_time = is_number(word) && words.get(at + 1).is_some_and(|unit| is_unit(unit));
        if is_time {
            at += 2;
        } else {
            kept.push(*word);
            at += 1;
        }
    }
    kept
}

impl Laptop {
    /// A tree with these files, committed to a branch `main`. In their texts `BUSYBOX` becomes the
    /// one image there is.
    pub async fn with(files: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let id = folder.path().file_name().unwrap_or_default();
        let id = id.to_string_lossy().trim_start_matches('.').to_lowercase();
        let laptop = Self {
            folder,
            repository: format!("laptop/{id}"),
        };
        std::fs::create_dir_all(laptop.tree())?;
        for (name, text) in files {
            laptop.write(name, text)?;
        }
        laptop
            .git(&["init", "--quiet", "--initial-branch=main"])
            .await?;
        laptop.git(&["add", "."]).await?;
        laptop.git(&["commit", "--quiet", "-m", "First"]).await?;
        let address = format!("https://forge.example/{}.git", laptop.repository);
        laptop.git(&["remote", "add", "origin", &address]).await?;
        Ok(laptop)
    }

    /// The root of the tree.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// A folder beside the tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the tree.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.tree().join(name);
        std::fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
        let image = busybox().unwrap_or_else(|_| "busybox".to_owned());
        std::fs::write(file, text.replace("BUSYBOX", &image))?;
        Ok(())
    }

    /// Runs git in the tree.
    pub async fn git(&self, args: &[&str]) -> Result<String> {
        let me = ["-c", "user.name=dev", "-c", "user.email=dev@example.com"];
        let mut command = Command::new("git");
        output(command.args(me).args(args).current_dir(self.tree())).await
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(seaworthy()?);
        without_proxy(&mut command);
        command
            .args(args)
            .env("SEAWORTHY_EXEC_DIR", self.beside("cache"))
            .env("NO_COLOR", "1")
            .current_dir(self.tree());
        Ok(command)
    }

    /// Runs `seaworthy` in the tree, to its end.
    pub async fn run(&self, args: &[&str]) -> Result<Done> {
        self.run_with(args, &[]).await
    }

    /// The same with more variables.
    pub async fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Done> {
        let mut command = self.command(args)?;
        command.envs(env.iter().copied()).stdin(Stdio::null());
        let done = command.kill_on_drop(true).output();
        let done = tokio::time::timeout(Duration::from_secs(300), done).await;
        let done = done.context("seaworthy is not done after five minutes")??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Done {
            code: done.status.code(),
            out: text(&done.stdout),
            err: text(&done.stderr),
        })
    }

    /// The same, which must end with this code.
    pub async fn expect(&self, code: i32, args: &[&str]) -> Result<Done> {
        let done = self.run(args).await?;
        ensure!(
            done.code == Some(code),
            "{args:?} ended with {:?}, not {code}:\n{}{}",
            done.code,
            done.out,
            done.err
        );
        Ok(done)
    }

    /// Starts `seaworthy` in the tree.
    pub fn start(&self, args: &[&str]) -> Result<Program> {
        let log = self.beside("output");
        Program::start("seaworthy exec", &mut self.command(args)?, &log)
    }

    /// The folders that runs have left beside their caches.
    pub fn left(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.beside("cache").join("runs"));
        let runs = runs.into_iter().flatten().flatten();
        runs.map(|entry| entry.path()).collect()
    }
}

/// The pipeline files of the repository's examples.
pub fn examples(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
