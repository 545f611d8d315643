//! `…/runs/{number}/timing`: where did the time go? Also while the run goes on.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::response::Response;
use pipelines::ids::RunId;
use pipelines::timestamp::Timestamp;

use super::head::{Head, Opened, RunPath, Tab, USUAL_RUNS};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::moments::{Lasting, Took};
use crate::pages::words::{self, Status};
use crate::store::views::jobs::{self, JobRow};
use crate::store::views::runs::RunRow;

/// Width of the bars' common scale.
const SCALE: i64 = 1000;

#[derive(Template)]
#[template(path = "run_timing.html")]
struct Timing {
    f: Frame,
    head: Head,
    total: Took,
    rows: Vec<Row>,
}

/// A job's time.
struct Row {
    status: Status,
    name: String,
    href: String,
    attempt: i64,
    /// Whether the run would have been shorter without it.
    critical: bool,
    /// Waiting for jobs it needs, in words.
    behind: Option<Took>,
    waiting: Option<Took>,
    preparing: Option<Took>,
    running: Option<Lasting>,
    usual: Option<(Took, Took)>,
    bars: Vec<Bar>,
}

/// A piece of a bar, on the common scale.
struct Bar {
    class: &'static str,
    x: i64,
    width: i64,
}

/// Answers `GET …/runs/{number}/timing`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let opened = Opened::find(&ask, path, Tab::Timing).await?;
    let (run, jobs) = (&opened.row, &opened.jobs);
    let begun: HashMap<i64, i64> = jobs::work_begun(ask.reader(), RunId(run.id))
        .await?
        .into_iter()
        .collect();
    let mut took: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (name, ms) in jobs::durations(ask.reader(), opened.repo, &run.pipeline, USUAL_RUNS).await? {
        took.entry(name).or_default().push(ms);
    }
    let end = run.finished_at.unwrap_or(ask.now.0);
    let span = (run.created_at, end.max(run.created_at + 1));
    let critical = critical(jobs, ask.now);
    let row = |(place, job): (usize, &JobRow)| {
        let usual = took.get(&job.name).and_then(|all| range(all));
        let begun = begun.get(&job.id).copied();
        row(run, job, (begun, usual), (critical[place], span, ask.now))
    };
    let page = Timing {
        total: Took::between(run.created_at, end),
        rows: jobs.iter().enumerate().filter_map(row).collect(),
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
}

/// Between which durations most lie: without the shortest and the longest tenth.
fn range(all: &[i64]) -> Option<(i64, i64)> {
    if all.len() < 3 {
        return None;
    }
    let mut all = all.to_vec();
    all.sort_unstable();
    let cut = all.len() / 10;
    Some((all[cut], all[all.len() - 1 - cut]))
}

/// What is known of a job besides its row: when its own work began, and its usual durations.
type Known = (Option<i64>, Option<(i64, i64)>);

fn row(
    run: &RunRow,
    job: &JobRow,
    (begun, usual): Known,
    (critical, span, now): (bool, (i64, i64), Timestamp),
) -> Option<Row> {
    // What never was ready took no time.
    let queued = job.queued_at?;
    let started = job.started_at;
    let end = job.finished_at.unwrap_or(now.0);
    let work = begun.filter(|begun| started.is_some_and(|started| *begun >= started));
    let mut bars = Vec::new();
    let mut bar = |class, from: i64, to: i64| {
        let at = |moment: i64| (moment - span.0).max(0) * SCALE / (span.1 - span.0);
        let (x, end) = (at(from).min(SCALE), at(to).min(SCALE));
        if to > from {
            bars.push(Bar {
                class,
                x,
                width: (end - x).max(2),
            });
        }
    };
    bar("wait", queued, started.unwrap_or(end));
    if let Some(started) = started {
        let work = work.unwrap_or(end).min(end);
        bar("prepare", started, work);
        bar("work", work, end);
        if let Some((least, most)) = usual {
            bar("ghost", started + least, started + most);
        }
    }
    let some = |from: i64, to: i64| (to > from).then(|| Took::between(from, to));
    Some(Row {
        status: words::of_state(*job.state),
        name: job.name.clone(),
        href: links::job(&run.owner, &run.repo, run.number, &job.name),
        attempt: job.attempt,
        critical,
        behind: some(run.created_at, queued),
        waiting: some(queued, started.unwrap_or(end)),
        preparing: started.and_then(|started| some(started, work?.min(end))),
        running: Lasting::new(work.or(started), job.finished_at, now),
        usual: usual.map(|(least, most)| (Took::between(0, least), Took::between(0, most))),
        bars,
    })
}

/// The jobs without which the run would have ended sooner: from the last to end, back over the need
/// that each waited for longest.
fn critical(jobs: &[JobRow], now: Timestamp) -> Vec<bool> {
    let places: HashMap<&str, usize> = jobs
        .iter()
        .enumerate()
        .map(|(place, job)| (job.name.as_str(), place))
        .collect();
    let end = |place: usize| jobs[place].finished_at.unwrap_or(now.0);
    let ran = |place: &usize| jobs[*place].started_at.is_some();
    let mut critical = vec![false; jobs.len()];
    let mut at = (0..jobs.len()).filter(ran).max_by_key(|place| end(*place));
    while let Some(place) = at {
        // A plan has no cycles; a broken one must not hold the page.
        if std::mem::replace(&mut critical[place], true) {
            break;
        }
        let needs: Vec<String> = serde_json::from_str(&jobs[place].needs).unwrap_or_default();
        let needs = needs.iter();
        let needs = needs.filter_map(|need| places.get(need.as_str()).copied());
        at = needs.filter(ran).max_by_key(|place| end(*place));
    }
    critical
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_range_leaves_the_outer_tenths_out() {
        assert_eq!(range(&[5, 1]), None);
        assert_eq!(range(&[5, 1, 9]), Some((1, 9)));
        let all: Vec<i64> = (0..20).collect();
        assert_eq!(range(&all), Some((2, 17)));
    }
}
