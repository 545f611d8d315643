//! `/runners` and `/queue`: who can do the work, and why does mine wait?

use askama::Template;
use axum::response::Response;
use pipelines::ids::JobId;
use pipelines::limits::LEASE;

use super::ask::Ask;
use super::frame::{Frame, Place};
use super::links;
use super::moments::{Lasting, When};
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::admin::{self, RunnerRow};
use crate::store::views::jobs::{self, RunningRow};

/// Most runners and queued jobs of a page.
const ROWS_MAX: i64 = 200;

#[derive(Template)]
#[template(path = "runners.html")]
struct Runners {
    f: Frame,
    status: Status,
    headline: String,
    url: String,
    runners: Vec<RunnerLine>,
}

struct RunnerLine {
    status: Status,
    name: String,
    labels: String,
    environments: String,
    engine: String,
    version: String,
    slots: i64,
    jobs: Vec<(String, String, Option<Lasting>)>,
    seen: Option<When>,
    added: When,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    f: Frame,
    status: Status,
    headline: String,
    total: i64,
    jobs: Vec<QueueLine>,
}

struct QueueLine {
    status: Status,
    job: String,
    href: String,
    run: String,
    run_href: String,
    title: String,
    reason: String,
    former: Option<String>,
    kind: String,
    environment: Option<String>,
    fork: bool,
    since: Option<Lasting>,
}

/// Answers `GET /runners`.
pub(crate) async fn page(ask: Ask) -> Result<Response, PageError> {
    let rows = admin::runners(ask.reader(), ROWS_MAX).await?;
    let running = jobs::running(ask.reader(), 1000).await?;
    let runners: Vec<_> = rows.iter().map(|row| line(row, &running, &ask)).collect();
    let connected = runners
        .iter()
        .filter(|r| r.status == words::CONNECTED)
        .count();
    let (status, headline) = match (rows.len(), connected) {
        (0, _) => (words::NEVER_HEARD, "no runner yet".to_owned()),
        (_, 0) => (words::NOT_HEARD, "no runner is connected".to_owned()),
        (_, 1) => (words::CONNECTED, "1 runner".to_owned()),
        (_, n) => (words::CONNECTED, format!("{n} runners")),
    };
    let title = format!("{headline} · Runners");
    let f = ask.frame(Place::Runners, status.family, &title);
    ask.show(&Runners {
        f: f.live(&[Topic::Runners.to_string()]),
        status,
        headline,
        url: ask.app.url(""),
        runners,
    })
}

fn line(row: &RunnerRow, running: &[RunningRow], ask: &Ask) -> RunnerLine {
    // A waiting runner is heard again only when its call has ended, so a little patience is added.
    let patience = LEASE + LEASE / 4;
    let heard = |at: i64| ask.now.since(pipelines::timestamp::Timestamp(at)) <= patience;
    let mine = running.iter().filter(|job| job.runner_id == row.id);
    RunnerLine {
        status: match (row.revoked_at, row.last_seen_at) {
            (Some(_), _) => words::REVOKED,
            (None, None) => words::NEVER_HEARD,
            (None, Some(at)) if heard(at) => words::CONNECTED,
            (None, Some(_)) => words::NOT_HEARD,
        },
        name: row.name.clone(),
        labels: list(&row.labels),
        environments: list(&row.environments),
        engine: row.engine.clone(),
        version: row.version.clone(),
        slots: row.slots,
        jobs: mine
            .map(|job| {
                let label = format!("{} #{} · {}", job.repo, job.number, job.name);
                let href = links::job(&job.owner, &job.repo, job.number, &job.name);
                (label, href, Lasting::new(job.started_at, None, ask.now))
            })
            .collect(),
        seen: row.last_seen_at.map(When::from),
        added: row.created_at.into(),
    }
}

fn list(text: &str) -> String {
    let all: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    all.join(", ")
}

/// Answers `GET /queue`.
pub(crate) async fn queue(ask: Ask) -> Result<Response, PageError> {
    let rows = jobs::queued(ask.reader(), ROWS_MAX).await?;
    let total = jobs::queue_length(ask.reader()).await?;
    let reasons = crate::dispatch::why_queued(&ask.app, None).await?;
    let line = |row: &jobs::QueueRow| QueueLine {
        status: words::of_state(pipelines::job::State::Queued),
        job: row.name.clone(),
        href: links::job(&row.owner, &row.repo, row.number, &row.name),
        run: format!("{}/{} #{}", row.owner, row.repo, row.number),
        run_href: links::run(&row.owner, &row.repo, row.number),
        title: row.title.clone(),
        reason: reasons
            .get(&JobId(row.id))
            .cloned()
            .unwrap_or_else(|| "waits its turn".into()),
        former: row.reason.clone(),
        kind: row.kind.clone(),
        environment: row.environment.clone(),
        fork: row.trust == "fork",
        since: Lasting::new(row.queued_at, None, ask.now),
    };
    let (status, headline) = match total {
        0 => (words::DONE, "nothing waits".to_owned()),
        1 => (
            words::of_state(pipelines::job::State::Queued),
            "1 job".to_owned(),
        ),
        n => (
            words::of_state(pipelines::job::State::Queued),
            format!("{n} jobs"),
        ),
    };
    let title = format!("{headline} · Queue");
    let f = ask.frame(Place::Queue, Family::Neutral, &title);
    ask.show(&Queue {
        f: f.live(&["all".into()]),
        status,
        headline,
        total,
        jobs: rows.iter().map(line).collect(),
    })
}
