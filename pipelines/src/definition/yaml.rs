//! What the YAML parser complains about, in words for the author of the file.

use serde_saphyr::granit_parser::ErrorKind;

use super::problem::{Place, Problem};
use crate::limits::DEPTH_MAX;

const SPACES: &str = "indent with spaces";

/// A complaint of the parser as a problem that shows the line it is about.
pub(crate) fn problem(text: &str, kind: &ErrorKind, place: Place) -> Problem {
    let place = back_to_text(text, place);
    let line = text.lines().nth(place.line as usize - 1).unwrap_or("");
    let (message, hint) = words(kind);
    let place = match (hint, line.chars().position(|c| c == '\t')) {
        // The parser has read on to what follows the tab.
        (Some(SPACES), Some(tab)) => Place {
            line: place.line,
            column: number(tab).saturating_add(1),
        },
        _ => place,
    };
    let problem = Problem::new(place, line.trim(), message);
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// At the end of a file the parser names a line that is not there: the last line is meant.
fn back_to_text(text: &str, place: Place) -> Place {
    let lines = text.lines().count();
    if place.line as usize <= lines {
        return place;
    }
    let last = text.lines().last().unwrap_or("");
    Place {
        line: number(lines.max(1)),
        column: number(last.chars().count()).saturating_add(1),
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as E;
    let (message, hint) = match kind {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => ("a tab cannot stand here", SPACES),
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => {
            ("this quoted text has no end", "close the quote")
        }
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => (
            "there is text behind the closing quote",
            "quote all of it, or use the other kind of quote outside",
        ),
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => (
            "this `\\` begins no escape that YAML knows",
            "use single quotes to keep `\\` as it is",
        ),
        E::MappingValueNotAllowed
        | E::MappingKeyNotAllowed
        | E::InvalidColonPlacement
        | E::InvalidMappingValueWhitespace
        | E::FlowMappingValueAdjacentCollection => (
            "a `key: value` cannot stand here",
            "quote a text that holds `: `, and check the indentation",
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => (
            "a key without its `:`",
            "write `key: value`, and check the indentation",
        ),
        E::ExpectedBlockMappingKey
        | E::ExpectedBlockSequenceEntry
        | E::InvalidIndentation
        | E::InvalidQuotedScalarIndent
        | E::InvalidFlowScalarIndent
        | E::InvalidBlockScalarIndent
        | E::BlockSequenceEntryNotAllowed => (
            "the indentation does not fit what is above",
            "entries of one list or mapping begin in the same column",
        ),
        E::UnexpectedCharacter { character } => return unexpected(*character),
        E::UnknownAnchor => (
            "this alias (`*name`) has no anchor (`&name`) before it",
            "quote a text that begins with `*`",
        ),
        E::MissingAnchorOrAliasName => (
            "a name is missing behind `*` or `&`",
            "quote a text that begins with `*` or `&`",
        ),
        E::RecursionLimitExceeded => {
            let message =
                format!("this is nested more than {DEPTH_MAX} levels deep, which is the limit");
            return (message, None);
        }
        E::DirectiveDisallowed => ("YAML directives (`%`) are not used here", "remove the line"),
        E::CommentNotSeparated => (
            "a `#` follows a text directly",
            "put a space before a comment",
        ),
        other => return words_for_brackets(other),
    };
    (message.into(), Some(hint))
}

fn words_for_brackets(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as E;
    let (message, hint) = match kind {
        E::UnclosedFlowCollection { open } => {
            return (format!("this `{open}` has no end"), None);
        }
        E::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("`{open}` is closed by `{close}`"), None);
        }
        E::MisplacedFlowCollectionEnd => ("this bracket closes nothing", "remove it"),
        E::UnexpectedEofFlowSequence | E::ExpectedFlowSequenceSeparator => (
            "a list in `[ ]` goes wrong here",
            "put `,` between its items and `]` at its end",
        ),
        E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::ExpectedFlowMappingSeparator => (
            "a mapping in `{ }` goes wrong here",
            "put `,` between its entries and `}` at its end",
        ),
        // What is left is rare enough to be said in the parser's own words.
        other => return (format!("this is not valid YAML: {other}"), None),
    };
    (message.into(), Some(hint))
}

fn unexpected(character: char) -> (String, Option<&'static str>) {
    let message = format!(
        "the character `{}` cannot begin a text",
        character.escape_default()
    );
    match character {
        '\t' => ("a tab cannot stand here".into(), Some(SPACES)),
        _ => (message, Some("put the text in quotes")),
    }
}
