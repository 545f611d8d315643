//! `/app/hook/…`: what a server that was away asks for, to learn what it missed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::{Answer, ApiError, Caller};
use super::api::{Params, Shared};
use super::app::only_the_app;
use super::hub::{Hub, lock};
use super::json;
use super::webhooks::Delivery;

/// `GET /app/hook/config`
pub(super) async fn config(State(hub): Shared, caller: Caller) -> Answer<Json<Value>> {
    only_the_app(&caller)?;
    let url = lock(&hub.webhook).as_ref().map(|(url, _)| url.clone());
    Ok(Json(json!({
        "content_type": "json", "insecure_ssl": "0", "secret": "********", "url": url,
    })))
}

/// `GET /app/hook/deliveries`, newest first, page after page by a cursor.
pub(super) async fn list(State(hub): Shared, caller: Caller, Query(params): Params) -> Answer {
    only_the_app(&caller)?;
    let size = params
        .get("per_page")
        .and_then(|n| n.parse().ok())
        .unwrap_or(30_usize)
        .clamp(1, 100);
    let before = match params.get("cursor") {
        None => u64::MAX,
        Some(cursor) => cursor
            .strip_prefix("v1_")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| ApiError::invalid("Invalid cursor"))?,
    };
    let wanted = params.get("status").map(String::as_str);
    let mut found: Vec<Delivery> = {
        let state = lock(&hub.state);
        let sent = state
            .deliveries
            .range(..before)
            .rev()
            .map(|(_, delivery)| delivery);
        let sent = sent.filter(|d| d.status_code.is_some());
        let sent = sent.filter(|d| match wanted {
            Some("success") => d.accepted(),
            Some("failure") => !d.accepted(),
            _ => true,
        });
        sent.take(size + 1).cloned().collect()
    };
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().map(|delivery| delivery.id);
    let items: Vec<_> = found.iter().map(summary).collect();
    let mut response = Json(items).into_response();
    if let (true, Some(last)) = (more, last) {
        add_link(
            &hub,
            &mut response,
            &format!("per_page={size}&cursor=v1_{last}"),
        );
    }
    Ok(response)
}

fn add_link(hub: &Hub, response: &mut Response, query: &str) {
    let link = format!(
        "<{}/app/hook/deliveries?{query}>; rel=\"next\"",
        hub.api_url()
    );
    if let Ok(link) = link.parse() {
        response.headers_mut().insert("link", link);
    }
}

fn summary(delivery: &Delivery) -> Value {
    let code = delivery.status_code.unwrap_or(0);
    let status = match code {
        200..300 => "OK".to_owned(),
        0 => "failed to connect to host".to_owned(),
        code => format!("Invalid HTTP Response: {code}"),
    };
    json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": delivery.delivered_at.map(json::time),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration,
        "status": status,
        "status_code": code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "repository_id": delivery.repository_id,
        "throttled_at": null,
    })
}

/// `GET /app/hook/deliveries/{id}`, with what was sent and answered.
pub(super) async fn show(
    State(hub): Shared,
    caller: Caller,
    Path(id): Path<u64>,
) -> Answer<Json<Value>> {
    only_the_app(&caller)?;
    let delivery = hub.delivery(id).ok_or_else(ApiError::not_found)?;
    let (url, secret) = lock(&hub.webhook).clone().unwrap_or_default();
    let headers: serde_json::Map<_, _> = hub
        .delivery_headers(&delivery, &secret)
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let mut value = summary(&delivery);
    value["url"] = json!(url);
    value["request"] = json!({ "headers": headers, "payload": delivery.payload() });
    value["response"] = json!({ "headers": {}, "payload": delivery.answer });
    Ok(Json(value))
}

/// `POST /app/hook/deliveries/{id}/attempts`: sends it again, soon.
pub(super) async fn redeliver(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path(id): Path<u64>,
) -> Answer {
    only_the_app(&caller)?;
    hub.repeat(id).ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}
