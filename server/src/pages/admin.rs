//! `/audit`: who did what.

use askama::Template;
use axum::response::Response;

use super::ask::Ask;
use super::frame::{Frame, Place};
use super::links;
use super::moments::When;
use super::words::Family;
use crate::error::PageError;
use crate::store::views::admin;

/// Rows of a page.
const ROWS: i64 = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    f: Frame,
    actor: String,
    entries: Vec<(When, admin::AuditRow)>,
    older: Option<String>,
}

/// One page of rows: they, and whether there are more.
fn page_of<T>(mut rows: Vec<T>) -> (Vec<T>, bool) {
    let size = usize::try_from(ROWS).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    (rows, more)
}

/// Answers `GET /audit`.
pub(crate) async fn audit(ask: Ask) -> Result<Response, PageError> {
    let actor = ask.get("actor").unwrap_or_default();
    let by = (!actor.is_empty()).then_some(actor);
    let rows = admin::audit(ask.reader(), by, ask.number("before"), ROWS + 1).await?;
    let (rows, more) = page_of(rows);
    let last = rows
        .last()
        .map(|row| row.id.to_string())
        .unwrap_or_default();
    ask.show(&Audit {
        f: ask.frame(Place::Admin, Family::Neutral, "Audit"),
        actor: actor.to_owned(),
        older: more.then(|| links::query("/audit", &[("actor", actor), ("before", &last)])),
        entries: rows.into_iter().map(|row| (row.at.into(), row)).collect(),
    })
}
