//! `.dockerignore`, with Docker's own rules, which are not git's.
//!
//! Patterns are anchored at the context's root; `*` and `?` stop at `/`, `**` does not; a pattern
//! that matches a folder matches all in it; the last pattern that matches decides, and `!` brings
//! back. The rules follow the code of moby's `patternmatcher`, quirks included: `**/x` compares
//! ends of names as text, `x/**` their beginnings.

use std::path::{Component, Path};

use regex::Regex;

/// Longest pattern; a longer one is no pattern a person wrote.
const PATTERN_BYTES_MAX: usize = 4096;

/// The patterns of one file, in order.
#[derive(Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    brings_back: bool,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` on line {line} is not a pattern")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Ignore {
    /// Reads the text of a `.dockerignore`.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut rules = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            // A comment is one only at the very beginning of its line.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let line = line.trim();
            let (brings_back, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let bad = || BadPattern {
                pattern: line.chars().take(80).collect(),
                line: index + 1,
            };
            if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
                return Err(bad());
            }
            let matcher = Matcher::compile(&clean(pattern)).ok_or_else(bad)?;
            rules.push(Rule {
                brings_back,
                matcher,
            });
        }
        Ok(Self { rules })
    }

    /// Whether some pattern brings things back: then no folder may be left out unseen.
    pub fn brings_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.brings_back)
    }

    /// Whether the file or folder at `path`, relative to the root and with `/`, is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for rule in &self.rules {
            // A pattern that could not change the answer is not asked.
            if rule.brings_back == out && rule.matches_with_parents(path) {
                out = !rule.brings_back;
            }
        }
        out
    }
}

impl Rule {
    fn matches_with_parents(&self, path: &str) -> bool {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.matcher.matches(path) || parents.into_iter().any(|path| self.matcher.matches(path))
    }
}

/// Go's `filepath.Clean`, and without a leading `/`: `./a//b/../c/` is `a/c`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') && parts.is_empty() => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        ".".into()
    } else {
        parts.join("/")
    }
}

impl Matcher {
    fn compile(pattern: &str) -> Option<Self> {
        let mut regex = String::from("^");
        let mut plain = true;
        let mut kind = Kind::Exact;
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(char) = chars.next() {
            let at_start = std::mem::replace(&mut first, false);
            match char {
                '*' if chars.peek() == Some(&'*') => {
                    chars.next();
                    chars.next_if_eq(&'/');
                    if chars.peek().is_some() {
                        regex.push_str("(.*/)?");
                        plain = false;
                    } else if plain && kind == Kind::Exact {
                        kind = Kind::Prefix;
                    } else {
                        regex.push_str(".*");
                        plain = false;
                    }
                    if at_start {
                        kind = Kind::Suffix;
                        plain = true;
                    }
                }
                '*' => {
                    regex.push_str("[^/]*");
                    plain = false;
                }
                '?' => {
                    regex.push_str("[^/]");
                    plain = false;
                }
                '\\' => {
                    regex.push_str(&regex::escape(&chars.next()?.to_string()));
                    plain = false;
                }
                '[' | ']' => {
                    regex.push(char);
                    plain = false;
                }
                // Inside a class these keep the meaning that Go's patterns give them.
                '^' | '-' => regex.push(char),
                char => regex.push_str(&regex::escape(&char.to_string())),
            }
        }
        regex.push('$');
        if !plain {
            return Regex::new(&regex).ok().map(Self::Regex);
        }
        Some(match kind {
            Kind::Exact => Self::Exact(pattern.into()),
            Kind::Prefix => Self::Prefix(pattern[..pattern.len() - 2].into()),
            Kind::Suffix => Self::Suffix(pattern[2..].into()),
        })
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(text) => path.starts_with(text.as_str()),
            // `**/foo` means `foo` at the root as well.
            Self::Suffix(text) => {
                path.ends_with(text.as_str()) || text.strip_prefix('/') == Some(path)
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
}

/// A path relative to the root as patterns see it.
pub fn slashed(path: &Path) -> String {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
