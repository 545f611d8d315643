//! When Travis builds: `if`, and the names of `branches`.

use super::super::condition::{Condition, Test, Verdict, verdict};
use super::super::globs;
use super::super::model::{Notes, When};
use super::super::operators::{self, Expression, Operator};
use super::super::source::Node;

/// Reads an `if`; nothing if it cannot be said, and that is noted.
pub(super) fn when(node: &Node, notes: &mut Notes) -> Option<When> {
    let text = node.text()?;
    let condition = operators::parse(text).map(|expression| condition(&expression));
    let why = match condition.map(|condition| verdict(&condition)) {
        Some(Verdict::When(when)) => return Some(when),
        Some(Verdict::Never) => "it never holds".to_owned(),
        Some(Verdict::Unsayable(part)) => format!("`when` cannot say this: {part}"),
        None => "this condition cannot be read".to_owned(),
    };
    let hint = "write a `when` that says it; until then only a manual run has this job";
    notes.add(node.line, &format!("if: {text}"), &why, hint);
    None
}

fn condition(expression: &Expression) -> Condition {
    match expression {
        Expression::Or(parts) => Condition::Any(parts.iter().map(condition).collect()),
        Expression::And(parts) => Condition::All(parts.iter().map(condition).collect()),
        Expression::Not(inner) => condition(inner).not(),
        Expression::Compare {
            operator,
            left,
            right,
        } => comparison(left, *operator, right),
        Expression::Name(name) if name == "tag" => Condition::any_tag(),
        other => Condition::Unknown(format!("{other:?}")),
    }
}

fn comparison(left: &Expression, operator: Operator, right: &Expression) -> Condition {
    let Expression::Name(name) = left else {
        return Condition::Unknown("a comparison of something else than a name".into());
    };
    match operator {
        Operator::Equal => equal(name, right),
        Operator::NotEqual => equal(name, right).not(),
        Operator::Matches => matching(name, right),
        Operator::NotMatches => matching(name, right).not(),
        Operator::In => match right {
            Expression::Call { arguments, .. } => {
                Condition::Any(arguments.iter().map(|value| equal(name, value)).collect())
            }
            _ => Condition::Unknown(format!("{name} IN")),
        },
    }
}

fn equal(name: &str, value: &Expression) -> Condition {
    let (Expression::Name(value) | Expression::Text(value)) = value else {
        return Condition::Unknown(name.to_owned());
    };
    match (name, value.as_str()) {
        ("tag", "present") => Condition::any_tag(),
        ("tag", "blank") => Condition::any_tag().not(),
        ("branch", "present") => Condition::Is(Test::Branch("**".into())),
        ("branch" | "head_branch", value) => Condition::Is(Test::Branch(value.into())),
        ("tag", value) => Condition::Is(Test::Tag(value.into())),
        ("type", "push" | "pull_request") => Condition::Is(Test::Event(value.clone())),
        ("type", "cron") => Condition::Is(Test::Event("schedule".into())),
        ("type", "api") => Condition::Is(Test::Event("manual".into())),
        // A pipeline file is of one repository, so that a fork's name is all it could exclude.
        ("repo", _) => Condition::Fixed(true),
        ("os", "linux") => Condition::Fixed(true),
        _ => Condition::Unknown(format!("{name} = {value}")),
    }
}

fn matching(name: &str, value: &Expression) -> Condition {
    let test = match name {
        "branch" | "head_branch" => Test::Branch,
        "tag" => Test::Tag,
        _ => return Condition::Unknown(format!("{name} =~")),
    };
    let (Expression::Regex(text) | Expression::Text(text)) = value else {
        return Condition::Unknown(format!("{name} =~"));
    };
    match globs::regex(text) {
        Some(found) => Condition::any(found.patterns, test),
        None => Condition::Unknown(format!("{name} =~ {text}")),
    }
}

/// The patterns of a name in `branches`, and whether each is about tags: Travis has one list.
pub(super) fn names(text: &str, line: u32, notes: &mut Notes) -> Vec<(String, bool)> {
    let Some(regex) = text.strip_prefix('/') else {
        return vec![(text.to_owned(), false)];
    };
    let regex = regex.trim_end_matches('i').trim_end_matches('/');
    // By far the most expressions that begin so are about versions.
    let is_tag = regex
        .trim_start_matches('^')
        .starts_with(['v', 'V', '\\', '[', '('])
        && regex.contains(['d', '[']);
    let Some(found) = globs::regex(regex) else {
        notes.add(
            line,
            text,
            "this expression cannot be said as a pattern",
            "add a pattern with `*` to `branches` or `tags` of `push`",
        );
        return Vec::new();
    };
    if found.is_wider {
        notes.add(
            line,
            text,
            &format!("the pattern `{}` matches more", found.patterns.join("`, `")),
            "check that nothing else is called like this",
        );
    }
    let patterns = found.patterns.into_iter();
    patterns.map(|pattern| (pattern, is_tag)).collect()
}
