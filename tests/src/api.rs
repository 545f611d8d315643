//! The server's API as a program outside sees it: typed by what the documents promise, not by the
//! server's own types, so that a change of the promise is noticed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A client with a bearer token.
#[derive(Clone, Debug)]
pub struct Api {
    /// `http://127.0.0.1:PORT`, without a slash.
    pub url: String,
    token: Option<String>,
    session: Option<String>,
    client: reqwest::Client,
}

/// A run, as `GET …/runs/{n}` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    /// Its number in the repository.
    pub number: u64,
    /// One of the ten words.
    pub state: String,
    /// `push` …
    pub event: String,
    /// The branch, if any.
    pub branch: Option<String>,
    /// The commit.
    pub commit: String,
    /// A sentence, if there is something to say.
    pub reason: Option<String>,
    /// Its jobs in the order of the file; lists of runs may leave them out.
    #[serde(default)]
    pub jobs: Vec<Job>,
}

/// A job of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// `steps`, `build` or `deploy`.
    pub kind: String,
    /// One of the ten words.
    pub state: String,
    /// The attempt now running, or the last one.
    pub attempt: u32,
    /// A sentence, if there is something to say.
    pub reason: Option<String>,
    /// When its first attempt began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// What it made.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Its steps, as far as they began.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// What people call it.
    pub name: String,
    /// One of the ten words.
    pub state: String,
    /// How its process ended.
    pub exit_code: Option<i64>,
}

/// A deploy, as `GET …/deploys/{n}` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Deploy {
    /// Its number in the repository.
    pub number: u64,
    /// Where to.
    pub environment: String,
    /// One of the ten words.
    pub state: String,
    /// The release's number.
    pub release: u64,
    /// Image name in the manifests → what took its place.
    pub images: Value,
    /// One sentence about where it stands.
    pub verdict: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// Its pods, new and old.
    #[serde(default)]
    pub pods: Vec<pipelines::deploy::Pod>,
    /// What was wrong, the first cause first.
    #[serde(default)]
    pub causes: Vec<pipelines::deploy::Cause>,
    /// The way back, if it failed.
    pub rollback: Option<pipelines::deploy::Rollback>,
}

impl Run {
    /// Whether nothing can happen to it any more.
    pub fn is_final(&self) -> bool {
        is_final(&self.state)
    }

    /// A job by its name.
    pub fn job(&self, name: &str) -> Result<&Job> {
        let found = self.jobs.iter().find(|job| job.name == name);
        found.with_context(|| format!("run {} has no job {name}: {:?}", self.number, self.jobs))
    }

    /// `test passed, image running`, for failures.
    pub fn summary(&self) -> String {
        let jobs: Vec<String> = self.jobs.iter().map(Job::summary).collect();
        let reason = self.reason.as_deref().unwrap_or("no reason");
        format!(
            "run {} is {} ({reason}): {}",
            self.number,
            self.state,
            jobs.join("; ")
        )
    }
}

impl Job {
    /// Its reason, or nothing.
    pub fn why(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    fn summary(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} {} ({reason})", self.name, self.state),
            None => format!("{} {}", self.name, self.state),
        }
    }
}

/// Whether that state is an end.
pub fn is_final(state: &str) -> bool {
    !matches!(state, "queued" | "waiting" | "running")
}

impl Api {
    /// A client without a token: an anonymous visitor.
    pub fn anonymous(url: &str) -> Result<Self> {
        crate::install_tls();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            url: url.to_owned(),
            token: None,
            session: None,
            client,
        })
    }

    /// The same, with a token from now on.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same, signed in with a one-time token from `seaworthy admin login`.
    pub async fn signed_in(&self, login: &str) -> Result<Self> {
        let call = self.client.post(format!("{}/login", self.url));
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(format!("token={login}")).send().await?;
        let cookie = answer
            .headers()
            .get("set-cookie")
            .context("there was no sign-in")?;
        let session = cookie.to_str()?.split(';').next().map(str::to_owned);
        Ok(Self {
            session,
            ..self.clone()
        })
    }

    /// A call that is about to be made, with the token and session that there are.
    pub fn call(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let mut call = self.client.request(method, format!("{}{path}", self.url));
        if let Some(session) = &self.session {
            call = call.header("cookie", session);
        }
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    /// The status of `GET path`, and the body.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.call(reqwest::Method::GET, path).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// `GET path`, which must be 200 and JSON.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (status, body) = self.get(path).await?;
        ensure!(status == 200, "GET {path} is answered {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("GET {path}: {body}"))
    }

    /// `POST path` with JSON: the status and the body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, String)> {
        let answer = self
            .call(reqwest::Method::POST, path)
            .json(body)
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The runs of a repository, the newest first.
    pub async fn runs(&self, repository: &str) -> Result<Vec<Run>> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<Run>,
        }
        Ok(self
            .read::<List>(&format!("/api/v1/repos/{repository}/runs"))
            .await?
            .items)
    }

    /// One run with its jobs.
    pub async fn run(&self, repository: &str, number: u64) -> Result<Run> {
        self.read(&format!("/api/v1/repos/{repository}/runs/{number}"))
            .await
    }

    /// One deploy.
    pub async fn deploy(&self, repository: &str, number: u64) -> Result<Deploy> {
        self.read(&format!("/api/v1/repos/{repository}/deploys/{number}"))
            .await
    }

    /// A job's log as text, from the page's own link: it takes a session.
    pub async fn log(&self, repository: &str, run: u64, job: &str) -> Result<String> {
        let path = format!("/repos/{repository}/runs/{run}/jobs/{job}/log.txt");
        let (status, body) = self.get(&path).await?;
        ensure!(status == 200, "GET {path} is answered {status}: {body}");
        Ok(body)
    }
}
