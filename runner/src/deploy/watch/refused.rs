//! What the cluster does not let this account see.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;

/// A cluster that has just started, or that was just given the right, refuses for a moment.
const GRACE: Duration = Duration::from_secs(10);

/// A refusal of one watch.
pub(crate) struct Refusal {
    /// `pods`.
    pub(super) resource: String,
    verb: &'static str,
    is_unknown: bool,
}

impl Refusal {
    /// The refusal in an error of the watch of this resource, if it is one.
    pub(super) fn of(resource: &str, error: &watcher::Error) -> Option<Self> {
        let (verb, error) = match error {
            watcher::Error::InitialListFailed(error) => ("list", error),
            watcher::Error::WatchStartFailed(error) => ("watch", error),
            watcher::Error::WatchError(_)
            | watcher::Error::WatchFailed(_)
            | watcher::Error::NoResourceVersion => return None,
        };
        let kube::Error::Api(status) = error else {
            return None;
        };
        matches!(status.code, 401 | 403).then(|| Self {
            resource: resource.to_owned(),
            verb,
            is_unknown: status.code == 401,
        })
    }
}

/// The refusals that still hold, by resource, and since when.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, (Instant, Refusal)>);

impl Refusals {
    pub(super) fn note(&mut self, refusal: Refusal, now: Instant) {
        let since = self.0.get(&refusal.resource).map_or(now, |seen| seen.0);
        self.0.insert(refusal.resource.clone(), (since, refusal));
    }

    /// It was answered, so it is not refused any more.
    pub(super) fn forget(&mut self, resource: &str) {
        self.0.remove(resource);
    }

    /// The first that has lasted, in words. Credentials that expire are renewed, so they count
    /// only until the resource has been `listed`.
    pub(super) fn lasting(
        &self,
        namespace: &str,
        now: Instant,
        listed: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut all = self.0.values();
        let (_, refusal) = all.find(|(since, refusal)| {
            now.duration_since(*since) >= GRACE
                && !(refusal.is_unknown && listed(&refusal.resource))
        })?;
        let (verb, resource) = (refusal.verb, &refusal.resource);
        Some(if refusal.is_unknown {
            format!(
                "the cluster does not accept this runner's credentials for {verb} on {resource} in namespace {namespace}: renew them"
            )
        } else {
            format!(
                "the cluster refuses {verb} on {resource} in namespace {namespace} to this account: grant it"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, is_list: bool) -> watcher::Error {
        let status = kube::core::Status::failure("no", "Forbidden").with_code(code);
        let error = kube::Error::Api(Box::new(status));
        if is_list {
            watcher::Error::InitialListFailed(error)
        } else {
            watcher::Error::WatchStartFailed(error)
        }
    }

    fn after(error: &watcher::Error, seconds: u64, listed: bool) -> Option<String> {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        refusals.note(Refusal::of("pods", error)?, now);
        let now = now + Duration::from_secs(seconds);
        refusals.note(Refusal::of("pods", error)?, now);
        refusals.lasting("shop", now, |_| listed)
    }

    #[test]
    fn a_lasting_refusal_is_told_with_what_to_grant() {
        let words = "the cluster refuses list on pods in namespace shop to this account: grant it";
        assert_eq!(after(&error(403, true), 10, false).as_deref(), Some(words));
        let watch = after(&error(403, false), 10, true);
        assert!(watch.is_some_and(|words| words.contains("refuses watch on pods")));
        assert!(after(&error(401, true), 10, false).is_some());
    }

    #[test]
    fn what_may_pass_is_waited_for() {
        assert_eq!(after(&error(403, true), 9, false), None);
        assert_eq!(after(&error(401, false), 60, true), None);
        assert_eq!(after(&error(500, true), 60, false), None);
    }
}
