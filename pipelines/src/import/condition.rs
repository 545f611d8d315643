//! Conditions of other systems, brought into the form of our `when` where that can say them.

use super::model::{Status, When, add};

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Is(Test),
    /// Always so (or never), for instance because it asks for the repository's own name.
    Fixed(bool),
    /// What cannot be said, as it is written.
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Branch(String),
    Tag(String),
    Event(String),
    Path(String),
    Matrix(String, String),
    Status(Status),
}

impl Condition {
    pub(super) fn not(self) -> Condition {
        match self {
            Condition::Not(inner) => *inner,
            Condition::Fixed(fixed) => Condition::Fixed(!fixed),
            Condition::All(parts) => match find_pushed(&parts) {
                Some(branch) => branch.clone().not(),
                None => Condition::Not(Box::new(Condition::All(parts))),
            },
            other => Condition::Not(Box::new(other)),
        }
    }

    /// A push to such a branch: a pull request from one is not meant.
    pub(super) fn pushed(branches: Vec<String>) -> Condition {
        let request = Condition::Is(Test::Event("pull_request".into()));
        Condition::All(vec![Condition::any(branches, Test::Branch), request.not()])
    }

    /// Any of several texts.
    pub(super) fn any(texts: Vec<String>, test: impl Fn(String) -> Test) -> Condition {
        let mut all: Vec<_> = texts
            .into_iter()
            .map(|text| Condition::Is(test(text)))
            .collect();
        match all.len() {
            1 => all.remove(0),
            _ => Condition::Any(all),
        }
    }

    /// A push to any branch: not a tag.
    pub(super) fn any_branch() -> Condition {
        Condition::All(vec![
            Condition::Is(Test::Event("push".into())),
            Condition::Is(Test::Branch("**".into())),
        ])
    }

    /// A push of any tag.
    pub(super) fn any_tag() -> Condition {
        Condition::Is(Test::Tag("**".into()))
    }
}

/// The branch of [`Condition::pushed`]. What is no push to a branch is, for us, nothing of that
/// branch: a pull request from it neither, which the other systems call by another name.
fn find_pushed(parts: &[Condition]) -> Option<&Condition> {
    let request = Condition::Is(Test::Event("pull_request".into())).not();
    match parts {
        [branch, other] | [other, branch] if *other == request && is_branch(branch) => Some(branch),
        _ => None,
    }
}

fn is_branch(condition: &Condition) -> bool {
    match condition {
        Condition::Is(test) => matches!(test, Test::Branch(_)),
        Condition::Any(parts) => parts.iter().all(is_branch),
        Condition::All(_) | Condition::Not(_) | Condition::Fixed(_) | Condition::Unknown(_) => {
            false
        }
    }
}

/// What becomes of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    When(When),
    /// It can never hold.
    Never,
    /// It cannot be said in a `when`; the text says which part.
    Unsayable(String),
}

/// Brings a condition into the form of `when`: a list is "any of", several keys are "all of".
pub(super) fn verdict(condition: &Condition) -> Verdict {
    let condition = simplify(condition.clone());
    let parts = match condition {
        Condition::Fixed(true) => return Verdict::When(When::default()),
        Condition::Fixed(false) => return Verdict::Never,
        Condition::All(parts) => parts,
        other => vec![other],
    };
    let mut when = When::default();
    for part in parts {
        match lists(&part) {
            Some(tests) => {
                if let Err(why) = put(&mut when, tests) {
                    return Verdict::Unsayable(why);
                }
            }
            None => return Verdict::Unsayable(describe(&part)),
        }
    }
    // To ask for a branch of a push is to ask for no tag; a tag has no branch either.
    if when.branch == ["**"] && !when.tag.is_empty() {
        return Verdict::Never;
    }
    Verdict::When(when)
}

/// Lays nested conditions flat and moves negations inwards.
pub(super) fn simplify(condition: Condition) -> Condition {
    match condition {
        Condition::Not(inner) => match simplify(*inner) {
            Condition::Fixed(fixed) => Condition::Fixed(!fixed),
            Condition::Not(inner) => *inner,
            Condition::Any(parts) => simplify(Condition::All(
                parts.into_iter().map(Condition::not).collect(),
            )),
            Condition::All(parts) => match find_pushed(&parts) {
                Some(branch) => simplify(branch.clone().not()),
                None => simplify(Condition::Any(
                    parts.into_iter().map(Condition::not).collect(),
                )),
            },
            other => Condition::Not(Box::new(other)),
        },
        Condition::All(parts) => several(parts, true),
        Condition::Any(parts) => several(parts, false),
        other => other,
    }
}

/// `all` or any of several; what is fixed either decides or does not count.
fn several(parts: Vec<Condition>, all: bool) -> Condition {
    let mut flat = Vec::new();
    for part in parts {
        match simplify(part) {
            Condition::Fixed(fixed) if fixed == all => {}
            Condition::Fixed(fixed) => return Condition::Fixed(fixed),
            Condition::All(inner) if all => flat.extend(inner),
            Condition::Any(inner) if !all => flat.extend(inner),
            other => add(&mut flat, other),
        }
    }
    if !all {
        flat = factored(flat);
    }
    match flat.len() {
        0 => Condition::Fixed(all),
        1 => flat.remove(0),
        _ if all => Condition::All(flat),
        _ => Condition::Any(flat),
    }
}

