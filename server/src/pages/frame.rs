//! What stands around every page, and the sentences that follow an action.

use pipelines::timestamp::Timestamp;

use super::assets;
use super::words::Family;

/// What a person is told on the page after an action. The address names it by a word of this list,
/// never by free text: nobody can put words into our mouth by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The run was asked to end.
    Cancelled,
    /// There was nothing to end.
    AlreadyEnded,
    /// This run repeats another.
    Rerun,
    /// The delivery is handled again.
    Replayed,
    /// Everything of the run stays.
    Kept,
    /// What is old enough goes.
    NotKept,
}

impl Notice {
    const ALL: [Notice; 6] = [
        Self::Cancelled,
        Self::AlreadyEnded,
        Self::Rerun,
        Self::Replayed,
        Self::Kept,
        Self::NotKept,
    ];

    /// Its word in an address.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::AlreadyEnded => "already-ended",
            Self::Rerun => "rerun",
            Self::Replayed => "replayed",
            Self::Kept => "kept",
            Self::NotKept => "not-kept",
        }
    }

    /// The notice of that word.
    pub(super) fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.as_str() == word)
    }

    /// What it says.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Cancelled => {
                "Cancelled. What was running has been asked to stop and ends within seconds."
            }
            Self::AlreadyEnded => "Nothing was cancelled: it had ended already.",
            Self::Rerun => "This is a new run of the same commit.",
            Self::Replayed => "It is handled again. What it has made is not made twice.",
            Self::Kept => "The logs and artifacts of this run stay, however old they get.",
            Self::NotKept => "The logs and artifacts of this run go when they are old enough.",
        }
    }
}

/// Which entry of the top bar a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The overview, and everything of a repository.
    Overview,
    /// Environments and deploys.
    Environments,
    /// Runners.
    Runners,
    /// The queue.
    Queue,
    /// The administration.
    Admin,
}

/// A step of the way to a page.
#[derive(Debug, Clone)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    pub(crate) href: String,
}

/// What stands around a page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Status first, so that a narrow tab still tells.
    pub(crate) title: String,
    pub(crate) family: Family,
    pub(crate) place: Place,
    pub(crate) crumbs: Vec<Crumb>,
    /// What the page listens to; empty for a page that does not change.
    pub(crate) topics: String,
    pub(crate) user: String,
    pub(crate) csrf: String,
    pub(crate) notice: Option<Notice>,
    /// Reload every so many seconds, where the reader asked for it and there is no script.
    pub(crate) refresh: Option<u32>,
    pub(crate) now: Timestamp,
    pub(crate) path: String,
}

impl Frame {
    /// The page's way, from the overview on.
    #[must_use]
    pub(crate) fn under(mut self, crumbs: &[(&str, String)]) -> Self {
        let crumb = |(label, href): &(&str, String)| Crumb {
            label: (*label).to_owned(),
            href: href.clone(),
        };
        self.crumbs = crumbs.iter().map(crumb).collect();
        self
    }

    /// What makes the page change.
    #[must_use]
    pub(crate) fn live(mut self, topics: &[String]) -> Self {
        self.topics = topics.join(",");
        self
    }

    pub(crate) fn favicon(&self) -> &'static str {
        assets::address(self.family.favicon())
    }

    #[allow(clippy::unused_self, reason = "called from templates")]
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        assets::address(name)
    }

    pub(crate) fn current(&self, place: &str) -> bool {
        let here = match self.place {
            Place::Overview => "overview",
            Place::Environments => "environments",
            Place::Runners => "runners",
            Place::Queue => "queue",
            Place::Admin => "admin",
        };
        here == place
    }
}
