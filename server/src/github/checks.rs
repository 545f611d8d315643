//! Check runs: what GitHub shows beside a commit.

use http::Method;
use pipelines::ids::RunId;
use pipelines::job::State;
use pipelines::names::CommitSha;
use pipelines::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{Call, GitHub, GitHubError};
use crate::store::repos::Repo;

/// GitHub takes no more characters in a summary.
const SUMMARY_MAX: usize = 60_000;

/// What GitHub is to show of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Whose check it is; its external id at GitHub.
    pub(crate) run: RunId,
    pub(crate) commit: CommitSha,
    /// `seaworthy / PIPELINE`.
    pub(crate) name: String,
    /// The run's page.
    pub(crate) url: String,
    pub(crate) state: State,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// One line.
    pub(crate) title: String,
    /// Markdown.
    pub(crate) summary: String,
}

/// Status and conclusion in GitHub's words.
fn words(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Waiting | State::Queued => ("queued", None),
        State::Running => ("in_progress", None),
        State::Passed => ("completed", Some("success")),
        State::Failed | State::InfrastructureError => ("completed", Some("failure")),
        State::Cancelled | State::Superseded => ("completed", Some("cancelled")),
        State::Skipped => ("completed", Some("skipped")),
        State::TimedOut => ("completed", Some("timed_out")),
    }
}

impl Check {
    pub(super) fn body(&self) -> Value {
        let (status, conclusion) = words(self.state);
        let summary: String = self.summary.chars().take(SUMMARY_MAX).collect();
        let title: String = self.title.chars().take(200).collect();
        let mut body = json!({
            "name": self.name,
            "details_url": self.url,
            "external_id": self.run.to_string(),
            "status": status,
            "output": { "title": title, "summary": summary },
        });
        if let Some(at) = self.started_at {
            body["started_at"] = json!(at.to_string());
        }
        if let Some(conclusion) = conclusion {
            body["conclusion"] = json!(conclusion);
            if let Some(at) = self.finished_at {
                body["completed_at"] = json!(at.to_string());
            }
        }
        body
    }
}

impl GitHub {
    /// Makes a check run and returns GitHub's id for it.
    pub(crate) async fn create_check(
        &self,
        repo: &Repo,
        check: &Check,
    ) -> Result<i64, GitHubError> {
        let mut body = check.body();
        body["head_sha"] = json!(check.commit);
        let call = Call::change(&Method::POST, "/check-runs", &body);
        let made = self.call(repo, call).await?;
        id(&made).ok_or_else(|| GitHubError::Unavailable("a check without an id".into()))
    }

    /// Brings a check run up to date.
    pub(crate) async fn update_check(
        &self,
        repo: &Repo,
        github_id: i64,
        check: &Check,
    ) -> Result<(), GitHubError> {
        let path = format!("/check-runs/{github_id}");
        let body = check.body();
        let call = Call::change(&Method::PATCH, &path, &body);
        self.call(repo, call).await.map(drop)
    }

    /// The check run an earlier attempt made, whose answer never reached us.
    pub(crate) async fn find_check(
        &self,
        repo: &Repo,
        check: &Check,
    ) -> Result<Option<i64>, GitHubError> {
        let external = check.run.to_string();
        // Reruns of one pipeline share a name, so there may be several; a hundred is a page.
        let path = format!(
            "/commits/{}/check-runs?filter=all&per_page=100&check_name={}",
            check.commit,
            query(&check.name)
        );
        let found = self.call(repo, Call::get(&path)).await?;
        let runs = found.get("check_runs").and_then(Value::as_array);
        let ours = |run: &&Value| {
            run.get("external_id").and_then(Value::as_str) == Some(external.as_str())
        };
        Ok(runs.and_then(|runs| runs.iter().find(ours)).and_then(id))
    }
}

fn id(check: &Value) -> Option<i64> {
    check.get("id").and_then(Value::as_i64)
}

fn query(text: &str) -> String {
    super::escape(text).replace('/', "%2F")
}
