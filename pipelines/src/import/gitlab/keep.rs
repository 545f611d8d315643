//! What a job of GitLab's keeps (caches, artifacts, reports), and how long and how often it tries.

use super::super::globs;
use super::super::images;
use super::super::model::{Cache, Job, Notes, Pairs, Retry, add};
use super::super::names;
use super::super::source::Node;
use super::VARIABLES;
use crate::limits::RETRIES_MAX;

/// Puts caches, artifacts and reports into the job.
pub(super) fn read(node: &Node, own: &Pairs, job: &mut Job, notes: &mut Notes) {
    for cache in node.find("cache").map(Node::items).unwrap_or_default() {
        read_cache(cache, own, job, notes);
    }
    let Some(artifacts) = node.find("artifacts") else {
        return;
    };
    let list = |node: Option<&Node>, negation: &str, notes: &mut Notes| {
        let mut patterns = Vec::new();
        for (line, text) in node.map(Node::texts).unwrap_or_default() {
            let path = VARIABLES.in_value(&text, own, line, notes);
            let path = path.trim_start_matches("/workspace/").trim_end_matches('/');
            if path.contains("${{") {
                patterns.push(format!("{negation}{path}"));
                continue;
            }
            match globs::glob(path).filter(|_| !path.starts_with('/') && !path.contains("..")) {
                Some(found) => {
                    let found = found.patterns.into_iter();
                    patterns.extend(found.map(|pattern| format!("{negation}{pattern}")));
                }
                None => {
                    let why = "this path cannot be said with `*` and `**`";
                    notes.add(
                        line,
                        &text,
                        why,
                        "name the files of the workspace that are meant",
                    );
                }
            }
        }
        patterns
    };
    job.artifacts = list(artifacts.find("paths"), "", notes);
    if !job.artifacts.is_empty() {
        job.artifacts
            .extend(list(artifacts.find("exclude"), "!", notes));
    }
    let reports = artifacts.find("reports");
    job.junit = list(reports.and_then(|node| node.find("junit")), "", notes);
    for entry in reports.map(Node::entries).unwrap_or_default() {
        let (why, hint) = match entry.key.as_str() {
            "junit" => continue,
            "dotenv" => (
                "values are handed on as `outputs`, a file for each",
                "let the step write one file a value, and name them under `outputs`",
            ),
            _ => (
                "only JUnit's reports are read",
                "keep the file with `artifacts`",
            ),
        };
        let what = format!("reports: {}: {}", entry.key, entry.value.shown());
        notes.add(entry.line, &what, why, hint);
    }
}

fn read_cache(node: &Node, own: &Pairs, job: &mut Job, notes: &mut Notes) {
    let files = node.find("key").and_then(|key| key.find("files"));
    let mut cache = Cache::default();
    for (_, file) in files.map(Node::texts).unwrap_or_default() {
        if let Some(found) = globs::glob(&file) {
            cache.key.extend(found.patterns);
        }
    }
    for (line, text) in node.find("paths").map(Node::texts).unwrap_or_default() {
        let path = images::path(&VARIABLES.in_value(&text, own, line, notes));
        let path = path.trim_start_matches("/workspace/").to_owned();
        let is_taken = job.caches.iter().any(|other| other.paths.contains(&path));
        if path.contains('*') || !crate::definition::is_cache_path(&path) {
            let why = "this path cannot be kept by a cache";
            notes.add(line, &text, why, "name a folder");
        } else if !is_taken {
            add(&mut cache.paths, path);
        }
    }
    if !cache.paths.is_empty() {
        job.caches.push(cache);
    }
}

/// `timeout` and `retry`.
pub(super) fn limits(node: &Node, job: &mut Job, notes: &mut Notes) {
    if let Some(timeout) = node.find("timeout") {
        job.timeout = timeout.text().and_then(span).and_then(names::minutes);
        if job.timeout.is_none() {
            let what = format!("timeout: {}", timeout.shown());
            let why = "this is no span of time up to a day";
            notes.add(timeout.line, &what, why, "write `timeout: 30m`");
        }
    }
    let Some(retry) = node.find("retry") else {
        return;
    };
    let count = retry
        .text()
        .or(retry.text_of("max"))
        .and_then(|text| text.parse().ok());
    let attempts: u32 = count.unwrap_or(1);
    if attempts == 0 {
        return;
    }
    let mut on = Vec::new();
    let reasons = retry.find("when").map(Node::texts).unwrap_or_default();
    if reasons.is_empty() && retry.find("exit_codes").is_none() {
        on.push("failure".to_owned());
    }
    for (_, reason) in reasons {
        match reason.as_str() {
            "always" | "script_failure" | "unknown_failure" => add(&mut on, "failure".into()),
            "job_execution_timeout" => add(&mut on, "timeout".into()),
            // The runner's own failures are always tried again.
            _ => {}
        }
    }
    for code in retry.texts_of("exit_codes") {
        add(&mut on, format!("exit:{code}"));
    }
    let attempts = attempts.min(RETRIES_MAX);
    job.retry = Some(Retry { attempts, on });
}

/// `1h 30m`, `30 minutes` or `3600` (seconds), in minutes.
fn span(text: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    let mut unit = String::new();
    let flush = |number: &mut String, unit: &mut String, seconds: &mut u64| -> Option<()> {
        if number.is_empty() {
            return Some(());
        }
        let factor = match unit.chars().next() {
            Some('w') => 7 * 86_400,
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') | None => 1,
            Some(_) => return None,
        };
        let count: u64 = number.parse().ok()?;
        *seconds = seconds.checked_add(count.checked_mul(factor)?)?;
        number.clear();
        unit.clear();
        Some(())
    };
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            if !unit.is_empty() {
                flush(&mut number, &mut unit, &mut seconds)?;
            }
            number.push(c);
        } else if c.is_ascii_alphabetic() {
            unit.push(c.to_ascii_lowercase());
        }
    }
    flush(&mut number, &mut unit, &mut seconds)?;
    (seconds > 0).then(|| seconds.div_ceil(60))
}
