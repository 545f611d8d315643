//! Environments: what runs where, since when, is it well, and what was there before?

mod history;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use pipelines::deploy::{DeployProgress, RollbackState};
use pipelines::ids::RepoId;
use pipelines::timestamp::Timestamp;

use self::history::{HistoryLine, history_lines};
use super::ask::{Ask, missing};
use super::frame::{Frame, Place};
use super::links;
use super::moments::When;
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::deploys::{self, DeployRow, EnvironmentRow};
use crate::store::views::runs;

/// Rows of the history.
const ROWS: i64 = 30;
/// Most environments on the board.
const BOARD_MAX: i64 = 500;

/// What an environment runs, and what is happening to it.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) status: Status,
    pub(crate) live: Option<Release>,
    /// The newest deploy, where it is not the live one.
    pub(crate) next: Option<Next>,
    /// Whether deploys wait until a person allows them again.
    pub(crate) locked: bool,
}

/// A release in an environment.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) short: String,
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) since: When,
}

/// A deploy on its way, or one that did not arrive.
#[derive(Debug, Clone)]
pub(crate) struct Next {
    pub(crate) status: Status,
    pub(crate) short: String,
    pub(crate) href: String,
    pub(crate) counts: Option<String>,
    /// Whether the last verified release was returned to, and serves again.
    pub(crate) rollback: Option<RollbackState>,
}

impl Next {
    /// What followed a failure, as the end of a sentence.
    pub(crate) fn after(&self) -> &'static str {
        match self.rollback {
            Some(RollbackState::Running) => ", rolling back",
            Some(RollbackState::Verified) => ", rolled back",
            Some(RollbackState::Failed) => ", and the rollback failed",
            None => "",
        }
    }
    /// Whether nobody knows what serves.
    pub(crate) fn is_lost(&self) -> bool {
        self.rollback == Some(RollbackState::Failed)
    }
}

#[derive(Template)]
#[template(path = "environments.html")]
struct Board {
    f: Frame,
    status: Status,
    headline: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    repo: Option<String>,
}

struct Row {
    name: String,
    href: String,
    cells: Vec<Option<(String, String, Cell)>>,
}

#[derive(Template)]
#[template(path = "environment.html")]
struct Environment {
    f: Frame,
    name: String,
    repo: String,
    namespace: String,
    branches: Vec<String>,
    after: Option<(String, String)>,
    cell: Cell,
    live: Option<Live>,
    history: Vec<HistoryLine>,
    older: Option<String>,
    lock: Option<LockView>,
    own: String,
}

/// Who stopped deploys, why and when.
struct LockView {
    by: String,
    reason: String,
    at: When,
}

/// The facts of the live release.
struct Live {
    sha: String,
    release: i64,
    images: Vec<(String, String)>,
    author: String,
    run: (i64, String),
}

/// The progress of a deploy as it was last told.
pub(crate) fn progress(text: &str) -> Option<DeployProgress> {
    // An older program may have written it; then its page has fewer facts, and no error.
    serde_json::from_str(text).ok()
}

/// How many pods are ready: `3/6`.
pub(crate) fn counts(progress: &DeployProgress) -> Option<String> {
    let wanted: u32 = progress.workloads.iter().map(|w| w.wanted).sum();
    let ready: u32 = progress.workloads.iter().map(|w| w.ready).sum();
    (wanted > 0).then(|| format!("{ready}/{wanted}"))
}

/// An environment's cell, out of the current deploys of all.
pub(crate) fn cell(row: &EnvironmentRow, current: &[DeployRow], now: Timestamp) -> Cell {
    let here = |deploy: &&DeployRow| {
        deploy.owner == row.owner && deploy.repo == row.repo && deploy.environment == row.name
    };
    let live = current.iter().filter(here).find(|deploy| deploy.live);
    let newest = current.iter().rfind(here).filter(|deploy| !deploy.live);
    let next = newest.map(|deploy| next(deploy, now));
    let status = match (&next, live) {
        (Some(next), _) if next.status.family != Family::Neutral => next.status,
        (_, Some(_)) => words::LIVE,
        (Some(_) | None, None) => words::EMPTY,
    };
    Cell {
        status,
        live: live.map(|deploy| Release {
            short: links::short(&deploy.commit_sha).to_owned(),
            title: deploy.title.clone(),
            href: links::deploy(&deploy.owner, &deploy.repo, deploy.number),
            since: deploy.finished_at.unwrap_or(deploy.created_at).into(),
        }),
        next,
        locked: row.locked_by.is_some(),
    }
}

