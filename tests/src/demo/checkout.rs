//! The developer's side: a working tree, commits and `git push`.

use std::path::PathBuf;

use anyhow::Result;
use tokio::process::Command;

use super::{PRODUCTION, Place, REPOSITORY, STAGING};
use crate::engines;
use crate::github::DEVELOPER_TOKEN;
use crate::program;
use crate::registry::Registry;
use crate::sample::{Sample, VERSION};

/// A clone of the sample repository.
pub(super) struct Checkout {
    dir: PathBuf,
}

/// The address with which a developer clones and pushes.
pub(super) fn address(github: &str) -> String {
    let host = github.trim_start_matches("http://");
    format!("http://ada:{DEVELOPER_TOKEN}@{host}/{REPOSITORY}.git")
}

impl Checkout {
    /// Clones the empty repository and writes the sample into it.
    pub(super) async fn new(place: &Place, github: &str) -> Result<Self> {
        let checkout = Self {
            dir: place.path("shop"),
        };
        std::fs::create_dir_all(&checkout.dir)?;
        checkout
            .git(&["init", "--quiet", "--initial-branch=main"])
            .await?;
        checkout
            .git(&["remote", "add", "origin", &address(github)])
            .await?;
        let registry = Registry::of_the_tests()?;
        let image = format!("{}/{REPOSITORY}", registry.address());
        let sample = Sample::new().at(&engines::busybox()?, &image, STAGING, PRODUCTION);
        for (path, text) in sample.files() {
            let path = checkout.dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&checkout.dir))?;
            std::fs::write(path, text)?;
        }
        Ok(checkout)
    }

    /// Pushes what is there.
    pub(super) async fn push_first(&self) -> Result<String> {
        self.push("Open the shop").await
    }

    /// Changes what the service answers, and pushes that.
    pub(super) async fn push_version(&self, version: &str) -> Result<String> {
        std::fs::write(self.dir.join(VERSION), format!("{version}\n"))?;
        self.push(&format!("Serve {version}")).await
    }

    async fn push(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message])
            .await?;
        let sha = self.git(&["rev-parse", "HEAD"]).await?.trim().to_owned();
        println!(
            "  $ git commit -m '{message}' && git push   # {}",
            &sha[..7]
        );
        self.git(&["push", "--quiet", "origin", "main"]).await?;
        Ok(sha)
    }

    async fn git(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir).args(words);
        program::without_proxy(&mut command);
        // Nothing of this user's own configuration: no signing, no hooks, no helper that asks.
        command.envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ]);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ada");
            command.env(format!("GIT_{role}_EMAIL"), "ada@example.com");
        }
        program::output(&mut command).await
    }
}
