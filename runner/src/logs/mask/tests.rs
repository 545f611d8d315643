use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

/// Hides `secret` in `text`.
fn hide(secret: &str, text: &str) -> String {
    let masks = Masks::default();
    masks.add(secret);
    masks.text(text)
}

#[track_caller]
fn check(secret: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(hide(secret, text), *expected, "{text}");
    }
}

#[test]
fn a_value_is_hidden_wherever_it_stands() {
    check(
        "hunter22",
        &[
            ("hunter22", "***"),
            ("x=hunter22,hunter22hunter22!", "x=***,***!"),
            ("hunter2", "hunter2"),
            ("HUNTER22", "HUNTER22"),
        ],
    );
}

/// F51
#[test]
fn base64_is_hidden_at_each_of_its_three_offsets() {
    // Behind 0, 1 and 2 other bytes, at the end and before others.
    check(
        "s3cr3t-value!",
        &[
            ("czNjcjN0LXZhbHVlIQ==", "***=="),
            ("czNjcjN0LXZhbHVlIVNVRkZJWA==", "***VNVRkZJWA=="),
            ("OjpzM2NyM3QtdmFsdWUh", "Ojp***"),
            ("eHMzY3IzdC12YWx1ZSE=", "eH***E="),
            ("eHMzY3IzdC12YWx1ZSFTVUZGSVg=", "eH***FTVUZGSVg="),
            ("OjpzM2NyM3QtdmFsdWUhU1VGRklY", "Ojp***U1VGRklY"),
        ],
    );
}

#[test]
fn both_alphabets_of_base64_are_hidden() {
    let secret = "ÿþ?>~~ÿÿ>>?";
    check(
        secret,
        &[
            (&STANDARD.encode(secret), "***"),
            (&URL_SAFE.encode(secret), "***"),
        ],
    );
}

#[test]
fn base64_that_was_broken_into_lines_is_hidden() {
    let secret = "long-secret-".repeat(20);
    let whole = STANDARD.encode(&secret);
    for columns in [76, 64] {
        let lines: Vec<_> = whole.as_bytes().chunks(columns).collect();
        for line in &lines[..lines.len() - 1] {
            let line = String::from_utf8_lossy(line);
            assert_eq!(hide(&secret, &line), MASK);
        }
    }
}

