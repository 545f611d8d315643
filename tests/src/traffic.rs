//! Requests to a Service while its pods are replaced: every lost one is counted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A request that takes longer has failed, as far as its user is concerned.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two requests of one sender.
const PAUSE: Duration = Duration::from_millis(10);
/// More would only repeat the first ones.
const FAILURES_KEPT: usize = 5;

/// What the requests met.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests that have been answered or have failed.
    pub sent: u64,
    /// Those without the answer of our pod.
    pub failed: u64,
    /// The first failures, in words.
    pub failures: Vec<String>,
    /// The different answers.
    pub answers: BTreeSet<String>,
}

/// A sender that goes on until it is stopped.
#[derive(Debug)]
pub struct Traffic {
    counts: Arc<Mutex<Counts>>,
    stop: CancellationToken,
    sender: JoinHandle<()>,
}

impl Traffic {
    /// Starts. A good answer begins with `expected`: on some networks anything answers something.
    pub fn start(address: SocketAddr, expected: &str) -> Self {
        let (counts, stop) = (
            Arc::new(Mutex::new(Counts::default())),
            CancellationToken::new(),
        );
        let (shared, asked, expected) = (counts.clone(), stop.clone(), expected.to_owned());
        let sender = tokio::spawn(async move {
            while !asked.is_cancelled() {
                record(&shared, ask(address, &expected).await);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            counts,
            stop,
            sender,
        }
    }

    /// What it has met so far.
    pub fn so_far(&self) -> Counts {
        self.counts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Ends it after the request under way.
    pub async fn stop(self) -> Result<Counts> {
        self.stop.cancel();
        let counts = self.counts.clone();
        self.sender.await?;
        Ok(counts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone())
    }
}

fn record(counts: &Mutex<Counts>, answer: Result<String>) {
    let mut counts = counts
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    counts.sent += 1;
    match answer {
        Ok(body) => {
            counts.answers.insert(body);
        }
        Err(error) => {
            counts.failed += 1;
            if counts.failures.len() < FAILURES_KEPT {
                let nth = counts.sent;
                counts.failures.push(format!("request {nth}: {error:#}"));
            }
        }
    }
}

/// One request on a connection of its own, so that each meets whichever pod is next. Gives the body.
pub async fn ask(address: SocketAddr, expected: &str) -> Result<String> {
    let answer = async {
        let mut stream = TcpStream::connect(address)
            .await
            .context("cannot connect")?;
        stream
            .write_all(b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
            .await?;
        let mut text = Vec::new();
        stream
            .read_to_end(&mut text)
            .await
            .context("the answer broke off")?;
        anyhow::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let text = tokio::time::timeout(ANSWER_LIMIT, answer)
        .await
        .context("no answer in time")??;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("this is no HTTP answer")?;
    if !head.contains(" 200 ") || !body.starts_with(expected) {
        bail!(
            "another answer: {}",
            text.lines().next().unwrap_or_default()
        );
    }
    Ok(body.trim().to_owned())
}
