//! Reading single values out of the tree. What is wrong is noted, and the reading goes on, so that
//! the author learns of every problem at once.

use std::str::FromStr;

use super::keys::{Keys, levels_of};
use super::problem::{At, Place, Problem, nearest};
use super::tree::{Entry, Kind, Node};
use crate::expression::{Gap, Template};
use crate::limits::{PATTERNS_MAX, PROBLEMS_MAX};
use crate::names::InvalidName;
use crate::pattern::Patterns;

/// Collects problems while values are read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<Problem>,
}

/// The entries of a mapping whose keys have been checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    pub(crate) place: Place,
}

impl<'n> Fields<'n> {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a key is not known here; it has been reported then.
    pub(crate) fn has_strange(&self, keys: &Keys) -> bool {
        let strange = |entry: &Entry| !keys.known.contains(&entry.key.as_str());
        self.entries.iter().any(strange)
    }

    pub(crate) fn find(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Reader {
    pub(crate) fn report(&mut self, problem: Problem) {
        // Beyond the limit nothing is shown, so a hostile file need not be explained in full.
        if !self.is_full() {
            self.problems.push(problem);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    /// A mapping whose keys are all known at its level.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, keys: &Keys) -> Option<Fields<'n>> {
        let entries = self.mapping(node, keys.level)?;
        for entry in entries {
            if self.is_full() {
                break;
            }
            if !keys.known.contains(&entry.key.as_str()) {
                self.report(strange_key(entry, keys));
            }
        }
        let place = node.place;
        Some(Fields { entries, place })
    }

    /// A mapping with keys of the author's choice.
    pub(crate) fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Mapping(entries) => Some(entries),
            Kind::Scalar { .. } | Kind::Sequence(_) => {
                self.wrong(node, what, "a mapping of keys and values");
                None
            }
        }
    }

    /// Says that a value is of the wrong kind.
    pub(crate) fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = match node.is_null() {
            true => format!("{what} is empty; it must be {wanted}"),
            false => format!("{what} must be {wanted}; this is {}", node.describe()),
        };
        self.report(Problem::new(node.place, &node.shown(), message));
    }

    /// A text, as it is written.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        match &node.kind {
            Kind::Scalar { text, .. } if !node.is_null() => Some(At {
                value: text.clone(),
                place: node.place,
            }),
            Kind::Scalar { .. } | Kind::Sequence(_) | Kind::Mapping(_) => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    /// A text in which `${{ … }}` means nothing, and is not empty.
    pub(crate) fn plain_text(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        let text = self.text(node, what)?;
        if text.value.contains("${{") {
            let message = format!("`${{{{ … }}}}` is not filled in inside {what}");
            self.report(Problem::new(text.place, &text.value, message));
            return None;
        }
        if text.value.trim().is_empty() {
            self.report(Problem::new(text.place, "", format!("{what} is empty")));
            return None;
        }
        Some(text)
    }

    /// A text with gaps that can all be filled when the plan is made.
    pub(crate) fn template(&mut self, node: &Node, what: &str) -> Option<At<Template>> {
        let template = self.late_template(node, what)?;
        let is_late = |gap: &Gap| matches!(gap, Gap::Late(_));
        if !template.value.gaps().any(is_late) {
            return Some(template);
        }
        let message = format!("{what} cannot hold what is only known while the run goes on");
        let problem = Problem::new(template.place, &node.shown(), message);
        self.report(problem.hint(
            "`run` and outputs of jobs can stand in `env`, in `image`, and in `args`, `tags` and `target` of a build",
        ));
        None
    }

    /// A path inside the repository, with gaps.
    pub(crate) fn template_path(&mut self, node: &Node, what: &str) -> Option<At<Template>> {
        let template = self.template(node, what)?;
        if template.value.literal().is_some() {
            self.path(node, what)?;
        }
        Some(template)
    }

    /// A text with gaps, also such that wait for the run.
    pub(crate) fn late_template(&mut self, node: &Node, what: &str) -> Option<At<Template>> {
        let text = self.text(node, what)?;
        let place = text.place;
        match Template::parse(&text) {
            Ok(value) => Some(At { value, place }),
            Err(problems) => {
                problems
                    .into_iter()
                    .for_each(|problem| self.report(problem));
                None
            }
        }
    }

