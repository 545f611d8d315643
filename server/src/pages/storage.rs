//! `/storage`: how much is kept, and for how long?

use askama::Template;
use axum::response::Response;

use super::ask::Ask;
use super::frame::{Frame, Place};
use super::run::artifacts::size;
use super::words::Family;
use crate::error::PageError;
use crate::store::retention::{self, Stored};

#[derive(Template)]
#[template(path = "storage.html")]
struct Storage {
    f: Frame,
    total: String,
    rows: Vec<Row>,
    unpacked: i64,
    kept_runs: i64,
}

/// One kind of what is kept.
struct Row {
    what: &'static str,
    count: i64,
    size: String,
    stored: String,
    rule: String,
}

/// Answers `GET /storage`.
pub(crate) async fn page(ask: Ask) -> Result<Response, PageError> {
    let stored = retention::stored(ask.reader()).await?;
    let total = stored.log_stored_bytes + stored.artifact_bytes + stored.cache_bytes;
    ask.show(&Storage {
        f: ask.frame(Place::Admin, Family::Neutral, "Storage"),
        total: size(total),
        rows: rows(&ask, stored),
        unpacked: stored.unpacked,
        kept_runs: stored.kept_runs,
    })
}

fn rows(ask: &Ask, stored: Stored) -> Vec<Row> {
    let config = &ask.app.config;
    let cache_bytes = size(i64::try_from(config.cache_bytes).unwrap_or(i64::MAX));
    vec![
        Row {
            what: "Logs",
            count: stored.logs,
            size: size(stored.log_bytes),
            stored: size(stored.log_stored_bytes),
            rule: days(config.log_days),
        },
        Row {
            what: "Artifacts",
            count: stored.artifacts,
            size: size(stored.artifact_bytes),
            stored: size(stored.artifact_bytes),
            rule: days(config.artifact_days),
        },
        Row {
            what: "Caches",
            count: stored.caches,
            size: size(stored.cache_bytes),
            stored: size(stored.cache_bytes),
            rule: format!("30 days unused, {cache_bytes} a repository"),
        },
    ]
}

fn days(days: Option<u32>) -> String {
    match days {
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => "for ever".to_owned(),
    }
}
