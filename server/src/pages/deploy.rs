//! `/repos/{owner}/{repo}/deploys/{number}`: is the rollout going well, must I step in?

mod phases;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use pipelines::deploy::{Cause, ClusterEvent, DeployProgress, Pod, PodState, RollbackState};
use pipelines::ids::{DeployId, RepoId};
use pipelines::job::State;

use self::phases::{PhaseMark, phases};

use super::ask::{Ask, missing};
use super::environments::{images, progress};
use super::frame::{Frame, Place};
use super::links;
use super::moments::{Deadline, Lasting, When};
use super::words::{self, Status};
use crate::error::PageError;
use crate::live::Topic;
use crate::store::views::deploys::{self, DeployRow};

/// Above this many pods a band is drawn as segments with counts.
const BLOCKS_MAX: usize = 60;

#[derive(Template)]
#[template(path = "deploy.html")]
struct Deploy {
    f: Frame,
    status: Status,
    verdict: String,
    number: i64,
    environment: (String, String),
    deadline: Option<Deadline>,
    is_open: bool,
    phases: Vec<PhaseMark>,
    bands: Vec<Band>,
    causes: Vec<CauseView>,
    reason: Option<String>,
    pods: Vec<PodView>,
    events: Vec<EventView>,
    release: Release,
    lasting: Option<Lasting>,
    started: Option<When>,
    finished: Option<When>,
    probes: Option<(i64, i64)>,
    live: bool,
    /// The release that is returned to: its number, its commit, and how far that is.
    rollback: Option<(i64, String, &'static str)>,
}

/// The pods of one generation.
struct Band {
    name: &'static str,
    count: String,
    /// Drawn one by one, unless there are too many.
    blocks: Vec<Block>,
    segments: Vec<Segment>,
    missing: u32,
}

struct Block {
    status: Status,
    class: &'static str,
    label: String,
    anchor: String,
}

struct Segment {
    class: &'static str,
    x: usize,
    width: usize,
}

struct CauseView {
    title: String,
    meaning: String,
    objects: Vec<String>,
    lines: Vec<String>,
    since: When,
}

struct PodView {
    status: Status,
    anchor: String,
    name: String,
    workload: String,
    new: bool,
    reason: Option<String>,
    node: Option<String>,
    restarts: u32,
    image: Option<String>,
    created: When,
    log: Vec<String>,
}

struct EventView {
    at: When,
    status: Option<Status>,
    object: String,
    reason: String,
    message: String,
    count: u32,
}

struct Release {
    number: i64,
    sha: String,
    short: String,
    title: String,
    author: String,
    event: String,
    branch: Option<String>,
    run: (i64, String),
    job: (String, String),
    images: Vec<(String, String)>,
    namespace: String,
}

/// Answers `GET /repos/{owner}/{repo}/deploys/{number}`.
pub(crate) async fn page(
    ask: Ask,
    Path((owner, name, number)): Path<(String, String, i64)>,
) -> Result<Response, PageError> {
    let repo = ask.repo(&owner, &name).await?;
    let row = deploys::find(ask.reader(), RepoId(repo.id), number).await?;
    let row =
        row.ok_or_else(|| missing(format!("there is no deploy {number} of {owner}/{name}")))?;
    let told = row.progress.as_deref().and_then(progress);
    let is_open = !row.state.is_final();
    let deadline = told
        .as_ref()
        .and_then(|told| told.deadline)
        .filter(|_| is_open);
    let deadline = deadline.map(|at| Deadline { at, now: ask.now });
    let late = deadline.is_some_and(Deadline::passed);
    let status = match late {
        true => words::LATE,
        false => words::of_state(*row.state),
    };
    let full = format!("{}/{}", row.owner, row.repo);
    let here = links::environment(&row.owner, &row.repo, &row.environment);
    let title = format!(
        "{} · {} · deploy #{} to {}",
        status.word, row.repo, row.number, row.environment
    );
    let f = ask
        .frame(Place::Environments, status.family, &title)
        .live(&[Topic::Deploy(DeployId(row.id)).to_string()])
        .under(&[
            ("Environments", "/environments".into()),
            (&full, links::repo(&row.owner, &row.repo)),
            (&row.environment, here.clone()),
        ]);
    let page = Deploy {
        f,
        status,
        verdict: verdict(&row, told.as_ref()),
        number: row.number,
        environment: (row.environment.clone(), here),
        deadline,
        is_open,
        phases: phases(*row.state, told.as_ref()),
        bands: told.as_ref().map(bands).unwrap_or_default(),
        reason: row
            .reason
            .clone()
            .filter(|_| status.family == words::Family::Failed),
        causes: told
            .iter()
            .flat_map(|told| &told.causes)
            .map(cause)
            .collect(),
        pods: told
            .iter()
            .flat_map(|told| &told.pods)
            .map(|one| pod(one, &row.images))
            .collect(),
        events: told
            .iter()
            .flat_map(|told| &told.events)
            .map(event)
            .collect(),
        lasting: Lasting::new(row.started_at, row.finished_at, ask.now),
        started: row.started_at.map(When::from),
        finished: row.finished_at.map(When::from),
        probes: row.requests_probed.zip(row.requests_failed),
        live: row.live,
        rollback: told.as_ref().and_then(rollback),
        release: release(&row),
    };
    ask.show(&page)
}

fn rollback(told: &DeployProgress) -> Option<(i64, String, &'static str)> {
    let back = told.rollback.as_ref()?;
    let word = match back.state {
        RollbackState::Running => "on the way back to",
        RollbackState::Verified => "back to",
        RollbackState::Failed => "not back to",
    };
    Some((back.release.0, back.commit.short().to_string(), word))
}

/// The one sentence: what the runner said last, or what is known without it.
fn verdict(row: &DeployRow, told: Option<&DeployProgress>) -> String {
    let known = told
        .map(|told| told.verdict.clone())
        .filter(|verdict| !verdict.is_empty());
    let known = row
        .verdict
        .clone()
        .filter(|_| row.state.is_final())
        .or(known);
    known.or_else(|| row.verdict.clone()).unwrap_or_else(|| {
        let what = format!("{} to {}", links::short(&row.commit_sha), row.environment);
        match *row.state {
            State::Waiting | State::Queued => format!("{what} waits for a runner"),
            State::Running => format!("{what} has begun"),
            State::Passed => format!("{what} is live"),
            State::Failed
            | State::Cancelled
            | State::Skipped
            | State::TimedOut
            | State::InfrastructureError
            | State::Superseded => format!("{what} did not arrive"),
        }
    })
}
fn bands(told: &DeployProgress) -> Vec<Band> {
    let wanted: u32 = told.workloads.iter().map(|workload| workload.wanted).sum();
    let new: Vec<&Pod> = told.pods.iter().filter(|pod| pod.new).collect();
    let old: Vec<&Pod> = told.pods.iter().filter(|pod| !pod.new).collect();
    let there = new
        .iter()
        .filter(|pod| pod.state != PodState::Terminating)
        .count();
    let missing = wanted.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX));
    vec![band("New", &new, missing), band("Old", &old, 0)]
}

