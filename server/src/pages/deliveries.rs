//! `/deliveries`: what has GitHub told us, and what came of it?

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use pipelines::ids::DeliveryId;

use super::ask::{Ask, missing};
use super::frame::{Crumb, Frame, Place};
use super::links;
use super::moments::When;
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::github::GitHub;
use crate::store::outbox;
use crate::store::views::deliveries::{self, DeliveryRow, MadeRow, Wanted};

/// Rows of a page.
const ROWS: usize = 50;
/// So much of a body is shown.
const BODY_BYTES: i64 = 64 * 1024;
/// The events that can be asked for: those from which something follows.
const EVENTS: &[&str] = &[
    "push",
    "pull_request",
    "check_run",
    "repository",
    "installation",
    "installation_repositories",
];

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    f: Frame,
    states: Vec<Choice>,
    events: Vec<Choice>,
    ways: Vec<Choice>,
    repository: String,
    is_filtered: bool,
    lines: Vec<Line>,
    older: Option<String>,
    /// What was refused before it was read, since the start: how often, and why.
    refused: Vec<(u64, &'static str)>,
    /// How many messages to GitHub wait, and which installations want silence for how long.
    waiting: i64,
    paused: Vec<(u64, u64)>,
}

/// A value of a filter, its word, and whether it is chosen.
type Choice = (&'static str, &'static str, bool);

struct Line {
    status: Status,
    at: When,
    row: DeliveryRow,
    made: Vec<Made>,
}

/// A run, and where it is shown.
struct Made {
    status: Status,
    label: String,
    href: String,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct Delivery {
    f: Frame,
    line: Line,
    handled: Option<When>,
    next: Option<When>,
    body: String,
    is_cut: bool,
    can_replay: bool,
}

/// Answers `GET /deliveries`.
pub(crate) async fn page(ask: Ask) -> Result<Response, PageError> {
    let wanted = Wanted {
        state: ask.get("state"),
        event: ask.get("event"),
        found_by: ask.get("found"),
        repository: ask.get("repository"),
        before: ask.number("before"),
    };
    let limit = i64::try_from(ROWS + 1).unwrap_or(i64::MAX);
    let mut rows = deliveries::list(ask.reader(), wanted, limit).await?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let last = rows
        .last()
        .map(|row| row.id.to_string())
        .unwrap_or_default();
    let pairs = [
        ("state", wanted.state.unwrap_or("")),
        ("event", wanted.event.unwrap_or("")),
        ("found", wanted.found_by.unwrap_or("")),
        ("repository", wanted.repository.unwrap_or("")),
        ("before", last.as_str()),
    ];
    let choice = |value, word, chosen: Option<&str>| (value, word, chosen == Some(value));
    let states = [
        ("stored", "waiting"),
        ("done", "done"),
        ("ignored", "ignored"),
        ("failed", "failed"),
    ];
    let ways = [
        ("webhook", "a webhook"),
        ("reconciliation", "reconciliation"),
    ];
    let seconds = |wait: Duration| wait.as_secs() + 1;
    let paused = ask
        .app
        .github
        .as_ref()
        .map(GitHub::pauses)
        .unwrap_or_default();
    let page = Deliveries {
        f: ask.frame(Place::Admin, Family::Neutral, "Deliveries"),
        states: states
            .map(|(value, word)| choice(value, word, wanted.state))
            .to_vec(),
        events: EVENTS
            .iter()
            .map(|event| choice(event, event, wanted.event))
            .collect(),
        ways: ways
            .map(|(value, word)| choice(value, word, wanted.found_by))
            .to_vec(),
        repository: wanted.repository.unwrap_or_default().to_owned(),
        is_filtered: pairs.iter().take(4).any(|(_, value)| !value.is_empty()),
        older: more.then(|| links::query("/deliveries", &pairs)),
        lines: lines(&ask, rows).await?,
        refused: ask.app.metrics.refusals(),
        waiting: outbox::count_open(ask.reader()).await?,
        paused: paused
            .into_iter()
            .map(|(id, wait)| (id, seconds(wait)))
            .collect(),
    };
    ask.show(&page)
}

/// Answers `GET /deliveries/{id}`.
pub(crate) async fn one(ask: Ask, Path(id): Path<i64>) -> Result<Response, PageError> {
    let row = deliveries::find(ask.reader(), DeliveryId(id)).await?;
    let row = row.ok_or_else(|| missing(format!("there is no delivery {id}")))?;
    let body = deliveries::body(ask.reader(), DeliveryId(id), BODY_BYTES).await?;
    let is_cut = row.bytes > BODY_BYTES;
    let readable = serde_json::from_slice::<serde_json::Value>(&body)
        .and_then(|value| serde_json::to_string_pretty(&value));
    let (handled, next) = (row.handled_at, row.next_at);
    let is_open = row.state == "stored";
    let title = format!("{} {id}", row.event);
    let mut lines = lines(&ask, vec![row]).await?;
    let line = lines
        .pop()
        .ok_or_else(|| missing(format!("there is no delivery {id}")))?;
    let mut f = ask.frame(Place::Admin, line.status.family, &title);
    f.crumbs = vec![Crumb {
        label: "Deliveries".into(),
        href: "/deliveries".into(),
    }];
    let page = Delivery {
        f,
        handled: handled.map(When::from),
        next: (is_open && next > ask.now.0).then(|| next.into()),
        body: readable.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned()),
        is_cut,
        can_replay: crate::store::deliveries::can_replay(&line.row.event, &line.row.state),
        line,
    };
    ask.show(&page)
}

