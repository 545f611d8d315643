//! GitHub's own list of what it sent, or tried to send, to our webhook. It is kept for three days.

use pipelines::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::look::next_page;
use super::{GitHub, GitHubError};

/// Pages of a hundred that are read at once.
const PAGES_MAX: u32 = 200;

/// A delivery on GitHub's list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HookDelivery {
    /// Its number there.
    id: u64,
    /// What the webhook says in `X-GitHub-Delivery`.
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    delivered_at: String,
}

impl HookDelivery {
    /// When it was sent; one whose moment cannot be read counts as new.
    fn at(&self) -> Timestamp {
        self.delivered_at.parse().unwrap_or(Timestamp(i64::MAX))
    }
}

impl GitHub {
    /// What was sent since that moment, oldest first.
    pub(crate) async fn hook_deliveries(
        &self,
        since: Timestamp,
    ) -> Result<Vec<HookDelivery>, GitHubError> {
        let mut found = Vec::new();
        let mut path = "/app/hook/deliveries?per_page=100".to_owned();
        for _ in 0..PAGES_MAX {
            let answer = self.call_as_app(&path).await?;
            let cursor = next_page(&answer).and_then(|address| {
                let (_, query) = address.split_once('?')?;
                query
                    .split('&')
                    .find(|part| part.starts_with("cursor="))
                    .map(str::to_owned)
            });
            let page: Vec<HookDelivery> = serde_json::from_value(answer.body)
                .map_err(|error| GitHubError::Unavailable(format!("{path}: {error}")))?;
            let is_all = page.iter().any(|one| one.at() < since);
            found.extend(page.into_iter().filter(|one| one.at() >= since));
            match cursor {
                Some(cursor) if !is_all => {
                    path = format!("/app/hook/deliveries?per_page=100&{cursor}");
                }
                Some(_) | None => break,
            }
        }
        found.reverse();
        Ok(found)
    }

    /// What was in a delivery; none if GitHub has forgotten it.
    pub(crate) async fn hook_payload(
        &self,
        delivery: &HookDelivery,
    ) -> Result<Option<Value>, GitHubError> {
        let path = format!("/app/hook/deliveries/{}", delivery.id);
        match self.call_as_app(&path).await {
            Ok(mut answer) => Ok(answer.body.pointer_mut("/request/payload").map(Value::take)),
            Err(GitHubError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
