//! Which lines of a log look like the reason of a failure. Hints for the eye; nothing is decided by
//! them.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// What compilers, test programs and package managers begin or end such a line with. Colours may
/// stand before, within and behind it.
static ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const COLOUR: &str = r"(?:\x1b\[[0-9;:]*m)*";
    let begins = format!(
        r"error{COLOUR}[:\[]|Error{COLOUR}:|ERROR|FAIL|--- FAIL|fatal:|Traceback |npm ERR!|npm error|##\[error\]|AssertionError"
    );
    let pattern = format!(
        r"(?-u)(?:^|\r)(?:[ \t]|\x1b\[[0-9;:]*m)*(?:{begins})|panicked at|:\d+: (?:fatal )?error:|FAILED{COLOUR}[ \r]*$"
    );
    Regex::new(&pattern).ok()
});

/// Whether a line, given without its end, looks like the reason of a failure.
pub(crate) fn is_error(text: &[u8]) -> bool {
    ERROR.as_ref().is_some_and(|error| error.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::is_error;

    #[test]
    fn reasons_of_failures_are_seen_through_colours() {
        let table: [(&[u8], bool); 12] = [
            (b"\x1b[1;31merror\x1b[0m: x", true),
            (b"\x1b[1merror[E0308]\x1b[0m: mismatched", true),
            (b"  --- FAIL: TestX", true),
            (b"thread 'a' panicked at b", true),
            (b"main.c:3:7: error: expected ';'", true),
            (b" 40%\rERROR: gone", true),
            (b"test a ... \x1b[31mFAILED\x1b[0m", true),
            (b"##[error]no", true),
            (b"\xff\xfeTraceback ", false),
            (b"no error here", false),
            (b"0 FAILED tests", false),
            (b"", false),
        ];
        for (text, wanted) in table {
            assert_eq!(is_error(text), wanted, "{}", text.escape_ascii());
        }
    }
}
