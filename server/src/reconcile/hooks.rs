//! GitHub's list of what it sent to our webhook, compared with what has arrived.

use std::collections::HashSet;
use std::time::Duration;

use pipelines::timestamp::Timestamp;

use crate::app::App;
use crate::github::GitHub;
use crate::github::hooks::HookDelivery;
use crate::intake::schedule::Missed;
use crate::store::deliveries;

/// GitHub keeps its list so long.
const KEPT: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// What was on its way at the last look is looked for once more, whatever the clocks say.
const OVERLAP: Duration = Duration::from_secs(10 * 60);

/// Stores what GitHub has sent and what has not arrived, oldest first. A server that has never
/// compared begins now: what was sent before it was there was not for it.
pub(super) async fn compare(app: &App, github: &GitHub) -> Result<(), Missed> {
    let db = app.store.reader();
    let now = app.clock.now();
    if let Some(compared) = deliveries::find_compared(db).await? {
        let since = minus(compared, OVERLAP).max(minus(now, KEPT));
        let mut sent = github.hook_deliveries(since).await?;
        sent.retain(matters);
        let guids: Vec<&str> = sent.iter().map(|one| one.guid.as_str()).collect();
        let guids = serde_json::to_string(&guids).map_err(anyhow::Error::from)?;
        let unknown = deliveries::unknown(db, &guids).await?;
        let mut unknown: HashSet<String> = unknown.into_iter().collect();
        for delivery in &sent {
            // A redelivery is on the list beside the first attempt.
            if unknown.remove(&delivery.guid)
                && let Some(payload) = github.hook_payload(delivery).await?
            {
                super::store(app, (&delivery.guid, &delivery.event), &payload).await?;
            }
        }
    }
    let mut tx = app.store.begin().await?;
    deliveries::set_compared(&mut tx, now).await?;
    tx.commit().await?;
    Ok(())
}

fn minus(at: Timestamp, duration: Duration) -> Timestamp {
    let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_sub(ms))
}

/// Whether anything could follow from it: our own checks alone come back as many events.
fn matters(delivery: &HookDelivery) -> bool {
    match delivery.event.as_str() {
        "push" | "pull_request" | "repository" | "installation" | "installation_repositories" => {
            true
        }
        "check_run" => delivery.action.as_deref() == Some("rerequested"),
        _ => false,
    }
}
