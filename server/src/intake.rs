//! From a stored delivery to runs.
//!
//! Each tick handles the oldest deliveries that are due, one of each repository: it is understood, the
//! pipeline files are read at its commit, and everything that follows is stored in one transaction
//! together with the delivery's end. So a crash at any moment leaves a delivery that is either open
//! or done, and doing it again makes nothing twice.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use pipelines::event::GitEvent;
use pipelines::ids::{DeliveryId, RepoId, RunId};
use pipelines::order::{HeadMove, Order, is_gone};
use pipelines::timestamp::Timestamp;

use crate::app::App;
use crate::github::GitHubError;
use crate::github::payload::Incoming;
use crate::store::deliveries::{self, Delivery, End};
use crate::store::heads;
use crate::store::repos::{self, Repo};
use crate::tasks::{self, Did};

mod decide;
pub(crate) mod inspect;
pub(crate) mod lost;
mod material;
mod order;
mod record;
pub(crate) mod redeploy;
pub mod schedule;
mod start;

#[cfg(test)]
mod tests;

pub use start::{StartError, Wanted, rerun, start};
pub(crate) use start::{Startable, startable};

use record::Batch;

/// GitHub itself forgets a delivery after three days.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// A commit may be known a moment later than the push that brought it, and access may come a moment
/// later than the event that needs it.
const MISSING_ATTEMPTS: i64 = 5;
/// A delivery that fails by a fault of ours this often is put aside, so that others get their turn.
const FAULTS_MAX: i64 = 20;

/// How handling a delivery ended.
enum Handled {
    /// With its end stored.
    Stored,
    /// There is nothing to store but this.
    Closed(End, String),
    /// It must wait, because of this, at least so long.
    Later(String, Option<Duration>),
}

/// How many deliveries are handled side by side: most of their time they wait for GitHub.
const SIDE_BY_SIDE: u32 = 8;

/// Handles the deliveries that are due: some of them, of different repositories, side by side.
pub async fn tick(app: &App) -> anyhow::Result<Did> {
    let now = app.clock.now();
    let mut due = deliveries::next_open(app.store.reader(), now, SIDE_BY_SIDE).await?;
    // What is about no single repository may be about all of them: it keeps its place in the order.
    if let Some(place) = due.iter().position(|one| one.repository_id.is_none()) {
        due.truncate(place.max(1));
    }
    if due.is_empty() {
        return Ok(Did::Nothing);
    }
    let ends = join_all(due.iter().map(|delivery| settle(app, delivery))).await;
    ends.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    Ok(Did::Something)
}

/// Handles one delivery, and stores what came of it.
async fn settle(app: &App, delivery: &Delivery) -> anyhow::Result<()> {
    // A panic over one payload must not keep the others from their turn.
    let handled = match AssertUnwindSafe(handle(app, delivery)).catch_unwind().await {
        Ok(Ok(handled)) => handled,
        Ok(Err(error)) => fault(delivery, format!("{error:#}")),
        Err(panic) => {
            app.metrics.panic("intake");
            fault(delivery, tasks::words(&*panic).to_owned())
        }
    };
    match handled {
        Handled::Stored => app.metrics.delivery("done"),
        Handled::Closed(end, words) => close(app, delivery.id(), (end, &words)).await?,
        Handled::Later(why, wait) => postpone(app, delivery, &why, wait).await?,
    }
    Ok(())
}

fn fault(delivery: &Delivery, words: String) -> Handled {
    tracing::error!(delivery = %delivery.id(), error = words, "cannot handle a delivery");
    if delivery.attempts < FAULTS_MAX {
        Handled::Later(words, None)
    } else {
        Handled::Closed(End::Failed, words)
    }
}

async fn handle(app: &App, delivery: &Delivery) -> anyhow::Result<Handled> {
    let incoming = match Incoming::parse(&delivery.event, &delivery.body) {
        Ok(incoming) => incoming,
        Err(error) => return Ok(Handled::Closed(End::Failed, error.to_string())),
    };
    match incoming {
        Incoming::Ignored(words) => Ok(Handled::Closed(End::Ignored, words)),
        Incoming::Repository(repo) => {
            let words = format!("it is now known as {}", repo.name);
            // One that never had a push is not known here, and need not be.
            if is_known(app, repo.id).await? {
                let mut tx = app.store.begin().await?;
                repos::upsert(&mut tx, &repo, app.clock.now()).await?;
                tx.commit().await?;
            }
            Ok(Handled::Closed(End::Done, words))
        }
        Incoming::Lost(lost) => {
            let stopped =
                lost::stop_runs(app, lost, "the App was taken out of the repository").await?;
            let words = format!("the App has no access any more; {stopped} runs were stopped");
            Ok(Handled::Closed(End::Done, words))
        }
        Incoming::Rerun(repo, run) => {
            let found = crate::store::runs::find_origin(app.store.reader(), run).await?;
            if found.is_none_or(|origin| origin.repo != repo.id) {
                let words = "that check is of no run here".to_owned();
                return Ok(Handled::Closed(End::Ignored, words));
            }
            again(app, delivery, run).await
        }
        Incoming::Gone(repo, moved, words) => {
            let head = heads::find(app.store.reader(), repo.id, &moved.name).await?;
            if head.is_some_and(|head| is_gone(&head.handled(), &moved)) {
                let mut tx = app.store.begin().await?;
                heads::remove(&mut tx, (repo.id, &moved.name), &moved.after).await?;
                tx.commit().await?;
            }
            Ok(Handled::Closed(End::Ignored, words))
        }
        Incoming::Git(repo, event, moved) => {
            let known = match delivery.is_found() {
                true => repos::find(app.store.reader(), repo.id).await?,
                false => None,
            };
            git(app, delivery, (&known.unwrap_or(repo), &event, &moved)).await
        }
    }
}

