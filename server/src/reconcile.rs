//! What no webhook told. GitHub sends each event once: what it sent while this server was away is
//! lost, and of a push of many tags it sends nothing at all. So two things are compared from time to
//! time: GitHub's own list of what it sent ([`hooks`]), and where branches, tags and open pull
//! requests stand ([`polled`]).
//!
//! Nothing is started here. What is missing becomes a delivery like any other, marked as found, and
//! goes the same way: in the same order, once, with the same rules.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use pipelines::ids::RepoId;
use serde_json::Value;

use crate::app::App;
use crate::github::payload::Lost;
use crate::github::{GitHub, GitHubError};
use crate::intake::lost;
use crate::intake::schedule::Missed;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::repos::{self, Repo};
use crate::tasks::Did;

mod hooks;
mod polled;

use polled::Polled;

/// Repositories that are looked at in one pass.
const REPOS_MAX: usize = 20;
/// A webhook is on its way for a moment: so long a difference must have been there. Never longer than
/// half the time between two looks.
const GRACE_MAX: Duration = Duration::from_secs(60);
/// So often there must have been no access, each time at another look, before runs are ended.
const NO_ACCESS_LOOKS: u32 = 2;
/// So many times longer it takes then until the next look.
const NO_ACCESS_REST: u32 = 15;

/// What is known from looking, and costs a few calls more to learn again after a restart.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    hooks_next: Option<Instant>,
    repos: HashMap<RepoId, Watched>,
}

/// A repository that is looked at.
#[derive(Debug)]
struct Watched {
    next: Instant,
    no_access: u32,
    polled: Polled,
}

/// Looks wherever it is time to.
pub(crate) async fn tick(app: &App) -> anyhow::Result<Did> {
    let (Some(github), Some(config)) = (&app.github, &app.config.github) else {
        return Ok(Did::Nothing);
    };
    let every = Duration::from_millis(config.poll_ms);
    let mut memory = app.reconcile.lock().await;
    let now = app.clock.monotonic();
    if memory.hooks_next.is_none_or(|next| next <= now) {
        memory.hooks_next = Some(now + every);
        told("the list of webhooks", hooks::compare(app, github).await)?;
    }
    let repos = repos::all(app.store.reader()).await?;
    memory
        .repos
        .retain(|id, _| repos.iter().any(|repo| repo.id == *id));
    let mut looked = 0;
    for repo in &repos {
        let watched = memory.repos.entry(repo.id).or_insert_with(|| Watched {
            next: now,
            no_access: 0,
            polled: Polled::default(),
        });
        if watched.next > now {
            continue;
        }
        if looked == REPOS_MAX {
            return Ok(Did::Something);
        }
        looked += 1;
        watched.next = now + every;
        look(app, github, (repo, watched), every).await?;
    }
    Ok(Did::Nothing)
}

async fn look(
    app: &App,
    github: &GitHub,
    (repo, watched): (&Repo, &mut Watched),
    every: Duration,
) -> anyhow::Result<()> {
    let grace = GRACE_MAX.min(every / 2);
    let seen = watched.polled.compare(app, github, (repo, grace)).await;
    let why = match seen {
        Err(Missed::Later(GitHubError::NoAccess(why) | GitHubError::NotFound(why))) => why,
        other => {
            watched.no_access = 0;
            return told(&repo.name.to_string(), other);
        }
    };
    watched.no_access += 1;
    if watched.no_access >= NO_ACCESS_LOOKS {
        watched.next += every * NO_ACCESS_REST;
        let gone = Lost::Repositories(vec![repo.id]);
        let stopped = lost::stop_runs(app, gone, &why).await?;
        tracing::warn!(repo = %repo.name, why, stopped, "a repository cannot be reached any more");
    }
    Ok(())
}

/// What GitHub does not do now is done at the next look; only a fault of ours is an error.
fn told(what: &str, done: Result<(), Missed>) -> anyhow::Result<()> {
    match done {
        Ok(()) => Ok(()),
        Err(Missed::Later(error)) => {
            tracing::warn!(what, %error, "cannot look for what no webhook told");
            Ok(())
        }
        Err(Missed::Fault(error)) => Err(error),
    }
}

/// Stores what was found as a delivery, unless it is there.
async fn store(app: &App, (guid, event): (&str, &str), payload: &Value) -> anyhow::Result<()> {
    let body = payload.to_string().into_bytes();
    let body_digest = digest::digest(&digest::SHA256, &body);
    let new = NewDelivery {
        guid,
        event,
        body_digest: body_digest.as_ref(),
        body: &body,
    };
    let mut tx = app.store.begin().await?;
    let is_new = deliveries::insert_found(&mut tx, new, app.clock.now()).await?;
    tx.commit().await?;
    tracing::trace!(target: "failpoint", "reconcile.found");
    if is_new {
        tracing::info!(guid, event, "found what no webhook told");
        app.metrics.delivery("found");
        app.wake.intake.notify_one();
    }
    Ok(())
}