/// The rows with the runs that came of them.
async fn lines(ask: &Ask, rows: Vec<DeliveryRow>) -> Result<Vec<Line>, PageError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let ids = serde_json::to_string(&ids).map_err(anyhow::Error::from)?;
    let mut made: BTreeMap<i64, Vec<Made>> = BTreeMap::new();
    for run in deliveries::made(ask.reader(), &ids).await? {
        made.entry(run.delivery_id).or_default().push(shown(&run));
    }
    let line = |mut row: DeliveryRow| {
        let made = made.remove(&row.id).unwrap_or_default();
        if !made.is_empty() {
            row.outcome = row.outcome.as_deref().and_then(without_runs);
        }
        Line {
            status: status(&row.state),
            at: row.received_at.into(),
            made,
            row,
        }
    };
    Ok(rows.into_iter().map(line).collect())
}

/// What else became of a delivery whose runs are listed: links say more than their numbers.
fn without_runs(outcome: &str) -> Option<String> {
    let is_run = |part: &&str| {
        let number = part.strip_prefix("run ");
        number.is_some_and(|number| number.parse::<i64>().is_ok())
    };
    let rest: Vec<&str> = outcome.split("; ").filter(|part| !is_run(part)).collect();
    (!rest.is_empty()).then(|| rest.join("; "))
}

fn shown(run: &MadeRow) -> Made {
    Made {
        status: words::of_state(*run.state),
        label: format!(
            "{}/{} #{} {}",
            run.owner, run.repo, run.number, run.pipeline
        ),
        href: links::run(&run.owner, &run.repo, run.number),
    }
}

fn status(state: &str) -> Status {
    match state {
        "done" => words::DONE,
        "ignored" => words::IGNORED,
        "failed" => words::of_state(pipelines::job::State::Failed),
        // The only other word the table allows is `stored`.
        _ => words::of_state(pipelines::job::State::Queued),
    }
}

#[cfg(test)]
mod tests {
    use super::without_runs;

    #[test]
    fn beside_the_links_to_its_runs_only_what_else_became_of_it_is_said() {
        assert_eq!(without_runs("run 4; run 5"), None);
        let told = "run 4; `ci` not started: `on.push.branches` wants release; this is main";
        assert_eq!(without_runs(told).as_deref(), told.strip_prefix("run 4; "));
    }
}
