//! The deployments API.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Name, Paged, Params, Shared, bad_property, body, text};
use super::hub::{Hub, lock};
use super::json::{self, node_id, time};
use super::state::RepoRecord;

const STATES: [&str; 7] = [
    "error",
    "failure",
    "inactive",
    "in_progress",
    "queued",
    "pending",
    "success",
];

type Numbered = (String, String, u64);

/// A deployment, with every status it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its number.
    pub id: u64,
    /// The repository it is in.
    pub repository_id: u64,
    /// The commit it deploys.
    pub sha: String,
    /// The branch, tag or sha it was asked for.
    pub reference: String,
    /// `deploy`, unless the caller said otherwise.
    pub task: String,
    /// Where to.
    pub environment: String,
    /// What people read.
    pub description: Option<String>,
    /// Whatever the caller put with it.
    pub payload: Value,
    /// Whether the environment goes away again.
    pub transient: bool,
    /// Whether the environment is one that users see.
    pub production: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its statuses, in order of arrival.
    pub statuses: Vec<DeploymentStatus>,
}

/// One status of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    /// Its number.
    pub id: u64,
    /// `queued`, `in_progress`, `success`, `failure`, …
    pub state: String,
    /// What people read; GitHub takes 140 characters.
    pub description: Option<String>,
    /// Where the log is.
    pub log_url: Option<String>,
    /// Where the deployed thing is.
    pub environment_url: Option<String>,
    /// When it arrived.
    pub created_at: Timestamp,
    /// Whether GitHub made it itself, because a later deployment succeeded.
    pub automatic: bool,
}

impl Deployment {
    /// The states it went through, in order of arrival.
    pub fn story(&self) -> Vec<&str> {
        self.statuses
            .iter()
            .map(|status| status.state.as_str())
            .collect()
    }
}

fn deployment_json(hub: &Hub, repo: &RepoRecord, it: &Deployment) -> Value {
    let api = format!("{}/repos/{}", hub.api_url(), repo.full_name());
    let url = format!("{api}/deployments/{}", it.id);
    let updated = it
        .statuses
        .last()
        .map_or(it.created_at, |status| status.created_at);
    json!({
        "id": it.id,
        "node_id": node_id("D", it.id),
        "url": url,
        "statuses_url": format!("{url}/statuses"),
        "repository_url": api,
        "sha": it.sha,
        "ref": it.reference,
        "task": it.task,
        "payload": it.payload,
        "environment": it.environment,
        "original_environment": it.environment,
        "description": it.description,
        "creator": json::bot(hub),
        "created_at": time(it.created_at),
        "updated_at": time(updated),
        "transient_environment": it.transient,
        "production_environment": it.production,
    })
}

fn status_json(hub: &Hub, repo: &RepoRecord, it: &Deployment, status: &DeploymentStatus) -> Value {
    let api = format!("{}/repos/{}", hub.api_url(), repo.full_name());
    let deployment = format!("{api}/deployments/{}", it.id);
    json!({
        "id": status.id,
        "node_id": node_id("DS", status.id),
        "url": format!("{deployment}/statuses/{}", status.id),
        "deployment_url": deployment,
        "repository_url": api,
        "state": status.state,
        "description": status.description.as_deref().unwrap_or(""),
        "environment": it.environment,
        "target_url": status.log_url.as_deref().unwrap_or(""),
        "log_url": status.log_url.as_deref().unwrap_or(""),
        "environment_url": status.environment_url.as_deref().unwrap_or(""),
        "creator": json::bot(hub),
        "created_at": time(status.created_at),
        "updated_at": time(status.created_at),
    })
}

/// `POST …/deployments`. Without `required_contexts: []`, GitHub refuses while checks of the commit
/// are not green: a deploying CI must say that it knows.
pub(super) async fn create(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
    bytes: Bytes,
) -> Answer {
    let (repo, git) = hub.open(&caller, (&owner, &name), Need::write("deployments"))?;
    let body = body(&bytes)?;
    let reference = text(&body, "ref")?
        .ok_or_else(|| ApiError::invalid("Invalid request.\n\n\"ref\" wasn't supplied."))?;
    let missing = || ApiError::invalid(format!("No ref found for: {reference}"));
    let sha = git.commit_of(&reference).await.ok_or_else(missing)?;
    hub.check_contexts(&repo, &sha, &reference, &body)?;
    let environment = text(&body, "environment")?.unwrap_or_else(|| "production".to_owned());
    let flag = |name: &str| body.get(name).and_then(Value::as_bool);
    let description = short(text(&body, "description")?)?;
    let task = text(&body, "task")?.unwrap_or_else(|| "deploy".to_owned());
    let it = hub.change(|state| {
        let it = Deployment {
            id: state.new_id(),
            repository_id: repo.id,
            sha,
            reference,
            task,
            production: flag("production_environment").unwrap_or(environment == "production"),
            environment,
            description,
            payload: body.get("payload").cloned().unwrap_or_else(|| json!({})),
            transient: flag("transient_environment").unwrap_or(false),
            created_at: Timestamp::now(),
            statuses: Vec::new(),
        };
        state.deployments.insert(it.id, it.clone());
        it
    });
    Ok((StatusCode::CREATED, Json(deployment_json(&hub, &repo, &it))).into_response())
}

