//! `/app`: the App speaking for itself, and its installation tokens.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_lc_rs::rand;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller};
use super::api::{self, Name, Paged, Params, Shared};
use super::hub::{Hub, lock};
use super::json;
use super::state::{RepoRecord, Token};

pub(super) fn only_the_app(caller: &Caller) -> Answer<()> {
    match caller {
        Caller::App => Ok(()),
        _ => Err(ApiError::unauthorized(
            "A JSON web token could not be decoded",
        )),
    }
}

/// `GET /app`
pub(super) async fn show(State(hub): Shared, caller: Caller) -> Answer<Json<Value>> {
    only_the_app(&caller)?;
    Ok(Json(json::app(&hub)))
}

/// `GET /app/installations`
pub(super) async fn installations(
    State(hub): Shared,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    only_the_app(&caller)?;
    let all: Vec<(u64, String)> = lock(&hub.state)
        .accounts
        .iter()
        .filter_map(|(login, account)| Some((account.installation?, login.clone())))
        .collect();
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|(id, owner)| installation_json(&hub, *id, owner))
            .collect()
    }))
}

/// `GET /app/installations/{id}`
pub(super) async fn installation(
    State(hub): Shared,
    caller: Caller,
    Path(id): Path<u64>,
) -> Answer<Json<Value>> {
    only_the_app(&caller)?;
    let owner = lock(&hub.state)
        .owner_of(id)
        .ok_or_else(ApiError::not_found)?;
    Ok(Json(installation_json(&hub, id, &owner)))
}

/// `GET /repos/{owner}/{repo}/installation`
pub(super) async fn repository_installation(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
) -> Answer<Json<Value>> {
    only_the_app(&caller)?;
    let found = {
        let state = lock(&hub.state);
        let repo = state
            .find(&owner, &name)
            .or_else(|| state.find_former(&owner, &name));
        repo.and_then(|repo| Some((state.installation_of(repo)?, repo.owner.clone())))
    };
    let (id, owner) = found.ok_or_else(ApiError::not_found)?;
    Ok(Json(installation_json(&hub, id, &owner)))
}

pub(super) fn installation_json(hub: &Hub, id: u64, owner: &str) -> Value {
    let account = json::owner(hub, owner);
    let api = hub.api_url();
    json!({
        "id": id,
        "account": account,
        "target_id": account["id"],
        "target_type": account["type"],
        "access_tokens_url": format!("{api}/app/installations/{id}/access_tokens"),
        "repositories_url": format!("{api}/installation/repositories"),
        "html_url": format!("{}/organizations/{owner}/settings/installations/{id}", hub.web_url),
        "app_id": hub.options.app_id,
        "app_slug": "seaworthy",
        "permissions": hub.options.permissions,
        "events": json::EVENTS,
        "repository_selection": "selected",
        "single_file_name": null,
        "suspended_at": null,
        "created_at": json::time(Timestamp::UNIX_EPOCH),
        "updated_at": json::time(Timestamp::UNIX_EPOCH),
    })
}

