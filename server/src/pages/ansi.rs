//! A line of output as HTML: colours become classes, everything else that a terminal would obey is
//! dropped, and everything is escaped. Output is hostile until proven otherwise: it cannot forge
//! markup, links to anything but the web, a reading order, or an endless line.

use std::fmt::Write as _;

mod palette;
mod style;

use style::Style;

/// What was done to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    /// How many bytes were left out at its end.
    pub(crate) cut: usize,
    /// How many earlier states of it were overwritten by `\r`.
    pub(crate) overwritten: usize,
}

/// Appends `line` to `out`, reading at most `max` bytes of it. Style does not cross lines: a colour
/// left on would otherwise depend on lines that are not on the page.
pub(crate) fn line(line: &[u8], max: usize, out: &mut String) -> Shown {
    let (text, overwritten) = last_state(line);
    let cut = text.len().saturating_sub(max);
    let text = String::from_utf8_lossy(&text[..text.len() - cut]);
    let mut writer = Writer {
        out,
        style: Style::default(),
        open: false,
        link: false,
    };
    writer.text(&text);
    writer.end();
    Shown { cut, overwritten }
}

/// A line as plain text, for places without colour. Reads at most `max` bytes.
pub(crate) fn plain(text: &[u8], max: usize) -> String {
    let (text, _) = last_state(text);
    let whole = String::from_utf8_lossy(&text[..text.len().min(max)]);
    let mut out = String::with_capacity(whole.len());
    let mut rest = &*whole;
    while let Some(first) = rest.chars().next() {
        if first == '\x1b' {
            rest = escape(rest).rest;
            continue;
        }
        rest = &rest[first.len_utf8()..];
        if first == '\t' || !(first.is_control() || is_bidi(first)) {
            out.push(first);
        }
    }
    out
}

/// Progress bars rewrite their line: what was written last is what a terminal would show.
fn last_state(line: &[u8]) -> (&[u8], usize) {
    let mut states = line.split(|byte| *byte == b'\r').filter(|s| !s.is_empty());
    let last = states.next_back().unwrap_or_default();
    (last, states.count())
}

struct Writer<'a> {
    out: &'a mut String,
    style: Style,
    /// Whether a `span` is open.
    open: bool,
    /// Whether an `a` is open.
    link: bool,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '\x1b' {
                let sequence = escape(rest);
                match sequence.kind {
                    Kind::Style(parameters) => self.restyle(parameters),
                    Kind::Link(address) => self.relink(address),
                    Kind::Other => {}
                }
                rest = sequence.rest;
                continue;
            }
            rest = &rest[first.len_utf8()..];
            self.letter(first);
        }
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' => self.out.push_str("&gt;"),
            '"' => self.out.push_str("&#34;"),
            '\t' => self.out.push('\t'),
            // Marks that turn the reading order around are shown, not obeyed.
            mark if is_bidi(mark) => {
                let _ = write!(self.out, "<span class=\"ctl\">U+{:04X}</span>", mark as u32);
            }
            control if control.is_control() => {}
            other => self.out.push(other),
        }
    }

    fn restyle(&mut self, parameters: &str) {
        let before = self.style;
        self.style.apply(parameters);
        if self.style == before {
            return;
        }
        self.close_span();
        let classes = self.style.classes();
        if !classes.is_empty() {
            let _ = write!(self.out, "<span class=\"{classes}\">");
            self.open = true;
        }
    }

    fn relink(&mut self, address: &str) {
        self.close_span();
        if std::mem::take(&mut self.link) {
            self.out.push_str("</a>");
        }
        let web = address.starts_with("https://") || address.starts_with("http://");
        if web && address.len() <= 2048 && !address.chars().any(|c| c.is_control() || is_bidi(c)) {
            self.out
                .push_str("<a rel=\"nofollow noreferrer noopener\" href=\"");
            address.chars().for_each(|letter| self.letter(letter));
            self.out.push_str("\">");
            self.link = true;
        }
        let classes = self.style.classes();
        if !classes.is_empty() {
            let _ = write!(self.out, "<span class=\"{classes}\">");
            self.open = true;
        }
    }

    fn close_span(&mut self) {
        if std::mem::take(&mut self.open) {
            self.out.push_str("</span>");
        }
    }

    fn end(&mut self) {
        self.close_span();
        if self.link {
            self.out.push_str("</a>");
        }
    }
}

fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

enum Kind<'a> {
    Style(&'a str),
    Link(&'a str),
    Other,
}

struct Sequence<'a> {
    kind: Kind<'a>,
    rest: &'a str,
}

/// Reads one escape sequence. One that does not end swallows the rest of the line, as in a terminal.
fn escape(text: &str) -> Sequence<'_> {
    let body = &text[1..];
    match body.as_bytes().first() {
        Some(b'[') => control(&body[1..]),
        Some(b']') => command(&body[1..]),
        // Device control, privacy message, application command, start of string: a text to ignore.
        Some(b'P' | b'^' | b'_' | b'X') => Sequence {
            kind: Kind::Other,
            rest: until_terminator(&body[1..]).1,
        },
        // Some have bytes between, as in the choice of a character set: ESC ( B.
        Some(0x20..=0x2f) => {
            let end = body.find(|c: char| !(' '..='/').contains(&c));
            let rest = end.map_or("", |end| skip_letter(&body[end..]));
            Sequence {
                kind: Kind::Other,
                rest,
            }
        }
        Some(_) => Sequence {
            kind: Kind::Other,
            rest: skip_letter(body),
        },
        None => Sequence {
            kind: Kind::Other,
            rest: "",
        },
    }
}

/// After `ESC [`: parameters, then one final letter, which must be `m` to matter.
fn control(body: &str) -> Sequence<'_> {
    let Some(end) = body.find(|c: char| !(' '..='?').contains(&c)) else {
        return Sequence {
            kind: Kind::Other,
            rest: "",
        };
    };
    let kind = if body[end..].starts_with('m') {
        Kind::Style(&body[..end])
    } else {
        Kind::Other
    };
    Sequence {
        kind,
        rest: skip_letter(&body[end..]),
    }
}

/// After `ESC ]`: a command of the operating system; only the link (8) matters.
fn command(body: &str) -> Sequence<'_> {
    let (text, rest) = until_terminator(body);
    // Without its end it is not known to be whole.
    let link = text
        .strip_prefix("8;")
        .filter(|_| text.len() < body.len())
        .and_then(|text| text.split_once(';'));
    let kind = link.map_or(Kind::Other, |(_, address)| Kind::Link(address));
    Sequence { kind, rest }
}

fn until_terminator(body: &str) -> (&str, &str) {
    let bell = body.find('\x07').map(|at| (at, 1));
    let string = body.find("\x1b\\").map(|at| (at, 2));
    match bell.into_iter().chain(string).min() {
        Some((at, length)) => (&body[..at], &body[at + length..]),
        None => (body, ""),
    }
}

fn skip_letter(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

#[cfg(test)]
mod tests;
