//! A check run, every state it went through, and what GitHub refuses to put in one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::{Answer, ApiError};
use super::api::{bad_property, text};
use super::json;

const STATUSES: [&str; 3] = ["queued", "in_progress", "completed"];
/// `stale` is missing on purpose: only GitHub itself may set it.
const CONCLUSIONS: [&str; 7] = [
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "skipped",
    "success",
    "timed_out",
];
/// The most characters of a summary or a text.
const MOST_TEXT: usize = 65_535;

/// One state a check run was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Its place among all states of all check runs, in order of arrival.
    pub sequence: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended, once completed.
    pub conclusion: Option<String>,
    /// The title of its output.
    pub title: Option<String>,
    /// The summary of its output.
    pub summary: Option<String>,
}

/// A check run as it is now; the last of `history` says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// Its number.
    pub id: u64,
    /// The repository it is in.
    pub repository_id: u64,
    /// The commit it is about.
    pub head_sha: String,
    /// What people see.
    pub name: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended, once completed.
    pub conclusion: Option<String>,
    /// Where its "Details" lead.
    pub details_url: Option<String>,
    /// The caller's own name for it.
    pub external_id: Option<String>,
    /// When it began, if the caller said so.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
    /// The title of its output.
    pub title: Option<String>,
    /// The summary of its output, Markdown.
    pub summary: Option<String>,
    /// The text of its output, Markdown.
    pub text: Option<String>,
    /// Notes on lines of files, as they were sent; each update adds.
    pub annotations: Vec<Value>,
    /// Buttons, as they were sent.
    pub actions: Vec<Value>,
    /// Every state, in order of arrival.
    pub history: Vec<CheckState>,
}

impl CheckRun {
    pub(super) fn new(id: u64, repository_id: u64, head_sha: String) -> Self {
        Self {
            id,
            repository_id,
            head_sha,
            name: String::new(),
            status: "queued".to_owned(),
            conclusion: None,
            details_url: None,
            external_id: None,
            started_at: None,
            completed_at: None,
            title: None,
            summary: None,
            text: None,
            annotations: Vec::new(),
            actions: Vec::new(),
            history: Vec::new(),
        }
    }

    /// The states it went through: `queued`, `in_progress`, `success` … in order of arrival.
    pub fn story(&self) -> Vec<String> {
        let word = |s: &CheckState| s.conclusion.clone().unwrap_or_else(|| s.status.clone());
        self.history.iter().map(word).collect()
    }

