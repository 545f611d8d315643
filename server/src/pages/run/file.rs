//! `…/runs/{number}/file`: what did the server read, and what did it make of it?

use askama::Template;
use axum::response::Response;
use pipelines::definition::Problem;
use pipelines::plan::UsedTemplate;

use super::head::{Head, Opened, RunPath, Tab};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::words;

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
    let page = FilePage {
        file: lines(opened.detail.file.as_deref(), problems),
        problems: count,
        plan: None,
        templates: templates
            .into_iter()
            .map(|used| (used.source, links::short(used.commit.as_str()).to_owned()))
            .collect(),
        f: opened.f,
        head: opened.head,
    };
    ask.show(&page)
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
