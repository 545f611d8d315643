//! `…/runs/{number}/events`: what happened to a run, newest first.

use askama::Template;
use axum::response::Response;
use pipelines::ids::RunId;
use pipelines::job::State;

use super::head::{Head, Opened, RunPath, Tab};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::moments::When;
use crate::pages::words;
use crate::store::views::runs;

/// Events shown.
const EVENTS_MAX: i64 = 1000;

#[derive(Template)]
#[template(path = "run_events.html")]
struct Events {
    f: Frame,
    head: Head,
    events: Vec<EventLine>,
}

struct EventLine {
    at: When,
    text: String,
}

/// Answers `GET …/runs/{number}/events`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let Opened { f, head, row, .. } = Opened::find(&ask, path, Tab::Events).await?;
    let events = events(&ask, RunId(row.id)).await?;
    ask.show(&Events { f, head, events })
}

async fn events(ask: &Ask, run: RunId) -> Result<Vec<EventLine>, PageError> {
    let rows = runs::events(ask.reader(), run, EVENTS_MAX).await?;
    let line = |row: &runs::EventRow| {
        Some(EventLine {
            at: row.at.into(),
            text: event_words(row)?,
        })
    };
    Ok(rows.iter().filter_map(line).collect())
}

/// An event as a sentence; none for what is kept for machines only.
fn event_words(row: &runs::EventRow) -> Option<String> {
    let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap_or_default();
    let text = |name: &str| detail.get(name).and_then(serde_json::Value::as_str);
    let state = text("state").and_then(|word| word.parse::<State>().ok());
    let state = state.map(|state| words::of_state(state).lower());
    let reason = text("reason")
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    match row.kind.as_str() {
        "run.created" => Some("Run created".into()),
        "run.state" => Some(format!("Run {}{reason}", state?)),
        "job.state" => {
            let job = row.job.as_deref().unwrap_or("A job");
            Some(format!("{job} {}{reason}", state?))
        }
        _ => None,
    }
}
