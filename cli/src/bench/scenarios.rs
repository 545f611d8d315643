//! The scenarios, each with its own rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::Args;
use super::figures::Figures;
use super::forge::{self, Forge, Repository};
use super::installation::Installation;

/// Hook → acknowledged: one at a time, and many at once.
pub(super) async fn acknowledged(
    figures: &mut Figures,
    world: &Installation,
    args: &Args,
) -> anyhow::Result<()> {
    let body = |number: usize| forge::star(number);
    let mut alone = Vec::new();
    for number in 0..args.hooks {
        alone.push(world.hook("star", &body(number)).await?);
    }
    figures.times("hook → acknowledged, one at a time", &alone);
    let next = Arc::new(AtomicUsize::new(args.hooks));
    let began = Instant::now();
    let senders = (0..args.concurrency).map(|_| async {
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= 2 * args.hooks {
                return anyhow::Ok(times);
            }
            times.push(world.hook("star", &body(number)).await?);
        }
    });
    let together = futures_util::future::try_join_all(senders).await?.concat();
    let rate = together.len() as f64 / began.elapsed().as_secs_f64();
    figures.times(
        format!("hook → acknowledged, {} at once", args.concurrency),
        &together,
    );
    figures.rates(
        format!("hooks acknowledged, {} at once", args.concurrency),
        vec![rate],
    );
    Ok(())
}

/// Hook → the first step's process runs, with an idle runner.
pub(super) async fn first_step(
    figures: &mut Figures,
    (forge, world): (&Forge, &mut Installation),
    args: &Args,
) -> anyhow::Result<()> {
    world.start_runner("scripted", 1).await?;
    let repository = forge.repository("instant", &pipeline("instant", 1)).await?;
    let before = forge.calls();
    let times = pushes(world, &repository, args.pushes).await?;
    figures.times("hook → first step's output, instant engine", &times);
    let calls = (forge.calls() - before) as f64 / (args.pushes + 1) as f64;
    figures.add("L10 calls to GitHub for a run".into(), "", vec![calls]);
    world.stop_runners().await;
    if let Some(image) = &args.image {
        world.start_runner("docker", 1).await?;
        let repository = forge.repository("docker", &pipeline(image, 1)).await?;
        let times = pushes(world, &repository, args.pushes).await?;
        figures.times("hook → first step's output, in a Docker container", &times);
        world.stop_runners().await;
    }
    Ok(())
}

/// A pipeline of `jobs` jobs with one step each.
pub(super) fn pipeline(image: &str, jobs: usize) -> String {
    let job =
        |number| format!("  job-{number}: {{ image: \"{image}\", steps: [\"echo running\"] }}\n");
    let jobs: String = (0..jobs).map(job).collect();
    format!("on: push\njobs:\n{jobs}")
}

async fn pushes(
    world: &Installation,
    repository: &Repository,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    // The first one meets cold caches and is not counted.
    for number in 0..=count {
        let (commit, body) = repository.push().await?;
        let sent = SystemTime::now().duration_since(UNIX_EPOCH)?;
        world.hook("push", &body).await?;
        ended(world, repository, &commit).await?;
        let started = world.first_line().context("the step printed nothing")?;
        if number > 0 {
            times.push(started.saturating_sub(sent));
        }
    }
    Ok(times)
}

/// Returns when the run of `commit` has ended.
async fn ended(world: &Installation, repository: &Repository, commit: &str) -> anyhow::Result<()> {
    let list = format!("/repos/{}/runs", repository.name);
    world
        .eventually(&list, |page| {
            let run = page["items"]
                .as_array()?
                .iter()
                .find(|run| run["commit"] == commit)?;
            run["finished_at"].is_string().then_some(())
        })
        .await
}

/// A backlog of jobs, drained by one runner with an instant engine; memory meanwhile.
pub(super) async fn drain(
    figures: &mut Figures,
    (forge, world): (&Forge, &mut Installation),
    args: &Args,
) -> anyhow::Result<()> {
    const JOBS_PER_RUN: usize = 20;
    let repository = forge
        .repository("backlog", &pipeline("instant", JOBS_PER_RUN))
        .await?;
    let runs = args.jobs.div_ceil(JOBS_PER_RUN);
    let mut last = String::new();
    for _ in 0..runs {
        let (commit, body) = repository.push().await?;
        world.hook("push", &body).await?;
        last = commit;
    }
    let list = format!("/repos/{}/runs", repository.name);
    world
        .eventually(&list, |page| {
            page["items"]
                .as_array()?
                .iter()
                .find(|run| run["commit"] == *last)
                .map(|_| ())
        })
        .await?;
    let (idle, _) = world.memory();
    figures.sizes("memory of the server, backlog waiting", &[idle]);
    world.start_runner("scripted", args.slots).await?;
    let began = Instant::now();
    let (mut server, mut runner, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let (mut done, mut at) = (0, began);
    loop {
        let left = open_runs(world, &list).await?;
        let (server_now, runner_now) = world.memory();
        server.push(server_now);
        runner.push(runner_now);
        let finished = (runs - left.min(runs)) * JOBS_PER_RUN;
        if at.elapsed() >= Duration::from_secs(1) || left == 0 {
            rates.push((finished - done) as f64 / at.elapsed().as_secs_f64());
            (done, at) = (finished, Instant::now());
        }
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mean = (runs * JOBS_PER_RUN) as f64 / began.elapsed().as_secs_f64();
    figures.rates(
        format!("jobs drained, {} slots, whole scenario", args.slots),
        vec![mean],
    );
    figures.rates(
        format!("jobs drained, {} slots, second by second", args.slots),
        rates,
    );
    figures.sizes("memory of the server, draining", &server);
    figures.sizes("memory of the runner, draining", &runner);
    world.stop_runners().await;
    Ok(())
}

/// How many runs have not ended.
async fn open_runs(world: &Installation, list: &str) -> anyhow::Result<usize> {
    let mut open = 0;
    for state in ["waiting", "queued", "running"] {
        let page = world
            .api(&format!("{list}?state={state}&limit=100"))
            .await?;
        open += page["items"].as_array().map_or(0, Vec::len);
    }
    Ok(open)
}
