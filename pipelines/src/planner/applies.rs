//! Whether an event starts a pipeline, and whether a job of it runs. Every "no" says why.

use std::collections::BTreeMap;

use super::Context;
use crate::definition::{
    Definition, DeployDefinition, EventFilter, JobDefinition, PullRequestTrigger, PushTrigger,
    When, WorkDefinition,
};
use crate::event::{ChangedPaths, EventKind, GitEvent, Trust};
use crate::names::{BranchName, TagName};
use crate::pattern::Patterns;

/// Why this event starts no run of the pipeline, if it does not.
pub(super) fn why_not_triggered(definition: &Definition, context: &Context<'_>) -> Option<String> {
    let triggers = &definition.triggers;
    let unnamed = |event: &str| Some(format!("the pipeline does not start on {event}"));
    match context.event.kind {
        EventKind::Push => match &triggers.push {
            Some(push) => why_not_pushed(push, context),
            None => unnamed("a push"),
        },
        EventKind::PullRequest => match &triggers.pull_request {
            Some(trigger) => why_not_proposed(trigger, context),
            None => unnamed("a pull request"),
        },
        EventKind::Schedule if triggers.schedule.is_empty() => unnamed("a schedule"),
        EventKind::Schedule => None,
        EventKind::Manual if triggers.manual.is_some() => None,
        EventKind::Manual => unnamed("request"),
    }
}

fn why_not_pushed(push: &PushTrigger, context: &Context<'_>) -> Option<String> {
    let event = context.event;
    if let Some(tag) = &event.tag {
        return match (&push.tags, &push.branches) {
            (Some(tags), _) => miss("`on.push.tags`", tags, tag.as_str()),
            (None, Some(_)) => Some("`on.push` names branches only; this is a tag".into()),
            // The changed paths of a tag would be those of some commit before it: not asked.
            (None, None) => None,
        };
    }
    let branch = event.branch.as_ref().map_or("", BranchName::as_str);
    let missed = match (&push.branches, &push.tags) {
        (Some(branches), _) => miss("`on.push.branches`", branches, branch),
        (None, Some(_)) => Some("`on.push` names tags only; this is a branch".into()),
        (None, None) => None,
    };
    missed.or_else(|| miss_paths("`on.push.paths`", push.paths.as_ref(), context.changed))
}

fn why_not_proposed(trigger: &PullRequestTrigger, context: &Context<'_>) -> Option<String> {
    let base = context.event.pull_request.as_ref();
    let base = base.map_or("", |request| request.base.as_str());
    let branches = trigger.branches.as_ref();
    let missed = branches.and_then(|branches| miss("`on.pull_request.branches`", branches, base));
    let paths = trigger.paths.as_ref();
    missed.or_else(|| miss_paths("`on.pull_request.paths`", paths, context.changed))
}

fn miss(what: &str, patterns: &Patterns, text: &str) -> Option<String> {
    let missed = !patterns.matches(text);
    missed.then(|| format!("{what} wants {patterns}; this is {text}"))
}

fn miss_paths(what: &str, paths: Option<&Patterns>, changed: &ChangedPaths) -> Option<String> {
    match (paths, changed) {
        (Some(patterns), ChangedPaths::Known(changed)) => {
            let missed = !changed.iter().any(|path| patterns.matches(path));
            missed.then(|| format!("{what} wants {patterns}; no such path changed"))
        }
        (Some(_), ChangedPaths::Unknown) | (None, _) => None,
    }
}

/// Why a job does not run, if it does not.
pub(super) fn why_skipped(
    job: &JobDefinition,
    cell: &BTreeMap<String, String>,
    context: &Context<'_>,
) -> Option<String> {
    why_missed(&job.when, cell, context).or_else(|| match &job.work {
        WorkDefinition::Steps(_) => None,
        WorkDefinition::Build(_) => match context.event.trust() {
            // The runner pushes with its own credentials, which are not the fork's to use.
            Trust::Fork => Some("work of a fork does not push images".into()),
            Trust::Trusted => None,
        },
        WorkDefinition::Deploy(deploy) => why_not_deployed(deploy, context),
    })
}

