//! Names as we allow them, made of names that other systems allow.

use crate::names::SecretName;
use std::collections::HashSet;

/// A job's name made of any text: `Build & Test (linux)` becomes `build-test-linux`.
pub(super) fn job(text: &str) -> String {
    const BYTES_MAX: usize = 50;
    let mut name = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' && !name.is_empty() => {
                name.push(c);
            }
            // What joins words becomes one dash.
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
        if name.len() >= BYTES_MAX {
            break;
        }
    }
    match name.trim_end_matches(['-', '_']) {
        "" => "job".into(),
        name => name.to_owned(),
    }
}

/// Gives each job a name of its own.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    pub(super) fn unique(&mut self, text: &str) -> String {
        let name = job(text);
        let mut candidate = name.clone();
        let mut number = 2;
        while !self.taken.insert(candidate.clone()) {
            candidate = format!("{name}-{number}");
            number += 1;
        }
        candidate
    }
}

/// The name of an axis or an input: `Node.Version` becomes `node-version`.
pub(super) fn axis(text: &str) -> String {
    let name = job(text);
    match name.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => name,
        false => format!("v{name}"),
    }
}

/// The name of a service, by which the steps reach it.
pub(super) fn service(text: &str) -> String {
    job(text).replace('_', "-").trim_matches('-').to_owned()
}

/// The name of a step: one line, without gaps.
pub(super) fn step(text: &str) -> Option<String> {
    const CHARS_MAX: usize = 80;
    let mut name = String::new();
    let mut rest = text.trim().lines().next().unwrap_or_default();
    while let Some((before, behind)) = rest.split_once("${{") {
        name.push_str(before);
        rest = behind.split_once("}}").map_or("", |(_, behind)| behind);
    }
    name.push_str(rest);
    let words: Vec<&str> = name
        .split_whitespace()
        .filter(|word| *word != "()")
        .collect();
    let name: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let name: String = name.chars().take(CHARS_MAX).collect();
    (!name.trim().is_empty()).then_some(name)
}

/// A word as names of secrets have it: `NPM-Token` becomes `npm_token`.
pub(super) fn secret(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() => name.push(c),
            c if c.is_ascii_digit() && !name.is_empty() => name.push(c),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let name: String = name.trim_end_matches('_').chars().take(56).collect();
    match name.parse::<SecretName>() {
        Ok(_) => name,
        Err(_) if name.is_empty() => "secret".into(),
        // The name of a variable that already means something.
        Err(_) => format!("secret_{name}"),
    }
}

/// The environment variable in which a step finds a secret.
pub(super) fn secret_variable(secret: &str) -> String {
    secret.to_ascii_uppercase()
}

/// A word that can be the name of an environment variable: `node-version` becomes `NODE_VERSION`.
pub(super) fn variable(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| match c.to_ascii_uppercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '_',
        })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

/// Whether a text can be an environment variable as it is.
pub(super) fn is_variable(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// A span of time in minutes as we write it; other systems allow days, we allow one.
pub(super) fn minutes(minutes: u64) -> Option<String> {
    match minutes {
        0 | 1441.. => None,
        minutes if minutes % 60 == 0 => Some(format!("{}h", minutes / 60)),
        minutes if minutes > 60 => Some(format!("{}h{}m", minutes / 60, minutes % 60)),
        minutes => Some(format!("{minutes}m")),
    }
}