fn band(name: &'static str, pods: &[&Pod], missing: u32) -> Band {
    let states = [
        PodState::Ready,
        PodState::Starting,
        PodState::NotReady,
        PodState::Failing,
        PodState::Terminating,
    ];
    let count = |state: PodState| pods.iter().filter(|pod| pod.state == state).count();
    let mut said: Vec<String> = states
        .iter()
        .filter(|state| count(**state) > 0)
        .map(|state| format!("{} {}", count(*state), state.as_str()))
        .collect();
    if missing > 0 {
        said.push(format!("{missing} not created"));
    }
    if said.is_empty() {
        said.push("none".into());
    }
    let total = pods.len() + missing as usize;
    let many = total > BLOCKS_MAX;
    let mut x = 0;
    let segment = |state: &PodState| {
        let width = count(*state) * 1000 / total.max(1);
        x += width;
        Segment {
            class: words::of_pod(*state).family.as_str(),
            x: x - width,
            width,
        }
    };
    Band {
        name,
        count: said.join(", "),
        segments: if many {
            states.iter().map(segment).collect()
        } else {
            Vec::new()
        },
        blocks: if many {
            Vec::new()
        } else {
            pods.iter().map(|pod| block(pod)).collect()
        },
        missing: if many { 0 } else { missing },
    }
}

fn block(pod: &Pod) -> Block {
    let reason = pod
        .reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    Block {
        status: words::of_pod(pod.state),
        class: match pod.state {
            PodState::Terminating => "p-terminating",
            PodState::Ready | PodState::Starting | PodState::NotReady | PodState::Failing => "",
        },
        label: format!("{}: {}{reason}", pod.name, pod.state.as_str()),
        anchor: format!("pod-{}", pod.name),
    }
}

fn cause(cause: &Cause) -> CauseView {
    CauseView {
        title: cause.title.clone(),
        meaning: cause.meaning.clone(),
        objects: cause.objects.clone(),
        lines: plain(&cause.lines),
        since: When(cause.since),
    }
}

/// Lines of a container, without what a terminal would obey.
fn plain(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| super::ansi::plain(line.as_bytes(), 400))
        .collect()
}

fn pod(pod: &Pod, images: &str) -> PodView {
    PodView {
        status: words::of_pod(pod.state),
        anchor: format!("pod-{}", pod.name),
        name: pod.name.clone(),
        workload: pod.workload.clone(),
        new: pod.new,
        reason: pod.reason.clone(),
        node: pod.node.clone(),
        restarts: pod.restarts,
        // Only an image that is not the release's own is news.
        image: pod
            .image
            .clone()
            .filter(|image| !images.contains(image.as_str())),
        created: When(pod.created_at),
        log: plain(&pod.log),
    }
}

fn event(event: &ClusterEvent) -> EventView {
    EventView {
        at: When(event.at),
        // A warning of the cluster may be normal waiting: it is marked, not painted as a failure.
        status: event.warning.then_some(words::WARNING),
        object: event.object.clone(),
        reason: event.reason.clone(),
        message: event.message.clone(),
        count: event.count,
    }
}

fn release(row: &DeployRow) -> Release {
    Release {
        number: row.release,
        sha: row.commit_sha.clone(),
        short: links::short(&row.commit_sha).to_owned(),
        title: row.title.clone(),
        author: row.author.clone(),
        event: words::of_event(&row.event).to_owned(),
        branch: row.branch.clone(),
        run: (row.run, links::run(&row.owner, &row.repo, row.run)),
        job: (
            row.job.clone(),
            links::job(&row.owner, &row.repo, row.run, &row.job),
        ),
        images: images(&row.images),
        namespace: row.namespace.clone(),
    }
}