    /// One value or a list of them.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Sequence(items) => {
                if items.is_empty() {
                    let message = format!("{what} is an empty list");
                    self.report(Problem::new(node.place, "[]", message));
                }
                items
            }
            Kind::Scalar { .. } => std::slice::from_ref(node),
            Kind::Mapping(_) => {
                self.wrong(node, what, "a text or a list of texts");
                &[]
            }
        }
    }

    /// One value or a list of at most `max`.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str, max: usize) -> &'n [Node] {
        let items = self.items(node, what);
        if items.len() <= max {
            return items;
        }
        let count = items.len();
        let message = format!("{what} has {count} entries; at most {max} may be");
        self.report(Problem::new(node.place, "", message));
        &[]
    }

    /// One of these words.
    pub(crate) fn one_of(
        &mut self,
        node: &Node,
        what: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.plain_text(node, what)?;
        let found = words.iter().find(|word| **word == text.value);
        if found.is_none() {
            let message = format!("{what} must be one of {}", words.join(", "));
            let problem = Problem::new(text.place, &text.value, message);
            self.report(problem.nearest(&text.value, words.iter().copied()));
        }
        found.copied()
    }

    /// `true` or `false`, and no other words for them.
    pub(crate) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        let word = self.one_of(node, what, &["true", "false"])?;
        Some(word == "true")
    }

    /// A name of some kind.
    pub(crate) fn name<T>(&mut self, node: &Node, what: &str) -> Option<At<T>>
    where
        T: FromStr<Err = InvalidName>,
    {
        let text = self.plain_text(node, what)?;
        self.parse_name(&text.value, text.place)
    }

    /// A name that is written as a key.
    pub(crate) fn parse_name<T>(&mut self, text: &str, place: Place) -> Option<At<T>>
    where
        T: FromStr<Err = InvalidName>,
    {
        match text.parse() {
            Ok(value) => Some(At { value, place }),
            Err(error) => {
                let message = format!("this is not a valid {}", error.what);
                self.report(Problem::new(place, text, message).hint(error.rule));
                None
            }
        }
    }

    /// A pattern or a list of them.
    pub(crate) fn patterns(&mut self, node: &Node, what: &str) -> Option<Patterns> {
        let items = self.items(node, what);
        if items.len() > PATTERNS_MAX {
            let count = items.len();
            let message = format!("{what} has {count} patterns; at most {PATTERNS_MAX} may be");
            self.report(Problem::new(node.place, "", message));
            return None;
        }
        let mut patterns = Patterns::default();
        for item in items {
            let Some(text) = self.plain_text(item, what) else {
                continue;
            };
            if let Err(error) = patterns.add(&text.value) {
                let message = "this is not a valid pattern";
                self.report(Problem::new(text.place, &text.value, message).hint(error.rule));
            }
        }
        Some(patterns)
    }

    /// A span of time such as `90s` or `1h30m`, in seconds, from one second to `max`.
    pub(crate) fn seconds(&mut self, node: &Node, what: &str, max: u64) -> Option<u32> {
        let text = self.plain_text(node, what)?;
        let problem = |message: String| Problem::new(text.place, &text.value, message);
        let problem = match parse_seconds(&text.value) {
            None => problem(format!("{what} is not a span of time"))
                .hint("write `90s`, `10m` or `1h30m`"),
            Some(0) => problem(format!("{what} must be at least `1s`")),
            Some(seconds) if seconds > max => {
                problem(format!("{what} may be at most {}", say_seconds(max)))
            }
            Some(seconds) => return u32::try_from(seconds).ok(),
        };
        self.report(problem);
        None
    }

    /// A whole number up to `max`.
    pub(crate) fn count(&mut self, node: &Node, what: &str, max: u32) -> Option<u32> {
        let text = self.plain_text(node, what)?;
        let digits = text.value.bytes().all(|byte| byte.is_ascii_digit());
        match text.value.parse::<u32>() {
            Ok(number) if digits && number <= max => return Some(number),
            Ok(_) | Err(_) => {}
        }
        let message = format!("{what} must be a whole number from 0 to {max}");
        self.report(Problem::new(text.place, &text.value, message));
        None
    }

    /// A path inside the repository.
    pub(crate) fn path(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        let text = self.plain_text(node, what)?;
        let path = text.value.as_str();
        let is_outside = path.starts_with(['/', '-'])
            || path.contains(['\\', '\n', '\r'])
            || path.split('/').any(|part| part == "..");
        if is_outside || path.len() > 1024 {
            let problem = Problem::new(
                text.place,
                path,
                format!("{what} must be a path inside the repository"),
            );
            self.report(problem.hint(
                "write it from the repository's root, with `/`, without `..` and at most 1024 bytes",
            ));
            return None;
        }
        Some(text)
    }
}

/// What to say of a key that is not known at its level.
fn strange_key(entry: &Entry, keys: &Keys) -> Problem {
    let key = entry.key.as_str();
    if keys.later.contains(&key) {
        let message = format!("`{key}` is not supported yet");
        return Problem::new(entry.place, key, message);
    }
    let message = format!("this key is not known in {}", keys.level);
    let problem = Problem::new(entry.place, key, message);
    if let Some(name) = nearest(key, keys.all()) {
        return problem.hint(format!("did you mean `{name}`?"));
    }
    let levels = levels_of(key);
    if !levels.is_empty() {
        return problem.hint(format!("`{key}` belongs to {}", levels.join(" or ")));
    }
    match keys.known.is_empty() {
        true => problem,
        false => problem.hint(format!("known here are {}", keys.known.join(", "))),
    }
}

fn parse_seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, behind)) = rest.split_once(unit) {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let number: u64 = number.parse().ok()?;
            total = total.checked_add(number.checked_mul(seconds)?)?;
            rest = behind;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

/// Seconds as people write them: `1h30m`.
fn say_seconds(seconds: u64) -> String {
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let part = |(number, unit): (u64, &str)| match number {
        0 => String::new(),
        number => format!("{number}{unit}"),
    };
    parts.into_iter().map(part).collect()
}
