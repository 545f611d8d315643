//! Times and durations as pages write them. The server writes UTC; the page's script says it in the
//! reader's zone.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use pipelines::timestamp::Timestamp;

/// A moment: `24 Nov 2026 09:12 UTC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When(pub(crate) Timestamp);

impl From<i64> for When {
    fn from(ms: i64) -> Self {
        Self(Timestamp(ms))
    }
}

/// A moment in UTC by a pattern of `strftime`; past the calendar's end, its last moment.
pub(crate) fn utc(at: Timestamp, pattern: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    moment
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime(pattern)
        .to_string()
}

/// The day of a moment: `24 Nov 2026`, in UTC.
pub(crate) fn day(ms: i64) -> String {
    utc(Timestamp(ms), "%-d %b %Y")
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, person) = (
            utc(self.0, "%Y-%m-%dT%H:%M:%SZ"),
            utc(self.0, "%-d %b %Y %H:%M UTC"),
        );
        write!(f, "<time datetime=\"{machine}\">{person}</time>")
    }
}
// Digits, month names and our own tags.
impl HtmlSafe for When {}

/// A duration: `3 m 12 s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Took(pub(crate) Duration);

impl Took {
    /// Between two moments; nothing if the second is before the first.
    pub(crate) fn between(start: i64, end: i64) -> Self {
        Self(Timestamp(end).since(Timestamp(start)))
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, s) = (self.0.as_millis(), self.0.as_secs());
        match s {
            0 if ms == 0 => f.write_str("0 s"),
            0 => write!(f, "0.{} s", (ms / 100).max(1)),
            1..=59 => write!(f, "{s} s"),
            60..=3599 => write!(f, "{} m {:02} s", s / 60, s % 60),
            3600..=86_399 => write!(f, "{} h {:02} m", s / 3600, s / 60 % 60),
            _ => write!(f, "{} d {} h", s / 86_400, s / 3600 % 24),
        }
    }
}
impl HtmlSafe for Took {}

/// How long something took, or has taken so far: then the page's script lets it run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasting {
    start: i64,
    end: Option<i64>,
    now: i64,
}

impl Lasting {
    /// From `start` to `end`, or to now.
    pub(crate) fn new(start: Option<i64>, end: Option<i64>, now: Timestamp) -> Option<Self> {
        start.map(|start| Self {
            start,
            end,
            now: now.0,
        })
    }

    /// So far.
    pub(crate) fn took(self) -> Took {
        Took::between(self.start, self.end.unwrap_or(self.now))
    }

    /// Whether it goes on.
    pub(crate) fn is_open(self) -> bool {
        self.end.is_none()
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(_) => write!(f, "<span class=\"dur\">{}</span>", self.took()),
            None => write!(
                f,
                "<span class=\"dur\" data-since=\"{}\">{}</span>",
                self.start,
                self.took()
            ),
        }
    }
}
impl HtmlSafe for Lasting {}

/// The time left until a deadline, or since it passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When it is.
    pub(crate) at: Timestamp,
    /// When the page was made.
    pub(crate) now: Timestamp,
}

impl Deadline {
    /// Whether it is over.
    pub(crate) fn passed(self) -> bool {
        self.now > self.at
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"dur\" data-until=\"{}\">", self.at.0)?;
        match self.passed() {
            false => write!(f, "in {}</span>", Took(self.at.since(self.now))),
            true => write!(f, "{} ago</span>", Took(self.now.since(self.at))),
        }
    }
}
impl HtmlSafe for Deadline {}

/// The middle of some durations in milliseconds: what something usually takes.
pub(crate) fn usual(mut durations: Vec<i64>) -> Option<Took> {
    // Of one or two, none is usual.
    if durations.len() < 3 {
        return None;
    }
    durations.sort_unstable();
    Some(Took::between(0, durations[durations.len() / 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units_at_most() {
        let said = |ms| Took(Duration::from_millis(ms)).to_string();
        let all = [0, 40, 900, 1000, 59_999, 192_000, 3_840_000, 90_000_000];
        insta::assert_snapshot!(
            all.map(said).join(" · "),
            @"0 s · 0.1 s · 0.9 s · 1 s · 59 s · 3 m 12 s · 1 h 04 m · 1 d 1 h"
        );
    }

    #[test]
    fn a_moment_is_written_for_machines_and_for_people() {
        insta::assert_snapshot!(
            When::from(1_764_000_000_123),
            @r#"<time datetime="2025-11-24T16:00:00Z">24 Nov 2025 16:00 UTC</time>"#
        );
    }

    #[test]
    fn what_goes_on_says_since_when() {
        let lasting = Lasting::new(Some(1_000), None, Timestamp(63_000)).unwrap();
        insta::assert_snapshot!(lasting, @r#"<span class="dur" data-since="1000">1 m 02 s</span>"#);
        assert!(Lasting::new(None, None, Timestamp(0)).is_none());
    }

    #[test]
    fn usual_is_the_middle_and_needs_three() {
        assert_eq!(usual(vec![1, 2]), None);
        assert_eq!(usual(vec![9_000, 1_000, 2_000]).unwrap().to_string(), "2 s");
    }
}