/// F51
#[test]
fn a_url_a_json_and_a_shell_do_not_disguise_a_value() {
    check(
        r#"a b/c"d'e\f&ü$g"#,
        &[
            // URLs: RFC 3986, JavaScript, slashes kept, a form, small letters.
            ("p=a%20b%2Fc%22d%27e%5Cf%26%C3%BC%24g", "p=***"),
            ("p=a%20b%2Fc%22d'e%5Cf%26%C3%BC%24g", "p=***"),
            ("p=a%20b/c%22d%27e%5Cf%26%C3%BC%24g", "p=***"),
            ("p=a+b%2Fc%22d%27e%5Cf%26%C3%BC%24g", "p=***"),
            ("p=a%20b%2fc%22d%27e%5cf%26%c3%bc%24g", "p=***"),
            // JSON: plain, PHP, Go, Python.
            (r#"{"k":"a b/c\"d'e\\f&ü$g"}"#, r#"{"k":"***"}"#),
            (r#"{"k":"a b\/c\"d'e\\f&ü$g"}"#, r#"{"k":"***"}"#),
            (r#"{"k":"a b/c\"d'e\\f\u0026ü$g"}"#, r#"{"k":"***"}"#),
            (r#"{"k":"a b/c\"d'e\\f&\u00fc$g"}"#, r#"{"k":"***"}"#),
            // Shells: `set -x`, nested quotes, `printf %q`, double quotes, `$'…'`.
            (r#"'a b/c"d'\''e\f&ü$g'"#, "'***'"),
            (r#"'a b/c"d'"'"'e\f&ü$g'"#, "'***'"),
            (r#"a\ b/c\"d\'e\\f\&ü\$g"#, "***"),
            (r#""a b/c\"d'e\\f&ü\$g""#, "\"***\""),
            (r#"$'a b/c"d\'e\\f&ü$g'"#, "$'***'"),
        ],
    );
}

/// F51
#[test]
fn each_long_line_of_a_value_is_hidden_by_itself() {
    let secret = "-----BEGIN KEY-----\r\nMIIEvQIBADANBgk\n   indented line\nshort\nlast one here";
    check(
        secret,
        &[
            ("-----BEGIN KEY-----", "***"),
            ("key: MIIEvQIBADANBgk", "key: ***"),
            ("indented line", "***"),
            ("short", "short"),
            ("last one here.", "***."),
        ],
    );
    let json = serde_json::to_string(secret).unwrap();
    assert_eq!(hide(secret, &json), "\"***\"");
}

#[test]
fn short_values_are_hidden_as_words_and_shorter_ones_not_at_all() {
    check(
        "abcd",
        &[
            ("abcd", "***"),
            ("k=abcd;", "k=***;"),
            ("abcde xabcd abcd_ 1abcd", "abcde xabcd abcd_ 1abcd"),
        ],
    );
    check("abc", &[("abc", "abc")]);
    assert!(!Masks::default().add("abc"));
}

#[test]
fn secrets_that_overlap_are_hidden_together() {
    let masks = Masks::default();
    masks.add("abcdefgh");
    masks.add("efghijkl");
    masks.add("zz-efgh-zz");
    assert_eq!(masks.text("<abcdefghijkl> zz-efgh-zz"), "<***> ***");
}

#[test]
fn a_long_value_is_hidden_whole_and_from_its_beginning() {
    let secret: String = (0..10_000).map(|n| format!("{n}-")).collect();
    let text = format!("<{secret}> <{}>", &secret[..500]);
    assert_eq!(hide(&secret, &text), "<***> <***>");
}

/// What comes out of a stream that gets `text` in parts of these lengths.
fn streamed(masks: &Masks, text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut stream, mut rest, mut shown) = (masks.stream(), text, Vec::new());
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(lengths.next().map_or(1, |n| (*n).min(rest.len())));
        shown.extend(stream.push(part));
        rest = after;
    }
    shown.extend(stream.end());
    shown
}

#[test]
fn a_line_without_an_end_is_hidden_across_its_parts_and_does_not_pile_up() {
    let masks = Masks::default();
    masks.add("a secret to hide");
    let filler = "x".repeat(LOG_LINE_BYTES_MAX / 3);
    let text = format!("{filler}a secret to hide").repeat(20);
    let expected = format!("{filler}***").repeat(20);
    assert!(streamed(&masks, text.as_bytes(), &[1000, 7, 4096]) == expected.as_bytes());
    let mut stream = masks.stream();
    stream.push(text.as_bytes());
    assert!(stream.held.len() <= LOG_LINE_BYTES_MAX);
}

#[test]
fn lines_are_shown_as_soon_as_they_end() {
    let masks = Masks::default();
    masks.add("a secret to hide");
    let mut stream = masks.stream();
    let shown = [&b"one\ntwo a sec"[..], b"ret to hide", b"!\n"].map(|part| stream.push(part));
    assert_eq!(shown, [&b"one\n"[..], b"", b"two ***!\n"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// F51
    #[test]
    fn chunks_change_nothing_and_no_form_stays(
        secret in "[ -~ü]{8,40}(\n[ -~]{8,150}){0,3}",
        before in "[ -~\n]{0,80}",
        between in "[ -~\n]{0,20}",
        lengths in proptest::collection::vec(1usize..30, 1..20),
    ) {
        let masks = Masks::default();
        masks.add(&secret);
        let forms = forms::of(&secret);
        let mut text = before.into_bytes();
        for form in &forms {
            text.extend_from_slice(&form.text);
            text.extend_from_slice(between.as_bytes());
        }
        let shown = streamed(&masks, &text, &lengths);
        let whole = masks.bytes(&text);
        prop_assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&whole));
        for form in &forms {
            let found = shown.windows(form.text.len()).any(|part| *part == *form.text);
            prop_assert!(!found, "{}", String::from_utf8_lossy(&form.text));
        }
    }
}
