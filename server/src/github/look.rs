//! What is there at GitHub now, asked for so that it costs nothing where nothing has changed: an
//! answer that says "not modified" does not count against GitHub's limit.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::app::{Purpose, sent_at};
use super::payload::pull_head;
use super::{Answer, Call, GitHub, GitHubError, escape, judge};
use crate::store::repos::Repo;

/// Pages of a list that are read: ten thousand open pull requests.
const PAGES_MAX: u32 = 100;

/// What is looked at in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listing {
    /// Its branches.
    Branches,
    /// Its tags.
    Tags,
    /// Its open pull requests.
    Pulls,
}

impl Listing {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Branches, Self::Tags, Self::Pulls];

    fn purpose(self) -> Purpose {
        match self {
            Self::Branches | Self::Tags => Purpose::Server,
            Self::Pulls => Purpose::Pulls,
        }
    }

    /// What the names of its heads begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Branches => "refs/heads/",
            Self::Tags => "refs/tags/",
            Self::Pulls => "refs/pull/",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Branches => "/git/matching-refs/heads/?per_page=100",
            Self::Tags => "/git/matching-refs/tags/?per_page=100",
            // Whatever changes is on the first page then, so its tag stands for all of them.
            Self::Pulls => "/pulls?state=open&sort=updated&direction=desc&per_page=100",
        }
    }
}

/// A head as GitHub lists it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub(crate) name: String,
    /// The object that stands there.
    pub(crate) sha: String,
    /// When, in seconds by GitHub's clock.
    pub(crate) at: Option<i64>,
    /// The pull request, as GitHub tells it in webhooks too.
    pub(crate) pull: Option<Value>,
}

/// A list, and what it is known by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) heads: Vec<Listed>,
    etag: Option<String>,
}

impl GitHub {
    /// Looks again; none if nothing has changed since `seen`.
    pub(crate) async fn look(
        &self,
        repo: &Repo,
        what: Listing,
        seen: Option<&Seen>,
    ) -> Result<Option<Seen>, GitHubError> {
        let mut found = Seen::default();
        for page in 1..=PAGES_MAX {
            let path = match page {
                1 => what.path().to_owned(),
                page => format!("{}&page={page}", what.path()),
            };
            let call = Call {
                etag: seen
                    .filter(|_| page == 1)
                    .and_then(|seen| seen.etag.as_deref()),
                purpose: what.purpose(),
                ..Call::get(&path)
            };
            let answer = self.answer(repo, call).await?;
            if answer.status == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            let at = sent_at(&answer);
            let more = next_page(&answer).is_some();
            let etag = answer.headers.get(header::ETAG);
            let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            let body = match judge(answer, &path) {
                // "Git Repository is empty."
                Err(GitHubError::Refused(words)) if words.contains("empty") => Value::Null,
                body => body?,
            };
            if page == 1 && (!more || what == Listing::Pulls) {
                found.etag = etag;
            }
            let items = body.as_array().into_iter().flatten();
            found
                .heads
                .extend(items.filter_map(|item| listed(what, item, at)));
            if !more {
                break;
            }
        }
        Ok(Some(found))
    }

    /// The payload that the webhook of a push to that head would have had; none if it moved or went
    /// meanwhile.
    pub(crate) async fn push_payload(
        &self,
        repo: &Repo,
        (name, before): (&str, Option<&str>),
        after: &str,
    ) -> Result<Option<Value>, GitHubError> {
        // The commit of an annotated tag is asked for by the tag's name.
        let what = name
            .strip_prefix("refs/")
            .filter(|name| name.starts_with("tags/"));
        let path = format!("/commits/{}", escape(what.unwrap_or(after)));
        let commit = match self.call(repo, Call::get(&path)).await {
            Ok(commit) => commit,
            Err(GitHubError::NotFound(_) | GitHubError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let at = |pointer: &str| commit.pointer(pointer).and_then(Value::as_str);
        let author = at("/author/login").or_else(|| at("/commit/author/name"));
        let zero = "0".repeat(40);
        Ok(Some(json!({
            "ref": name,
            "before": before.unwrap_or(&zero),
            "after": after,
            "deleted": false,
            "head_commit": { "id": at("/sha"), "message": at("/commit/message").unwrap_or("") },
            "sender": { "login": author.unwrap_or("unknown") },
            "repository": about(repo),
            "installation": { "id": repo.installation },
        })))
    }
}

/// The payload that the webhook of a pull request would have had.
pub(crate) fn pull_payload(repo: &Repo, before: Option<&str>, pull: &Value) -> Value {
    let action = if before.is_some() {
        "synchronize"
    } else {
        "opened"
    };
    json!({
        "action": action,
        "before": before,
        "pull_request": pull,
        "sender": { "login": pull.pointer("/user/login").and_then(Value::as_str).unwrap_or("unknown") },
        "repository": about(repo),
        "installation": { "id": repo.installation },
    })
}

fn about(repo: &Repo) -> Value {
    json!({
        "id": repo.id,
        "full_name": repo.name,
        "default_branch": repo.default_branch,
        "private": repo.private,
    })
}

fn listed(what: Listing, item: &Value, at: Option<i64>) -> Option<Listed> {
    let text = |pointer: &str| Some(item.pointer(pointer)?.as_str()?.to_owned());
    match what {
        Listing::Branches | Listing::Tags => Some(Listed {
            name: text("/ref")?,
            sha: text("/object/sha")?,
            at,
            pull: None,
        }),
        Listing::Pulls => Some(Listed {
            name: pull_head(item.get("number")?.as_u64()?),
            sha: text("/head/sha")?,
            at,
            pull: Some(item.clone()),
        }),
    }
}

/// The address of the next page, if there is one.
pub(super) fn next_page(answer: &Answer) -> Option<&str> {
    let links = answer.headers.get(header::LINK)?.to_str().ok()?;
    let next = links
        .split(',')
        .find(|link| link.contains("rel=\"next\""))?;
    let address = next.split(';').next()?.trim();
    address.strip_prefix('<')?.strip_suffix('>')
}
