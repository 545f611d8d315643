//! When GitLab's jobs run: `rules`, `only`, `except` and `when`.

use super::super::condition::{Condition, Test, Verdict, verdict};
use super::super::globs;
use super::super::model::{Filter, Notes, Status, Triggers, add};
use super::super::operators::{self, Expression, Operator};
use super::super::source::Node;

/// What a job's rules come to.
pub(super) struct Rules {
    pub(super) condition: Condition,
    pub(super) is_manual: bool,
    /// The line and the text, for a note.
    pub(super) line: u32,
    pub(super) shown: String,
}

/// Reads the rules of a job; nothing if it has none.
pub(super) fn read(node: &Node, notes: &mut Notes) -> Option<Rules> {
    if let Some(rules) = node.find("rules") {
        return Some(of_rules(rules, notes));
    }
    let (only, except) = (node.find("only"), node.find("except"));
    let line = only.or(except)?.line;
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for (key, list) in [("only", only), ("except", except)] {
        let Some(list) = list else { continue };
        shown.push(format!("{key}: {}", list.shown()));
        let found = of_list(list, notes);
        parts.push(if key == "only" { found } else { found.not() });
    }
    Some(Rules {
        condition: Condition::All(parts),
        is_manual: false,
        line,
        shown: shown.join(", "),
    })
}

/// The first rule that holds decides.
fn of_rules(rules: &Node, notes: &mut Notes) -> Rules {
    let mut unwanted: Vec<Condition> = Vec::new();
    let mut any = Vec::new();
    let mut manual = 0;
    for rule in rules.items() {
        let mut parts = Vec::new();
        if let Some(text) = rule.text_of("if") {
            parts.push(condition(text));
        }
        if let Some(changes) = rule.find("changes") {
            let paths = changes.find("paths").unwrap_or(changes);
            parts.push(patterns(paths, Test::Path, notes));
        }
        if let Some(exists) = rule.find("exists") {
            // The file is in the repository or not, whatever happens.
            let what = format!("exists: {}", exists.shown());
            let why = "a job does not depend on which files there are";
            notes.add(
                exists.line,
                &what,
                why,
                "leave the job out, or test for it in the script",
            );
        }
        for key in ["variables", "allow_failure"] {
            if let Some(inner) = rule.find(key).filter(|inner| !inner.is_false()) {
                let what = format!("rules: {key}: {}", inner.shown());
                let why = "a condition decides whether a job runs, and nothing else";
                notes.add(inner.line, &what, why, "test for it in the script");
            }
        }
        let when = rule.text_of("when").unwrap_or("on_success");
        if when == "never" {
            unwanted.push(Condition::All(parts).not());
            continue;
        }
        match when {
            "manual" => manual += 1,
            "always" => parts.push(Condition::Is(Test::Status(Status::Always))),
            "on_failure" => parts.push(Condition::Is(Test::Status(Status::Failure))),
            _ => {}
        }
        parts.splice(0..0, unwanted.iter().cloned());
        any.push(Condition::All(parts));
    }
    Rules {
        is_manual: manual > 0 && manual == any.len(),
        condition: Condition::Any(any),
        line: rules.line,
        shown: "rules".into(),
    }
}

/// The list of `only` or `except`, or the mapping with `refs`.
fn of_list(node: &Node, notes: &mut Notes) -> Condition {
    let mut parts = Vec::new();
    let refs = if node.entries().is_empty() {
        Some(node)
    } else {
        node.find("refs")
    };
    if let Some(refs) = refs {
        let names = refs.texts().into_iter();
        parts.push(Condition::Any(
            names.map(|(_, name)| reference(&name)).collect(),
        ));
    }
    if let Some(changes) = node.find("changes") {
        parts.push(patterns(changes, Test::Path, notes));
    }
    if let Some(variables) = node.find("variables") {
        let texts = variables.texts().into_iter();
        parts.push(Condition::Any(
            texts.map(|(_, text)| condition(&text)).collect(),
        ));
    }
    Condition::All(parts)
}

fn reference(name: &str) -> Condition {
    match name {
        "branches" => Condition::any_branch(),
        "tags" => Condition::any_tag(),
        "merge_requests" => event("pull_request"),
        "schedules" => event("schedule"),
        "pushes" => event("push"),
        "web" | "api" | "triggers" => event("manual"),
        name => match name.strip_prefix('/') {
            Some(regex) => {
                let regex = regex.trim_end_matches('i').trim_end_matches('/');
                matching(regex, "CI_COMMIT_REF_NAME")
            }
            None => Condition::pushed(vec![name.to_owned()]),
        },
    }
}

