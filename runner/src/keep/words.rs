//! Sizes and times, for people.

use std::time::Duration;

/// A size: `312.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut shown = bytes as f64;
    for unit in ["bytes", "KiB", "MiB"] {
        if shown < 1024.0 {
            return match unit {
                "bytes" => format!("{bytes} bytes"),
                unit => format!("{shown:.1} {unit}"),
            };
        }
        shown /= 1024.0;
    }
    format!("{shown:.1} GiB")
}

/// How long something took: `4.2 s`.
pub(super) fn time(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// The beginning of a key, enough to tell it from others.
pub(super) fn key(key: &str) -> &str {
    key.get(..12).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let sizes = [0, 1023, 1024, 1536 * 1024, 5 << 30, 3 << 40].map(size);
        let expected = [
            "0 bytes",
            "1023 bytes",
            "1.0 KiB",
            "1.5 MiB",
            "5.0 GiB",
            "3072.0 GiB",
        ];
        assert_eq!(sizes, expected);
    }
}
