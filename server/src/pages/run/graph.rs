//! `…/runs/{number}/graph`: what depends on what?
//!
//! The drawing is made here, layer by layer from left to right, every node a link; the same as a
//! list stands beside it, and is all there is on a small screen.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;

use self::layout::{Drawing, Node};
use super::head::{Head, Opened, RunPath, Tab};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::words::{self, Family, Status};
use crate::store::views::jobs::JobRow;
use crate::store::views::runs::RunRow;

mod layout;

/// Jobs drawn one by one; with more, those of one name of the file are one node.
const NODES_MAX: usize = 60;

#[derive(Template)]
#[template(path = "run_graph.html")]
struct Graph {
    f: Frame,
    head: Head,
    /// None if even the groups are too many to be drawn.
    drawing: Option<Drawing>,
    /// Whether cells of a matrix are drawn as one.
    grouped: bool,
    layers: Vec<Vec<ListNode>>,
}

/// A job in the list.
struct ListNode {
    status: Status,
    name: String,
    href: String,
    needs: Vec<String>,
    reason: Option<String>,
}

/// Answers `GET …/runs/{number}/graph`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let opened = Opened::find(&ask, path, Tab::Graph).await?;
    let (run, jobs) = (&opened.row, &opened.jobs);
    let single = nodes(run, jobs);
    let grouped = single.len() > NODES_MAX;
    let drawn = match grouped {
        true => groups(run, jobs),
        false => single.clone(),
    };
    let layers = layout::layers(&single);
    let page = Graph {
        drawing: (!drawn.is_empty() && drawn.len() <= NODES_MAX).then(|| layout::draw(&drawn)),
        grouped,
        layers: listed(&single, jobs, &layers),
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
}

fn needs(row: &JobRow) -> Vec<String> {
    serde_json::from_str(&row.needs).unwrap_or_default()
}

fn nodes(run: &RunRow, jobs: &[JobRow]) -> Vec<Node> {
    let places: BTreeMap<&str, usize> = jobs
        .iter()
        .enumerate()
        .map(|(place, job)| (job.name.as_str(), place))
        .collect();
    let node = |job: &JobRow| Node {
        name: job.name.clone(),
        note: words::of_state(*job.state).word.to_owned(),
        status: words::of_state(*job.state),
        href: links::job(&run.owner, &run.repo, run.number, &job.name),
        needs: needs(job)
            .iter()
            .filter_map(|need| places.get(need.as_str()).copied())
            .collect(),
    };
    jobs.iter().map(node).collect()
}

/// One node for all jobs that one job of the file became; it looks like the worst of them.
fn groups(run: &RunRow, jobs: &[JobRow]) -> Vec<Node> {
    let mut names: Vec<&str> = Vec::new();
    let mut of_job: BTreeMap<&str, usize> = BTreeMap::new();
    for job in jobs {
        let place = names.iter().position(|name| *name == job.group_name);
        let place = place.unwrap_or_else(|| {
            names.push(&job.group_name);
            names.len() - 1
        });
        of_job.insert(&job.name, place);
    }
    let rank = |job: &&JobRow| match words::of_state(*job.state).family {
        Family::Failed => 0,
        Family::Active => 1,
        Family::Attention => 2,
        Family::Neutral => 3,
        Family::Passed => 4,
    };
    let node = |(place, name): (usize, &&str)| {
        let cells = || jobs.iter().filter(|job| job.group_name == **name);
        let worst = cells().min_by_key(rank)?;
        let mut behind: Vec<usize> = cells()
            .flat_map(needs)
            .filter_map(|need| of_job.get(need.as_str()).copied())
            .filter(|need| *need != place)
            .collect();
        behind.sort_unstable();
        behind.dedup();
        let status = words::of_state(*worst.state);
        let count = cells().count();
        Some(Node {
            name: (*name).to_owned(),
            note: match count {
                1 => status.word.to_owned(),
                _ => format!("{count} jobs, {}", status.lower()),
            },
            status,
            href: links::job(&run.owner, &run.repo, run.number, &worst.name),
            needs: behind,
        })
    };
    names.iter().enumerate().filter_map(node).collect()
}

fn listed(nodes: &[Node], jobs: &[JobRow], layers: &[usize]) -> Vec<Vec<ListNode>> {
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut list: Vec<Vec<ListNode>> = (0..count).map(|_| Vec::new()).collect();
    for ((node, job), layer) in nodes.iter().zip(jobs).zip(layers) {
        list[*layer].push(ListNode {
            status: node.status,
            name: node.name.clone(),
            href: node.href.clone(),
            needs: node
                .needs
                .iter()
                .map(|need| nodes[*need].name.clone())
                .collect(),
            reason: job.reason.clone(),
        });
    }
    list
}
