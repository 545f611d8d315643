//! `if` of a workflow.

use super::super::condition::{Condition, Test};
use super::super::model::Status;
use super::super::names;
use super::super::operators::{self, Expression, Operator};
use super::expressions::{Scope, pieces};

/// A condition, with or without `${{ }}` around it.
pub(super) fn condition(text: &str, scope: &Scope) -> Condition {
    let text = text.trim();
    let inner = match pieces(text)[..] {
        [Err(inner)] => inner,
        [Ok(literal)] => literal,
        _ => return Condition::Unknown(text.to_owned()),
    };
    match operators::parse(inner) {
        Some(expression) => of_expression(&expression, scope),
        None => Condition::Unknown(inner.to_owned()),
    }
}

fn of_expression(expression: &Expression, scope: &Scope) -> Condition {
    let all = |parts: &[Expression]| {
        parts
            .iter()
            .map(|part| of_expression(part, scope))
            .collect()
    };
    match expression {
        Expression::Or(parts) => Condition::Any(all(parts)),
        Expression::And(parts) => Condition::All(all(parts)),
        Expression::Not(inner) => match &**inner {
            Expression::Call { name, .. } if name == "cancelled" => {
                Condition::Is(Test::Status(Status::Always))
            }
            inner => of_expression(inner, scope).not(),
        },
        Expression::Compare {
            operator: operator @ (Operator::Equal | Operator::NotEqual),
            left,
            right,
        } => {
            let equal = match (&**left, &**right) {
                (Expression::Name(name), Expression::Text(text))
                | (Expression::Text(text), Expression::Name(name)) => equal(name, text, scope),
                (Expression::Name(name), Expression::Name(word)) => equal(name, word, scope),
                _ => Condition::Unknown("a comparison".into()),
            };
            match operator {
                Operator::NotEqual => equal.not(),
                _ => equal,
            }
        }
        Expression::Call { name, arguments } => match axis_call(name, arguments, scope) {
            Some(condition) => condition,
            None => call(name, arguments),
        },
        Expression::Name(name) => match name.as_str() {
            "true" => Condition::Fixed(true),
            "false" => Condition::Fixed(false),
            name => Condition::Unknown(name.to_owned()),
        },
        Expression::Compare { .. } | Expression::Text(_) | Expression::Regex(_) => {
            Condition::Unknown("a condition".into())
        }
    }
}

fn event(name: &str) -> Condition {
    let ours = match name {
        "push" | "pull_request" | "schedule" => name,
        "workflow_dispatch" => "manual",
        // Nothing here is such an event.
        "pull_request_target" | "merge_group" | "workflow_call" | "workflow_run" => {
            return Condition::Fixed(false);
        }
        name => return Condition::Unknown(format!("event {name}")),
    };
    Condition::Is(Test::Event(ours.into()))
}

fn equal(name: &str, text: &str, scope: &Scope) -> Condition {
    match name {
        "github.ref" => match (
            text.strip_prefix("refs/heads/"),
            text.strip_prefix("refs/tags/"),
        ) {
            (Some(branch), _) => Condition::pushed(vec![branch.into()]),
            (_, Some(tag)) => Condition::Is(Test::Tag(tag.into())),
            _ => Condition::Unknown(format!("github.ref {text}")),
        },
        "github.ref_name" => Condition::pushed(vec![text.into()]),
        "github.head_ref" => Condition::Is(Test::Branch(text.into())),
        "github.ref_type" if text == "tag" => Condition::any_tag(),
        "github.ref_type" => Condition::any_tag().not(),
        "github.event_name" => event(text),
        // A pipeline file is of one repository, and forks have no runners of ours.
        "github.repository" | "github.repository_owner" => Condition::Fixed(true),
        "runner.os" => Condition::Fixed(text == "Linux"),
        "runner.arch" => Condition::Fixed(text == "X64"),
        // A cache saves time; without it the step is done again.
        name if name.ends_with(".cache-hit") => Condition::Fixed(text != "true"),
        name if name.starts_with("needs.") && name.ends_with(".result") => match text {
            "success" => Condition::Is(Test::Status(Status::Success)),
            "failure" => Condition::Is(Test::Status(Status::Failure)),
            text => Condition::Unknown(format!("{name} {text}")),
        },
        name => match name.strip_prefix("matrix.").map(names::axis) {
            Some(axis) => match scope.fixed.iter().find(|(key, _)| *key == axis) {
                Some((_, value)) => Condition::Fixed(value == text),
                None if scope.axes.contains(&axis) => {
                    Condition::Is(Test::Matrix(axis, text.to_owned()))
                }
                None => Condition::Unknown(name.to_owned()),
            },
            None => Condition::Unknown(format!("{name} == {text}")),
        },
    }
}

/// `contains(matrix.x, 'y')` and its like: patterns of a value.
fn axis_call(name: &str, arguments: &[Expression], scope: &Scope) -> Option<Condition> {
    let [Expression::Name(of), Expression::Text(text)] = arguments else {
        return None;
    };
    let axis = names::axis(of.strip_prefix("matrix.")?);
    let (pattern, is_meant): (String, fn(&str, &str) -> bool) = match name {
        "contains" => (format!("*{text}*"), |value, text| value.contains(text)),
        "startsWith" => (format!("{text}*"), |value, text| value.starts_with(text)),
        "endsWith" => (format!("*{text}"), |value, text| value.ends_with(text)),
        _ => return None,
    };
    if let Some((_, value)) = scope.fixed.iter().find(|(key, _)| *key == axis) {
        return Some(Condition::Fixed(is_meant(value, text)));
    }
    let is_known = scope.axes.contains(&axis) && !text.contains(['/', '[', '?', '{', '*']);
    is_known.then_some(Condition::Is(Test::Matrix(axis, pattern)))
}

fn call(name: &str, arguments: &[Expression]) -> Condition {
    match (name, arguments) {
        ("always", _) => Condition::Is(Test::Status(Status::Always)),
        ("success", _) => Condition::Is(Test::Status(Status::Success)),
        ("failure", _) => Condition::Is(Test::Status(Status::Failure)),
        ("startsWith", [Expression::Name(name), Expression::Text(text)])
            if name == "github.ref" || name == "github.ref_name" =>
        {
            match (
                text.strip_prefix("refs/heads/"),
                text.strip_prefix("refs/tags/"),
            ) {
                (_, Some("")) => Condition::any_tag(),
                (_, Some(tag)) => Condition::Is(Test::Tag(format!("{tag}*"))),
                (Some(branch), _) if branch.ends_with('/') => {
                    Condition::pushed(vec![format!("{branch}**")])
                }
                (Some(branch), _) => Condition::pushed(vec![format!("{branch}*")]),
                _ if name == "github.ref_name" && text.starts_with('v') => {
                    Condition::Is(Test::Tag(format!("{text}*")))
                }
                _ => Condition::Unknown(format!("startsWith {text}")),
            }
        }
        ("contains", [Expression::Name(name), Expression::Text(text)])
            if name == "github.ref" && text.starts_with("refs/tags") =>
        {
            Condition::any_tag()
        }
        (name, _) => Condition::Unknown(format!("{name}(…)")),
    }
}