fn next(deploy: &DeployRow, now: Timestamp) -> Next {
    let progress = deploy.progress.as_deref().and_then(progress);
    let late = progress
        .as_ref()
        .and_then(|p| p.deadline)
        .is_some_and(|at| at < now);
    let is_open = !deploy.state.is_final();
    Next {
        status: if late && is_open {
            words::LATE
        } else {
            words::of_state(*deploy.state)
        },
        short: links::short(&deploy.commit_sha).to_owned(),
        href: links::deploy(&deploy.owner, &deploy.repo, deploy.number),
        counts: progress.as_ref().and_then(counts).filter(|_| is_open),
        rollback: progress
            .and_then(|told| told.rollback)
            .map(|back| back.state),
    }
}

/// Answers `GET /environments`.
pub(crate) async fn board(ask: Ask) -> Result<Response, PageError> {
    show_board(&ask, None).await
}

/// Answers `GET /repos/{owner}/{repo}/environments`.
pub(crate) async fn of_repo(
    ask: Ask,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let repo = ask.repo(&owner, &name).await?;
    show_board(&ask, Some(repo)).await
}

async fn show_board(ask: &Ask, repo: Option<runs::RepoRow>) -> Result<Response, PageError> {
    let id = repo.as_ref().map(|repo| RepoId(repo.id));
    let rows = deploys::environments(ask.reader(), id, BOARD_MAX).await?;
    let current = deploys::current(ask.reader(), id, BOARD_MAX * 2).await?;
    let columns = columns(&rows);
    let rows = board_rows(&rows, &current, &columns, ask.now);
    let (status, headline) = headline(&rows);
    let name = repo
        .as_ref()
        .map(|repo| format!("{}/{}", repo.owner, repo.name));
    let title = format!("{} · Environments", status.word);
    let f = ask.frame(Place::Environments, status.family, &title);
    let f = f.live(&[Topic::Environments.to_string()]);
    let f = match (&name, &repo) {
        (Some(name), Some(repo)) => f.under(&[
            ("Environments", "/environments".into()),
            (name, links::repo(&repo.owner, &repo.name)),
        ]),
        _ => f,
    };
    ask.show(&Board {
        f,
        status,
        headline,
        columns,
        rows,
        repo: name,
    })
}

/// The names of all environments, in promotion order as far as repositories agree on one.
fn columns(rows: &[EnvironmentRow]) -> Vec<String> {
    let mut columns: Vec<(i64, String)> = Vec::new();
    for row in rows {
        match columns.iter_mut().find(|(_, name)| *name == row.name) {
            Some((position, _)) => *position = (*position).max(row.position),
            None => columns.push((row.position, row.name.clone())),
        }
    }
    columns.sort();
    columns.into_iter().map(|(_, name)| name).collect()
}

fn board_rows(
    rows: &[EnvironmentRow],
    current: &[DeployRow],
    columns: &[String],
    now: Timestamp,
) -> Vec<Row> {
    let mut board: Vec<Row> = Vec::new();
    for row in rows {
        let name = format!("{}/{}", row.owner, row.repo);
        if board.last().is_none_or(|last| last.name != name) {
            board.push(Row {
                href: links::repo(&row.owner, &row.repo),
                name,
                cells: vec![None; columns.len()],
            });
        }
        let place = columns.iter().position(|column| *column == row.name);
        if let (Some(line), Some(place)) = (board.last_mut(), place) {
            let href = links::environment(&row.owner, &row.repo, &row.name);
            line.cells[place] = Some((row.name.clone(), href, cell(row, current, now)));
        }
    }
    board
}

