//! A server and its runners, as processes of this very program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::forge::Forge;

/// How long any single step of the bench may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server with its data folder, and the runners started beside it.
pub(super) struct Installation {
    folder: PathBuf,
    server: Child,
    address: String,
    api_token: String,
    client: reqwest::Client,
    runners: Vec<Child>,
    runners_added: usize,
    secret: String,
}

impl Installation {
    /// Starts a server that knows `forge` as GitHub.
    pub(super) async fn start(forge: &Forge) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("seaworthy-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let secret = "bench-secret".to_owned();
        std::fs::write(folder.join("secret"), &secret)?;
        std::fs::write(folder.join("key.pem"), forge.private_key_pem())?;
        let mut server = program()?
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .env("SEAWORTHY_GITHUB_API_URL", forge.api_url())
            .env("SEAWORTHY_GITHUB_WEB_URL", forge.web_url())
            .env("SEAWORTHY_GITHUB_APP_ID", "1")
            .env("SEAWORTHY_GITHUB_PRIVATE_KEY_FILE", folder.join("key.pem"))
            .env(
                "SEAWORTHY_GITHUB_WEBHOOK_SECRET_FILE",
                folder.join("secret"),
            )
            .env("RUST_LOG", "warn")
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let address = listening(&mut server).await?;
        let api_token = admin(&folder, &["token", "add", "bench"]).await?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self {
            folder,
            server,
            address,
            api_token,
            client,
            runners: Vec::new(),
            runners_added: 0,
            secret,
        })
    }

    /// Starts a runner with `slots` slots and `engine`, and waits until the server knows it.
    pub(super) async fn start_runner(&mut self, engine: &str, slots: u32) -> anyhow::Result<()> {
        let name = format!("bench-{}", self.runners_added);
        self.runners_added += 1;
        let token = admin(&self.folder, &["runner", "add", &name]).await?;
        let token_file = self.folder.join(format!("{name}.token"));
        std::fs::write(&token_file, token)?;
        let runner = program()?
            .args(["runner", "--server", &self.address, "--engine", engine])
            .args(["--slots", &slots.to_string(), "--token-file"])
            .arg(token_file)
            .arg("--state")
            .arg(self.folder.join(&name))
            .env("RUST_LOG", "warn")
            .spawn()
            .context("cannot start the runner")?;
        self.runners.push(runner);
        Ok(())
    }

    /// Stops the runners.
    pub(super) async fn stop_runners(&mut self) {
        for mut runner in self.runners.drain(..) {
            let _ = runner.kill().await;
        }
    }

    /// Stops everything and deletes the data.
    pub(super) async fn stop(mut self) {
        self.stop_runners().await;
        let _ = self.server.kill().await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Sends a signed webhook; how long until it was acknowledged.
    pub(super) async fn hook(&self, event: &str, body: &Value) -> anyhow::Result<Duration> {
        let body = body.to_string();
        let request = self
            .client
            .post(format!("{}/webhooks/github", self.address))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", super::forge::random_id())
            .header(
                "x-hub-signature-256",
                super::forge::signature(&self.secret, body.as_bytes()),
            )
            .body(body);
        let began = Instant::now();
        let answer = request.send().await?;
        let took = began.elapsed();
        ensure!(
            answer.status().as_u16() == 202,
            "the webhook was answered with {}",
            answer.status()
        );
        Ok(took)
    }

    /// A page of the API; null if there is no such page yet.
    pub(super) async fn api(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1{path}", self.address);
        let answer = self
            .client
            .get(&url)
            .bearer_auth(&self.api_token)
            .send()
            .await?;
        let status = answer.status();
        if status.as_u16() == 404 {
            return Ok(Value::Null);
        }
        ensure!(status.is_success(), "{url} was answered with {status}");
        Ok(answer.json().await?)
    }

    /// Waits until `ready` finds what it looks for in a page of the API.
    pub(super) async fn eventually<T>(
        &self,
        path: &str,
        ready: impl Fn(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            let page = self.api(path).await?;
            if let Some(found) = ready(&page) {
                return Ok(found);
            }
            if began.elapsed() > PATIENCE {
                bail!("{path} did not become ready in {PATIENCE:?}; last seen: {page}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When the youngest job's process printed its first line, by the record in its log.
    pub(super) fn first_line(&self) -> Option<Duration> {
        let number = |path: &Path| {
            path.file_stem()?
                .to_str()?
                .split('.')
                .next()?
                .parse::<u64>()
                .ok()
        };
        let folders = std::fs::read_dir(self.folder.join("data/logs"))
            .ok()?
            .flatten();
        let files = folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok());
        let logs = files.flatten().flatten().map(|file| file.path());
        let youngest = logs
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .max_by_key(|path| number(path))?;
        let bytes = std::fs::read(youngest).ok()?;
        let mut records = pipelines::log::records(&bytes);
        let line = records.find(|record| record.voice == pipelines::log::Voice::Out)?;
        Some(Duration::from_millis(u64::try_from(line.at_ms).ok()?))
    }

    /// Resident memory now, in kibibytes: of the server, and of all runners together.
    pub(super) fn memory(&self) -> (u64, u64) {
        let runners = self.runners.iter().map(resident).sum();
        (resident(&self.server), runners)
    }
}

fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// The address from the server's line `listening on http://…`.
async fn listening(server: &mut Child) -> anyhow::Result<String> {
    let stderr = server
        .stderr
        .take()
        .context("the server has no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut seen = String::new();
    let found = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, address)) = line.split_once("listening on ") {
                return Ok(address.trim().to_owned());
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        bail!("the server ended before it listened:\n{seen}")
    });
    let address = found.await.context("the server did not listen in time")??;
    // What else it says goes where a person sees it.
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            eprintln!("server: {line}");
        }
    });
    Ok(address)
}

/// Runs `seaworthy admin …` and returns the last line it prints: the token.
async fn admin(folder: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = program()?
        .arg("admin")
        .args(args)
        .arg("--data")
        .arg(folder.join("data"))
        .stdout(Stdio::piped())
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "admin {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .last()
        .map(str::to_owned)
        .context("admin printed nothing")
}

fn resident(process: &Child) -> u64 {
    let Some(pid) = process.id() else { return 0 };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
