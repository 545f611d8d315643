//! Telling GitHub. What is sent is the run's present state, read at the time of sending, so the last
//! check sent equals the run's state, however many changes lie between.
//!
//! A subject (`check:RUN`) is handled by one tick at a time and in order; GitHub's limits are kept by
//! `github/limiter.rs`, which lets an installation's changes through one by one. Installations do not
//! wait for each other.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::rand;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use pipelines::definition::Problem;
use pipelines::ids::{RepoId, RunId};
use pipelines::timestamp::Timestamp;

use crate::app::App;
use crate::github::checks::Check;
use crate::github::{GitHub, GitHubError};
use crate::store::outbox::{self, Due};
use crate::store::repos::{self, Repo};
use crate::store::runs::{self, CheckFacts, JobLine};
use crate::tasks::{self, Did};

#[cfg(test)]
mod tests;

/// The longest pause between two attempts: what GitHub missed reaches it soon after it is back.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The longest one after a no: people may put it right, but meanwhile it must not crowd out others.
const PAUSE_REFUSED_MAX: Duration = Duration::from_secs(10 * 60);
/// Who has heard nothing for so long does not wait any more.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// What has been said is kept for a while, for people who ask what was said.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many installations are told something side by side: their messages wait for GitHub.
const SIDE_BY_SIDE: u32 = 8;

/// Sends what is due: one message of each installation.
pub async fn tick(app: &App) -> anyhow::Result<Did> {
    let Some(github) = &app.github else {
        return Ok(Did::Nothing);
    };
    let now = app.clock.now();
    let due = outbox::next_due(app.store.reader(), now, SIDE_BY_SIDE).await?;
    if due.is_empty() {
        return Ok(Did::Nothing);
    }
    let told = join_all(due.iter().map(|due| tell(app, github, due))).await;
    told.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    Ok(Did::Something)
}

async fn tell(app: &App, github: &GitHub, due: &Due) -> anyhow::Result<()> {
    // Noted before the call: if the answer is lost with this process, the next attempt looks first
    // whether the check is there already.
    let mut tx = app.store.begin().await?;
    outbox::note_attempt(&mut tx, due).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "outbox.noted");
    // A fault or a panic over one message must not keep the others from being sent.
    match AssertUnwindSafe(send(app, github, due))
        .catch_unwind()
        .await
    {
        Ok(Ok(Ok(()))) => app.metrics.github("sent"),
        Ok(Ok(Err(error))) => failed(app, due, &error).await?,
        Ok(Err(error)) => fault(app, due, &format!("{error:#}")).await?,
        Err(panic) => {
            app.metrics.panic("outbox");
            fault(app, due, tasks::words(&*panic)).await?;
        }
    }
    Ok(())
}

/// Sends what is due now. The outer error is ours, the inner one GitHub's.
async fn send(app: &App, github: &GitHub, due: &Due) -> anyhow::Result<Result<(), GitHubError>> {
    let run = due.run().context("a message in the outbox has no run")?;
    let Some((repo, check)) = desired(app, run).await? else {
        finish(app, due, Some("the run is gone")).await?;
        return Ok(Ok(()));
    };
    let known = outbox::find_check(app.store.reader(), run).await?;
    let github_id = match put(github, &repo, (&check, known), due.attempts > 0).await {
        Ok(github_id) => github_id,
        Err(error) => return Ok(Err(error)),
    };
    tracing::trace!(target: "failpoint", "outbox.sent");
    let mut tx = app.store.begin().await?;
    outbox::store_check(&mut tx, run, (github_id, check.state.as_str())).await?;
    outbox::finish(&mut tx, due, None, app.clock.now()).await?;
    outbox::forget(&mut tx, Timestamp(app.clock.now().0 - ms(KEPT))).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "outbox.stored");
    Ok(Ok(()))
}

/// Brings the check at GitHub to what it should be, and returns its id there.
async fn put(
    github: &GitHub,
    repo: &Repo,
    (check, known): (&Check, Option<i64>),
    is_retry: bool,
) -> Result<i64, GitHubError> {
    let known = match known {
        None if is_retry => github.find_check(repo, check).await?,
        known => known,
    };
    match known {
        Some(github_id) => {
            github.update_check(repo, github_id, check).await?;
            Ok(github_id)
        }
        None => github.create_check(repo, check).await,
    }
}