/// `POST /app/installations/{id}/access_tokens`
pub(super) async fn create_token(
    State(hub): Shared,
    caller: Caller,
    Path(id): Path<u64>,
    bytes: Bytes,
) -> Answer {
    only_the_app(&caller)?;
    let body = api::body(&bytes)?;
    let owner = lock(&hub.state)
        .owner_of(id)
        .ok_or_else(ApiError::not_found)?;
    let repositories = hub.chosen_repositories(id, &body)?;
    let permissions = hub.chosen_permissions(&body)?;
    let token = hub.new_token(id, owner, repositories, permissions);
    let text = hub.keep_token(token.clone());
    let selection = if token.repositories.is_some() {
        "selected"
    } else {
        "all"
    };
    let mut answer = json!({
        "token": text,
        "expires_at": json::time(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": selection,
    });
    if token.repositories.is_some() {
        let covered = hub.repositories_of(&token);
        answer["repositories"] = covered
            .iter()
            .map(|repo| json::repository(&hub, repo))
            .collect();
    }
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

impl Hub {
    /// The repositories a token is asked for, by name or id; none means all.
    fn chosen_repositories(&self, installation: u64, body: &Value) -> Answer<Option<Vec<u64>>> {
        let state = lock(&self.state);
        let covered = state.covered_by(installation);
        let mut chosen = Vec::new();
        let mut asked = false;
        for field in ["repositories", "repository_ids"] {
            let Some(list) = body.get(field).filter(|list| !list.is_null()) else {
                continue;
            };
            let list = list
                .as_array()
                .ok_or_else(|| api::bad_property(field, "is not an array"))?;
            asked |= !list.is_empty();
            for item in list {
                let same = |repo: &&&RepoRecord| match item {
                    Value::String(name) => field == "repositories" && repo.name == *name,
                    other => field == "repository_ids" && other.as_u64() == Some(repo.id),
                };
                let found = covered.iter().find(same).ok_or_else(|| {
                    ApiError::invalid(
                        "There is at least one repository that does not exist or is not accessible \
                         to the parent installation.",
                    )
                })?;
                chosen.push(found.id);
            }
        }
        Ok(asked.then_some(chosen))
    }

    /// The permissions a token is asked for: never more than the installation has.
    fn chosen_permissions(&self, body: &Value) -> Answer<BTreeMap<String, String>> {
        let ours = &self.options.permissions;
        let Some(asked) = body.get("permissions").and_then(Value::as_object) else {
            return Ok(ours.clone());
        };
        let mut chosen = BTreeMap::new();
        for (name, level) in asked {
            let level = level.as_str().unwrap_or_default();
            let allowed = match ours.get(name).map(String::as_str) {
                Some("write") => matches!(level, "read" | "write"),
                Some("read") => level == "read",
                _ => false,
            };
            if !allowed {
                return Err(ApiError::invalid(
                    "The permissions requested are not granted to this installation.",
                ));
            }
            chosen.insert(name.clone(), level.to_owned());
        }
        chosen
            .entry("metadata".to_owned())
            .or_insert_with(|| "read".to_owned());
        Ok(chosen)
    }

    fn new_token(
        &self,
        installation: u64,
        owner: String,
        repositories: Option<Vec<u64>>,
        permissions: BTreeMap<String, String>,
    ) -> Token {
        let life = SignedDuration::try_from(self.options.token_lifetime);
        let expires_at = self
            .now()
            .saturating_add(life.unwrap_or(SignedDuration::MAX));
        let expires_at = expires_at.unwrap_or(Timestamp::MAX);
        Token {
            installation,
            owner,
            repositories,
            permissions,
            expires_at,
        }
    }

    fn keep_token(&self, token: Token) -> String {
        let mut bytes = [0; 18];
        // The system's randomness does not fail once it has started.
        rand::fill(&mut bytes).expect("the system gives random bytes");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("ghs_{hex}");
        self.change(|state| state.tokens.insert(text.clone(), token));
        text
    }

    /// A token for everything of one owner, without asking over HTTP.
    pub(super) fn issue_token(&self, owner: &str) -> Result<String> {
        let installation = lock(&self.state)
            .accounts
            .get(owner)
            .and_then(|a| a.installation);
        let installation = installation.with_context(|| format!("{owner} has no installation"))?;
        let all = self.options.permissions.clone();
        Ok(self.keep_token(self.new_token(installation, owner.to_owned(), None, all)))
    }

    /// What a token may see of its installation.
    pub(super) fn repositories_of(&self, token: &Token) -> Vec<RepoRecord> {
        let state = lock(&self.state);
        let wanted = |repo: &&RepoRecord| {
            token
                .repositories
                .as_ref()
                .is_none_or(|ids| ids.contains(&repo.id))
        };
        state
            .covered_by(token.installation)
            .into_iter()
            .filter(wanted)
            .cloned()
            .collect()
    }
}
