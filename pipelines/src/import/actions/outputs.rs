//! Outputs of steps: theirs are lines of a file of GitHub's, ours a file each.

use super::super::names;
use super::super::script;
use super::expressions::Scope;

/// The file for an expression such as `steps.meta.outputs.version`.
pub(super) fn file_of(inner: &str, scope: &Scope) -> Option<String> {
    let (step, output) = inner.strip_prefix("steps.")?.split_once(".outputs.")?;
    let is_word = |text: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !text.is_empty() && text.chars().all(is_part)
    };
    let is_known = scope.step_ids.iter().any(|id| id == step);
    (is_known && is_word(output)).then(|| file(step, output))
}

fn file(step: &str, output: &str) -> String {
    format!(".output-{}-{}", names::job(step), names::job(output))
}

/// A script in which `echo "name=value" >> $GITHUB_OUTPUT` writes the output's own file.
pub(super) fn to_files(text: &str, step: &str) -> String {
    let lines = text.split('\n').map(|line| match output_of(line) {
        Some((indent, name, value)) => {
            let file = script::quote(&file(step, name));
            format!("{indent}printf '%s' {value} > {file}")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The name and the quoted value of a line that puts something out.
fn output_of(line: &str) -> Option<(&str, &str, String)> {
    let code = line.trim_start();
    let indent = &line[..line.len() - code.len()];
    let (command, target) = code.rsplit_once(">>")?;
    let target = target.trim().trim_matches('"');
    if target != "$GITHUB_OUTPUT" && target != "${GITHUB_OUTPUT}" {
        return None;
    }
    let word = command.trim().strip_prefix("echo ")?.trim();
    let quote = word.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (inner, quote) = match quote {
        Some(quote) => (word.strip_prefix(quote)?.strip_suffix(quote)?, quote),
        None if word.contains(char::is_whitespace) && !word.contains("$(") => return None,
        None => (word, '"'),
    };
    let (name, value) = inner.split_once('=')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_name = !name.is_empty() && name.chars().all(is_part);
    is_name.then(|| (indent, name, format!("{quote}{value}{quote}")))
}
