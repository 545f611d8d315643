//! Patterns of other systems as ours, in which only `*`, `**` and `!` mean something.

/// Patterns of ours, and whether they mean exactly what the other one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) patterns: Vec<String>,
    /// They match more than the original.
    pub(super) is_wider: bool,
}

const ALTERNATIVES_MAX: usize = 16;

/// A glob, with braces, `?` and character classes as other systems allow them.
pub(super) fn glob(text: &str) -> Option<Translated> {
    let (negation, text) = match text.strip_prefix('!') {
        Some(rest) => ("!", rest),
        None => ("", text),
    };
    let mut is_wider = false;
    let mut patterns = Vec::new();
    for one in braces(text)? {
        let (pattern, wider) = classes(&one);
        is_wider |= wider;
        let pattern = whole_parts(&pattern);
        if !is_pattern(&pattern) {
            return None;
        }
        patterns.push(format!("{negation}{pattern}"));
    }
    // To exclude more than was excluded would be to leave something out.
    (!(is_wider && negation == "!")).then_some(Translated { patterns, is_wider })
}

fn is_pattern(text: &str) -> bool {
    crate::pattern::Patterns::default().add(text).is_ok()
}

/// `a.{b,c}` as `a.b` and `a.c`.
fn braces(text: &str) -> Option<Vec<String>> {
    let Some(open) = text.find('{') else {
        return Some(vec![text.to_owned()]);
    };
    let close = open + text[open..].find('}')?;
    let mut all = Vec::new();
    for middle in text[open + 1..close].split(',') {
        let one = format!("{}{middle}{}", &text[..open], &text[close + 1..]);
        all.extend(braces(&one)?);
        if all.len() > ALTERNATIVES_MAX {
            return None;
        }
    }
    Some(all)
}

/// Without `?`, `[…]` and `+`, which become `*`.
fn classes(text: &str) -> (String, bool) {
    let (mut result, mut is_wider) = (String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '[' => {
                rest.by_ref().find(|c| *c == ']');
                rest.next_if(|c| matches!(c, '+' | '?' | '*'));
                is_wider = true;
                star(&mut result);
            }
            '?' | '+' => {
                is_wider = true;
                star(&mut result);
            }
            '\\' => result.extend(rest.next()),
            c => result.push(c),
        }
    }
    (result, is_wider)
}

fn star(text: &mut String) {
    if !text.ends_with('*') {
        text.push('*');
    }
}

/// `**.js` as `**/*.js`, `folder/` as `folder/**`, without a leading `/` or `./`.
fn whole_parts(text: &str) -> String {
    let text = text.trim_start_matches("./").trim_start_matches('/');
    let mut parts: Vec<String> = Vec::new();
    let mut pieces = text.split('/').peekable();
    while let Some(part) = pieces.next() {
        let is_last = pieces.peek().is_none();
        match part {
            "" if is_last && !parts.is_empty() => parts.push("**".into()),
            "**" | "" => parts.push(part.to_owned()),
            part if part.contains("**") => match part.strip_prefix("**") {
                Some(rest) if !rest.contains("**") => {
                    parts.push("**".into());
                    parts.push(format!("*{rest}"));
                }
                _ => match part.strip_suffix("**") {
                    // `v1**` crosses slashes in other systems; in tags and branches that is rare.
                    Some(head) if !head.contains("**") => parts.push(format!("{head}*")),
                    _ => parts.push(part.to_owned()),
                },
            },
            part => parts.push(part.to_owned()),
        }
    }
    parts.join("/")
}

/// A regular expression, if it is one of the simple kind that names branches and tags.
pub(super) fn regex(text: &str) -> Option<Translated> {
    let text = text.trim();
    let (text, is_open_before) = match text.strip_prefix('^') {
        Some(rest) => (rest, false),
        None => (text, true),
    };
    let (text, is_open_behind) = match text.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (rest, false),
        _ => (text, true),
    };
    let mut translated = Translated {
        patterns: Vec::new(),
        is_wider: false,
    };
    for one in alternatives(text)? {
        let (mut pattern, wider) = simple_regex(&one)?;
        translated.is_wider |= wider;
        if is_open_before {
            pattern = format!("*{}", pattern.trim_start_matches('*'));
        }
        if is_open_behind && !pattern.ends_with('*') {
            pattern.push('*');
        }
        let pattern = match pattern.strip_suffix("/*") {
            Some(head) => format!("{head}/**"),
            None => pattern,
        };
        let pattern = if pattern == "*" { "**".into() } else { pattern };
        if !is_pattern(&pattern) {
            return None;
        }
        translated.patterns.push(pattern);
    }
    Some(translated)
}

/// `^(a|b)$` and `a|b` as their parts; groups elsewhere are multiplied out.
fn alternatives(text: &str) -> Option<Vec<String>> {
    if let Some(open) = text.find('(') {
        let close = open + text[open..].find(')')?;
        let inner = text[open + 1..close].trim_start_matches("?:");
        let behind = &text[close + 1..];
        if inner.contains('(') || behind.starts_with(['?', '*', '+', '{']) {
            return None;
        }
        let mut all = Vec::new();
        for middle in inner.split('|') {
            all.extend(alternatives(&format!("{}{middle}{behind}", &text[..open]))?);
            if all.len() > ALTERNATIVES_MAX {
                return None;
            }
        }
        return Some(all);
    }
    let parts: Vec<&str> = text.split('|').collect();
    // `^a|b$` binds its anchors to one side each: who writes it means the whole.
    let trim = |part: &&str| {
        part.trim_start_matches('^')
            .trim_end_matches('$')
            .to_owned()
    };
    (parts.len() <= ALTERNATIVES_MAX).then(|| parts.iter().map(trim).collect())
}

fn simple_regex(text: &str) -> Option<(String, bool)> {
    let (mut result, mut is_wider) = (String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '.' => {
                is_wider |= rest.next_if(|c| matches!(c, '*' | '+')).is_none();
                star(&mut result);
            }
            '[' => {
                rest.by_ref().find(|c| *c == ']');
                repeated(&mut rest);
                is_wider = true;
                star(&mut result);
            }
            '\\' => match rest.next()? {
                'd' | 'w' | 'S' => {
                    repeated(&mut rest);
                    is_wider = true;
                    star(&mut result);
                }
                c if c.is_alphanumeric() => return None,
                c => result.push(c),
            },
            '*' | '+' | '?' | '{' | '}' | '^' | '$' | ')' => return None,
            c => result.push(c),
        }
    }
    Some((result, is_wider))
}

fn repeated(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('*' | '+' | '?') => {
            rest.next();
        }
        Some('{') => {
            rest.find(|c| *c == '}');
        }
        Some(_) | None => {}
    }
}
