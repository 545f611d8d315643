//! The style a terminal would write in, and the parameters that change it (SGR).

use super::palette;

/// Colours are numbers of the 16 of the theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    reverse: bool,
}

impl Style {
    /// Applies the parameters between `ESC [` and `m`. What it does not know it leaves alone.
    pub(super) fn apply(&mut self, parameters: &str) {
        // Private parameters (`?`, `>`, `=`) are not about style.
        if parameters.starts_with(['?', '>', '=', '<']) {
            return;
        }
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                38 | 48 => {
                    let colour = extended(&mut codes);
                    let place = if code == 38 {
                        &mut self.fore
                    } else {
                        &mut self.back
                    };
                    *place = colour.or(*place);
                }
                // The colour of an underline is read so that its numbers are not taken for codes.
                58 => {
                    let _ = extended(&mut codes);
                }
                other => self.one(other),
            }
        }
    }

    fn one(&mut self, code: u16) {
        let low = |base: u16| u8::try_from(code - base).ok();
        match code {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.dim = true,
            3 => self.italic = true,
            4 | 21 => self.underline = true,
            7 => self.reverse = true,
            9 => self.strike = true,
            22 => (self.bold, self.dim) = (false, false),
            23 => self.italic = false,
            24 => self.underline = false,
            27 => self.reverse = false,
            29 => self.strike = false,
            30..=37 => self.fore = low(30),
            39 => self.fore = None,
            40..=47 => self.back = low(40),
            49 => self.back = None,
            90..=97 => self.fore = low(82),
            100..=107 => self.back = low(92),
            _ => {}
        }
    }

    /// The classes of the style sheet; nothing for plain text.
    pub(super) fn classes(self) -> String {
        let mut classes = Vec::new();
        if self.reverse {
            classes.push("sr7".to_owned());
        } else {
            classes.extend(self.fore.map(|colour| format!("f{colour}")));
            classes.extend(self.back.map(|colour| format!("b{colour}")));
        }
        let flags = [
            (self.bold, "sb"),
            (self.dim, "sd"),
            (self.italic, "si"),
            (self.underline, "su"),
            (self.strike, "sx"),
        ];
        let on = flags.into_iter().filter(|(on, _)| *on);
        classes.extend(on.map(|(_, class)| class.to_owned()));
        classes.join(" ")
    }
}

/// After 38 or 48: `5;N`, one of 256, or `2;R;G;B`.
fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => Some(palette::of_256(u8::try_from(codes.next()?).ok()?)),
        2 => {
            let mut part = || u8::try_from(codes.next()?).ok();
            Some(palette::nearest([part()?, part()?, part()?]))
        }
        _ => None,
    }
}