fn event(name: &str) -> Condition {
    Condition::Is(Test::Event(name.into()))
}

fn patterns(node: &Node, test: impl Fn(String) -> Test, notes: &mut Notes) -> Condition {
    let mut all = Vec::new();
    for (line, text) in node.texts() {
        match globs::glob(&text) {
            Some(found) => all.extend(found.patterns),
            None => {
                let why = "this pattern cannot be said with `*` and `**`";
                notes.add(line, &text, why, "write one or several simpler ones");
            }
        }
    }
    match all.is_empty() {
        true => Condition::Fixed(true),
        false => Condition::any(all, test),
    }
}

/// An `if` of GitLab's.
pub(super) fn condition(text: &str) -> Condition {
    match operators::parse(text) {
        Some(expression) => of_expression(&expression),
        None => Condition::Unknown(text.to_owned()),
    }
}

fn of_expression(expression: &Expression) -> Condition {
    match expression {
        Expression::Or(parts) => Condition::Any(parts.iter().map(of_expression).collect()),
        Expression::And(parts) => Condition::All(parts.iter().map(of_expression).collect()),
        Expression::Not(inner) => of_expression(inner).not(),
        Expression::Compare {
            operator,
            left,
            right,
        } => match &**left {
            Expression::Name(name) => comparison(name.trim_start_matches('$'), *operator, right),
            _ => Condition::Unknown("a comparison".into()),
        },
        Expression::Name(name) => match name.trim_start_matches('$') {
            "CI_COMMIT_TAG" => Condition::any_tag(),
            "CI_COMMIT_BRANCH" => Condition::any_branch(),
            "CI_MERGE_REQUEST_IID" | "CI_MERGE_REQUEST_ID" => event("pull_request"),
            name => Condition::Unknown(format!("${name}")),
        },
        Expression::Call { .. } | Expression::Text(_) | Expression::Regex(_) => {
            Condition::Unknown("a condition".into())
        }
    }
}

fn comparison(name: &str, operator: Operator, right: &Expression) -> Condition {
    let found = match (operator, right) {
        (Operator::Equal | Operator::NotEqual, Expression::Text(text)) => equal(name, text),
        (Operator::Equal | Operator::NotEqual, Expression::Name(word)) => match word.as_str() {
            "null" => match name {
                "CI_COMMIT_TAG" => Condition::any_tag().not(),
                "CI_COMMIT_BRANCH" => Condition::any_branch().not(),
                name => Condition::Unknown(format!("${name} == null")),
            },
            // GitLab's default branch is a setting of the project.
            "$CI_DEFAULT_BRANCH" => equal(name, "main"),
            word => Condition::Unknown(format!("${name} == {word}")),
        },
        (Operator::Matches | Operator::NotMatches, Expression::Regex(regex)) => {
            matching(regex, name)
        }
        (Operator::Equal | Operator::NotEqual | Operator::Matches, _)
        | (Operator::NotMatches | Operator::In, _) => Condition::Unknown(format!("${name}")),
    };
    match operator {
        Operator::NotEqual | Operator::NotMatches => found.not(),
        Operator::Equal | Operator::Matches | Operator::In => found,
    }
}

fn equal(name: &str, text: &str) -> Condition {
    match (name, text) {
        ("CI_PIPELINE_SOURCE", "merge_request_event" | "external_pull_request_event") => {
            event("pull_request")
        }
        ("CI_PIPELINE_SOURCE", "push" | "schedule") => event(text),
        ("CI_PIPELINE_SOURCE", "web" | "api" | "trigger") => event("manual"),
        ("CI_COMMIT_BRANCH" | "CI_COMMIT_REF_NAME", branch) => {
            Condition::pushed(vec![branch.to_owned()])
        }
        ("CI_COMMIT_TAG", "") => Condition::any_tag().not(),
        ("CI_COMMIT_TAG", tag) => Condition::Is(Test::Tag(tag.to_owned())),
        ("CI_PROJECT_PATH" | "CI_PROJECT_NAMESPACE" | "CI_PROJECT_ID", _) => Condition::Fixed(true),
        _ => Condition::Unknown(format!("${name} == \"{text}\"")),
    }
}

