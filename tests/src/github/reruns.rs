//! What people do to checks on GitHub's pages: run again, or press a button.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::checks::{check_run_json, suite_id};
use super::events::addressed;
use super::hub::lock;
use super::repository::Repository;
use super::state::Person;
use super::webhooks::Delivery;

impl Repository {
    /// "Re-run" beside one check.
    pub async fn rerequest_check_run(&self, id: u64, who: &Person) -> Result<Option<Delivery>> {
        self.about_check(id, who, json!({ "action": "rerequested" }))
            .await
    }

    /// A button that the check run brought with it.
    pub async fn press_action(
        &self,
        id: u64,
        identifier: &str,
        who: &Person,
    ) -> Result<Option<Delivery>> {
        let action = json!({ "identifier": identifier });
        let payload = json!({ "action": "requested_action", "requested_action": action });
        self.about_check(id, who, payload).await
    }

    async fn about_check(
        &self,
        id: u64,
        who: &Person,
        mut payload: Value,
    ) -> Result<Option<Delivery>> {
        let hub = &self.github.hub;
        let run = lock(&hub.state).check_runs.get(&id).cloned();
        let run = run.with_context(|| format!("there is no check run {id}"))?;
        payload["check_run"] = check_run_json(hub, &self.record()?, &run);
        self.tell("check_run", who, payload).await
    }

    /// "Re-run all checks" of a commit.
    pub async fn rerequest_check_suite(
        &self,
        sha: &str,
        branch: &str,
        who: &Person,
    ) -> Result<Option<Delivery>> {
        let suite = json!({
            "id": suite_id(sha),
            "head_branch": branch,
            "head_sha": sha,
            "status": "completed",
            "conclusion": "failure",
            "pull_requests": [],
        });
        let payload = json!({ "action": "rerequested", "check_suite": suite });
        self.tell("check_suite", who, payload).await
    }

    /// Sends an event about this repository; nothing where the App is not installed.
    pub(super) async fn tell(
        &self,
        event: &str,
        who: &Person,
        payload: Value,
    ) -> Result<Option<Delivery>> {
        let hub = &self.github.hub;
        let payload = addressed(hub, &self.record()?, who, payload);
        let sent = payload.and_then(|payload| hub.emit(event, &payload));
        Ok(self.github.answered(sent.into_iter().collect()).await.pop())
    }
}
