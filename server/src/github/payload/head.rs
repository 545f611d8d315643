//! Which head an event is about: what tells an older event from a newer one.

use pipelines::order::HeadMove;
use pipelines::timestamp::Timestamp;
use serde_json::Value;

use super::{Payload, Proposal, is_zero};

impl Payload {
    fn moved(&self, name: String, after: &str, at: Option<&Value>) -> HeadMove {
        let before = self.before.as_deref().filter(|sha| !is_zero(sha));
        HeadMove {
            name,
            before: before.map(str::to_owned),
            after: after.to_owned(),
            at: moment(self.found_at.as_ref().or(at)),
        }
    }

    /// GitHub tells a push by when the repository was pushed to last.
    fn pushed_at(&self) -> Option<&Value> {
        self.repository.as_ref()?.pushed_at.as_ref()
    }

    /// What a push has moved.
    pub(super) fn pushed(&self) -> HeadMove {
        let name = self.reference.clone().unwrap_or_default();
        self.moved(
            name,
            self.after.as_deref().unwrap_or_default(),
            self.pushed_at(),
        )
    }

    /// What a push has deleted, at the object where it stood last.
    pub(super) fn deleted(&self) -> HeadMove {
        let name = self.reference.clone().unwrap_or_default();
        self.moved(
            name,
            self.before.as_deref().unwrap_or_default(),
            self.pushed_at(),
        )
    }

    /// What has moved in a pull request; only `synchronize` says where it stood before.
    pub(super) fn proposed(&self, proposal: &Proposal) -> HeadMove {
        let at = proposal.updated_at.as_ref();
        self.moved(pull_head(proposal.number), &proposal.head.sha, at)
    }
}

/// The name of a pull request's head, as git has it.
pub(crate) fn pull_head(number: u64) -> String {
    format!("refs/pull/{number}/head")
}

/// In a push it is a number of seconds, elsewhere a text. What is neither is not known.
fn moment(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::Number(seconds) => seconds.as_i64()?.checked_mul(1000).map(Timestamp),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
