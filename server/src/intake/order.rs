//! What follows from `pipelines::order`: GitHub is asked where it has to be, and a run that comes late
//! gives way.

use anyhow::Context;
use pipelines::ids::{DeliveryId, RunId};
use pipelines::order::{HeadMove, Order, at_hand, by_history, by_present};
use pipelines::plan::{JobKind, Newest, Plan};
use pipelines::run::RunEvent;
use pipelines::timestamp::Timestamp;

use crate::github::{GitHub, GitHubError};
use crate::live::Topic;
use crate::progress;
use crate::store::heads::Head;
use crate::store::repos::Repo;
use crate::store::{Tx, late};

/// Finds out how an event stands to what was handled of its head before. GitHub is asked only where
/// the two do not fit together.
pub(super) async fn find(
    github: &GitHub,
    (repo, delivery): (&Repo, DeliveryId),
    (head, moved): (Option<Head>, &HeadMove),
) -> Result<Order, GitHubError> {
    let head = head.map(|head| head.handled());
    if let Some(order) = at_hand(head.as_ref(), delivery, moved) {
        return Ok(order);
    }
    // Of an unknown head everything is told at hand.
    let Some(head) = head else {
        return Ok(Order::First);
    };
    let present = github.object_at(repo, &moved.name).await?;
    if let Some(order) = by_present(&head, moved, present.as_deref()) {
        return Ok(order);
    }
    let is_ancestor = github.is_ancestor(repo, &moved.after, &head.object).await?;
    Ok(by_history(&head, moved, is_ancestor))
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
    let newer = match yields {
        true => late::newer_number(tx, newer, run).await?,
        false => None,
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
