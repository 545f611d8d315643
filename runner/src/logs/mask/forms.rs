//! The ways in which programs write a value.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{Form, WHOLE_MIN, WORD_MIN};

/// Where `base64` and OpenSSL break their lines.
const BASE64_COLUMNS: [usize; 2] = [76, 64];

/// Everything to search for when `value` is a secret; nothing if it is too short.
pub(super) fn of(value: &str) -> Vec<Form> {
    let mut texts = BTreeSet::new();
    let length = value.chars().count();
    if length < WORD_MIN {
        return Vec::new();
    }
    if length < WHOLE_MIN {
        return vec![Form {
            text: value.as_bytes().into(),
            word: true,
        }];
    }
    add(value, &mut texts);
    for line in value.lines() {
        for part in [line, line.trim()] {
            if part.chars().count() >= WHOLE_MIN {
                add(part, &mut texts);
            }
        }
    }
    // Text with line ends is found by its lines.
    let texts = texts.into_iter().filter(|text| !text.contains('\n'));
    let form = |text: String| Form {
        text: text.into_bytes().into(),
        word: false,
    };
    texts.map(form).collect()
}

fn add(value: &str, texts: &mut BTreeSet<String>) {
    texts.insert(value.to_owned());
    base64(value.as_bytes(), texts);
    url(value, texts);
    json(value, texts);
    shell(value, texts);
}

/// Base64 of the value wherever it begins in what is encoded: three bytes become four characters,
/// so there are three ways, each without the characters that the bytes around it have a part in.
fn base64(value: &[u8], texts: &mut BTreeSet<String>) {
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        let whole = engine.encode(value);
        for columns in BASE64_COLUMNS {
            let pieces = whole.as_bytes().chunks(columns);
            let pieces = pieces.filter(|piece| piece.len() >= WHOLE_MIN);
            texts.extend(pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()));
        }
        texts.insert(whole);
        for before in 0..3 {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(value);
            let encoded = engine.encode(&bytes);
            let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
            texts.insert(encoded[own].to_owned());
        }
    }
}

/// Percent-encoding: by RFC 3986, by JavaScript, with slashes kept, of a form, in small letters.
fn url(value: &str, texts: &mut BTreeSet<String>) {
    let kept = [
        b"-._~".as_slice(),
        b"-._~!'()*",
        b"-._~/",
        b"-._~/:@",
        b"*-._",
    ];
    for kept in kept {
        let encoded = percent(value, kept, false);
        texts.insert(encoded.replace("%20", "+"));
        texts.insert(encoded);
        texts.insert(percent(value, kept, true));
    }
}

fn percent(value: &str, kept: &[u8], small: bool) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        // Writing to a text cannot fail.
        let _ = if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.write_char(char::from(byte))
        } else if small {
            write!(encoded, "%{byte:02x}")
        } else {
            write!(encoded, "%{byte:02X}")
        };
    }
    encoded
}

/// JSON: as most write it, with `\/` as PHP does, for HTML as Go does, in ASCII as Python does.
fn json(value: &str, texts: &mut BTreeSet<String>) {
    let plain = serde_json::Value::from(value).to_string();
    let plain = plain[1..plain.len() - 1].to_owned();
    let mut go = String::with_capacity(plain.len());
    for char in plain.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => unit(u32::from(char), &mut go),
            other => go.push(other),
        }
    }
    let mut python = String::with_capacity(plain.len());
    for char in plain.chars() {
        if char.is_ascii() {
            python.push(char);
        } else {
            let mut units = [0; 2];
            for part in char.encode_utf16(&mut units) {
                unit(u32::from(*part), &mut python);
            }
        }
    }
    texts.insert(plain.replace('/', "\\/"));
    texts.extend([plain, go, python]);
}

fn unit(code: u32, to: &mut String) {
    // Writing to a text cannot fail.
    let _ = write!(to, "\\u{code:04x}");
}

/// What shells print and people paste: quotes that are left and entered again, backslashes before
/// what is special, inside double quotes, and `$'…'`.
fn shell(value: &str, texts: &mut BTreeSet<String>) {
    texts.insert(value.replace('\'', r"'\''"));
    texts.insert(value.replace('\'', r#"'"'"'"#));
    let escaped = |special: &dyn Fn(char) -> bool| {
        let mut text = String::with_capacity(value.len());
        for char in value.chars() {
            if special(char) {
                text.push('\\');
            }
            text.push(char);
        }
        text
    };
    let plain = |char: char| char.is_alphanumeric() || !char.is_ascii();
    texts.insert(escaped(&|char| !plain(char) && !"%+-./:=@_".contains(char)));
    texts.insert(escaped(&|char| {
        !plain(char) && !"%+-./:=@_,".contains(char)
    }));
    texts.insert(escaped(&|char| "$`\"\\".contains(char)));
    texts.insert(escaped(&|char| "$`\"\\!".contains(char)));
    let ansi = escaped(&|char| "'\\".contains(char));
    let named = [('\n', "\\n"), ('\t', "\\t"), ('\r', "\\r")];
    let ansi = named
        .iter()
        .fold(ansi, |text, (char, name)| text.replace(*char, name));
    texts.insert(ansi);
}
