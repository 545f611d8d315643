//! `/`: what needs me, what is broken, what is happening now? Before the first run: what to do first.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use pipelines::deploy::DeployProgress;
use pipelines::ids::{JobId, RepoId};
use pipelines::job::State;

use super::ask::Ask;
use super::environments::{self, Cell};
use super::frame::{Frame, Place};
use super::lines::RunLine;
use super::links;
use super::moments::When;
use super::words::{self, Family, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::runs::RunRow;
use crate::store::views::{deploys, jobs, overview, runs};

/// Most rows of a block: the rest is one link away.
const ROWS_MAX: i64 = 20;
/// How many runs of a default branch are read to tell how it is.
const BRANCH_RUNS: i64 = 30;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    f: Frame,
    status: Status,
    headline: String,
    needs: Vec<Need>,
    strip: Vec<Strip>,
    broken: Vec<Broken>,
    open: Vec<Open>,
    queued: i64,
    recent: Vec<RunLine>,
    repos: Vec<(String, String)>,
}

/// Something a person should look at.
struct Need {
    status: Status,
    text: String,
    href: String,
    reason: Option<String>,
    at: When,
}

struct Strip {
    name: String,
    href: String,
    cell: Cell,
}

/// A default branch whose newest decided run did not pass.
struct Broken {
    run: RunLine,
    /// The first run that failed, if it was not this one: number, address, author.
    since: Option<(i64, String, String)>,
}

struct Open {
    run: RunLine,
    waiting: Option<String>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    f: Frame,
    app_connected: bool,
    url: String,
    heard: Option<(When, String, String)>,
    runner: bool,
    pipeline: bool,
    passed: bool,
    steps_done: usize,
}

/// Answers `GET /`.
pub(crate) async fn page(ask: Ask) -> Result<Response, PageError> {
    if !overview::any_run(ask.reader()).await? {
        return welcome(&ask).await;
    }
    let strip = strip(&ask).await?;
    let needs = needs(&ask).await?;
    let (broken, repos) = broken(&ask).await?;
    let open = open(&ask).await?;
    let recent = runs::recent(ask.reader(), ROWS_MAX).await?;
    let (status, headline) = headline(needs.len(), broken.len(), open.len());
    let title = format!("{}: {headline}", status.word);
    let f = ask.frame(Place::Overview, status.family, &title);
    ask.show(&Overview {
        f: f.live(&["all".into()]),
        status,
        headline,
        needs,
        strip,
        broken,
        open,
        queued: jobs::queue_length(ask.reader()).await?,
        recent: recent
            .iter()
            .map(|row| RunLine::new(row, ask.now))
            .collect(),
        repos,
    })
}

/// The whole installation in one status and one sentence.
fn headline(needs: usize, broken: usize, open: usize) -> (Status, String) {
    let branches = match broken {
        1 => "1 default branch is broken".to_owned(),
        n => format!("{n} default branches are broken"),
    };
    let looks = match needs {
        1 => "1 rollout is late or failed".to_owned(),
        n => format!("{n} rollouts are late or failed"),
    };
    match (needs, broken, open) {
        (0, 0, 0) => (words::of_state(State::Passed), "everything is well".into()),
        (0, 0, n) => {
            let runs = if n == 1 {
                "1 run".into()
            } else {
                format!("{n} runs")
            };
            (
                words::of_state(State::Running),
                format!("{runs}, nothing is broken"),
            )
        }
        (0, _, _) => (words::of_state(State::Failed), branches),
        (_, 0, _) => (words::LATE_OR_FAILED, looks),
        (_, _, _) => (words::LATE_OR_FAILED, format!("{looks}, {branches}")),
    }
}

async fn strip(ask: &Ask) -> Result<Vec<Strip>, PageError> {
    let current = deploys::current(ask.reader(), None, 200).await?;
    let rows = deploys::environments(ask.reader(), None, 100).await?;
    let one_repo = rows.iter().all(|row| row.repo == rows[0].repo);
    let strip = rows.iter().map(|row| Strip {
        name: if one_repo {
            row.name.clone()
        } else {
            format!("{} · {}", row.repo, row.name)
        },
        href: links::environment(&row.owner, &row.repo, &row.name),
        cell: environments::cell(row, &current, ask.now),
    });
    Ok(strip.collect())
}

