//! The words, shapes and families of every status: one place, so that list, page, title and icon
//! can never say different things.

use std::fmt;

use askama::filters::HtmlSafe;
use pipelines::deploy::{Phase, PodState};
use pipelines::job::State;

/// A group of statuses with one colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// Done, and well.
    Passed,
    /// Broken. The only filled shapes.
    Failed,
    /// Somebody works on it.
    Active,
    /// A person should look.
    Attention,
    /// Nothing to say yet, or any more.
    Neutral,
}

impl Family {
    /// The name of its colour token.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Active => "active",
            Self::Attention => "attention",
            Self::Neutral => "neutral",
        }
    }

    /// The favicon that tells it.
    pub(crate) fn favicon(self) -> &'static str {
        match self {
            Self::Passed => "favicon-passed.svg",
            Self::Failed => "favicon-failed.svg",
            Self::Active => "favicon-active.svg",
            Self::Attention => "favicon-attention.svg",
            Self::Neutral => "favicon-idle.svg",
        }
    }
}

/// A status as it is drawn: shape, word, colour, in that order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Its colour.
    pub(crate) family: Family,
    /// Its shape, of the sprite.
    pub(crate) shape: &'static str,
    /// Its word, with a capital.
    pub(crate) word: &'static str,
}

impl Status {
    const fn new(family: Family, shape: &'static str, word: &'static str) -> Self {
        Self {
            family,
            shape,
            word,
        }
    }

    /// The shape alone, for places where the word stands beside it already.
    pub(crate) fn icon(self) -> Icon {
        Icon(self)
    }

    /// The word within a sentence.
    pub(crate) fn lower(self) -> String {
        self.word.to_lowercase()
    }
}

/// How a state of a run, job, step or deploy is drawn.
pub(crate) fn of_state(state: State) -> Status {
    use Family::{Active, Failed, Neutral, Passed};
    match state {
        State::Waiting => Status::new(Neutral, "queued", "Waiting"),
        State::Queued => Status::new(Neutral, "queued", "Queued"),
        State::Running => Status::new(Active, "running", "Running"),
        State::Passed => Status::new(Passed, "passed", "Passed"),
        State::Failed => Status::new(Failed, "failed", "Failed"),
        State::Cancelled => Status::new(Neutral, "cancelled", "Cancelled"),
        State::Skipped => Status::new(Neutral, "skipped", "Skipped"),
        State::TimedOut => Status::new(Failed, "timed_out", "Timed out"),
        State::InfrastructureError => {
            Status::new(Failed, "infrastructure_error", "Infrastructure error")
        }
        State::Superseded => Status::new(Neutral, "skipped", "Superseded"),
    }
}

/// How a pod is drawn. Readiness decides, not the cluster's word `Running`.
pub(crate) fn of_pod(state: PodState) -> Status {
    match state {
        PodState::Ready => Status::new(Family::Passed, "passed", "Ready"),
        PodState::Starting => Status::new(Family::Active, "running", "Starting"),
        PodState::NotReady => Status::new(Family::Attention, "attention", "Not ready"),
        PodState::Failing => Status::new(Family::Failed, "failed", "Failing"),
        PodState::Terminating => Status::new(Family::Neutral, "queued", "Terminating"),
    }
}

/// A file about to be checked, one that can be run, and one that cannot.
pub(crate) const CHECK: Status = Status::new(Family::Neutral, "none", "Check");
pub(crate) const CHECK_PASSED: Status = Status::new(Family::Passed, "passed", "Good");
pub(crate) const CHECK_FAILED: Status = Status::new(Family::Failed, "failed", "Not good");
/// A rollout past its deadline. Pods that come later may still turn it, so it has not failed.
pub(crate) const LATE: Status = Status::new(Family::Attention, "attention", "Late");
/// Something a person must look at, late or failed.
pub(crate) const LATE_OR_FAILED: Status = Status::new(Family::Attention, "attention", "Needs you");
/// A pod that is wanted and not there.
pub(crate) const NOT_CREATED: Status = Status::new(Family::Neutral, "none", "Not created");
/// What the cluster calls a warning.
pub(crate) const WARNING: Status = Status::new(Family::Attention, "attention", "Warning");
/// A runner that is heard.
pub(crate) const CONNECTED: Status = Status::new(Family::Passed, "passed", "Connected");
/// A runner that was heard once.
pub(crate) const NOT_HEARD: Status = Status::new(Family::Attention, "attention", "Not heard");
/// A runner that has not come yet.
pub(crate) const NEVER_HEARD: Status = Status::new(Family::Neutral, "queued", "Not joined yet");
/// A runner whose token was taken back.
pub(crate) const REVOKED: Status = Status::new(Family::Neutral, "cancelled", "Revoked");
/// Something that went as it should.
pub(crate) const DONE: Status = Status::new(Family::Passed, "passed", "Done");
/// Something still to be done.
pub(crate) const OPEN: Status = Status::new(Family::Neutral, "none", "To do");
/// Something received that asks for nothing.
pub(crate) const IGNORED: Status = Status::new(Family::Neutral, "skipped", "Ignored");
/// Live in an environment.
pub(crate) const LIVE: Status = Status::new(Family::Passed, "passed", "Live");
/// An environment nothing was deployed to.
pub(crate) const EMPTY: Status = Status::new(Family::Neutral, "none", "Nothing live");

