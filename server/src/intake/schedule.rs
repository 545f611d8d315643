//! Runs whose time has come.
//!
//! A schedule starts its pipeline at the head of the default branch. The run and the moment of the
//! next one are stored together, so a crash neither loses a moment nor doubles it; and after a time
//! in which the server was away, one run stands for all that were missed.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use pipelines::cron::Cron;
use pipelines::event::{EventKind, GitEvent};
use pipelines::timestamp::Timestamp;

use super::decide::decide;
use super::material;
use super::record::{Batch, record};
use crate::app::App;
use crate::github::GitHubError;
use crate::github::payload::one_line;
use crate::store::repos;
use crate::store::schedules::{self, Schedule};
use crate::tasks::{self, Did};

/// Schedules looked at in one pass.
const DUE_MAX: u32 = 100;

/// Starts what is due. One that cannot be started now stays due, and does not keep the others back.
pub async fn tick(app: &App) -> anyhow::Result<Did> {
    tick_at(app, app.clock.now()).await
}

/// The same, at any moment.
pub(crate) async fn tick_at(app: &App, now: Timestamp) -> anyhow::Result<Did> {
    let due = schedules::due(app.store.reader(), now, DUE_MAX).await?;
    let mut fault = None;
    for schedule in due {
        let started = AssertUnwindSafe(start(app, &schedule, now)).catch_unwind();
        let words = match started.await {
            Ok(Ok(())) => continue,
            Ok(Err(Missed::Later(error))) => error.to_string(),
            Ok(Err(Missed::Fault(error))) => {
                let words = format!("{error:#}");
                fault = Some(error);
                words
            }
            Err(panic) => {
                app.metrics.panic("schedules");
                tasks::words(&*panic).to_owned()
            }
        };
        let (repo, pipeline) = (schedule.repo.0, &schedule.pipeline);
        tracing::warn!(repo, %pipeline, words, "a schedule must wait");
    }
    match fault {
        Some(error) => Err(error),
        None => Ok(Did::Nothing),
    }
}

/// Why something that comes again has not been done this time.
pub(crate) enum Missed {
    /// GitHub did not answer as it should.
    Later(GitHubError),
    /// A fault of ours.
    Fault(anyhow::Error),
}

impl From<GitHubError> for Missed {
    fn from(error: GitHubError) -> Self {
        Self::Later(error)
    }
}

impl From<anyhow::Error> for Missed {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}

impl From<sqlx::Error> for Missed {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

async fn start(app: &App, schedule: &Schedule, now: Timestamp) -> Result<(), Missed> {
    let Some(repo) = repos::find(app.store.reader(), schedule.repo).await? else {
        return pass_over(
            app,
            (schedule, now),
            "its repository is not known here any more",
        )
        .await;
    };
    let Some(github) = &app.github else {
        return Ok(());
    };
    let head = match github.head(&repo, &repo.default_branch).await {
        Ok(Some(head)) => head,
        Ok(None) => return pass_over(app, (schedule, now), "the default branch is gone").await,
        // Whoever took the access away wants no runs; a moment that passes is not made up for.
        Err(error @ (GitHubError::NoAccess(_) | GitHubError::NotFound(_))) => {
            return pass_over(app, (schedule, now), &error.to_string()).await;
        }
        Err(error) => return Err(error.into()),
    };
    let (title, _) = github.commit(&repo, &head).await?;
    let event = GitEvent {
        kind: EventKind::Schedule,
        commit: head,
        before: None,
        branch: Some(repo.default_branch.clone()),
        tag: None,
        pull_request: None,
        title: one_line(&title),
        author: "schedule".to_owned(),
        inputs: std::collections::BTreeMap::new(),
    };
    let material = material::fetch(github, &repo, &event).await?;
    let mut decided = decide(&material, &repo, &event);
    decided
        .decisions
        .retain(|decision| decision.pipeline == schedule.pipeline);
    let next = next(schedule, now);
    let batch = Batch {
        delivery: None,
        moved: None,
        rerun_of: None,
        repo: &repo,
        event: &event,
        schedule: Some((schedule, next)),
        decided: &decided,
    };
    let made = record(app, batch).await?;
    tracing::info!(repo = %repo.name, pipeline = %schedule.pipeline, runs = made.len(), "a schedule has come");
    Ok(())
}

/// The moment after now; where the fields can no longer be read, one that never comes, until the
/// file says something else.
fn next(schedule: &Schedule, now: Timestamp) -> Timestamp {
    let cron = Cron::parse(&schedule.cron, &schedule.zone).ok();
    let next = cron.and_then(|cron| cron.next_after(now));
    next.unwrap_or(Timestamp(i64::MAX))
}

async fn pass_over(
    app: &App,
    (schedule, now): (&Schedule, Timestamp),
    why: &str,
) -> Result<(), Missed> {
    let pipeline = &schedule.pipeline;
    tracing::warn!(repo = schedule.repo.0, %pipeline, why, "a moment of a schedule is passed over");
    let mut tx = app.store.begin().await?;
    schedules::advance(&mut tx, schedule, next(schedule, now)).await?;
    tx.commit().await?;
    Ok(())
}
