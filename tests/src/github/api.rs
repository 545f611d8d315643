//! What the routes share: paging, bodies, and the odd little routes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller, Need};
use super::hub::Hub;
use super::json;

/// The hub, as routes get it.
pub(super) type Shared = State<Arc<Hub>>;

/// The query of a call. Unknown names are ignored, as the real one does.
pub(super) type Params = Query<HashMap<String, String>>;

/// Owner and name, as paths have them.
pub(super) type Name = (String, String);

/// The body as a JSON object, or GitHub's refusal.
pub(super) fn body(bytes: &[u8]) -> Answer<Value> {
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))?;
    if value.is_object() {
        return Ok(value);
    }
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "Body should be a JSON object",
    ))
}

/// A string of the body; a null is as good as nothing.
pub(super) fn text(body: &Value, name: &str) -> Answer<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(bad_property(name, "is not a string")),
    }
}

/// 422 for one property of a body.
pub(super) fn bad_property(name: &str, what: &str) -> ApiError {
    ApiError::invalid(format!(
        "Invalid request.\n\nFor 'properties/{name}', {what}."
    ))
}

/// One page of a list, and the `Link` header that leads to the next.
pub(super) struct Paged<T> {
    pub(super) items: Vec<T>,
    pub(super) total: usize,
    link: Option<String>,
}

impl<T> Paged<T> {
    /// Cuts the page that the query asks for; 30 a page unless told, never above 100.
    pub(super) fn cut(hub: &Hub, uri: &Uri, params: &HashMap<String, String>, all: Vec<T>) -> Self {
        let number = |name: &str| params.get(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("per_page").unwrap_or(30).clamp(1, 100);
        let page = number("page").unwrap_or(1).max(1);
        let total = all.len();
        let start = (page - 1).saturating_mul(size);
        let items = all.into_iter().skip(start).take(size).collect();
        let more = start.saturating_add(size) < total;
        let link = more.then(|| {
            let last = total.div_ceil(size);
            let to = |page: usize| page_address(hub, uri, params, page);
            format!(
                "<{}>; rel=\"next\", <{}>; rel=\"last\"",
                to(page + 1),
                to(last)
            )
        });
        Self { items, total, link }
    }

    /// The answer, with `body` made of the items.
    pub(super) fn answer(self, body: impl FnOnce(usize, Vec<T>) -> Value) -> Response {
        let link = self.link.clone();
        let mut response = Json(body(self.total, self.items)).into_response();
        if let Some(link) = link.and_then(|link| link.parse().ok()) {
            response.headers_mut().insert("link", link);
        }
        response
    }
}

fn page_address(hub: &Hub, uri: &Uri, params: &HashMap<String, String>, page: usize) -> String {
    let mut pairs: Vec<_> = params.iter().filter(|(name, _)| *name != "page").collect();
    pairs.sort();
    let mut query = String::new();
    for (name, value) in pairs {
        query.push_str(&format!("{name}={}&", json::escape(value)));
    }
    format!("{}{}?{query}page={page}", hub.web_url, uri.path())
}

pub(super) async fn repository(
    State(hub): Shared,
    caller: Caller,
    Path((owner, name)): Path<Name>,
) -> Answer<Json<Value>> {
    let (repo, _) = hub.open(&caller, (&owner, &name), Need::read("metadata"))?;
    Ok(Json(json::repository(&hub, &repo)))
}

pub(super) async fn repository_by_id(
    State(hub): Shared,
    caller: Caller,
    Path(id): Path<u64>,
) -> Answer<Json<Value>> {
    let repo = hub.repo(id).map_err(|_| ApiError::not_found())?;
    hub.allow(&caller, &repo, Need::read("metadata"))?;
    Ok(Json(json::repository(&hub, &repo)))
}

/// What the token's installation covers.
pub(super) async fn installation_repositories(
    State(hub): Shared,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(params): Params,
) -> Answer {
    let Caller::Installation(token) = caller else {
        return Err(ApiError::forbidden(
            "You must authenticate with an installation access token in order to list repositories \
             for an installation.",
        ));
    };
    let all = hub.repositories_of(&token);
    let selection = if token.repositories.is_some() {
        "selected"
    } else {
        "all"
    };
    let page = Paged::cut(&hub, &uri, &params, all);
    Ok(page.answer(|total, items| {
        let items: Vec<_> = items
            .iter()
            .map(|repo| json::repository(&hub, repo))
            .collect();
        json!({ "total_count": total, "repository_selection": selection, "repositories": items })
    }))
}

pub(super) async fn meta() -> Json<Value> {
    Json(json!({ "verifiable_password_authentication": false, "installed_version": "3.17.0" }))
}

pub(super) async fn nothing_here() -> ApiError {
    ApiError::not_found()
}
