//! Check runs over the API.

use std::collections::HashMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::api::{Name, Paged, Params, Shared, body, text};
use super::check_run::CheckRun;
use super::hub::{Hub, lock};
use super::json::{self, node_id};
use super::state::RepoRecord;

pub(super) fn check_run_json(hub: &Hub, repo: &RepoRecord, run: &CheckRun) -> Value {
    let url = format!(
        "{}/repos/{}/check-runs/{}",
        hub.api_url(),
        repo.full_name(),
        run.id
    );
    json!({
        "id": run.id,
        "node_id": node_id("CR", run.id),
        "head_sha": run.head_sha,
        "name": run.name,
        "external_id": run.external_id.as_deref().unwrap_or(""),
        "url": url,
        "html_url": format!("{}/{}/runs/{}", hub.web_url, repo.full_name(), run.id),
        "details_url": run.details_url,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": { "id": suite_id(&run.head_sha) },
        "app": json::app(hub),
        "pull_requests": [],
    })
}

/// One suite for all check runs of the App at a commit.
pub(super) fn suite_id(sha: &str) -> u64 {
    u64::from_str_radix(sha.get(..12).unwrap_or("0"), 16).unwrap_or(0)
}

/// Only Apps may write check runs, whoever else may push.
fn only_apps(caller: &Caller) -> Answer<()> {
    match caller {
        Caller::Developer(_) => Err(ApiError::forbidden(
            "You must authenticate via a GitHub App.",
        )),
        _ => Ok(()),
    }
}

/// `POST …/check-runs`
pub(super) async fn create(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
    bytes: Bytes,
) -> Answer {
    let (repo, git) = hub.open(&caller, (&owner, &name), Need::write("checks"))?;
    only_apps(&caller)?;
    let body = body(&bytes)?;
    let absent =
        |name: &str| ApiError::invalid(format!("Invalid request.\n\n\"{name}\" wasn't supplied."));
    if text(&body, "name")?.is_none_or(|name| name.is_empty()) {
        return Err(absent("name"));
    }
    let sha = text(&body, "head_sha")?.ok_or_else(|| absent("head_sha"))?;
    if git.kind(&sha).await.as_deref() != Some("commit") {
        return Err(ApiError::invalid(format!("No commit found for SHA: {sha}")));
    }
    let mut run = CheckRun::new(0, repo.id, sha);
    run.apply(&body)?;
    let run = hub.change(|state| {
        run.id = state.new_id();
        run.remember(state.new_id());
        state.check_runs.insert(run.id, run.clone());
        run
    });
    Ok((StatusCode::CREATED, Json(check_run_json(&hub, &repo, &run))).into_response())
}

/// `PATCH …/check-runs/{id}`
pub(super) async fn update(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, id)): Path<(String, String, u64)>,
    bytes: Bytes,
) -> Answer<Json<Value>> {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::write("checks"))?;
    only_apps(&caller)?;
    let body = body(&bytes)?;
    let run = hub.change(|state| {
        let sequence = state.new_id();
        let kept = state
            .check_runs
            .get_mut(&id)
            .filter(|run| run.repository_id == repo.id);
        let kept = kept.ok_or_else(ApiError::not_found)?;
        // On a copy: a refused update leaves nothing behind.
        let mut run = kept.clone();
        run.apply(&body)?;
        run.remember(sequence);
        *kept = run.clone();
        Ok::<_, ApiError>(run)
    })?;
    Ok(Json(check_run_json(&hub, &repo, &run)))
}

/// `GET …/check-runs/{id}`
pub(super) async fn show(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Answer<Json<Value>> {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::read("checks"))?;
    let run = lock(&hub.state).check_runs.get(&id).cloned();
    let run = run
        .filter(|run| run.repository_id == repo.id)
        .ok_or_else(ApiError::not_found)?;
    Ok(Json(check_run_json(&hub, &repo, &run)))
}

/// `GET …/commits/{ref}/check-runs`; the latest of each name, unless `filter=all`.
pub(super) async fn list_for_commit(
    State(hub): Shared,
    caller: Caller,
    names: (&str, &str),
    commit: &str,
    (OriginalUri(uri), Query(params)): (OriginalUri, Params),
) -> Answer {
    let (repo, git) = hub.open(&caller, names, Need::read("checks"))?;
    let missing = || ApiError::invalid(format!("No commit found for SHA: {commit}"));
    let sha = git.commit_of(commit).await.ok_or_else(missing)?;
    let asked = |name: &str| params.get(name).map(String::as_str);
    let mut all = hub.check_runs(repo.id, &sha);
    all.retain(|run| asked("check_name").is_none_or(|name| name == run.name));
    all.retain(|run| asked("status").is_none_or(|status| status == run.status));
    if asked("filter") != Some("all") {
        let mut latest: HashMap<String, u64> = HashMap::new();
        for run in &all {
            latest.insert(run.name.clone(), run.id);
        }
        all.retain(|run| latest.get(&run.name) == Some(&run.id));
    }
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|total, items| {
        let items: Vec<_> = items
            .iter()
            .map(|run| check_run_json(&hub, &repo, run))
            .collect();
        json!({ "total_count": total, "check_runs": items })
    }))
}

impl Hub {
    /// The check runs of a commit, oldest first.
    pub(super) fn check_runs(&self, repo: u64, sha: &str) -> Vec<CheckRun> {
        let state = lock(&self.state);
        let ours = |run: &&CheckRun| run.repository_id == repo && run.head_sha == sha;
        state.check_runs.values().filter(ours).cloned().collect()
    }
}
