//! `when` of a stage.

use super::super::condition::{self, Condition, Test, Verdict, verdict};
use super::super::globs;
use super::super::model::{Notes, When, by_hand};
use super::arguments::Arguments;
use super::groovy::Statement;

/// A stage's `when` as ours; what cannot be said is left to a person to start.
pub(super) fn when(stage: &Statement, comments: &mut Vec<String>, notes: &mut Notes) -> When {
    let Some(block) = stage.find("when") else {
        return When::default();
    };
    let why = match verdict(&all(block)) {
        Verdict::When(when) => return when,
        Verdict::Never => "it never holds here".to_owned(),
        Verdict::Unsayable(part) => format!("`when` cannot say this: {part}"),
    };
    let hint = "write a `when` that says it, or test for it in the script; until then only a \
                manual run has it";
    notes.add(block.line, "when", &why, hint);
    comments.push(by_hand(block.line, &format!("when: {why}")));
    condition::by_hand_only()
}

fn all(block: &Statement) -> Condition {
    Condition::All(block.block().iter().map(one).collect())
}

fn one(statement: &Statement) -> Condition {
    let arguments = Arguments::read(&statement.rest);
    let pattern = || {
        let value = arguments.main("pattern");
        value
            .map(|value| value.plain().to_owned())
            .unwrap_or_default()
    };
    let is_regex = arguments.text("comparator") == Some("REGEXP");
    let found = || match is_regex {
        true => globs::regex(&pattern()),
        false => globs::glob(&pattern()),
    };
    let patterns = |test: fn(String) -> Test| match found() {
        Some(found) => Condition::any(found.patterns, test),
        None => Condition::Unknown(statement.shown()),
    };
    let request = || Condition::Is(Test::Event("pull_request".into()));
    match statement.name.as_str() {
        "allOf" => all(statement),
        "anyOf" => Condition::Any(statement.block().iter().map(one).collect()),
        "not" => all(statement).not(),
        // Of a pull request the branch is called `PR-1` there.
        "branch" => match found() {
            Some(found) => Condition::pushed(found.patterns),
            None => Condition::Unknown(statement.shown()),
        },
        "tag" => patterns(Test::Tag),
        "buildingTag" => Condition::any_tag(),
        "changeRequest" if arguments.named.is_empty() => request(),
        "changeset" => patterns(Test::Path),
        "triggeredBy" => match pattern().as_str() {
            "TimerTrigger" => Condition::Is(Test::Event("schedule".into())),
            "UserIdCause" => Condition::Is(Test::Event("manual".into())),
            "SCMTrigger" | "GitHubPushCause" => Condition::Is(Test::Event("push".into())),
            _ => Condition::Unknown(statement.shown()),
        },
        "beforeAgent" | "beforeInput" | "beforeOptions" => Condition::Fixed(true),
        "expression" => {
            let code: Vec<_> = statement.block().iter().map(Statement::shown).collect();
            Condition::Unknown(format!("expression {{ {} }}", code.join("; ")))
        }
        _ => Condition::Unknown(statement.shown()),
    }
}
