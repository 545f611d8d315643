//! What a job waits for, in systems where a job that is not in a run is not waited for either.
//!
//! Here a job whose need was skipped is skipped too. So a need stays only if it is in every run in
//! which the job is; else the job waits for what that need itself waited for.

use super::condition::by_hand_only;
use super::model::{Job, Pipeline, Triggers, When};
use crate::pattern::Patterns;

/// Takes away needs that may be skipped where the job is not.
pub(super) fn loosen(pipeline: &mut Pipeline) {
    let before = pipeline.jobs.clone();
    let events = events(&pipeline.triggers);
    // What only a person can put right is waited for: nothing may go on without it.
    let is_left_open = |job: &Job| job.when == by_hand_only() && !job.is_optional;
    for job in &mut pipeline.jobs {
        if job.when == by_hand_only() {
            continue;
        }
        let mut kept: Vec<String> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let mut open = std::mem::take(&mut job.needs);
        open.reverse();
        while let Some(need) = open.pop() {
            if seen.contains(&need) || need == job.name {
                continue;
            }
            seen.push(need.clone());
            let found = before.iter().find(|other| other.name == need);
            match found {
                Some(other)
                    if !is_left_open(other) && !implies(&job.when, &other.when, &events) =>
                {
                    open.extend(other.needs.iter().rev().cloned());
                }
                Some(_) | None => kept.push(need),
            }
        }
        job.needs = kept;
    }
}

/// The events that start the pipeline.
fn events(triggers: &Triggers) -> Vec<&'static str> {
    let all = [
        ("push", triggers.push.is_some()),
        ("pull_request", triggers.pull_request.is_some()),
        ("schedule", !triggers.schedule.is_empty()),
        ("manual", triggers.manual.is_some()),
    ];
    let events = all.into_iter().filter(|(_, is_there)| *is_there);
    events.map(|(name, _)| name).collect()
}

/// Whether what meets the one always meets the other, in runs that these events start.
fn implies(one: &When, other: &When, events: &[&str]) -> bool {
    let has_branch = is_wanted(&one.branch);
    let is_tag_met = other.tag.is_empty()
        || one.tag == other.tag
        || within(&one.tag, &other.tag)
        // What asks for a branch is no tag.
        || (!is_wanted(&other.tag) && (has_branch || !allows(&one.event, "push")));
    events
        .iter()
        .all(|event| !may_be(one, event) || allows(&other.event, event))
        && (other.branch.is_empty()
            || one.branch == other.branch
            || within(&one.branch, &other.branch))
        && is_tag_met
        && (other.path.is_empty() || one.path == other.path)
        && (other.status.is_none() || one.status == other.status)
        && (other.matrix.is_empty() || one.matrix == other.matrix)
}

/// Whether the event can be one of these.
fn may_be(when: &When, event: &str) -> bool {
    allows(&when.event, event) && (event == "push" || !is_wanted(&when.tag))
}

fn allows(events: &[String], event: &str) -> bool {
    let has = |text: &str| events.iter().any(|one| one == text);
    (!is_wanted(events) || has(event)) && !has(&format!("!{event}"))
}

fn is_wanted(list: &[String]) -> bool {
    list.iter().any(|text| !text.starts_with('!'))
}

/// Whether each pattern of the one list is matched by the other, as far as texts can tell.
pub(super) fn within(one: &[String], other: &[String]) -> bool {
    let mut patterns = Patterns::default();
    if !is_wanted(one) || other.iter().any(|text| patterns.add(text).is_err()) {
        return false;
    }
    let mut wanted = one.iter().filter(|text| !text.starts_with('!'));
    wanted.all(|text| patterns.matches(text))
}
