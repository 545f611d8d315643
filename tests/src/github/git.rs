//! The real git, run on one bare repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Full ref name to object, of branches and tags.
pub(super) type Refs = BTreeMap<String, String>;

/// What git says where there is no object: before a creation, after a deletion.
pub(super) const ZERO: &str = "0000000000000000000000000000000000000000";

/// One bare repository on disk.
#[derive(Clone, Debug)]
pub(super) struct Git {
    dir: PathBuf,
}

/// One line of a listed tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) mode: String,
    pub(super) kind: String,
    pub(super) sha: String,
    pub(super) size: Option<u64>,
    pub(super) path: String,
}

/// A command that heeds no configuration but ours: not the developer's, not the machine's.
pub(super) fn clean_git() -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let settings = [
        ("safe.directory", "*"),
        ("http.receivepack", "true"),
        ("http.getanyfile", "false"),
        ("receive.hideRefs", "refs/pull"),
        ("uploadpack.allowFilter", "true"),
        ("uploadpack.allowAnySHA1InWant", "true"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
    ];
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (index, (key, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{index}"), key);
        command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    command
}

impl Git {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) async fn init(&self, default_branch: &str) -> Result<()> {
        let mut command = clean_git();
        command.args([
            "init",
            "--quiet",
            "--bare",
            "--initial-branch",
            default_branch,
        ]);
        finish(command.arg(&self.dir), "init", &[]).await?;
        Ok(())
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = clean_git();
        command.arg("--git-dir").arg(&self.dir).args(args);
        command
    }

    /// Runs git and gives what it printed; a failure is an error with its own words.
    pub(super) async fn run(&self, args: &[&str]) -> Result<Vec<u8>> {
        Ok(
            finish(&mut self.command(args), args.first().unwrap_or(&""), &[])
                .await?
                .stdout,
        )
    }

    pub(super) async fn feed(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        Ok(
            finish(&mut self.command(args), args.first().unwrap_or(&""), input)
                .await?
                .stdout,
        )
    }

    pub(super) async fn text(&self, args: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run(args).await?)
            .trim_end()
            .to_owned())
    }

    /// Whether git answers yes: exit 0 is yes, 1 is no.
    pub(super) async fn asks(&self, args: &[&str]) -> Result<bool> {
        let output = output(&mut self.command(args), &[]).await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => bail!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Branches and tags as they are now.
    pub(super) async fn refs(&self) -> Result<Refs> {
        let format = "--format=%(refname) %(objectname)";
        let text = self
            .text(&["for-each-ref", format, "refs/heads", "refs/tags"])
            .await?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .map(|(name, sha)| (name.to_owned(), sha.to_owned()))
            .collect())
    }

    /// The object git finds under an expression of our own making (never one of a caller's).
    pub(super) async fn object(&self, expression: &str) -> Option<String> {
        self.text(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            expression,
        ])
        .await
        .ok()
    }

    /// The commit a caller means by a sha, a branch, a tag, or a ref name. No other of git's
    /// expressions is taken (`main~1`, `@{upstream}`), as the API takes none.
    pub(super) async fn commit_of(&self, name: &str) -> Option<String> {
        let odd = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
        if name.is_empty() || name.starts_with('-') || name.contains(odd) {
            return None;
        }
        if name.contains("..") || name.contains("@{") {
            return None;
        }
        if name.len() >= 7
            && name.len() <= 40
            && name.chars().all(|c| c.is_ascii_hexdigit())
            && let Some(sha) = self.object(&format!("{name}^{{commit}}")).await
        {
            return Some(sha);
        }
        for prefix in ["refs/heads/", "refs/tags/", "refs/", ""] {
            if prefix.is_empty() && !name.starts_with("refs/") && name != "HEAD" {
                continue;
            }
            if let Some(sha) = self.object(&format!("{prefix}{name}^{{commit}}")).await {
                return Some(sha);
            }
        }
        None
    }

    pub(super) async fn branch(&self, name: &str) -> Option<String> {
        self.object(&format!("refs/heads/{name}^{{commit}}")).await
    }

    /// `commit`, `tree`, `blob`, `tag`; none if there is no such object.
    pub(super) async fn kind(&self, sha: &str) -> Option<String> {
        if !is_sha(sha) {
            return None;
        }
        self.text(&["cat-file", "-t", sha]).await.ok()
    }

    pub(super) async fn blob(&self, sha: &str) -> Result<Vec<u8>> {
        self.run(&["cat-file", "blob", sha]).await
    }

    /// The entries of a tree, with `args` such as `-r` or a path after `--`.
    pub(super) async fn list(&self, args: &[&str]) -> Result<Vec<Entry>> {
        let mut all = vec!["ls-tree", "-z", "-l", "--full-tree"];
        all.extend(args);
        let bytes = self.run(&all).await?;
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator('\0').map(parse_entry).collect()
    }

    pub(super) async fn is_ancestor(&self, old: &str, new: &str) -> Result<bool> {
        self.asks(&["merge-base", "--is-ancestor", old, new]).await
    }
}

fn parse_entry(line: &str) -> Result<Entry> {
    let (head, path) = line
        .split_once('\t')
        .context("ls-tree prints a tab before the path")?;
    let mut words = head.split_whitespace().map(str::to_owned);
    let mut word = || {
        words
            .next()
            .context("ls-tree prints mode, kind, sha and size")
    };
    Ok(Entry {
        mode: word()?,
        kind: word()?,
        sha: word()?,
        size: word()?.parse().ok(),
        path: path.to_owned(),
    })
}

/// Whether it is a full object name.
pub(super) fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

async fn output(command: &mut Command, input: &[u8]) -> Result<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run git")?;
    let mut stdin = child.stdin.take().context("the pipe was asked for")?;
    let write = async move {
        // Git may close its input early and say why on the other side; that is the better error.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output.context("cannot wait for git")
}

async fn finish(command: &mut Command, what: &str, input: &[u8]) -> Result<Output> {
    let output = output(command, input).await?;
    if !output.status.success() {
        bail!(
            "git {what}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output)
}
