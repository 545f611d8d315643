//! The objects that appear in answers and in webhooks alike: accounts, repositories, times.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hub::{Hub, lock};
use super::state::{Person, RepoRecord};

/// The events the App is subscribed to.
pub(super) const EVENTS: [&str; 7] = [
    "check_run",
    "check_suite",
    "create",
    "delete",
    "pull_request",
    "push",
    "repository",
];

/// A time as GitHub writes it: whole seconds, UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text as one segment of a path or a value of a query.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What stands for GraphQL's opaque names.
pub(super) fn node_id(kind: &str, id: impl std::fmt::Display) -> String {
    format!("{kind}_{id}")
}

/// An account: `User`, `Organization` or `Bot`.
pub(super) fn account(hub: &Hub, login: &str, kind: &str) -> Value {
    let known = lock(&hub.state)
        .accounts
        .get(login)
        .map(|account| account.id);
    let id = known.unwrap_or_else(|| hub.change(|state| state.account(login).id));
    let api = format!("{}/users/{login}", hub.api_url());
    json!({
        "login": login,
        "id": id,
        "node_id": node_id("U", id),
        "avatar_url": format!("{}/avatars/{id}", hub.web_url),
        "gravatar_id": "",
        "url": api,
        "html_url": format!("{}/{login}", hub.web_url),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following"),
        "gists_url": format!("{api}/gists"),
        "starred_url": format!("{api}/starred"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events"),
        "received_events_url": format!("{api}/received_events"),
        "type": kind,
        "site_admin": false,
    })
}

pub(super) fn person(hub: &Hub, person: &Person) -> Value {
    account(hub, &person.login, "User")
}

/// The owner of a repository. An account with an installation is taken for an organization.
pub(super) fn owner(hub: &Hub, login: &str) -> Value {
    let installed = lock(&hub.state)
        .accounts
        .get(login)
        .is_some_and(|a| a.installation.is_some());
    account(hub, login, if installed { "Organization" } else { "User" })
}

pub(super) fn repository(hub: &Hub, repo: &RepoRecord) -> Value {
    let full_name = repo.full_name();
    let html = format!("{}/{full_name}", hub.web_url);
    let visibility = if repo.private() { "private" } else { "public" };
    let mut value = json!({
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": full_name,
        "owner": owner(hub, &repo.owner),
        "private": repo.private(),
        "visibility": visibility,
        "html_url": html,
        "description": null,
        "fork": repo.parent.is_some(),
        "url": format!("{}/repos/{full_name}", hub.api_url()),
        "clone_url": format!("{html}.git"),
        "default_branch": repo.default_branch,
        "archived": false,
        "disabled": false,
        "created_at": time(repo.created_at),
        "updated_at": time(repo.pushed_at),
        "pushed_at": time(repo.pushed_at),
    });
    if let Some(parent) = repo.parent.and_then(|id| hub.repo(id).ok()) {
        value["parent"] = repository(hub, &parent);
    }
    value
}

/// The account of the App, which writes check runs and deployments.
pub(super) fn bot(hub: &Hub) -> Value {
    account(hub, "seaworthy[bot]", "Bot")
}

/// The App as it appears inside other objects.
pub(super) fn app(hub: &Hub) -> Value {
    let long_ago = time(Timestamp::UNIX_EPOCH);
    let installs = lock(&hub.state)
        .accounts
        .values()
        .filter(|a| a.installation.is_some())
        .count();
    json!({
        "id": hub.options.app_id,
        "slug": "seaworthy",
        "node_id": node_id("A", hub.options.app_id),
        "client_id": format!("Iv1.standin{}", hub.options.app_id),
        "owner": account(hub, "acme", "Organization"),
        "name": "Seaworthy",
        "description": "",
        "external_url": hub.web_url,
        "html_url": format!("{}/apps/seaworthy", hub.web_url),
        "created_at": long_ago,
        "updated_at": long_ago,
        "permissions": hub.options.permissions,
        "events": EVENTS,
        "installations_count": installs,
    })
}