/// Something happened in git: the files are read, and what follows is stored.
async fn git(
    app: &App,
    delivery: &Delivery,
    (repo, event, moved): (&Repo, &GitEvent, &HeadMove),
) -> anyhow::Result<Handled> {
    let Some(github) = &app.github else {
        return Ok(Handled::Later("GitHub is not connected".into(), None));
    };
    let head = heads::find(app.store.reader(), repo.id, &moved.name).await?;
    let read = async {
        let order = order::find(github, (repo, delivery.id()), (head, moved)).await?;
        match order {
            Order::Known => Ok((order, None)),
            Order::First | Order::Next | Order::Late(_) => {
                let material = material::fetch(github, repo, event).await?;
                Ok((order, Some(material)))
            }
        }
    };
    let (order, material) = match read.await {
        Ok((order, Some(material))) => (order, material),
        Ok((_, None)) => {
            let mut tx = app.store.begin().await?;
            heads::confirm(&mut tx, repo.id, moved).await?;
            tx.commit().await?;
            let words = format!("`{}` was there already, and its runs are made", moved.name);
            return Ok(Handled::Closed(End::Done, words));
        }
        // One we know may be out of reach for a moment; one we never had is none of ours.
        Err(error @ GitHubError::NoAccess(_)) if !is_known(app, repo.id).await? => {
            return Ok(Handled::Closed(End::Ignored, error.to_string()));
        }
        Err(error) => return Ok(unreachable(delivery, &error)),
    };
    let decided = decide::decide(&material, repo, event);
    let batch = Batch {
        delivery: Some(delivery.id()),
        moved: Some((moved, order)),
        rerun_of: None,
        repo,
        event,
        schedule: None,
        decided: &decided,
    };
    let made = record::record(app, batch).await?;
    tracing::info!(delivery = %delivery.id(), runs = made.len(), "handled a delivery");
    Ok(Handled::Stored)
}

async fn again(app: &App, delivery: &Delivery, run: RunId) -> anyhow::Result<Handled> {
    match start::rerun_for(app, run, Some(delivery.id())).await {
        Ok(_) => Ok(Handled::Stored),
        Err(StartError::GitHub(error)) => Ok(unreachable(delivery, &error)),
        Err(StartError::Fault(error)) => Err(error),
        Err(error @ (StartError::NotFound(_) | StartError::Refused(_) | StartError::Inputs(_))) => {
            Ok(Handled::Closed(End::Ignored, error.to_string()))
        }
    }
}

async fn is_known(app: &App, repo: RepoId) -> sqlx::Result<bool> {
    Ok(repos::find(app.store.reader(), repo).await?.is_some())
}

/// What a failure to read the files means for a delivery.
fn unreachable(delivery: &Delivery, error: &GitHubError) -> Handled {
    let words = error.to_string();
    match error {
        GitHubError::RateLimited { retry_after } => Handled::Later(words, Some(*retry_after)),
        GitHubError::Unavailable(_) => Handled::Later(words, None),
        GitHubError::NotFound(_) | GitHubError::NoAccess(_)
            if delivery.attempts < MISSING_ATTEMPTS =>
        {
            Handled::Later(words, None)
        }
        GitHubError::NotFound(_) => Handled::Closed(
            End::Ignored,
            "the commit is not at GitHub any more: it was replaced by a forced push, or the \
             repository is gone"
                .into(),
        ),
        // Nobody here can put that right; whoever can may let GitHub redeliver it then.
        GitHubError::NoAccess(_) => Handled::Closed(End::Ignored, words),
        GitHubError::Refused(_) => Handled::Closed(End::Failed, words),
    }
}

async fn close(app: &App, id: DeliveryId, (end, words): (End, &str)) -> sqlx::Result<()> {
    let mut tx = app.store.begin().await?;
    deliveries::close(&mut tx, id, (end, words), app.clock.now()).await?;
    tx.commit().await?;
    app.metrics.delivery(end.as_str());
    tracing::info!(delivery = %id, outcome = words, "closed a delivery");
    Ok(())
}

async fn postpone(
    app: &App,
    delivery: &Delivery,
    why: &str,
    wait: Option<Duration>,
) -> sqlx::Result<()> {
    let now = app.clock.now();
    if now.since(delivery.received_at()) > PATIENCE {
        let words = format!("given up after three days: {why}");
        return close(app, delivery.id(), (End::Failed, &words)).await;
    }
    let next = next_attempt(now, delivery.attempts, wait);
    let mut tx = app.store.begin().await?;
    deliveries::postpone(&mut tx, delivery.id(), (why, next)).await?;
    tx.commit().await?;
    app.metrics.delivery("postponed");
    tracing::warn!(delivery = %delivery.id(), why, "a delivery must wait");
    Ok(())
}

/// When to try again: twice as long each time, and never sooner than wanted.
fn next_attempt(now: Timestamp, attempts: i64, wait: Option<Duration>) -> Timestamp {
    let doublings = u32::try_from(attempts.clamp(0, 10)).unwrap_or(10);
    let pause = Duration::from_secs(1 << doublings).min(PAUSE_MAX);
    now.plus(pause.max(wait.unwrap_or_default()))
}
