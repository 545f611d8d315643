//! Which head an event is about: what tells an older event from a newer one.

use super::{Payload, Proposal, is_zero};

/// A branch, tag or pull request that has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadMove {
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub(crate) name: String,
    /// The object it stood at before, as far as the event says.
    pub(crate) before: Option<String>,
    /// The object it stands at now; of an annotated tag the tag itself, not its commit.
    pub(crate) after: String,
}

impl Payload {
    fn moved(&self, name: String, after: &str) -> HeadMove {
        let before = self.before.as_deref().filter(|sha| !is_zero(sha));
        HeadMove {
            name,
            before: before.map(str::to_owned),
            after: after.to_owned(),
        }
    }

    /// What a push has moved.
    pub(super) fn pushed(&self) -> HeadMove {
        let name = self.reference.clone().unwrap_or_default();
        self.moved(name, self.after.as_deref().unwrap_or_default())
    }

    /// What a push has deleted, at the object where it stood last.
    pub(super) fn deleted(&self) -> HeadMove {
        let name = self.reference.clone().unwrap_or_default();
        self.moved(name, self.before.as_deref().unwrap_or_default())
    }

    /// What has moved in a pull request; only `synchronize` says where it stood before.
    pub(super) fn proposed(&self, proposal: &Proposal) -> HeadMove {
        self.moved(pull_head(proposal.number), &proposal.head.sha)
    }
}

/// The name of a pull request's head, as git has it.
pub(crate) fn pull_head(number: u64) -> String {
    format!("refs/pull/{number}/head")
}
