//! Older or newer: GitHub promises no order of its webhooks, so each head remembers what was handled
//! last. An event that comes late still gets its run, as it would have in order, but never the place
//! of a newer one.

use anyhow::Context;
use pipelines::ids::{DeliveryId, RunId};
use pipelines::plan::{JobKind, Newest, Plan};
use pipelines::run::RunEvent;
use pipelines::timestamp::Timestamp;

use crate::github::payload::HeadMove;
use crate::github::{GitHub, GitHubError};
use crate::live::Topic;
use crate::progress;
use crate::store::heads::Head;
use crate::store::repos::Repo;
use crate::store::{Tx, late};

/// How an event stands to what was handled of its head before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is newer.
    Next,
    /// Another delivery has said the same.
    Known,
    /// It is older than what this delivery has brought, or than what was there at the first look.
    Late(Option<DeliveryId>),
}

/// Finds out. GitHub is asked only where the event and the head do not fit together.
pub(super) async fn find(
    github: &GitHub,
    (repo, delivery): (&Repo, DeliveryId),
    (head, moved): (Option<Head>, &HeadMove),
) -> Result<Order, GitHubError> {
    let Some(head) = head else {
        return Ok(Order::Next);
    };
    match decide(&head, delivery, moved) {
        Some(order) => Ok(order),
        None if github.is_newer(repo, moved, &head.sha).await? => Ok(Order::Next),
        None => Ok(Order::Late(head.delivery())),
    }
}

/// What can be told without asking.
fn decide(head: &Head, delivery: DeliveryId, moved: &HeadMove) -> Option<Order> {
    let is_same = moved.after == head.sha;
    match head.delivery() {
        // The same delivery once more, because a person wants it or a crash came between.
        Some(handled) if handled == delivery => Some(Order::Next),
        Some(_) if is_same => Some(Order::Known),
        // It was there when we first looked, and the webhook comes now.
        None if is_same => Some(Order::Next),
        Some(_) | None if moved.before.as_ref() == Some(&head.sha) => Some(Order::Next),
        Some(_) | None => None,
    }
}

/// Ends a run that has come late, where in order a newer one would have ended it: by its concurrency
/// group, or because it would bring an older commit to an environment.
pub(super) async fn give_way(
    tx: &mut Tx,
    (run, plan): (RunId, &Plan),
    newer: Option<DeliveryId>,
    now: Timestamp,
) -> anyhow::Result<Vec<Topic>> {
    let group = plan.concurrency.as_ref();
    let yields = group.is_some_and(|group| group.newest == Newest::Wins)
        || plan
            .jobs
            .iter()
            .any(|job| job.work.kind() == JobKind::Deploy);
    let newer = match newer {
        Some(newer) if yields => late::newer_number(tx, newer, run).await?,
        Some(_) | None => None,
    };
    let Some(number) = newer else {
        return Ok(Vec::new());
    };
    let reason = format!("superseded by run #{number}, of a newer commit that arrived first");
    let moved = progress::apply_in(tx, now, run, RunEvent::Supersede { reason }).await;
    Ok(moved
        .context("cannot supersede a run that came late")?
        .topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(delivery: Option<i64>, before: Option<&str>, after: &str) -> Option<Order> {
        let head = Head {
            name: "refs/heads/main".into(),
            sha: "b".into(),
            delivery_id: delivery,
        };
        let moved = HeadMove {
            name: "refs/heads/main".into(),
            before: before.map(str::to_owned),
            after: after.into(),
        };
        decide(&head, DeliveryId(2), &moved)
    }

    #[test]
    fn only_what_does_not_fit_the_head_is_asked_about() {
        assert_eq!(told(Some(1), Some("b"), "c"), Some(Order::Next));
        assert_eq!(told(Some(1), Some("a"), "b"), Some(Order::Known));
        assert_eq!(told(Some(2), Some("a"), "b"), Some(Order::Next), "replayed");
        assert_eq!(told(None, Some("a"), "b"), Some(Order::Next), "first look");
        assert_eq!(told(Some(1), Some("x"), "a"), None);
        assert_eq!(told(Some(1), None, "a"), None);
    }
}
