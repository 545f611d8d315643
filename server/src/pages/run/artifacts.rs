//! `…/runs/{number}/artifacts`: what did the run leave behind?

use askama::Template;
use axum::response::Response;
use pipelines::ids::RunId;

use super::head::{Head, Opened, RunPath, Tab};
use crate::error::PageError;
use crate::pages::ask::Ask;
use crate::pages::frame::Frame;
use crate::pages::links;
use crate::pages::moments::{When, day};
use crate::store::views::kept::{self, ArtifactRow};

/// Files shown.
const FILES_MAX: i64 = 2000;

#[derive(Template)]
#[template(path = "run_artifacts.html")]
struct Artifacts {
    f: Frame,
    head: Head,
    jobs: Vec<JobFiles>,
    count: usize,
    total: String,
    /// How many of them retention has deleted.
    deleted: usize,
    /// What is known of the logs, in a sentence.
    logs: Option<String>,
    more: bool,
}

/// The files of one job.
struct JobFiles {
    job: String,
    href: String,
    files: Vec<FileRow>,
}

struct FileRow {
    path: String,
    href: String,
    size: String,
    /// What it is, if it is no ordinary artifact.
    kind: &'static str,
    digest: String,
    short: String,
    created: When,
    /// The day on which retention deleted it.
    deleted: Option<String>,
}

/// Answers `GET …/runs/{number}/artifacts`.
pub(crate) async fn page(ask: Ask, path: RunPath) -> Result<Response, PageError> {
    let Opened { f, head, row, .. } = Opened::find(&ask, path, Tab::Artifacts).await?;
    let mut rows = kept::artifacts(ask.reader(), RunId(row.id), FILES_MAX + 1).await?;
    let shown = usize::try_from(FILES_MAX).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    let mut jobs: Vec<JobFiles> = Vec::new();
    for file in &rows {
        if jobs.last().is_none_or(|last| last.job != file.job) {
            jobs.push(JobFiles {
                job: file.job.clone(),
                href: links::job(&row.owner, &row.repo, row.number, &file.job),
                files: Vec::new(),
            });
        }
        if let Some(job) = jobs.last_mut() {
            job.files.push(line(&head.run.href, file));
        }
    }
    let page = Artifacts {
        f,
        head,
        jobs,
        count: rows.len(),
        total: size(
            rows.iter()
                .filter(|row| row.deleted_at.is_none())
                .map(|row| row.bytes)
                .sum(),
        ),
        deleted: rows.iter().filter(|row| row.deleted_at.is_some()).count(),
        logs: logs(&ask, RunId(row.id)).await?,
        more,
    };
    ask.show(&page)
}

fn line(run: &str, row: &ArtifactRow) -> FileRow {
    FileRow {
        path: row.path.clone(),
        href: links::artifact(run, row.id, &row.path),
        size: size(row.bytes),
        kind: match row.kind.as_str() {
            "junit" => "test report",
            _ => "",
        },
        short: row.digest.chars().take(12).collect(),
        digest: row.digest.clone(),
        created: row.created_at.into(),
        deleted: row.deleted_at.map(day),
    }
}

/// How much room the logs of a run take, once they are packed.
async fn logs(ask: &Ask, run: RunId) -> Result<Option<String>, PageError> {
    let (packed, bytes, stored, deleted) = kept::logs(ask.reader(), run).await?;
    let mut parts = Vec::new();
    if packed > 0 {
        let (bytes, stored) = (size(bytes), size(stored));
        parts.push(format!("{packed} packed, {bytes} in {stored}"));
    }
    if deleted > 0 {
        parts.push(format!("{deleted} deleted by retention"));
    }
    Ok((!parts.is_empty()).then(|| format!("Logs: {}.", parts.join("; "))))
}

/// A number of bytes, as people say it: `4.2 MiB`.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of a unit, rounded down: sizes are for people.
    let (mut tenths, mut unit) = (bytes * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_said_in_the_largest_unit_that_fits() {
        let all = [0, 1023, 1024, 1536, 10_240, 1_048_575, 1_048_576, 5 << 30];
        insta::assert_snapshot!(
            all.map(super::size).join(" · "),
            @"0 B · 1023 B · 1.0 KiB · 1.5 KiB · 10 KiB · 1023 KiB · 1.0 MiB · 5.0 GiB"
        );
    }
}