    pub(super) fn apply(&mut self, body: &Value) -> Answer<()> {
        if let Some(name) = text(body, "name")? {
            self.name = name;
        }
        let (status, conclusion) = (text(body, "status")?, text(body, "conclusion")?);
        self.move_to(status, conclusion)?;
        for (name, field) in [
            ("external_id", &mut self.external_id),
            ("started_at", &mut self.started_at),
            ("completed_at", &mut self.completed_at),
        ] {
            if let Some(value) = text(body, name)? {
                *field = Some(value);
            }
        }
        for (name, value) in [
            ("started_at", &self.started_at),
            ("completed_at", &self.completed_at),
        ] {
            let bad = value
                .as_ref()
                .is_some_and(|text| text.parse::<Timestamp>().is_err());
            if bad {
                return Err(bad_property(name, "is not a date-time"));
            }
        }
        if let Some(url) = text(body, "details_url")? {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(ApiError::invalid(
                    "details_url must use http or https scheme",
                ));
            }
            self.details_url = Some(url);
        }
        if let Some(output) = body.get("output").filter(|output| !output.is_null()) {
            self.put_output(output)?;
        }
        if let Some(actions) = body.get("actions").and_then(Value::as_array) {
            check_actions(actions)?;
            self.actions.clone_from(actions);
        }
        if self.status == "completed" && self.completed_at.is_none() {
            self.completed_at = Some(json::time(Timestamp::now()));
        }
        Ok(())
    }

    fn move_to(&mut self, status: Option<String>, conclusion: Option<String>) -> Answer<()> {
        if let Some(conclusion) = &conclusion {
            if !CONCLUSIONS.contains(&conclusion.as_str()) {
                let what = format!("{conclusion} is not a member of {CONCLUSIONS:?}");
                return Err(bad_property("conclusion", &what));
            }
            if status.as_ref().is_some_and(|status| status != "completed") {
                return Err(bad_property(
                    "conclusion",
                    "it goes only with the status completed",
                ));
            }
        }
        // A conclusion alone completes: so the real one says in its manual.
        let implied = conclusion.is_some().then(|| "completed".to_owned());
        let Some(status) = status.or(implied) else {
            return Ok(());
        };
        if !STATUSES.contains(&status.as_str()) {
            return Err(bad_property(
                "status",
                &format!("{status} is not a member of {STATUSES:?}"),
            ));
        }
        if status == "completed" && conclusion.is_none() {
            return Err(bad_property(
                "conclusion",
                "it is required when the status is completed",
            ));
        }
        (self.status, self.conclusion) = (status, conclusion);
        if self.status != "completed" {
            self.completed_at = None;
        }
        Ok(())
    }

    fn put_output(&mut self, output: &Value) -> Answer<()> {
        let summary = text(output, "summary")?;
        if summary.is_none() {
            return Err(ApiError::invalid(
                "Invalid request.\n\n\"summary\" wasn't supplied.",
            ));
        }
        let (title, long) = (text(output, "title")?, text(output, "text")?);
        if title.is_none() && self.title.is_none() {
            return Err(ApiError::invalid(
                "Invalid request.\n\n\"title\" wasn't supplied.",
            ));
        }
        for (name, value) in [("summary", &summary), ("text", &long)] {
            if value
                .as_ref()
                .is_some_and(|text| text.chars().count() > MOST_TEXT)
            {
                return Err(ApiError::invalid(format!(
                    "Only {MOST_TEXT} characters are allowed for output.{name}"
                )));
            }
        }
        if let Some(notes) = output.get("annotations").and_then(Value::as_array) {
            check_annotations(notes)?;
            self.annotations.extend(notes.iter().cloned());
        }
        self.title = title.or(self.title.take());
        self.summary = summary;
        self.text = long.or(self.text.take());
        Ok(())
    }

    pub(super) fn remember(&mut self, sequence: u64) {
        self.history.push(CheckState {
            sequence,
            at: Timestamp::now(),
            status: self.status.clone(),
            conclusion: self.conclusion.clone(),
            title: self.title.clone(),
            summary: self.summary.clone(),
        });
    }
}

fn check_annotations(notes: &[Value]) -> Answer<()> {
    if notes.len() > 50 {
        return Err(ApiError::invalid(
            "No more than 50 annotations may be sent in one request.",
        ));
    }
    for note in notes {
        let line = |name: &str| note.get(name).and_then(Value::as_u64);
        let level = note["annotation_level"].as_str().unwrap_or_default();
        let good = matches!(level, "notice" | "warning" | "failure")
            && note["path"].is_string()
            && note["message"].is_string()
            && matches!((line("start_line"), line("end_line")), (Some(s), Some(e)) if s <= e);
        if !good {
            return Err(ApiError::invalid(format!("Invalid annotation: {note}")));
        }
    }
    Ok(())
}

fn check_actions(actions: &[Value]) -> Answer<()> {
    let fits = |action: &Value, name: &str, most: usize| {
        action[name]
            .as_str()
            .is_some_and(|text| text.chars().count() <= most)
    };
    let good = |action: &Value| {
        fits(action, "label", 20)
            && fits(action, "identifier", 20)
            && fits(action, "description", 40)
    };
    if actions.len() > 3 || !actions.iter().all(good) {
        return Err(ApiError::invalid(
            "At most 3 actions, with short label, identifier, description",
        ));
    }
    Ok(())
}