/// Any of several that all ask for the same besides: what they share is asked for once.
fn factored(parts: Vec<Condition>) -> Vec<Condition> {
    let lists: Option<Vec<Vec<Condition>>> = parts
        .iter()
        .map(|part| match part {
            Condition::All(parts) => Some(parts.clone()),
            _ => None,
        })
        .collect();
    let Some([first, rest @ ..]) = lists.as_deref() else {
        return parts;
    };
    let is_shared = |part: &&Condition| rest.iter().all(|list| list.contains(part));
    let shared: Vec<Condition> = first.iter().filter(is_shared).cloned().collect();
    if rest.is_empty() || shared.is_empty() {
        return parts;
    }
    let own = |list: &Vec<Condition>| {
        let own = list.iter().filter(|part| !shared.contains(part));
        several(own.cloned().collect(), true)
    };
    let any = several(std::iter::once(first).chain(rest).map(own).collect(), false);
    vec![several([shared.clone(), vec![any]].concat(), true)]
}

/// The tests of one key, if the condition is about one key: any of them, or (with `true`) none.
fn lists(condition: &Condition) -> Option<Vec<(bool, Test)>> {
    match condition {
        Condition::Is(test) => Some(vec![(false, test.clone())]),
        Condition::Not(inner) => match &**inner {
            Condition::Is(Test::Status(_)) => None,
            Condition::Is(test) => Some(vec![(true, test.clone())]),
            _ => None,
        },
        Condition::Any(parts) => {
            let mut tests: Vec<(bool, Test)> = Vec::new();
            for part in parts {
                let Condition::Is(test) = part else {
                    return None;
                };
                let is_other = |(_, first): &(bool, Test)| !is_same_key(first, test);
                if tests.first().is_some_and(is_other) {
                    return None;
                }
                tests.push((false, test.clone()));
            }
            Some(tests)
        }
        Condition::All(_) | Condition::Fixed(_) | Condition::Unknown(_) => None,
    }
}

fn is_same_key(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::Matrix(one, _), Test::Matrix(other, _)) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Puts the tests of one key into the `when`.
fn put(when: &mut When, tests: Vec<(bool, Test)>) -> Result<(), String> {
    let mut wanted_before = None;
    for (negated, test) in tests {
        let (key, list, text) = match test {
            Test::Branch(text) => ("branch", &mut when.branch, text),
            Test::Tag(text) => ("tag", &mut when.tag, text),
            Test::Event(text) => ("event", &mut when.event, text),
            Test::Path(text) => ("path", &mut when.path, text),
            Test::Status(status) => {
                when.status = match when.status {
                    Some(old) if old != status => Some(Status::Always),
                    Some(_) | None => Some(status),
                };
                continue;
            }
            Test::Matrix(axis, text) => {
                let place = when.matrix.iter().position(|(name, _)| *name == axis);
                let place = place.unwrap_or_else(|| {
                    when.matrix.push((axis, Vec::new()));
                    when.matrix.len() - 1
                });
                ("matrix", &mut when.matrix[place].1, text)
            }
        };
        let is_wanted = |text: &String| !text.starts_with('!');
        // Two lists of which both must hold: one of them would have to be within the other.
        let had_wanted = *wanted_before.get_or_insert_with(|| list.iter().any(is_wanted));
        if !negated && had_wanted {
            if list.as_slice() == ["**"] {
                list.clear();
                wanted_before = Some(false);
            } else if text != "**" && !list.contains(&text) {
                return Err(format!("two conditions on `{key}` at once"));
            } else {
                continue;
            }
        }
        let text = if negated { format!("!{text}") } else { text };
        add(list, text);
    }
    Ok(())
}

/// A condition in words, to say which one has no translation.
fn describe(condition: &Condition) -> String {
    match condition {
        Condition::Unknown(text) => text.clone(),
        Condition::Is(test) => match test {
            Test::Branch(text) => format!("branch {text}"),
            Test::Tag(text) => format!("tag {text}"),
            Test::Event(text) => format!("event {text}"),
            Test::Path(text) => format!("path {text}"),
            Test::Matrix(axis, text) => format!("{axis} {text}"),
            Test::Status(_) => "the status".into(),
        },
        Condition::Not(inner) => format!("not ({})", describe(inner)),
        Condition::Fixed(fixed) => fixed.to_string(),
        Condition::All(parts) => {
            let parts: Vec<_> = parts.iter().map(describe).collect();
            parts.join(" and ")
        }
        Condition::Any(parts) => {
            let parts: Vec<_> = parts.iter().map(describe).collect();
            parts.join(" or ")
        }
    }
}

/// What is left to a person to start, because its condition cannot be said: better never than where
/// it was not meant to run.
pub(super) fn by_hand_only() -> When {
    When {
        event: vec!["manual".into()],
        ..When::default()
    }
}