async fn failed(app: &App, due: &Due, error: &GitHubError) -> anyhow::Result<()> {
    let words = error.to_string();
    app.metrics.github("failed");
    tracing::warn!(subject = due.subject, error = words, "cannot tell GitHub");
    // A no may be put right as well: access is given back, a rule is changed.
    let (wanted, longest) = match error {
        GitHubError::RateLimited { retry_after } => (*retry_after, PAUSE_MAX),
        GitHubError::Unavailable(_) => (Duration::ZERO, PAUSE_MAX),
        GitHubError::NotFound(_) | GitHubError::NoAccess(_) | GitHubError::Refused(_) => {
            (Duration::ZERO, PAUSE_REFUSED_MAX)
        }
    };
    postpone(app, due, &words, (wanted, longest)).await
}

/// The message cannot be made or stored, by a fault of ours.
async fn fault(app: &App, due: &Due, words: &str) -> anyhow::Result<()> {
    app.metrics.github("failed");
    tracing::error!(
        subject = due.subject,
        error = words,
        "cannot make a message"
    );
    postpone(app, due, words, (Duration::ZERO, PAUSE_REFUSED_MAX)).await
}

/// Leaves it for later, twice as long each time between the two pauses, until patience ends.
async fn postpone(
    app: &App,
    due: &Due,
    words: &str,
    (wanted, longest): (Duration, Duration),
) -> anyhow::Result<()> {
    let now = app.clock.now();
    if now.since(due.created_at()) > PATIENCE {
        return finish(app, due, Some(words)).await;
    }
    let doublings = u32::try_from(due.attempts.clamp(0, 10)).unwrap_or(10);
    let pause = Duration::from_secs(1 << doublings).min(longest);
    let next = now.plus(pause.max(wanted) + jitter());
    let mut tx = app.store.begin().await?;
    outbox::postpone(&mut tx, due, (words, next)).await?;
    tx.commit().await?;
    Ok(())
}

async fn finish(app: &App, due: &Due, error: Option<&str>) -> anyhow::Result<()> {
    let mut tx = app.store.begin().await?;
    outbox::finish(&mut tx, due, error, app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// Up to a second, so that what failed together does not come back together.
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness the pause is only less spread.
    let _ = rand::fill(&mut byte);
    Duration::from_millis(4 * u64::from(byte[0]))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What GitHub should show of a run, and where.
async fn desired(app: &App, run: RunId) -> anyhow::Result<Option<(Repo, Check)>> {
    let db = app.store.reader();
    let Some(facts) = runs::find_check_facts(db, run).await? else {
        return Ok(None);
    };
    let Some(repo) = repos::find(db, RepoId(facts.repo_id)).await? else {
        return Ok(None);
    };
    let jobs = runs::job_lines(db, run).await?;
    let url = app.url(&format!("/repos/{}/runs/{}", repo.name, facts.number));
    let check = Check {
        run,
        commit: facts.commit_sha.parse()?,
        name: format!("seaworthy / {}", facts.pipeline),
        url,
        state: facts.state.parse()?,
        started_at: facts.started_at.map(Timestamp),
        finished_at: facts.finished_at.map(Timestamp),
        title: title(&facts),
        summary: summary(&facts, &jobs),
    };
    Ok(Some((repo, check)))
}

fn title(facts: &CheckFacts) -> String {
    let state = facts.state.replace('_', " ");
    match &facts.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state,
    }
}

/// Markdown for the check's page: the first cause, what is wrong in the file, the jobs.
fn summary(facts: &CheckFacts, jobs: &[JobLine]) -> String {
    let mut text = format!(
        "Run {} of `{}`: **{}**\n",
        facts.number, facts.pipeline, facts.state
    );
    if let Some(reason) = &facts.reason {
        text.push_str(&format!("\n{}\n", code(reason)));
    }
    let problems: Vec<Problem> = serde_json::from_str(&facts.problems).unwrap_or_default();
    for problem in &problems {
        text.push_str(&format!("\n- {}", code(&problem.to_string())));
        if !problem.text.is_empty() {
            text.push_str(&format!(" at {}", code(&problem.text)));
        }
    }
    if !jobs.is_empty() {
        text.push_str("\n\n| job | state | why |\n| --- | --- | --- |\n");
    }
    for (name, state, reason) in jobs {
        let reason = reason
            .as_deref()
            .map(|reason| code(&reason.replace('|', "¦")));
        let state = state.replace('_', " ");
        text.push_str(&format!(
            "| {} | {state} | {} |\n",
            code(name),
            reason.unwrap_or_default()
        ));
    }
    text
}

/// As code, so that nothing in it is a mention, a link or markup.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace(['\r', '\n'], " "))
}
