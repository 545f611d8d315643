//! Loads of promises: each is a scenario with rows of its own, smaller than the promise where this
//! machine is, which its first row says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::Args;
use super::crew::{Hand, Work};
use super::figures::{Figures, Use};
use super::forge::{self, Forge};
use super::installation::Installation;
use super::scenarios::pipeline;

/// Between two looks at what the server uses.
const LOOK: Duration = Duration::from_millis(200);
const JOBS_PER_RUN: usize = 20;
/// Repositories that a backlog is of.
const REPOSITORIES: usize = 10;
/// Hands that work off a backlog.
const WORKERS: usize = 8;

/// Does `work` and looks at what the server uses meanwhile.
async fn metered<T>(
    world: &Installation,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Use)> {
    let (began, cpu) = (Instant::now(), world.cpu());
    let mut used = Use::default();
    let mut work = std::pin::pin!(work);
    let done = loop {
        used.memory.push(world.memory().0);
        used.wal.push(world.wal());
        tokio::select! {
            done = &mut work => break done?,
            () = tokio::time::sleep(LOOK) => {}
        }
    };
    let computed = world.cpu().saturating_sub(cpu).as_secs_f64();
    used.cores = computed / began.elapsed().as_secs_f64();
    Ok((done, used))
}

/// L12: a server that nobody wants anything of.
pub(super) async fn idle(
    figures: &mut Figures,
    world: &Installation,
    args: &Args,
) -> anyhow::Result<()> {
    let rest = Duration::from_secs(args.seconds);
    let sleep = async {
        tokio::time::sleep(rest).await;
        Ok(())
    };
    let ((), used) = metered(world, sleep).await?;
    figures.used("L12 idle", used);
    Ok(())
}

/// L1: webhooks that come at their own pace, whatever the answers do.
pub(super) async fn hooks(
    figures: &mut Figures,
    world: &Installation,
    args: &Args,
) -> anyhow::Result<()> {
    let steady = usize::try_from(args.seconds)? * 200;
    for (what, count, seconds) in [
        ("L1 200 hooks a second", steady, args.seconds),
        ("L1 burst of 2000 hooks in 5 s", 2000, 5),
    ] {
        let began = tokio::time::Instant::now();
        let gap = Duration::from_secs(seconds).div_f64(count as f64);
        let hook = |number: usize| async move {
            tokio::time::sleep_until(began + gap.mul_f64(number as f64)).await;
            world.hook("star", &forge::star(number)).await
        };
        let all = try_join_all((0..count).map(hook));
        let (times, used) = metered(world, all).await?;
        figures.times(format!("{what}, acknowledged"), &times);
        figures.used(what, used);
    }
    Ok(())
}

