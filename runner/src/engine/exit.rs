//! What an exit code means, in words a person can act on.

use pipelines::limits::STEP_MEMORY_BYTES;

/// The signals that end processes, by number, on Linux.
const SIGNALS: [(i64, &str); 12] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
];

/// Why a process ended with `code`; none for 0. `out_of_memory`: its limit was reached.
pub fn words(code: i64, out_of_memory: bool) -> Option<String> {
    let memory = STEP_MEMORY_BYTES / 1024 / 1024 / 1024;
    match code {
        0 => None,
        _ if out_of_memory => Some(format!(
            "ran out of memory (the limit is {memory} GB; exit code {code})"
        )),
        126 => Some("the command cannot be executed (exit code 126)".into()),
        127 => Some("command not found (exit code 127)".into()),
        _ => match SIGNALS.iter().find(|(number, _)| number + 128 == code) {
            Some((_, name)) => Some(format!("killed by {name} (exit code {code})")),
            None => Some(format!("exit code {code}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F25
    #[test]
    fn codes_have_words() {
        let cases = [
            (0, false, None),
            (0, true, None),
            (1, false, Some("exit code 1")),
            (
                126,
                false,
                Some("the command cannot be executed (exit code 126)"),
            ),
            (127, false, Some("command not found (exit code 127)")),
            (137, false, Some("killed by SIGKILL (exit code 137)")),
            (
                137,
                true,
                Some("ran out of memory (the limit is 4 GB; exit code 137)"),
            ),
            (139, false, Some("killed by SIGSEGV (exit code 139)")),
            (143, false, Some("killed by SIGTERM (exit code 143)")),
            (200, false, Some("exit code 200")),
            (255, false, Some("exit code 255")),
        ];
        for (code, memory, expected) in cases {
            assert_eq!(words(code, memory).as_deref(), expected, "{code}");
        }
    }
}
