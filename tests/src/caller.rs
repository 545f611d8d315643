//! A runner made of calls, for stories about the wire: it claims a job and does what it is told.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use pipelines::wire::{Assignment, CacheFound, LeaseProof, PROTOCOL, Report, Secrets};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::api::Api;
use crate::world::World;

/// The caller, with its token.
pub struct Caller {
    api: Api,
    instance: Ulid,
}

/// SHA-256 in hex.
pub fn sum(content: &[u8]) -> String {
    let sum = digest(&SHA256, content);
    sum.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Caller {
    /// Registers a runner of that name.
    pub async fn register(world: &World, name: &str) -> Result<Self> {
        let told = world.admin(&["runner", "add", name]).await?;
        let token = told.lines().last().context("no token was printed")?;
        let caller = Self {
            api: Api::anonymous(&world.api.url)?.with_token(token.trim()),
            instance: Ulid::generate(),
        };
        caller.introduce().await?;
        Ok(caller)
    }

    /// Says who it is, as a runner does when it starts or when the server was away.
    pub async fn introduce(&self) -> Result<()> {
        let register = json!({
            "protocol": PROTOCOL, "version": "0.1.0", "instance": self.instance, "labels": [],
            "environments": [], "slots": 4, "engine": "none",
        });
        self.ok("register", &register).await?;
        Ok(())
    }

    /// Says that it is still at work on a job.
    pub async fn beat(&self, job: &Assignment) -> Result<()> {
        let beat = json!({ "lease": job.lease, "instance": self.instance, "wait_seconds": 0 });
        self.ok(&format!("jobs/{}/heartbeat", job.job), &beat)
            .await?;
        Ok(())
    }

    async fn ok(&self, path: &str, body: &Value) -> Result<String> {
        let (status, text) = self.api.post(&format!("/runner/v1/{path}"), body).await?;
        ensure!(
            matches!(status, 200 | 204),
            "{path} is answered {status}: {text}"
        );
        Ok(text)
    }

    /// Waits for a job.
    pub async fn claim(&self) -> Result<Assignment> {
        let claim =
            json!({ "instance": self.instance, "key": Ulid::generate(), "wait_seconds": 20 });
        let text = self.ok("claim", &claim).await?;
        serde_json::from_str(&text).with_context(|| format!("no job came: {text}"))
    }

    /// Says something about a job.
    pub async fn report(&self, job: &Assignment, report: Report) -> Result<()> {
        let call = json!({ "lease": job.lease, "report": report });
        self.ok(&format!("jobs/{}/report", job.job), &call).await?;
        Ok(())
    }

    /// Sends a part of the job's log that begins at `offset`.
    pub async fn log(&self, job: &Assignment, offset: u64, records: Vec<u8>) -> Result<()> {
        let LeaseProof { attempt, fence } = job.lease;
        let path = format!(
            "/runner/v1/jobs/{}/log?attempt={attempt}&fence={fence}&offset={offset}",
            job.job
        );
        let call = self.api.call(Method::POST, &path).body(records);
        let status = call.send().await?.status();
        ensure!(status == 200, "a log is answered {status}");
        Ok(())
    }

    /// The job's secrets: status and body.
    pub async fn secrets(&self, job: &Assignment) -> Result<Result<Secrets, (u16, String)>> {
        let path = format!("/runner/v1/jobs/{}/secrets", job.job);
        let (status, text) = self.api.post(&path, &json!({ "lease": job.lease })).await?;
        if status == 200 {
            return Ok(Ok(serde_json::from_str(&text)?));
        }
        Ok(Err((status, text)))
    }

    /// Sends bytes to `cache` or `artifact`.
    pub async fn send(
        &self,
        job: &Assignment,
        (call, more): (&str, &str),
        content: Bytes,
    ) -> Result<StatusCode> {
        let LeaseProof { attempt, fence } = job.lease;
        let path = format!(
            "/runner/v1/jobs/{}/{call}?attempt={attempt}&fence={fence}&digest={}&{more}",
            job.job,
            sum(&content)
        );
        let sent = self
            .api
            .call(Method::POST, &path)
            .body(content)
            .send()
            .await?;
        Ok(sent.status())
    }

    /// Looks for a cache.
    pub async fn find(
        &self,
        job: &Assignment,
        (prefix, key): (&str, &str),
    ) -> Result<Option<CacheFound>> {
        let query = json!({ "lease": job.lease, "prefix": prefix, "key": key });
        let text = self
            .ok(&format!("jobs/{}/cache/find", job.job), &query)
            .await?;
        match text.as_str() {
            "" => Ok(None),
            text => Ok(Some(serde_json::from_str(text)?)),
        }
    }

    /// The bytes of a cache.
    pub async fn fetch(&self, job: &Assignment, found: &CacheFound) -> Result<Bytes> {
        let LeaseProof { attempt, fence } = job.lease;
        let path = format!(
            "/runner/v1/jobs/{}/cache/{}?attempt={attempt}&fence={fence}",
            job.job, found.id
        );
        let answer = self.api.call(Method::GET, &path).send().await?;
        ensure!(
            answer.status() == 200,
            "a cache is answered {}",
            answer.status()
        );
        Ok(answer.bytes().await?)
    }
}