fn short(text: Option<String>) -> Answer<Option<String>> {
    match text {
        Some(text) if text.chars().count() > 140 => Err(bad_property(
            "description",
            "is too long (maximum is 140 characters)",
        )),
        text => Ok(text),
    }
}

impl Hub {
    fn check_contexts(&self, repo: &RepoRecord, sha: &str, name: &str, body: &Value) -> Answer<()> {
        let required = body.get("required_contexts").and_then(Value::as_array);
        let green = |conclusion: &str| matches!(conclusion, "success" | "neutral" | "skipped");
        let mut runs = self.check_runs(repo.id, sha);
        if let Some(required) = required {
            runs.retain(|run| required.iter().any(|name| name == &json!(run.name)));
        }
        if runs
            .iter()
            .all(|run| run.conclusion.as_deref().is_some_and(green))
        {
            return Ok(());
        }
        let message = format!("Conflict: Commit status checks failed for {name}.");
        let mut error = ApiError::new(StatusCode::CONFLICT, message);
        let contexts: Vec<_> = runs
            .iter()
            .map(|r| json!({ "context": r.name, "state": r.status }))
            .collect();
        error.errors = Some(
            json!([{ "contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid" }]),
        );
        Err(error)
    }

    fn deployment(&self, repo: &RepoRecord, id: u64) -> Answer<Deployment> {
        let found = lock(&self.state).deployments.get(&id).cloned();
        found
            .filter(|it| it.repository_id == repo.id)
            .ok_or_else(ApiError::not_found)
    }
}

/// `GET …/deployments?sha=&ref=&task=&environment=`, newest first.
pub(super) async fn list(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::read("deployments"))?;
    let is = |name: &str, value: &str| {
        params
            .get(name)
            .is_none_or(|asked| asked == value || asked == "none")
    };
    let mut all = hub.deployments(repo.id);
    all.retain(|it| {
        is("sha", &it.sha)
            && is("ref", &it.reference)
            && is("task", &it.task)
            && is("environment", &it.environment)
    });
    all.reverse();
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|it| deployment_json(&hub, &repo, it))
            .collect()
    }))
}

/// `GET …/deployments/{id}`
pub(super) async fn show(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, id)): Path<Numbered>,
) -> Answer<Json<Value>> {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::read("deployments"))?;
    let it = hub.deployment(&repo, id)?;
    Ok(Json(deployment_json(&hub, &repo, &it)))
}

/// `GET …/deployments/{id}/statuses`, newest first.
pub(super) async fn statuses(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, id)): Path<Numbered>,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::read("deployments"))?;
    let it = hub.deployment(&repo, id)?;
    let mut all = it.statuses.clone();
    all.reverse();
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|_, items| {
        items
            .iter()
            .map(|s| status_json(&hub, &repo, &it, s))
            .collect()
    }))
}

/// `POST …/deployments/{id}/statuses`
pub(super) async fn create_status(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, id)): Path<Numbered>,
    bytes: Bytes,
) -> Answer {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::write("deployments"))?;
    let it = hub.deployment(&repo, id)?;
    let body = body(&bytes)?;
    let state = text(&body, "state")?.unwrap_or_default();
    if !STATES.contains(&state.as_str()) {
        return Err(bad_property(
            "state",
            &format!("{state} is not a member of {STATES:?}"),
        ));
    }
    let log_url = text(&body, "log_url")?.or(text(&body, "target_url")?);
    let environment_url = text(&body, "environment_url")?;
    for (name, url) in [("log_url", &log_url), ("environment_url", &environment_url)] {
        let good = |url: &String| url.is_empty() || url.starts_with("http");
        if url.as_ref().is_some_and(|url| !good(url)) {
            return Err(bad_property(name, "must use http(s) scheme"));
        }
    }
    let description = short(text(&body, "description")?)?;
    let others = body
        .get("auto_inactive")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let status = hub.change(|all| {
        let (id, created_at) = (all.new_id(), Timestamp::now());
        let status = DeploymentStatus {
            id,
            state,
            description,
            log_url,
            environment_url,
            created_at,
            automatic: false,
        };
        if others && status.state == "success" {
            end_former(&mut all.deployments, &it, id);
        }
        if let Some(it) = all.deployments.get_mut(&it.id) {
            it.statuses.push(status.clone());
        }
        status
    });
    Ok((
        StatusCode::CREATED,
        Json(status_json(&hub, &repo, &it, &status)),
    )
        .into_response())
}

/// A success makes former deployments to the same environment inactive, except in production and in
/// environments that go away by themselves.
fn end_former(all: &mut std::collections::BTreeMap<u64, Deployment>, it: &Deployment, id: u64) {
    for other in all.values_mut() {
        let same = other.repository_id == it.repository_id && other.environment == it.environment;
        let succeeded = other
            .statuses
            .last()
            .is_some_and(|status| status.state == "success");
        if same && succeeded && other.id < it.id && !other.transient && !other.production {
            other.statuses.push(DeploymentStatus {
                id,
                state: "inactive".to_owned(),
                description: None,
                log_url: None,
                environment_url: None,
                created_at: Timestamp::now(),
                automatic: true,
            });
        }
    }
}

impl Hub {
    /// The deployments of a repository, oldest first.
    pub(super) fn deployments(&self, repo: u64) -> Vec<Deployment> {
        let state = lock(&self.state);
        state
            .deployments
            .values()
            .filter(|it| it.repository_id == repo)
            .cloned()
            .collect()
    }
}
