//! `…/runs/{number}/file`: what did the server read, and what did it make of it?

use askama::Template;
use axum::response::Response;
use pipelines::definition::Problem;
use pipelines::ids::RunId;
use pipelines::plan::{Plan, PlannedJob, Retry, UsedTemplate};

use super::head::{Head, Opened, RunPath, Tab};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::words;
use crate::store::views::jobs::{self, PlannedRow};

#[derive(Template)]
#[template(path = "run_file.html")]
struct FilePage {
    f: Frame,
    head: Head,
    file: Vec<FileLine>,
    problems: usize,
    /// The plan in words; none for a run that never had one.
    plan: Option<String>,
    templates: Vec<(String, String)>,
}

/// A line of a file, and what is wrong with it.
pub(crate) struct FileLine {
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) problems: Vec<Problem>,
}

/// Answers `GET …/runs/{number}/file`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let opened = Opened::find(&ask, path, Tab::File).await?;
    let problems = opened.problems();
    let count = problems.len();
    let templates: Vec<UsedTemplate> =
        serde_json::from_str(&opened.detail.templates).unwrap_or_default();
    let plan = plan(&ask, &opened, templates.clone()).await?;
    let page = FilePage {
        file: lines(opened.detail.file.as_deref(), problems),
        problems: count,
        plan,
        templates: templates
            .into_iter()
            .map(|used| (used.source, links::short(used.commit.as_str()).to_owned()))
            .collect(),
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
}

/// The plan as it was stored, in words. Of a run whose file could not be read there is none.
async fn plan(
    ask: &Ask,
    opened: &Opened,
    templates: Vec<UsedTemplate>,
) -> Result<Option<String>, PageError> {
    let rows = jobs::planned(ask.reader(), RunId(opened.row.id)).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let job = |row: &PlannedRow| -> Option<PlannedJob> {
        Some(PlannedJob {
            name: row.name.parse().ok()?,
            group: row.group_name.parse().ok()?,
            matrix: serde_json::from_str(&row.matrix).ok()?,
            needs: serde_json::from_str(&row.needs).ok()?,
            condition: serde_json::from_value(row.condition.clone().into()).ok()?,
            skip: row.skip.clone(),
            timeout_seconds: u32::try_from(row.timeout_seconds).ok()?,
            retry: Retry {
                attempts: u32::try_from(row.retries).ok()?,
                on: serde_json::from_str(&row.retry_on).ok()?,
            },
            work: serde_json::from_str(&row.work).ok()?,
        })
    };
    let Ok(pipeline) = opened.row.pipeline.parse() else {
        return Ok(None);
    };
    let plan = Plan {
        pipeline,
        concurrency: None,
        templates,
        jobs: rows.iter().filter_map(job).collect(),
    };
    Ok(Some(plan.to_string()))
}

/// The pipeline file, each problem under its line. What has no line of its own stands at the end.
pub(crate) fn lines(text: Option<&str>, problems: Vec<Problem>) -> Vec<FileLine> {
    let mut lines: Vec<FileLine> = text
        .unwrap_or_default()
        .lines()
        .zip(1..)
        .map(|(text, number)| FileLine {
            number,
            text: text.to_owned(),
            problems: Vec::new(),
        })
        .collect();
    if lines.is_empty() && !problems.is_empty() {
        lines.push(FileLine {
            number: 1,
            text: String::new(),
            problems: Vec::new(),
        });
    }
    let last = lines.len().saturating_sub(1);
    for problem in problems {
        let place = (problem.line as usize).saturating_sub(1).min(last);
        lines[place].problems.push(problem);
    }
    lines
}
