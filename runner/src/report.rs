//! What a job tells the server about itself, in order, until it is delivered or nobody wants it.
//!
//! Reports of one job go through one queue, so that a step never ends before it began. While the
//! server is away they wait here and the work goes on; only a server that answers and says that
//! the lease is gone ends them, and with them the work.

use std::collections::BTreeMap;

use pipelines::job::Outcome;
use pipelines::wire::Report;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::client::retry;
use crate::desk::Desk;

/// How a job ended. [`Outcome::Cancelled`] means: it ended early because its `stop` was cancelled;
/// who asked for that decides what it is called in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// How.
    pub outcome: Outcome,
    /// A sentence about it: the first cause.
    pub reason: Option<String>,
    /// The exit code of the step that failed, where it was one.
    pub exit_code: Option<i64>,
    /// What the job made, for later jobs.
    pub outputs: BTreeMap<String, String>,
}

impl Finish {
    /// It did what it should.
    pub fn passed() -> Self {
        Self {
            outcome: Outcome::Passed,
            reason: None,
            exit_code: None,
            outputs: BTreeMap::new(),
        }
    }
    /// It ended otherwise.
    pub fn ended(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: Some(reason.into()),
            exit_code: None,
            outputs: BTreeMap::new(),
        }
    }
    /// The work itself failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::ended(Outcome::Failed, reason)
    }
    /// The same end, with the exit code that caused it.
    pub fn with_code(mut self, exit_code: Option<i64>) -> Self {
        self.exit_code = exit_code;
        self
    }
    /// Our side failed.
    pub fn infrastructure(reason: impl Into<String>) -> Self {
        Self::ended(Outcome::InfrastructureError, reason)
    }
    /// It was stopped before its end.
    pub fn stopped() -> Self {
        Self::ended(Outcome::Cancelled, "stopped before its end")
    }
}

/// The lease is gone: whoever learns it stops writing anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease for this job has been taken away")]
pub struct Stale;

struct Letter {
    /// Nothing is sent for an empty one: it tells that those before it have been.
    report: Option<Report>,
    delivered: Option<oneshot::Sender<()>>,
}

/// Sends the reports of one job. Clones share one queue.
#[derive(Clone)]
pub struct Reporter {
    queue: mpsc::UnboundedSender<Letter>,
    desk: Option<Desk>,
    lost: CancellationToken,
}

impl Reporter {
    /// A reporter to whoever gave the job. `lost` is cancelled by the first refused report.
    pub fn to(desk: Desk, lost: CancellationToken) -> Self {
        let (queue, letters) = mpsc::unbounded_channel();
        tokio::spawn(deliver(letters, desk.clone(), lost.clone()));
        Self {
            queue,
            desk: Some(desk),
            lost,
        }
    }

    /// A reporter without a desk, for tests: the reports arrive at the
    /// receiver, and the lease holds for as long as the receiver lives.
    pub fn local() -> (Self, mpsc::UnboundedReceiver<Report>) {
        let (queue, mut letters) = mpsc::unbounded_channel::<Letter>();
        let (sender, receiver) = mpsc::unbounded_channel();
        let lost = CancellationToken::new();
        let gone = lost.clone();
        tokio::spawn(async move {
            while let Some(letter) = letters.recv().await {
                if letter
                    .report
                    .is_some_and(|report| sender.send(report).is_err())
                {
                    gone.cancel();
                    return;
                }
                confirm_delivery(letter.delivered);
            }
        });
        let reporter = Self {
            queue,
            desk: None,
            lost,
        };
        (reporter, receiver)
    }

    /// Sends a report and waits until the server has it, or has refused it.
    pub async fn send(&self, report: Report) -> Result<(), Stale> {
        let (delivered, answer) = oneshot::channel();
        self.push(Some(report), Some(delivered));
        // The other end is dropped without an answer only when the lease is gone.
        answer.await.map_err(|_| Stale)
    }

    /// Sends a report behind those before it, without waiting.
    pub fn post(&self, report: Report) {
        self.push(Some(report), None);
    }

    /// Waits until the server has all reports, or nobody wants them any more.
    pub async fn settled(&self) {
        let (delivered, answer) = oneshot::channel();
        self.push(None, Some(delivered));
        // A dropped sender: the lease is gone.
        let _ = answer.await;
    }

    /// Asks the server whether the lease still holds: to be called right before anything outside
    /// this machine is written. Waits for a server that is away.
    pub async fn confirm(&self) -> Result<(), Stale> {
        if self.lost.is_cancelled() {
            return Err(Stale);
        }
        let Some(desk) = &self.desk else {
            return Ok(());
        };
        match retry(&self.lost, || desk.heartbeat(0)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(job = %desk.job(), %error, "the lease is not confirmed");
                self.lost.cancel();
                Err(Stale)
            }
        }
    }

    fn push(&self, report: Option<Report>, delivered: Option<oneshot::Sender<()>>) {
        // A closed queue drops the letter, and with it the sender of `delivered`: stale.
        let _ = self.queue.send(Letter { report, delivered });
    }
}

async fn deliver(
    mut letters: mpsc::UnboundedReceiver<Letter>,
    desk: Desk,
    lost: CancellationToken,
) {
    while let Some(letter) = letters.recv().await {
        let Some(report) = &letter.report else {
            confirm_delivery(letter.delivered);
            continue;
        };
        if let Err(error) = retry(&lost, || desk.report(report)).await {
            // Whatever the refusal (stale, revoked, not understood), no later report can help.
            tracing::warn!(job = %desk.job(), %error, "a report was refused: the job is given up");
            lost.cancel();
            return;
        }
        confirm_delivery(letter.delivered);
    }
}

fn confirm_delivery(delivered: Option<oneshot::Sender<()>>) {
    if let Some(delivered) = delivered {
        // Nobody waits any more: then nobody needs to know.
        let _ = delivered.send(());
    }
}
