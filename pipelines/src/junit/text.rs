//! Texts of reports: bounded, and without what a terminal would take for a command.

/// A text that grows up to a bound.
pub(super) struct Text {
    text: String,
    bytes_max: usize,
    title: Option<String>,
    is_cut: bool,
}

/// Stands where something was cut off.
const CUT: &str = "…";

impl Text {
    pub(super) fn up_to(bytes_max: usize) -> Self {
        Self {
            text: String::new(),
            bytes_max,
            title: None,
            is_cut: false,
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        let room = self.bytes_max.saturating_sub(self.text.len());
        let part = floor(text, room);
        self.text.push_str(part);
        self.is_cut |= part.len() < text.len();
    }

    /// What stands before the rest, unless the rest begins with it.
    pub(super) fn title(&mut self, text: &str) {
        if self.title.is_none() {
            self.title = Some(floor(text, self.bytes_max).to_owned());
        }
    }

    /// The text, within its bound.
    pub(super) fn finish(self) -> String {
        let body = plain(&self.text);
        let body = body.trim_matches(['\n', '\r']).trim_end();
        let title = self.title.as_deref().map(plain).unwrap_or_default();
        let title = title.trim();
        let whole = match (title.is_empty(), body.trim().is_empty()) {
            (true, true) => String::new(),
            (true, false) => body.to_owned(),
            (false, true) => title.to_owned(),
            (false, false) if body.contains(title) => body.to_owned(),
            (false, false) => format!("{title}\n{body}"),
        };
        if whole.len() <= self.bytes_max && !self.is_cut {
            return whole;
        }
        format!("{}{CUT}", floor(&whole, self.bytes_max - CUT.len()))
    }
}

/// The longest beginning of a text that has no more than so many bytes.
fn floor(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A text without colours and other control characters; line ends and tabs stay.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // Parameters, up to the letter that says what they are for.
            while chars.next_if(|char| !('@'..='~').contains(char)).is_some() {}
            chars.next();
        } else if char == '\n' || char == '\t' || !char.is_control() {
            plain.push(char);
        }
    }
    plain
}

/// A name from a file, for a sentence.
pub(super) fn shown(text: &str) -> String {
    plain(floor(text, 80))
}