/// The board in one status and one sentence: the worst first.
fn headline(rows: &[Row]) -> (Status, String) {
    let cells: Vec<&Cell> = rows
        .iter()
        .flat_map(|r| r.cells.iter().flatten())
        .map(|c| &c.2)
        .collect();
    let with = |family| {
        cells
            .iter()
            .filter(|cell| cell.status.family == family)
            .count()
    };
    let of = |n: usize| format!("{n} of {} environments", cells.len());
    match (
        with(Family::Failed),
        with(Family::Attention),
        with(Family::Active),
    ) {
        (0, 0, 0) if cells.is_empty() => (words::EMPTY, "no environments yet".into()),
        (0, 0, 0) => (words::LIVE, format!("in {}", of(with(Family::Passed)))),
        (0, 0, n) => (
            words::of_state(pipelines::job::State::Running),
            format!("in {}", of(n)),
        ),
        (0, n, _) => (words::LATE, format!("in {}", of(n))),
        (n, _, _) => {
            let failed = words::of_state(pipelines::job::State::Failed);
            (failed, format!("in {}", of(n)))
        }
    }
}

/// Answers `GET /repos/{owner}/{repo}/environments/{environment}`.
pub(crate) async fn page(
    ask: Ask,
    Path((owner, name, environment)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let repo = ask.repo(&owner, &name).await?;
    let id = RepoId(repo.id);
    let rows = deploys::environments(ask.reader(), Some(id), BOARD_MAX).await?;
    let row = rows.into_iter().find(|row| row.name == environment);
    let row =
        row.ok_or_else(|| missing(format!("{owner}/{name} has no environment {environment}")))?;
    let current = deploys::current(ask.reader(), Some(id), BOARD_MAX * 2).await?;
    let cell = cell(&row, &current, ask.now);
    let before = ask.number("before");
    let mut history = deploys::history(ask.reader(), id, &row.name, before, ROWS + 1).await?;
    let more = history.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    let lines = history_lines(&history, ask.now);
    history.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    let own = links::environment(&row.owner, &row.repo, &row.name);
    let last = history
        .last()
        .map(|deploy| deploy.number.to_string())
        .unwrap_or_default();
    let full = format!("{}/{}", row.owner, row.repo);
    let title = format!("{} · {} · {}", cell.status.word, row.repo, row.name);
    let f = ask
        .frame(Place::Environments, cell.status.family, &title)
        .live(&[Topic::Environments.to_string()])
        .under(&[
            ("Environments", "/environments".into()),
            (&full, links::repo(&row.owner, &row.repo)),
        ]);
    let live = deploys::live(ask.reader(), id, &row.name).await?;
    let locked = (row.locked_by.clone().zip(row.locked_reason.clone())).zip(row.locked_at);
    ask.show(&Environment {
        f,
        repo: full,
        branches: serde_json::from_str(&row.branches).unwrap_or_default(),
        after: row.after_environment.clone().map(|after| {
            let href = links::environment(&row.owner, &row.repo, &after);
            (after, href)
        }),
        live: live.as_ref().map(live_facts),
        cell,
        history: lines.into_iter().take(history.len()).collect(),
        older: more.then(|| links::query(&own, &[("before", &last)])),
        lock: locked.map(|((by, reason), at)| LockView {
            by,
            reason,
            at: at.into(),
        }),
        own,
        name: row.name,
        namespace: row.namespace,
    })
}

fn live_facts(deploy: &DeployRow) -> Live {
    Live {
        sha: deploy.commit_sha.clone(),
        release: deploy.release,
        images: images(&deploy.images),
        author: deploy.author.clone(),
        run: (
            deploy.run,
            links::run(&deploy.owner, &deploy.repo, deploy.run),
        ),
    }
}

/// The images of a release: name in the manifests, and what takes its place.
pub(crate) fn images(text: &str) -> Vec<(String, String)> {
    let map: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).unwrap_or_default();
    let pinned = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        value => {
            let part = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or_default();
            format!("{}@{}", part("repository"), part("digest"))
        }
    };
    map.into_iter()
        .map(|(name, value)| (name, pinned(value)))
        .collect()
}