/// The word for a stage of a rollout.
pub(crate) fn of_phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "Prepared",
        Phase::Applying => "Applied",
        Phase::Rolling => "Rolled out",
        Phase::Verifying => "Verified",
        Phase::RollingBack => "Rolled back",
        Phase::Done => "Done",
    }
}

/// How an event of the forge is called on pages.
pub(crate) fn of_event(event: &str) -> &str {
    match event {
        "pull_request" => "pull request",
        "manual" => "by hand",
        "schedule" => "on schedule",
        other => other,
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"st c-{}\" data-status=\"{}\">{}{}</span>",
            self.family.as_str(),
            self.word,
            Svg(self.shape),
            self.word
        )
    }
}
// Made of constants of this file only.
impl HtmlSafe for Status {}

/// A status as a shape with its word for readers only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Icon(Status);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"c-{}\" data-status=\"{}\">{}<span class=\"sr\">{}</span></span>",
            self.0.family.as_str(),
            self.0.word,
            Svg(self.0.shape),
            self.0.word
        )
    }
}
impl HtmlSafe for Icon {}

/// Text made safe to stand in HTML.
pub(crate) fn escaped(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map_or_else(|_| String::new(), |safe| safe.to_string())
}

/// A sentence of ours: what stands between backticks is code.
pub(crate) fn prose(text: &str) -> Prose<'_> {
    Prose(text)
}

/// See [`prose`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prose<'a>(&'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        let last = parts.len() - 1;
        for (place, part) in parts.into_iter().enumerate() {
            let safe = escaped(part);
            match place % 2 {
                // A backtick without its partner is a backtick.
                1 if place == last => write!(f, "`{safe}")?,
                1 => write!(f, "<code>{safe}</code>")?,
                _ => f.write_str(&safe)?,
            }
        }
        Ok(())
    }
}
impl HtmlSafe for Prose<'_> {}

struct Svg(&'static str);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<svg class=\"i\" aria-hidden=\"true\"><use href=\"#i-{}\"/></svg>",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPRITE: &str = include_str!("../../../templates/sprite.html");

    #[test]
    fn every_shape_is_in_the_sprite_and_only_failures_are_filled() {
        let statuses = State::ALL.map(of_state).into_iter().chain([
            of_pod(PodState::Ready),
            of_pod(PodState::Starting),
            of_pod(PodState::NotReady),
            of_pod(PodState::Failing),
            of_pod(PodState::Terminating),
            LATE,
            OPEN,
        ]);
        for status in statuses {
            let id = format!("id=\"i-{}\"", status.shape);
            let symbol = SPRITE.lines().find(|line| line.contains(&id));
            let symbol = symbol.unwrap_or_else(|| panic!("{} has no shape", status.word));
            let filled = symbol.contains("fill=\"currentColor\"");
            assert_eq!(filled, status.family == Family::Failed, "{}", status.word);
        }
    }

    #[test]
    fn prose_marks_code_and_escapes_everything() {
        let said = |text| prose(text).to_string();
        assert_eq!(
            said("needs `<b>`, which failed"),
            "needs <code>&#60;b&#62;</code>, which failed"
        );
        assert_eq!(said("one ` & two"), "one ` &#38; two");
        assert_eq!(said(""), "");
    }

    #[test]
    fn a_status_is_shape_then_word_in_its_colour() {
        insta::assert_snapshot!(
            of_state(State::TimedOut),
            @r##"<span class="st c-failed" data-status="Timed out"><svg class="i" aria-hidden="true"><use href="#i-timed_out"/></svg>Timed out</span>"##
        );
    }
}
