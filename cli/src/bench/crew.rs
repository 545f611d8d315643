//! Runners that only speak: they claim jobs and send logs and results, without any engine, so that
//! hundreds of them cost this machine little.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use pipelines::job::Outcome;
use pipelines::log::{Record, Voice};
use pipelines::wire::{Assignment, Claim, Heartbeat, PROTOCOL, Register, Report, ReportCall};
use reqwest::{Client, RequestBuilder, StatusCode};
use ulid::Ulid;

/// One of them.
pub(super) struct Hand {
    client: Client,
    server: String,
    token: String,
    instance: Ulid,
}

/// A job that it holds, and how much of its log is sent.
pub(super) struct Work {
    pub(super) assignment: Assignment,
    offset: u64,
}

impl Hand {
    /// Introduces a runner with this token.
    pub(super) async fn new(
        (client, server): (Client, String),
        token: String,
    ) -> anyhow::Result<Self> {
        let hand = Self {
            client,
            server,
            token,
            instance: Ulid::generate(),
        };
        hand.introduce().await?;
        Ok(hand)
    }

    async fn ok(&self, call: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let answer = call.bearer_auth(&self.token).send().await?;
        let (status, url) = (answer.status(), answer.url().clone());
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await?;
        anyhow::bail!("{url} was answered with {status}: {text}")
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client
            .post(format!("{}/runner/v1/{path}", self.server))
    }

    /// Says who it is, as when the server was away.
    pub(super) async fn introduce(&self) -> anyhow::Result<()> {
        let register = Register {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            instance: self.instance,
            labels: Vec::new(),
            environments: Vec::new(),
            slots: 1,
            engine: "none".into(),
        };
        self.ok(self.post("register").json(&register)).await?;
        Ok(())
    }

    /// Waits for a job, for a while.
    pub(super) async fn claim(&self, wait_seconds: u32) -> anyhow::Result<Option<Work>> {
        let claim = Claim {
            instance: self.instance,
            key: Ulid::generate(),
            wait_seconds,
        };
        let answer = self.ok(self.post("claim").json(&claim)).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let assignment: Assignment = answer.json().await?;
        let offset = assignment.log_offset;
        Ok(Some(Work { assignment, offset }))
    }

    /// Says that it is at work.
    pub(super) async fn beat(&self, work: &Work) -> anyhow::Result<()> {
        let beat = Heartbeat {
            lease: work.assignment.lease,
            instance: self.instance,
            wait_seconds: 0,
        };
        let path = format!("jobs/{}/heartbeat", work.assignment.job);
        self.ok(self.post(&path).json(&beat)).await?;
        Ok(())
    }

    /// Sends lines of output; how long until they were acknowledged.
    pub(super) async fn say(&self, work: &mut Work, lines: &[Vec<u8>]) -> anyhow::Result<Duration> {
        let mut records = Vec::new();
        for text in lines {
            let record = Record {
                at_ms: 1,
                step: 0,
                voice: Voice::Out,
                text,
            };
            record.write(&mut records);
        }
        let (job, lease) = (work.assignment.job, work.assignment.lease);
        let path = format!(
            "jobs/{job}/log?attempt={}&fence={}&offset={}",
            lease.attempt, lease.fence, work.offset
        );
        let sent = work.offset + records.len() as u64;
        let began = Instant::now();
        let answer = self.ok(self.post(&path).body(records)).await?;
        let took = began.elapsed();
        let ack: pipelines::wire::LogAck = answer.json().await?;
        ensure!(ack.offset == sent, "the log has {} bytes", ack.offset);
        work.offset = sent;
        Ok(took)
    }

    /// Says that the job has passed.
    pub(super) async fn pass(&self, work: Work) -> anyhow::Result<()> {
        let report = Report::Finished {
            outcome: Outcome::Passed,
            reason: None,
            exit_code: None,
            outputs: BTreeMap::new(),
        };
        let call = ReportCall {
            lease: work.assignment.lease,
            report,
        };
        let path = format!("jobs/{}/report", work.assignment.job);
        self.ok(self.post(&path).json(&call)).await?;
        Ok(())
    }

    /// A job, which must be there soon.
    pub(super) async fn take(&self) -> anyhow::Result<Work> {
        self.claim(20).await?.context("no job came in 20 seconds")
    }
}
