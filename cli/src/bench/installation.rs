//! A server and its runners, as processes of this very program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::crew::Hand;
use super::forge::Forge;

/// How long any single step of the bench may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server with its data folder, and the runners started beside it.
pub(super) struct Installation {
    folder: PathBuf,
    /// The stand-in GitHub, for programs and for people.
    forge: (String, String),
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
        let forge = (forge.api_url(), forge.web_url().to_owned());
        let (server, address) = serve(&folder, &forge, "127.0.0.1:0").await?;
        let api_token = admin(&folder, &["token", "add", "bench"]).await?;
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            // An answer to a sign-in is what is wanted, not the page it leads to.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            folder,
            forge,
            server,
            address,
            api_token,
            client,
            runners: Vec::new(),
            runners_added: 0,
            secret,
        })
    }

    /// Kills the server and starts it again; how long until it answers.
    pub(super) async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.server.kill().await?;
        let listen = self.address.trim_start_matches("http://").to_owned();
        let began = Instant::now();
        let (server, _) = serve(&self.folder, &self.forge, &listen).await?;
        self.server = server;
        self.api("/repos").await?;
        Ok(began.elapsed())
    }

    /// Runners that only speak.
    pub(super) async fn hands(&mut self, count: usize) -> anyhow::Result<Vec<Hand>> {
        let mut hands = Vec::new();
        for _ in 0..count {
            let name = format!("hand-{}", self.runners_added);
            self.runners_added += 1;
            let token = admin(&self.folder, &["runner", "add", &name]).await?;
            let server = (self.client.clone(), self.address.clone());
            hands.push(Hand::new(server, token).await?);
        }
        Ok(hands)
    }

    /// The cookie of somebody who has signed in.
    pub(super) async fn sign_in(&self) -> anyhow::Result<String> {
        let link = admin(&self.folder, &["login"]).await?;
        let token = link.rsplit_once("token=").context("no link was printed")?.1;
        let call = self.client.post(format!("{}/login", self.address));
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(format!("token={token}")).send().await?;
        let cookie = answer.headers().get("set-cookie");
        let cookie = cookie.context("there was no sign-in")?.to_str()?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// A page as somebody sees who has signed in; its body comes as it is made.
    pub(super) async fn page(&self, cookie: &str, path: &str) -> anyhow::Result<reqwest::Response> {
        let call = self.client.get(format!("{}{path}", self.address));
        let answer = call.header("cookie", cookie).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(answer)
    }

    /// Time that the server has computed so far.
    pub(super) fn cpu(&self) -> Duration {
        let pid = self.server.id().unwrap_or(0);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state is the first, times are the 12th and 13th.
        let words = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = words.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|word| word.parse::<u64>().ok()).sum();
        // Linux tells a hundred a second, whatever the machine.
        Duration::from_millis(ticks * 10)
    }

    /// Size of the database's log of writes, in kibibytes.
    pub(super) fn wal(&self) -> u64 {
        let file = std::fs::metadata(self.folder.join("data/seaworthy.db-wal"));
        file.map_or(0, |file| file.len() / 1024)
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

/// Starts a server on `folder`, and gives its address.
async fn serve(
    folder: &Path,
    (api_url, web_url): &(String, String),
    listen: &str,
) -> anyhow::Result<(Child, String)> {
    let mut server = program()?
        .args(["serve", "--listen", listen, "--data"])
        .arg(folder.join("data"))
        .env("SEAWORTHY_GITHUB_API_URL", api_url)
        .env("SEAWORTHY_GITHUB_WEB_URL", web_url)
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
    Ok((server, address))
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