/// L2: many idle runners wait, and one of them gets each job.
pub(super) async fn start(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &Installation, &Arc<Vec<Hand>>),
    args: &Args,
) -> anyhow::Result<()> {
    let repository = forge.repository("start", &pipeline("instant", 1)).await?;
    let (told, mut claimed) = mpsc::unbounded_channel();
    let waiting = (0..hands.len()).map(|place| {
        let (hands, told) = (hands.clone(), told.clone());
        tokio::spawn(async move {
            while let Ok(work) = hands[place].claim(25).await {
                if let Some(work) = work {
                    // Nobody listens any more once the scenario has ended.
                    let _ = told.send(Instant::now());
                    let _ = hands[place].pass(work).await;
                }
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let mut times = Vec::new();
    for _ in 0..args.pushes {
        let (_, body) = repository.push().await?;
        let sent = Instant::now();
        world.hook("push", &body).await?;
        let claimed = tokio::time::timeout(Duration::from_secs(30), claimed.recv());
        let at = claimed.await.context("nobody got the job")?;
        times.push(at.context("every runner has ended")?.duration_since(sent));
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    let what = format!("L2 hook → job at one of {} idle runners", hands.len());
    figures.times(what, &times);
    Ok(())
}

/// Pushes until there are so many jobs, in several repositories, and waits until all are queued.
async fn fill(
    (forge, world): (&Forge, &Installation),
    name: &str,
    jobs: usize,
) -> anyhow::Result<()> {
    let runs = jobs.div_ceil(JOBS_PER_RUN);
    let each = runs.div_ceil(REPOSITORIES);
    for number in 0..runs.div_ceil(each) {
        let name = format!("{name}-{number}");
        let text = pipeline("instant", JOBS_PER_RUN);
        let repository = forge.repository(&name, &text).await?;
        let mut last = String::new();
        for _ in 0..each {
            let (commit, body) = repository.push().await?;
            world.hook("push", &body).await?;
            last = commit;
        }
        let list = format!("/repos/{}/runs", repository.name);
        let is_there = |page: &serde_json::Value| {
            let mut runs = page["items"].as_array()?.iter();
            runs.find(|run| run["commit"] == *last).map(|_| ())
        };
        world.eventually(&list, is_there).await?;
    }
    Ok(())
}

/// L4 and L5: a backlog is worked off, and then people look at what has become of it.
pub(super) async fn backlog(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &Installation, &[Hand]),
    args: &Args,
) -> anyhow::Result<()> {
    fill((forge, world), "backlog", args.jobs).await?;
    let worker = |hand| async move {
        let mut times = Vec::new();
        loop {
            let began = Instant::now();
            let Some(work) = Hand::claim(hand, 0).await? else {
                return anyhow::Ok(times);
            };
            times.push(began.elapsed());
            hand.pass(work).await?;
        }
    };
    let all = try_join_all(hands.iter().take(WORKERS).map(worker));
    let began = Instant::now();
    let (times, used) = metered(world, all).await?;
    let times = times.concat();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    figures.times(format!("L4 claim, backlog of {}", times.len()), &times);
    figures.rates("L4 jobs claimed and passed", vec![rate]);
    figures.used("L4 backlog", used);
    let cookie = world.sign_in().await?;
    for (what, path) in [
        ("L5 page of a repository", "/repos/bench/backlog-0"),
        ("L5 page of a run", "/repos/bench/backlog-0/runs/1"),
        (
            "L5 list of runs",
            "/api/v1/repos/bench/backlog-0/runs?limit=100",
        ),
    ] {
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            match path.strip_prefix("/api/v1") {
                Some(path) => drop(world.api(path).await?),
                None => drop(world.page(&cookie, path).await?.bytes().await?),
            }
            times.push(began.elapsed());
        }
        figures.times(what, &times);
    }
    Ok(())
}

/// Gives each hand a job.
async fn employ(
    (forge, world): (&Forge, &Installation),
    (name, hands): (&str, &[Hand]),
) -> anyhow::Result<Vec<Work>> {
    fill((forge, world), name, hands.len()).await?;
    try_join_all(hands.iter().map(Hand::take)).await
}

/// L3: many steps that talk.
pub(super) async fn logs(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &Installation, &[Hand]),
    args: &Args,
) -> anyhow::Result<()> {
    const LINES_PER_SECOND: usize = 20;
    let works = employ((forge, world), ("logs", hands)).await?;
    let lines = vec![vec![b'x'; 80]; LINES_PER_SECOND];
    let began = tokio::time::Instant::now();
    let talk = |(place, (hand, mut work)): (usize, (_, Work))| {
        let lines = &lines;
        let first = began + Duration::from_secs(1).mul_f64(place as f64 / hands.len() as f64);
        async move {
            let mut times = Vec::new();
            for second in 0..args.seconds {
                tokio::time::sleep_until(first + Duration::from_secs(second)).await;
                times.push(Hand::say(hand, &mut work, lines).await?);
                if second % 5 == 0 {
                    hand.beat(&work).await?;
                }
            }
            hand.pass(work).await?;
            anyhow::Ok(times)
        }
    };
    let all = try_join_all(hands.iter().zip(works).enumerate().map(talk));
    let (times, used) = metered(world, all).await?;
    let rate = hands.len() * LINES_PER_SECOND;
    figures.times(
        format!("L3 {rate} lines a second, durable"),
        &times.concat(),
    );
    figures.used("L3 logs", used);
    Ok(())
}

/// L6: the server is killed under running jobs and started again.
pub(super) async fn restart(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &mut Installation, &[Hand]),
) -> anyhow::Result<()> {
    let works = employ((forge, world), ("restart", hands)).await?;
    let began = Instant::now();
    let up = world.restart().await?;
    let back = hands.iter().zip(&works).map(|(hand, work)| async move {
        hand.introduce().await?;
        hand.beat(work).await
    });
    try_join_all(back).await?;
    let all = began.elapsed();
    for (hand, work) in hands.iter().zip(works) {
        hand.pass(work).await?;
    }
    figures.times("L6 killed → answers again", &[up]);
    let what = format!("L6 killed → all of {} jobs confirmed", hands.len());
    figures.times(what, &[all]);
    Ok(())
}

/// L7: one long log, as fast as it is taken.
pub(super) async fn long_log(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &Installation, &[Hand]),
    args: &Args,
) -> anyhow::Result<()> {
    const CHUNK: usize = 256 * 1024;
    let hand = &hands[..1];
    let works = employ((forge, world), ("long", hand)).await?;
    let mut work = works.into_iter().next().context("one hand, one job")?;
    let chunks = args.log_mib * 1024 * 1024 / CHUNK;
    let line = vec![vec![b'x'; 1000]; CHUNK / 1000];
    let talk = async {
        let mut times = Vec::new();
        for number in 0..chunks {
            times.push(hand[0].say(&mut work, &line).await?);
            if number % 64 == 0 {
                hand[0].beat(&work).await?;
            }
        }
        Ok(times)
    };
    let began = Instant::now();
    let (times, used) = metered(world, talk).await?;
    let rate = args.log_mib as f64 / began.elapsed().as_secs_f64();
    figures.times("L7 chunk of 256 KiB, durable", &times);
    let what = format!("L7 log of {} MiB", args.log_mib);
    figures.add(what, "MiB/s", vec![rate]);
    figures.used("L7 long log", used);
    let (run, name) = (&work.assignment.run, &work.assignment.name);
    let page = format!("/repos/{}/runs/{}/jobs/{name}", run.repository, run.number);
    let cookie = world.sign_in().await?;
    let began = Instant::now();
    world.page(&cookie, &page).await?.bytes().await?;
    figures.times("L7 page of its end", &[began.elapsed()]);
    hand[0].pass(work).await
}

/// L8: many people watch one step, and some of them read nothing.
pub(super) async fn viewers(
    figures: &mut Figures,
    (forge, world, hands): (&Forge, &Installation, &[Hand]),
    args: &Args,
) -> anyhow::Result<()> {
    const LINES: usize = 50;
    let hand = &hands[..1];
    let works = employ((forge, world), ("watched", hand)).await?;
    let mut work = works.into_iter().next().context("one hand, one job")?;
    let topic = format!("log:{}", work.assignment.job);
    let path = format!("/live?topics={topic}");
    let cookie = world.sign_in().await?;
    // Held, and never read.
    let slow = try_join_all((0..args.viewers / 10).map(|_| world.page(&cookie, &path))).await?;
    let (told, mut seen) = mpsc::unbounded_channel();
    for _ in 0..args.viewers {
        let mut events = world.page(&cookie, &path).await?.bytes_stream();
        let (told, topic) = (told.clone(), topic.clone());
        tokio::spawn(async move {
            while let Some(Ok(bytes)) = events.next().await {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let _ = text
                    .matches(&topic)
                    .try_for_each(|_| told.send(Instant::now()));
            }
        });
    }
    let mut times = Vec::new();
    for number in 0..LINES {
        let began = Instant::now();
        let line = format!("line {number}").into_bytes();
        hand[0].say(&mut work, &[line]).await?;
        for _ in 0..args.viewers {
            let event = tokio::time::timeout(Duration::from_secs(10), seen.recv());
            let at = event.await.context("a viewer was not told")?;
            times.push(at.context("the viewers have ended")?.duration_since(began));
        }
    }
    ensure!(
        times.len() == LINES * args.viewers,
        "each viewer is told of each line"
    );
    let what = format!(
        "L8 line → told, {} viewers and {} that sleep",
        args.viewers,
        slow.len()
    );
    figures.times(what, &times);
    hand[0].pass(work).await
}
