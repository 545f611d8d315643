//! How times, sizes and foreign text are written on a terminal.

use std::time::Duration;

/// `0.4 s`, `12 s`, `3 min 07 s`.
pub(super) fn time(taken: Duration) -> String {
    match taken.as_secs() {
        0..=9 => format!("{:.1} s", taken.as_secs_f64()),
        seconds @ 10..=59 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// `512 B`, `3.4 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000)];
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit);
    match unit {
        Some((name, unit)) => {
            let tenths = bytes / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// Output of a step, so that it can do no more to a terminal than be read; colours stay where they
/// are wanted.
pub(super) fn printable(bytes: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    // What stands before a carriage return was overwritten.
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match (c, behind.strip_prefix('[')) {
            ('\x1b', Some(sequence)) => {
                let end = sequence.find(|c: char| c.is_ascii_alphabetic() || c == '~');
                let (sequence, behind) =
                    sequence.split_at(end.map_or(sequence.len(), |end| end + 1));
                if colours && sequence.ends_with('m') {
                    out += &format!("\x1b[{sequence}");
                }
                behind
            }
            ('\t', _) => {
                out.push('\t');
                behind
            }
            (c, _) => {
                out.extend((!c.is_control()).then_some(c));
                behind
            }
        };
    }
    if colours && out.contains('\x1b') {
        out += "\x1b[0m";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_step_cannot_move_the_cursor() {
        let foreign = b"10%\r\x1b[2J\x1b[31mred\x1b[0m\x07 and\tmore\x1b]0;title";
        let shown = [printable(foreign, false), printable(foreign, true)];
        assert_eq!(
            shown,
            [
                "red and\tmore]0;title",
                "\x1b[31mred\x1b[0m and\tmore]0;title\x1b[0m"
            ]
        );
    }

    #[test]
    fn times_and_sizes_are_as_exact_as_a_person_needs() {
        let times = [450, 12_400, 187_000].map(|ms| time(Duration::from_millis(ms)));
        assert_eq!(times, ["0.5 s", "12 s", "3 min 07 s"]);
        let sizes = [12, 3456, 7_890_000].map(size);
        assert_eq!(sizes, ["12 B", "3.4 KB", "7.8 MB"]);
    }
}
