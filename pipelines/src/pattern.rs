//! Patterns for branches, tags and paths: `*`, `**` and `!`, and nothing else.
//!
//! `*` stands for any text within one part of a path, `**` for any number of whole parts. A list
//! matches when one of its patterns does (or all of them are negated) and none of those with `!`
//! does; the order does not matter. Ours, and not a glob library's, because a pattern must cost
//! nothing to read: a file may hold thousands.

use std::fmt;

/// A text that is no pattern, and the rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid pattern: {rule}")]
pub struct InvalidPattern {
    /// The text that was refused, shortened.
    pub text: String,
    /// The rule, as a phrase a person can act on.
    pub rule: &'static str,
}

/// A list of patterns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Patterns {
    /// Adds a pattern to the list.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidPattern> {
        let (list, pattern) = match text.strip_prefix('!') {
            Some(rest) => (&mut self.unwanted, rest),
            None => (&mut self.wanted, text),
        };
        match broken_rule(pattern) {
            Some(rule) => Err(InvalidPattern {
                text: text.chars().take(80).collect(),
                rule,
            }),
            None => {
                list.push(pattern.to_owned());
                Ok(())
            }
        }
    }

    /// Whether this text (a branch, a tag, a path) is meant by the list.
    pub fn matches(&self, text: &str) -> bool {
        let any = |list: &[String]| list.iter().any(|pattern| is_match(pattern, text));
        (self.wanted.is_empty() || any(&self.wanted)) && !any(&self.unwanted)
    }

    /// Whether something that is not there at all is meant: only if the list merely excludes.
    pub fn matches_nothing(&self) -> bool {
        self.wanted.is_empty()
    }
}

impl fmt::Display for Patterns {
    /// As people say it: `main or release/*, but not release/old`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wanted.join(" or "))?;
        match (self.wanted.is_empty(), self.unwanted.is_empty()) {
            (_, true) => Ok(()),
            (true, false) => write!(f, "any but {}", self.unwanted.join(" or ")),
            (false, false) => write!(f, ", but not {}", self.unwanted.join(" or ")),
        }
    }
}

fn broken_rule(pattern: &str) -> Option<&'static str> {
    if pattern.is_empty() {
        Some("it is empty")
    } else if pattern.len() > 255 {
        Some("it is longer than 255 bytes")
    } else if pattern.contains(['?', '[', ']', '{', '}', '\\']) {
        // A glob of another tool would quietly match nothing here, so it is refused.
        Some("only `*`, `**` and a leading `!` have a meaning; `?`, `[`, `{` and `\\` have none")
    } else if pattern
        .split('/')
        .any(|part| part.contains("**") && part != "**")
    {
        Some("`**` stands for whole parts of a path, as in `a/**/b`")
    } else if pattern.starts_with('/') || pattern.contains("//") {
        Some("it does not begin with `/`, nor hold `//`")
    } else if pattern.ends_with('/') {
        // No branch, tag or changed path ends like this: it would quietly match nothing.
        Some("write `folder/**` for everything in a folder")
    } else {
        None
    }
}

fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts: Vec<&str> = pattern.split('/').collect();
    if parts.last() == Some(&"**") {
        // `a/**` means what is in `a`, not `a` itself.
        parts.push("*");
    }
    let texts: Vec<&str> = text.split('/').collect();
    wildcard(&parts, &texts, |part| *part == "**", is_part_match)
}

fn is_part_match(pattern: &&str, text: &&str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    wildcard(pattern, text, |byte| *byte == b'*', |a, b| a == b)
}

/// Matches a sequence with wildcards that stand for any number of items. It only ever goes back to
/// the last wildcard, so it costs at most the product of both lengths.
fn wildcard<T>(
    pattern: &[T],
    text: &[T],
    is_wild: impl Fn(&T) -> bool,
    is_same: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut last_wild = None;
    while seen < text.len() {
        if at < pattern.len() && is_wild(&pattern[at]) {
            last_wild = Some((at, seen));
            at += 1;
        } else if at < pattern.len() && is_same(&pattern[at], &text[seen]) {
            at += 1;
            seen += 1;
        } else if let Some((wild, from)) = last_wild {
            last_wild = Some((wild, from + 1));
            at = wild + 1;
            seen = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(is_wild)
}

#[cfg(test)]
mod tests;
