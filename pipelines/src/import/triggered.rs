//! Conditions of a job together with what starts the pipeline: what triggers say already, no job
//! need say, and some things can only be said by both.

use super::condition::{Condition, Verdict, by_hand_only, simplify, verdict};
use super::model::{Filter, Pipeline, Triggers, When, add};

/// [`verdict`] for a pipeline that these triggers start. Which branches are pushed at all can make
/// sayable what is not by itself: "a pull request, or a push to `main`", where only `main` starts
/// the pipeline, is any push that is no tag's.
pub(super) fn verdict_within(condition: &Condition, triggers: &Triggers) -> Verdict {
    let plain = verdict(condition);
    let (Verdict::Unsayable(_), Some(push)) = (&plain, &triggers.push) else {
        return plain;
    };
    let parts = match simplify(condition.clone()) {
        Condition::Any(parts) => parts,
        Condition::All(parts) => return each_within(parts, triggers).unwrap_or(plain),
        _ => return plain,
    };
    let mut events = Vec::new();
    let (mut has_branch, mut has_tag) = (false, false);
    for part in &parts {
        match verdict(part) {
            Verdict::Never => {}
            Verdict::When(when) => match whole_events(&when, push) {
                Some((found, branch, tag)) => {
                    found.into_iter().for_each(|event| add(&mut events, event));
                    has_branch |= branch;
                    has_tag |= tag;
                }
                None => return plain,
            },
            Verdict::Unsayable(_) => return plain,
        }
    }
    let mut when = When {
        event: events,
        ..When::default()
    };
    match (has_branch, has_tag) {
        (true, false) => when.tag = vec!["!**".into()],
        // Every tag but no branch, beside other events: a list cannot say it.
        (false, true) if when.event.len() > 1 => return plain,
        (false, true) => when.tag = vec!["**".into()],
        (true, true) | (false, false) => {}
    }
    Verdict::When(when)
}

/// All of several, of which some can only be said together with the triggers.
fn each_within(parts: Vec<Condition>, triggers: &Triggers) -> Option<Verdict> {
    let mut whole = When::default();
    for part in parts {
        let Verdict::When(when) = verdict_within(&part, triggers) else {
            return None;
        };
        let pairs = [
            (&mut whole.branch, when.branch),
            (&mut whole.tag, when.tag),
            (&mut whole.event, when.event),
            (&mut whole.path, when.path),
        ];
        for (list, more) in pairs {
            let is_wanted = |list: &[String]| list.iter().any(|text| !text.starts_with('!'));
            if is_wanted(list) && is_wanted(&more) && *list != more {
                return None;
            }
            more.into_iter().for_each(|one| add(list, one));
        }
        if !when.matrix.is_empty() || (when.status.is_some() && whole.status.is_some()) {
            return None;
        }
        whole.status = whole.status.or(when.status);
    }
    Some(Verdict::When(whole))
}

/// The events that this asks for, if it asks for all there is of them; and whether for the pushes
/// of branches and of tags.
fn whole_events(when: &When, push: &Filter) -> Option<(Vec<String>, bool, bool)> {
    if !when.path.is_empty() || !when.matrix.is_empty() || when.status.is_some() {
        return None;
    }
    let is_all = |list: &[String], triggers: &[String]| {
        list == ["**"] || (!list.is_empty() && super::needs::within(triggers, list))
    };
    let push_event = || vec!["push".to_owned()];
    let mut events = when.event.iter().filter(|event| *event != "!pull_request");
    match (when.branch.as_slice(), when.tag.as_slice()) {
        ([], [])
            if !when.event.is_empty() && when.event.iter().all(|one| !one.starts_with('!')) =>
        {
            let has_push = when.event.iter().any(|event| event == "push");
            Some((when.event.clone(), has_push, has_push))
        }
        (branches, [] | [_]) if is_all(branches, &push.branches) && when.tag != ["**"] => {
            let only_push = events.all(|event| event == "push");
            only_push.then(|| (push_event(), true, false))
        }
        ([], tags) if is_all(tags, &push.tags) => {
            let only_push = events.all(|event| event == "push");
            only_push.then(|| (push_event(), false, true))
        }
        _ => None,
    }
}

/// Leaves out what no run of the pipeline could be: tags and pull requests that do not start it.
pub(super) fn drop_needless(pipeline: &mut Pipeline) {
    let push = pipeline.triggers.push.as_ref();
    let has_tags = push.is_some_and(|push| !push.tags.is_empty() || push.branches.is_empty());
    let has_branches = push.is_some_and(|push| !push.branches.is_empty() || push.tags.is_empty());
    let has_requests = pipeline.triggers.pull_request.is_some();
    for job in &mut pipeline.jobs {
        let whens = job.steps.iter_mut().map(|step| &mut step.when);
        for when in whens.chain([&mut job.when]) {
            let asks_branch = when.branch.iter().any(|branch| !branch.starts_with('!'));
            if !has_tags || asks_branch {
                when.tag.retain(|tag| tag != "!**");
            }
            let is_wanted = |event: &String| !event.starts_with('!');
            let has_wanted = when.event.iter().any(is_wanted);
            when.event
                .retain(|event| event != "!pull_request" || (has_requests && !has_wanted));
            // A tag is pushed, and nothing but a push has one.
            let asks_tag = when.tag.iter().any(|tag| !tag.starts_with('!'));
            if asks_tag
                && when
                    .event
                    .iter()
                    .all(|event| event == "push" || event.starts_with('!'))
            {
                when.event.clear();
            }
            if !has_branches && when.branch == ["**"] {
                when.branch.clear();
            }
        }
    }
}

/// What is left to a person to start can be started.
pub(super) fn let_people_start(pipeline: &mut Pipeline) {
    let mut whens = pipeline.jobs.iter().flat_map(|job| {
        let steps = job.steps.iter().map(|step| &step.when);
        steps.chain([&job.when])
    });
    if whens.any(|when| when.event == by_hand_only().event) {
        pipeline.triggers.manual.get_or_insert_with(Vec::new);
    }
}
