//! Hiding secrets in everything that a job says. It keeps accidents out of logs; it is no security
//! boundary: whoever may run commands with a secret can always write it in a way nobody foresaw.
//!
//! What is hidden, once a value is registered ([`Masks::add`]), is what [`forms`] lists: the value,
//! and each line of one that has several, as it stands and as common programs write it. Lines of
//! fewer than [`WHOLE_MIN`] characters are left alone, and so are values of fewer than
//! [`WORD_MIN`]: hiding every `42` would only make logs unreadable. Values in between are hidden
//! where they stand as a word of their own.
//!
//! Nothing that is hidden holds a line end, so a stream is looked at line by line: a line is only
//! stored once it is whole, and waiting for its end delays nothing. One that is longer than
//! [`LOG_LINE_BYTES_MAX`] is looked at in parts that overlap by the longest thing to be hidden.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use pipelines::limits::LOG_LINE_BYTES_MAX;

mod forms;

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// Values of at least so many characters are hidden wherever they stand.
pub const WHOLE_MIN: usize = 8;
/// Values of at least so many characters are hidden where they stand as a word of their own.
pub const WORD_MIN: usize = 4;
/// Of a long form only this many bytes are searched for; from there on it is compared. It bounds
/// what the search needs: 32 secrets of 64 KiB would take hundreds of megabytes.
const SEARCHED_BYTES: usize = 64;

/// The secrets of one job. Clones share them.
#[derive(Clone, Default)]
pub struct Masks {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    forms: Vec<Form>,
    matcher: Arc<Matcher>,
}

/// One way in which a secret may be written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    text: Arc<[u8]>,
    /// Only where no letter, digit or `_` stands beside it.
    word: bool,
}

impl Masks {
    /// Hides `value` from now on. Answers whether it is long enough to be hidden at all.
    pub fn add(&self, value: &str) -> bool {
        self.add_all(std::iter::once(value));
        value.chars().count() >= WORD_MIN
    }

    /// Hides all these values from now on: quicker than one by one.
    pub fn add_all<'v>(&self, values: impl Iterator<Item = &'v str>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let before = inner.forms.len();
        inner.forms.extend(values.flat_map(forms::of));
        inner.forms.sort_unstable();
        inner.forms.dedup();
        if inner.forms.len() != before {
            inner.matcher = Arc::new(Matcher::new(inner.forms.clone()));
        }
    }

    /// The text without the secrets in it.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// The bytes without the secrets in them.
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        let matcher = self.matcher();
        if !matcher.hides() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = Vec::with_capacity(bytes.len());
        matcher.write_masked(bytes, &mut masked);
        Cow::Owned(masked)
    }

    /// A stream of bytes on its way into the log.
    pub(super) fn stream(&self) -> MaskStream {
        MaskStream {
            masks: self.clone(),
            held: Vec::new(),
        }
    }

    fn matcher(&self) -> Arc<Matcher> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&inner.matcher)
    }
}

/// Finds all forms at once.
#[derive(Default)]
struct Matcher {
    search: Option<AhoCorasick>,
    forms: Vec<Form>,
    longest: usize,
}

impl Matcher {
    fn new(forms: Vec<Form>) -> Self {
        let heads = forms.iter().map(|form| head(&form.text));
        let search = AhoCorasick::new(heads);
        if let Err(error) = &search {
            // Its only bound is the size of its table: far above 32 secrets of 64 KiB.
            tracing::error!(%error, "secrets cannot be searched for");
        }
        Self {
            search: search.ok(),
            longest: forms.iter().map(|form| form.text.len()).max().unwrap_or(0),
            forms,
        }
    }

    fn hides(&self) -> bool {
        !self.forms.is_empty()
    }

    /// What of `text` is secret: ranges in order that do not touch each other.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let Some(search) = &self.search else {
            if self.hides() {
                // Rather nothing is shown than too much.
                ranges.push(0..text.len());
            }
            return ranges;
        };
        let mut compared = 0..0;
        for found in search.find_overlapping_iter(text) {
            let form = &self.forms[found.pattern().as_usize()];
            let start = found.start();
            let mut end = found.end();
            if form.word && !is_word(text, start..end) {
                continue;
            }
            // What begins in something that was compared is not compared: that keeps it linear.
            let fresh = start >= compared.end || start == compared.start;
            if form.text.len() > SEARCHED_BYTES && fresh {
                end = start + common(&form.text, &text[start..]);
                compared = start..end.max(compared.end);
            }
            join(&mut ranges, start..end);
        }
        ranges
    }

    fn write_masked(&self, text: &[u8], to: &mut Vec<u8>) {
        let mut done = 0;
        for range in self.find(text) {
            to.extend_from_slice(&text[done..range.start]);
            to.extend_from_slice(MASK.as_bytes());
            done = range.end;
        }
        to.extend_from_slice(&text[done..]);
    }
}

fn head(text: &[u8]) -> &[u8] {
    &text[..text.len().min(SEARCHED_BYTES)]
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// Adds a range to those found before it. They come in the order of their ends, so only the last
/// ones can touch it.
fn join(ranges: &mut Vec<Range<usize>>, mut new: Range<usize>) {
    while let Some(last) = ranges.pop_if(|last| last.end >= new.start) {
        new = last.start.min(new.start)..last.end.max(new.end);
    }
    ranges.push(new);
}

fn is_word(text: &[u8], range: Range<usize>) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !before.is_some_and(part) && !text.get(range.end).is_some_and(part)
}

/// One stream of bytes. It holds the line that has not ended yet, up to a bound.
pub(super) struct MaskStream {
    masks: Masks,
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes bytes; answers those that may be shown.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let matcher = self.masks.matcher();
        if !matcher.hides() && self.held.is_empty() {
            return bytes.to_vec();
        }
        let mut shown = Vec::with_capacity(bytes.len());
        let lines = bytes.iter().rposition(|byte| *byte == b'\n');
        let (whole, rest) = bytes.split_at(lines.map_or(0, |at| at + 1));
        if !whole.is_empty() {
            self.held.extend_from_slice(whole);
            matcher.write_masked(&self.held, &mut shown);
            self.held.clear();
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > LOG_LINE_BYTES_MAX.max(matcher.longest * 2) {
            self.shorten(&matcher, &mut shown);
        }
        shown
    }

    /// The stream has ended: what is left.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let mut shown = Vec::new();
        let held = std::mem::take(&mut self.held);
        self.masks.matcher().write_masked(&held, &mut shown);
        shown
    }

    /// Lets go of the part of a long line in which nothing can begin that is not whole yet.
    fn shorten(&mut self, matcher: &Matcher, shown: &mut Vec<u8>) {
        // One byte more, so that what stays still shows what stands before a word.
        let mut cut = self.held.len().saturating_sub(matcher.longest + 1);
        let over = matcher.find(&self.held);
        if let Some(range) = over.iter().find(|range| range.contains(&cut)) {
            cut = if range.start > 0 {
                range.start
            } else {
                range.end
            };
        }
        // What was hidden up to here is hidden in the part alone as well: it ends before the cut,
        // and the byte behind a word is only ever asked about the part that stays.
        let mut done = 0;
        for range in over.iter().take_while(|range| range.end <= cut) {
            shown.extend_from_slice(&self.held[done..range.start]);
            shown.extend_from_slice(MASK.as_bytes());
            done = range.end;
        }
        shown.extend_from_slice(&self.held[done..cut]);
        self.held.drain(..cut);
    }
}

#[cfg(test)]
mod tests;