fn matching(regex: &str, name: &str) -> Condition {
    let Some(found) = globs::regex(regex) else {
        return Condition::Unknown(format!("${name} =~ /{regex}/"));
    };
    match name {
        "CI_COMMIT_TAG" => Condition::any(found.patterns, Test::Tag),
        "CI_COMMIT_BRANCH" | "CI_COMMIT_REF_NAME" => Condition::pushed(found.patterns),
        _ => Condition::Unknown(format!("${name} =~ /{regex}/")),
    }
}

/// The events that the rules of a job speak of.
pub(super) fn events(node: &Node, events: &mut Vec<String>) {
    let mut unheard = Notes::default();
    if let Some(rules) = read(node, &mut unheard) {
        wanted(&rules.condition, events);
    }
}

fn wanted(condition: &Condition, events: &mut Vec<String>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| wanted(part, events));
        }
        Condition::Is(Test::Event(name)) => add(events, name.clone()),
        Condition::Is(_) | Condition::Not(_) | Condition::Fixed(_) | Condition::Unknown(_) => {}
    }
}

/// Narrows pushes to the branches and tags that jobs want, if each of them names some.
pub(super) fn narrow<'n>(jobs: impl Iterator<Item = &'n Node>, triggers: &mut Triggers) {
    let mut push = Filter::default();
    for node in jobs.filter(|node| node.find("script").is_some()) {
        let mut unheard = Notes::default();
        let Some(rules) = read(node, &mut unheard) else {
            return;
        };
        let parts = match rules.condition {
            Condition::Any(parts) => parts,
            other => vec![other],
        };
        for part in parts {
            let Verdict::When(when) = verdict(&part) else {
                return;
            };
            let is_other = !when.event.is_empty()
                && when
                    .event
                    .iter()
                    .all(|event| event != "push" && !event.starts_with('!'));
            let named = |list: &[String]| list.iter().any(|text| !text.starts_with('!'));
            if is_other {
                continue;
            } else if named(&when.branch) && when.branch != ["**"] {
                when.branch
                    .into_iter()
                    .for_each(|one| add(&mut push.branches, one));
            } else if named(&when.tag) {
                when.tag
                    .into_iter()
                    .for_each(|one| add(&mut push.tags, one));
            } else {
                return;
            }
        }
    }
    if !push.branches.is_empty() {
        triggers.push = Some(push);
    }
}

/// `workflow: rules` as triggers.
pub(super) fn workflow(rules: &Node, triggers: &mut Triggers, notes: &mut Notes) {
    let mut push: Option<Filter> = None;
    let mut is_all = false;
    for rule in rules.items() {
        let text = rule.text_of("if").unwrap_or_default();
        let is_never = rule.text_of("when") == Some("never");
        // It keeps a push from running twice, which never happens here.
        if is_never && text.contains("CI_OPEN_MERGE_REQUESTS") {
            continue;
        }
        let found = match (rule.find("if"), is_never) {
            (None, _) => Verdict::When(super::super::model::When::default()),
            (Some(_), true) => Verdict::Unsayable("never".into()),
            (Some(_), false) => verdict(&condition(text)),
        };
        let Verdict::When(when) = found else {
            let what = format!("workflow: if: {text}");
            let why = "what starts a pipeline cannot be said like this";
            notes.add(
                rule.line,
                &what,
                why,
                "change `on`, or give the jobs a `when`",
            );
            continue;
        };
        let has = |event: &str| when.event.iter().any(|one| one == event);
        if has("pull_request") {
            triggers.pull_request = Some(Filter::default());
        } else if has("manual") {
            triggers.manual = Some(Vec::new());
        } else if !has("schedule") {
            let filter = push.get_or_insert_with(Filter::default);
            is_all |= when.branch.is_empty() && when.tag.is_empty();
            when.branch
                .into_iter()
                .for_each(|one| add(&mut filter.branches, one));
            when.tag
                .into_iter()
                .for_each(|one| add(&mut filter.tags, one));
        }
    }
    triggers.push = if is_all {
        Some(Filter::default())
    } else {
        push
    };
    if is_all && triggers.pull_request.is_none() {
        triggers.pull_request = Some(Filter::default());
    }
}