/// Why a `when` does not hold, if it does not. Its `status` shows only as the run goes on.
pub(super) fn why_missed(
    when: &When,
    cell: &BTreeMap<String, String>,
    context: &Context<'_>,
) -> Option<String> {
    let event = context.event;
    let filter = when.event.as_ref();
    let missed = filter.and_then(|filter| miss_event(filter, event.kind));
    let missed = missed.or_else(|| miss_branch("`when`", when.branch.as_ref()?, event));
    let missed = missed.or_else(|| miss_tag(when.tag.as_ref()?, event));
    let missed = missed.or_else(|| miss_paths("`when`", when.path.as_ref(), context.changed));
    missed.or_else(|| {
        let mut axes = when.matrix.iter();
        axes.find_map(|(axis, patterns)| {
            let value = cell.get(&axis.value).map_or("", String::as_str);
            let missed = !patterns.matches(value);
            missed.then(|| format!("`when` wants {} {patterns}; this is {value}", axis.value))
        })
    })
}

/// Whether the tag of an event is missed by patterns. An event without a tag is meant only by a
/// list that merely excludes.
fn miss_tag(patterns: &Patterns, event: &GitEvent) -> Option<String> {
    match &event.tag {
        Some(tag) if patterns.matches(tag.as_str()) => None,
        Some(tag) => Some(format!("`when` wants tag {patterns}; this is {tag}")),
        None if patterns.matches_nothing() => None,
        None => Some(format!("`when` wants tag {patterns}; this is no tag")),
    }
}

fn why_not_deployed(deploy: &DeployDefinition, context: &Context<'_>) -> Option<String> {
    let event = context.event;
    match (event.trust(), event.kind) {
        (Trust::Fork, _) => return Some("work of a fork does not deploy".into()),
        (Trust::Trusted, EventKind::PullRequest) => {
            return Some("a pull request does not deploy".into());
        }
        (Trust::Trusted, EventKind::Push | EventKind::Schedule | EventKind::Manual) => {}
    }
    let environment = context.environments.find(&deploy.environment.value)?;
    let what = format!("environment `{}`", environment.name);
    miss_branch(&what, environment.branches.as_ref()?, event)
}

fn miss_event(filter: &EventFilter, kind: EventKind) -> Option<String> {
    let is_wanted = filter.wanted.is_empty() || filter.wanted.contains(&kind);
    if is_wanted && !filter.unwanted.contains(&kind) {
        return None;
    }
    let words = |list: &[EventKind]| {
        let words: Vec<_> = list.iter().map(|kind| kind.as_str()).collect();
        words.join(" or ")
    };
    let wanted = match filter.wanted.as_slice() {
        [] => format!("any event but {}", words(&filter.unwanted)),
        wanted => format!("event {}", words(wanted)),
    };
    Some(format!("`when` wants {wanted}; this is {}", kind.as_str()))
}

/// Whether the branch of an event is missed by patterns. The branch of a fork is written
/// `owner:branch` here, so that a fork's `main` never passes for ours.
fn miss_branch(what: &str, patterns: &Patterns, event: &GitEvent) -> Option<String> {
    let request = event.pull_request.as_ref();
    let fork = request.and_then(|request| request.fork.as_ref());
    let (is_meant, this) = match (&event.branch, fork) {
        (Some(branch), Some(fork)) => {
            let branch = format!("{}:{branch}", fork.owner());
            (patterns.matches(&branch), branch)
        }
        (Some(branch), None) => (patterns.matches(branch.as_str()), branch.to_string()),
        (None, _) => {
            let tag = event.tag.as_ref().map_or("", TagName::as_str);
            (patterns.matches_nothing(), format!("tag {tag}"))
        }
    };
    (!is_meant).then(|| format!("{what} wants branch {patterns}; this is {this}"))
}
