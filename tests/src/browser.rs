//! A headless Chromium for pictures of pages, driven over its own protocol.
//!
//! It speaks through a pipe instead of a WebSocket, so nothing but the browser is needed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::eventually::eventually;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The width in CSS pixels.
    pub width: u32,
    /// Whether the visitor prefers a dark page.
    pub dark: bool,
}

/// A browser with one page. It is killed when dropped.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    profile: TempDir,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
}

impl Browser {
    /// Starts the browser of `SEAWORTHY_TEST_BROWSER`, or `chromium`.
    pub async fn start() -> Result<Self> {
        let program = std::env::var("SEAWORTHY_TEST_BROWSER").unwrap_or("chromium".to_owned());
        let profile = tempfile::Builder::new()
            .prefix("seaworthy-browser-")
            .tempdir()?;
        // It wants the pipe at descriptors 3 and 4, where only a shell can put it.
        let mut process = Command::new("sh")
            .args([
                "-c",
                r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
                &program,
            ])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args([
                "--hide-scrollbars",
                "--no-proxy-server",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let to = process.stdin.take().context("the pipe was asked for")?;
        let from = BufReader::new(process.stdout.take().context("the pipe was asked for")?);
        let mut browser = Self {
            process,
            profile,
            to,
            from,
            session: None,
            calls: 0,
        };
        let page = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", json!({})).await?;
        Ok(browser)
    }

    /// Sets the window's width and the visitor's taste, from the next page on.
    pub async fn look(&mut self, view: View) -> Result<()> {
        let size = json!({
            "width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": view.width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let value = if view.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.call("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// Opens an address and waits until it has loaded.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(error) = opened["errorText"].as_str() {
            bail!("cannot open {url}: {error}");
        }
        self.loaded().await
    }

    /// Presses the first element that a CSS selector finds, and waits for the page it leads to.
    pub async fn press(&mut self, selector: &str) -> Result<()> {
        let before = self.run("location.href").await?;
        let quoted = Value::from(selector).to_string();
        let found = self
            .run(&format!(
                "(e => {{ if (e) e.click(); return !!e }})(document.querySelector({quoted}))"
            ))
            .await?;
        ensure!(found == true, "{before} has no {selector}");
        eventually("another page", ANSWER_LIMIT, async || {
            let now = self.run("location.href").await?;
            ensure!(now != before, "still at {now}");
            Ok(())
        })
        .await?;
        self.loaded().await
    }

    /// Lets pages run scripts from the next one on, or not.
    pub async fn scripts(&mut self, on: bool) -> Result<()> {
        let value = json!({ "value": !on });
        self.call("Emulation.setScriptExecutionDisabled", value)
            .await?;
        Ok(())
    }

    /// The value of a script's expression on the page.
    pub async fn ask(&mut self, script: &str) -> Result<Value> {
        self.run(script).await
    }

    /// Waits until an expression is true on the page.
    pub async fn until(&mut self, script: &str) -> Result<()> {
        eventually(script, ANSWER_LIMIT, async || {
            let value = self.run(script).await?;
            ensure!(value == true, "it is {value}");
            Ok(())
        })
        .await
    }

    /// Where it is.
    pub async fn address(&mut self) -> Result<String> {
        let address = self.run("location.href").await?;
        Ok(address.as_str().unwrap_or_default().to_owned())
    }

    /// The text of the page as a person reads it.
    pub async fn text(&mut self) -> Result<String> {
        let text = self.run("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// A picture of the whole page, into a PNG file.
    pub async fn picture(&mut self, file: &Path) -> Result<()> {
        let size = self.call("Page.getLayoutMetrics", json!({})).await?;
        let (width, height) = (
            &size["cssContentSize"]["width"],
            &size["cssContentSize"]["height"],
        );
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.call("Page.captureScreenshot", whole).await?;
        let data = shot["data"].as_str().context("a picture has data")?;
        std::fs::write(file, base64::prelude::BASE64_STANDARD.decode(data)?)?;
        Ok(())
    }

    /// Ends it with all its processes, and deletes its profile: killed, it would still write there.
    pub async fn close(mut self) -> Result<()> {
        self.session = None;
        self.call("Browser.close", json!({})).await?;
        self.process.wait().await?;
        self.profile.close()?;
        Ok(())
    }

    async fn loaded(&mut self) -> Result<()> {
        eventually("the page to load", ANSWER_LIMIT, async || {
            let state = self.run("document.readyState").await?;
            ensure!(state == "complete", "it is {state}");
            Ok(())
        })
        .await
    }

    async fn run(&mut self, script: &str) -> Result<Value> {
        let expression = json!({ "expression": script, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", expression).await?;
        Ok(answer["result"]["value"].take())
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await?;
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.answer_of(self.calls)).await;
        answer.with_context(|| format!("the browser does not answer {method}"))?
    }

    async fn answer_of(&mut self, call: u64) -> Result<Value> {
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).await?;
            ensure!(bytes.pop() == Some(0), "the browser has ended");
            let mut message: Value = serde_json::from_slice(&bytes)?;
            // Everything without our number is an event, which nobody here waits for.
            if message["id"] == call {
                ensure!(
                    message.get("error").is_none(),
                    "the browser refuses: {}",
                    message["error"]
                );
                return Ok(message["result"].take());
            }
        }
    }
}
