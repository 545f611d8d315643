//! Where branches, tags and open pull requests stand at GitHub, compared with what was handled last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

use crate::app::App;
use crate::github::look::{Listed, Listing, Seen, pull_payload};
use crate::github::{GitHub, GitHubError};
use crate::intake::schedule::Missed;
use crate::store::deliveries;
use crate::store::heads::{self, Head};
use crate::store::repos::{self, Repo};

/// More than this is not found at one look; the rest is found at the next ones.
const FOUND_MAX: usize = 200;

/// What the last looks at a repository have shown.
#[derive(Debug, Default)]
pub(super) struct Polled {
    seen: BTreeMap<Listing, Seen>,
    /// Heads that differ from what was handled: where they stand, and since when we know.
    differ: HashMap<String, (String, Instant)>,
}

impl Polled {
    /// Looks, and stores what has been missing for longer than `grace`.
    pub(super) async fn compare(
        &mut self,
        app: &App,
        github: &GitHub,
        (repo, grace): (&Repo, Duration),
    ) -> Result<(), Missed> {
        let db = app.store.reader();
        let newest = deliveries::newest(db).await?;
        self.look(github, repo).await?;
        note_name(app, github, repo).await?;
        // What waits to be handled may be the very difference.
        if deliveries::is_any_open(db, repo.id).await? {
            return Ok(());
        }
        let stored = heads::of_repo(db, repo.id).await?;
        if !heads::is_looked_at(db, repo.id).await? {
            return self.note_first_look(app, repo).await;
        }
        let (changed, gone) = differences(&self.seen, &stored);
        self.differ.retain(|name, (sha, _)| {
            let same = |(listed, _): &(&Listed, _)| listed.name == *name && listed.sha == *sha;
            changed.iter().any(same)
        });
        let now = app.clock.monotonic();
        let mut found = Vec::new();
        for (listed, head) in changed {
            let first = (listed.sha.clone(), now);
            let (_, since) = self.differ.entry(listed.name.clone()).or_insert(first);
            if now.duration_since(*since) >= grace {
                found.push((listed, head));
            }
        }
        for (listed, head) in found.into_iter().take(FOUND_MAX) {
            store(app, github, (repo, listed, head)).await?;
        }
        let mut tx = app.store.begin().await?;
        for head in gone {
            // One that was handled after we looked is on no list yet.
            if head.delivery().is_none_or(|delivery| delivery <= newest) {
                heads::remove(&mut tx, (repo.id, &head.name), &head.sha).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    async fn look(&mut self, github: &GitHub, repo: &Repo) -> Result<(), GitHubError> {
        for what in Listing::ALL {
            match github.look(repo, what, self.seen.get(&what)).await {
                Ok(Some(seen)) => drop(self.seen.insert(what, seen)),
                Ok(None) => {}
                // An App that may not read pull requests is not told of any by webhooks either.
                Err(GitHubError::NoAccess(_)) if what == Listing::Pulls => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Everything was there before this server looked for the first time.
    async fn note_first_look(&self, app: &App, repo: &Repo) -> Result<(), Missed> {
        let all = self.seen.values().flat_map(|seen| &seen.heads);
        let all: BTreeMap<&str, &str> = all
            .map(|listed| (listed.name.as_str(), listed.sha.as_str()))
            .collect();
        let all = serde_json::to_string(&all).map_err(anyhow::Error::from)?;
        let mut tx = app.store.begin().await?;
        heads::note_first_look(&mut tx, (repo.id, &all), app.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What stands elsewhere than was handled last, with where that was; and what is gone.
fn differences<'a>(
    seen: &'a BTreeMap<Listing, Seen>,
    stored: &'a [Head],
) -> (Vec<(&'a Listed, Option<&'a Head>)>, Vec<&'a Head>) {
    let handled: HashMap<&str, &Head> = stored.iter().map(|h| (h.name.as_str(), h)).collect();
    let listed = || seen.values().flat_map(|seen| &seen.heads);
    let present: HashSet<&str> = listed().map(|listed| listed.name.as_str()).collect();
    let changed = listed().filter_map(|listed| {
        let head = handled.get(listed.name.as_str()).copied();
        let differs = head.is_none_or(|head| head.sha != listed.sha);
        differs.then_some((listed, head))
    });
    let is_gone = |head: &&Head| {
        let mut kinds = seen.keys();
        kinds.any(|what| head.name.starts_with(what.prefix()))
            && !present.contains(head.name.as_str())
    };
    (changed.collect(), stored.iter().filter(is_gone).collect())
}

/// Stores the event that no webhook told. Its id says from where to where, so that the same
/// difference, seen again, is the same event, and one that comes later is another.
async fn store(
    app: &App,
    github: &GitHub,
    (repo, listed, head): (&Repo, &Listed, Option<&Head>),
) -> Result<(), Missed> {
    let from = head
        .and_then(Head::delivery)
        .map_or(0, |delivery| delivery.0);
    let name = digest::digest(&digest::SHA256, listed.name.as_bytes());
    let name: String = name
        .as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let guid = format!("found-{}-{name}-{from}-{}", repo.id, listed.sha);
    let guids = serde_json::to_string(&[&guid]).map_err(anyhow::Error::from)?;
    if deliveries::unknown(app.store.reader(), &guids)
        .await?
        .is_empty()
    {
        return Ok(());
    }
    let before = head.map(|head| head.sha.as_str());
    let (event, payload) = match &listed.pull {
        Some(pull) => ("pull_request", Some(pull_payload(repo, before, pull))),
        None => {
            let moved = (listed.name.as_str(), before);
            ("push", github.push_payload(repo, moved, &listed.sha).await?)
        }
    };
    if let Some(mut payload) = payload {
        // No two of them have the same bytes, which would make them one delivery.
        payload["found"] = guid.as_str().into();
        payload["found_at"] = listed.at.into();
        super::store(app, (&guid, event), &payload).await?;
    }
    Ok(())
}

/// Notes a name that GitHub answers to now.
async fn note_name(app: &App, github: &GitHub, repo: &Repo) -> Result<(), Missed> {
    let name = github.present_name(repo);
    if name != repo.name {
        let repo = Repo {
            name,
            ..repo.clone()
        };
        let mut tx = app.store.begin().await?;
        repos::upsert(&mut tx, &repo, app.clock.now()).await?;
        tx.commit().await?;
    }
    Ok(())
}
