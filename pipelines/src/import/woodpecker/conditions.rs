//! Woodpecker's `when` as ours.

use super::super::condition::{Condition, Test, Verdict, verdict};
use super::super::globs;
use super::super::model::{Notes, Status, When};
use super::super::names;
use super::super::source::{Entry, Node};

/// A value, a list, or `{ include, exclude }`: negated ones begin with `!`.
pub(super) fn list(node: &Node) -> Vec<String> {
    if node.entries().is_empty() {
        return node.texts().into_iter().map(|(_, text)| text).collect();
    }
    let excluded = node.texts_of("exclude").into_iter();
    let mut list = node.texts_of("include");
    list.extend(excluded.map(|text| format!("!{text}")));
    list
}

/// A pattern of theirs as ours; one that cannot be said is noted.
pub(super) fn glob(text: &str, line: u32, notes: &mut Notes) -> Option<Vec<String>> {
    let found = globs::glob(text);
    match &found {
        None => notes.add(
            line,
            text,
            "this pattern cannot be said with `*` and `**`",
            "write one or several simpler ones",
        ),
        Some(found) if found.is_wider => {
            let why = format!("`{}` matches more", found.patterns.join("`, `"));
            notes.add(line, text, &why, "check that this is meant");
        }
        Some(_) => {}
    }
    found.map(|found| found.patterns)
}

/// The `when` of a step; `Err` if it cannot be said, which is noted.
pub(super) fn when(node: Option<&Node>, notes: &mut Notes) -> Result<When, ()> {
    let Some(node) = node else {
        return Ok(When::default());
    };
    let mut any = Vec::new();
    for one in node.items() {
        let parts = one.entries().iter();
        any.push(Condition::All(
            parts.map(|entry| part(entry, notes)).collect(),
        ));
    }
    let why = match verdict(&Condition::Any(any)) {
        Verdict::When(when) => {
            let is_request = |event: &String| event == "pull_request";
            if !when.branch.is_empty()
                && (when.event.is_empty() || when.event.iter().any(is_request))
            {
                notes.add(
                    node.line,
                    &format!("when: branch: {}", when.branch.join(", ")),
                    "of a pull request, `branch` is the branch it comes from, not the one it goes to",
                    "filter by the target under `on.pull_request.branches`",
                );
            }
            return Ok(when);
        }
        Verdict::Never => "it never holds here".to_owned(),
        Verdict::Unsayable(part) => format!("`when` cannot say this: {part}"),
    };
    let hint = "split it into two steps or jobs with a simpler `when` each";
    notes.add(node.line, &format!("when: {}", node.shown()), &why, hint);
    Err(())
}

fn part(entry: &Entry, notes: &mut Notes) -> Condition {
    let texts = list(&entry.value);
    match entry.key.as_str() {
        "event" => {
            texts
                .iter()
                .for_each(|event| super::note_event(event, &entry.value, notes));
            events(&texts)
        }
        "branch" => patterns(&texts, entry.line, notes, Test::Branch),
        "path" => patterns(&texts, entry.line, notes, Test::Path),
        "ref" => {
            let tags = texts
                .iter()
                .filter_map(|text| text.strip_prefix("refs/tags/"));
            let tags: Vec<_> = tags.map(str::to_owned).collect();
            let heads = texts
                .iter()
                .filter_map(|text| text.strip_prefix("refs/heads/"));
            let heads: Vec<_> = heads.map(str::to_owned).collect();
            match (tags.is_empty(), heads.is_empty()) {
                (false, true) => patterns(&tags, entry.line, notes, Test::Tag),
                (true, false) => patterns(&heads, entry.line, notes, Test::Branch),
                _ => Condition::Unknown(format!("ref {}", texts.join(", "))),
            }
        }
        "status" => {
            let has = |status: &str| texts.iter().any(|text| text == status);
            Condition::Is(Test::Status(match (has("success"), has("failure")) {
                (true, true) => Status::Always,
                (false, true) => Status::Failure,
                _ => Status::Success,
            }))
        }
        "matrix" => {
            let axes = entry.value.entries().iter();
            let axes = axes.map(|axis| {
                let values = list(&axis.value);
                let name = names::axis(&axis.key);
                Condition::any(values, |value| Test::Matrix(name.clone(), value))
            });
            Condition::All(axes.collect())
        }
        "cron" => Condition::Is(Test::Event("schedule".into())),
        // One pipeline file is of one repository and one server.
        "repo" | "instance" | "platform" => Condition::Fixed(true),
        key => Condition::Unknown(format!("{key}: {}", entry.value.shown())),
    }
}

/// Events; a push of theirs is no tag's.
fn events(texts: &[String]) -> Condition {
    let has = |event: &str| texts.iter().any(|text| text == event);
    if texts.iter().any(|text| text.starts_with('!')) {
        let excluded = texts.iter().filter_map(|text| text.strip_prefix('!'));
        return Condition::All(excluded.map(|event| one_event(event).not()).collect());
    }
    if has("push") && has("tag") {
        let others = texts.iter().filter(|text| *text != "tag");
        return Condition::Any(others.map(|event| one_event(event)).collect());
    }
    let any = Condition::Any(texts.iter().map(|event| one_event(event)).collect());
    match has("push") {
        true => Condition::All(vec![any, Condition::any_tag().not()]),
        false => any,
    }
}

fn one_event(event: &str) -> Condition {
    match event {
        "push" | "pull_request" | "manual" => Condition::Is(Test::Event(event.into())),
        "cron" => Condition::Is(Test::Event("schedule".into())),
        "tag" => Condition::any_tag(),
        // It never happens here.
        _ => Condition::Fixed(false),
    }
}

fn patterns(
    texts: &[String],
    line: u32,
    notes: &mut Notes,
    test: impl Fn(String) -> Test,
) -> Condition {
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for text in texts {
        let Some(patterns) = glob(text, line, notes) else {
            return Condition::Unknown(text.clone());
        };
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(pattern) => unwanted.push(Condition::Is(test(pattern.to_owned())).not()),
                None => wanted.push(pattern),
            }
        }
    }
    if !wanted.is_empty() {
        unwanted.insert(0, Condition::any(wanted, test));
    }
    Condition::All(unwanted)
}