/// Rollouts that failed last, and those that are late.
async fn needs(ask: &Ask) -> Result<Vec<Need>, PageError> {
    let mut newest = BTreeMap::new();
    for deploy in deploys::current(ask.reader(), None, 500).await? {
        // Ordered by id: the newest of each environment stays.
        let place = (
            deploy.owner.clone(),
            deploy.repo.clone(),
            deploy.environment.clone(),
        );
        newest.insert(place, deploy);
    }
    let mut needs = Vec::new();
    for deploy in newest.into_values() {
        let status = words::of_state(*deploy.state);
        let progress = deploy.progress.as_deref().and_then(environments::progress);
        let deadline = progress.as_ref().and_then(|p: &DeployProgress| p.deadline);
        let late = *deploy.state == State::Running && deadline.is_some_and(|at| at < ask.now);
        if status.family != Family::Failed && !late {
            continue;
        }
        needs.push(Need {
            status: if late { words::LATE } else { status },
            text: format!(
                "{} of {}/{} to {}",
                links::short(&deploy.commit_sha),
                deploy.owner,
                deploy.repo,
                deploy.environment
            ),
            href: links::deploy(&deploy.owner, &deploy.repo, deploy.number),
            reason: deploy.reason.or(deploy.verdict),
            at: deploy.finished_at.unwrap_or(deploy.created_at).into(),
        });
    }
    Ok(needs)
}

type Named = Vec<(String, String)>;

/// The default branches whose pipelines do not pass, and every repository by name.
async fn broken(ask: &Ask) -> Result<(Vec<Broken>, Named), PageError> {
    let mut broken = Vec::new();
    let mut named = Vec::new();
    for repo in runs::repos(ask.reader(), 100).await? {
        let href = links::repo(&repo.owner, &repo.name);
        named.push((format!("{}/{}", repo.owner, repo.name), href));
        let (id, branch) = (RepoId(repo.id), &repo.default_branch);
        let decided = runs::decided_on_branch(ask.reader(), id, branch, BRANCH_RUNS).await?;
        broken.extend(of_branch(&decided, ask));
    }
    broken.sort_by_key(|broken: &Broken| std::cmp::Reverse(broken.run.created.0));
    Ok((broken, named))
}

/// The newest run of each pipeline, where it did not pass, and since when that is so.
fn of_branch(decided: &[RunRow], ask: &Ask) -> Vec<Broken> {
    let mut seen: Vec<&str> = Vec::new();
    let mut broken = Vec::new();
    for (place, row) in decided.iter().enumerate() {
        if seen.contains(&row.pipeline.as_str()) {
            continue;
        }
        seen.push(&row.pipeline);
        if *row.state == State::Passed {
            continue;
        }
        let earlier = decided[place + 1..]
            .iter()
            .filter(|run| run.pipeline == row.pipeline);
        let first = earlier.take_while(|run| *run.state != State::Passed).last();
        broken.push(Broken {
            run: RunLine::new(row, ask.now),
            since: first.map(|run| {
                let href = links::run(&run.owner, &run.repo, run.number);
                (run.number, href, run.author.clone())
            }),
        });
    }
    broken
}

async fn open(ask: &Ask) -> Result<Vec<Open>, PageError> {
    let rows = runs::open(ask.reader(), 50).await?;
    let reasons = crate::dispatch::why_queued(&ask.app, None).await?;
    let queued = jobs::queued(ask.reader(), 200).await?;
    let waiting = |run: i64| {
        let job = queued.iter().find(|job| job.run_id == run)?;
        let reason = reasons.get(&JobId(job.id))?;
        Some(format!("{} waits: {reason}", job.name))
    };
    let open = rows.iter().map(|row| Open {
        run: RunLine::new(row, ask.now),
        waiting: waiting(row.id),
    });
    Ok(open.collect())
}

async fn welcome(ask: &Ask) -> Result<Response, PageError> {
    let progress = overview::progress(ask.reader()).await?;
    let heard = progress.last_delivery.map(|at| {
        let event = progress.last_event.clone().unwrap_or_default();
        (
            When::from(at),
            event,
            progress.last_outcome.clone().unwrap_or_default(),
        )
    });
    let app_connected = ask.app.github.is_some();
    let ticks = [
        app_connected,
        heard.is_some(),
        progress.runners > 0,
        progress.any_run,
        progress.any_passed,
    ];
    let steps_done = ticks.into_iter().filter(|done| *done).count();
    let title = format!("Welcome: {steps_done} of 5 done");
    let f = ask.frame(Place::Overview, Family::Neutral, &title);
    ask.show(&Welcome {
        f: f.live(&["all".into(), Topic::Runners.to_string()]),
        app_connected,
        url: ask.app.url(""),
        heard,
        runner: progress.runners > 0,
        pipeline: progress.any_run,
        passed: progress.any_passed,
        steps_done,
    })
}
