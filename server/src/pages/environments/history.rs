//! The deploys that an environment has seen.

use pipelines::job::State;
use pipelines::timestamp::Timestamp;

use crate::pages::links;
use crate::pages::moments::{Lasting, When};
use crate::pages::words::{self, Status};
use crate::store::views::deploys::DeployRow;

/// One deploy of the history.
pub(super) struct HistoryLine {
    pub(super) status: Status,
    pub(super) number: i64,
    pub(super) href: String,
    pub(super) short: String,
    pub(super) title: String,
    pub(super) author: String,
    pub(super) lasting: Option<Lasting>,
    pub(super) created: When,
    pub(super) live: bool,
    /// It brought back a release older than the one before it.
    pub(super) backwards: bool,
    pub(super) reason: Option<String>,
    pub(super) probes: Option<(i64, i64)>,
    /// The page that would deploy this release again; only what was verified has one.
    pub(super) again: Option<String>,
}

/// The lines of these deploys, which come newest first.
pub(super) fn history_lines(history: &[DeployRow], now: Timestamp) -> Vec<HistoryLine> {
    let line = |(place, deploy): (usize, &DeployRow)| HistoryLine {
        status: words::of_state(*deploy.state),
        number: deploy.number,
        href: links::deploy(&deploy.owner, &deploy.repo, deploy.number),
        short: links::short(&deploy.commit_sha).to_owned(),
        title: deploy.title.clone(),
        author: deploy.author.clone(),
        lasting: Lasting::new(deploy.started_at, deploy.finished_at, now),
        created: deploy.created_at.into(),
        live: deploy.live,
        backwards: history
            .get(place + 1)
            .is_some_and(|before| before.release > deploy.release),
        reason: deploy.reason.clone(),
        probes: deploy.requests_probed.zip(deploy.requests_failed),
        again: (*deploy.state == State::Passed && !deploy.live).then(|| {
            let own = links::environment(&deploy.owner, &deploy.repo, &deploy.environment);
            let release = deploy.release.to_string();
            links::query(&format!("{own}/deploy"), &[("release", &release)])
        }),
    };
    history.iter().enumerate().map(line).collect()
}
