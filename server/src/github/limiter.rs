//! GitHub's limits, kept on our side: no call while it wants a pause, and changes one at a time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::{Answer, GitHubError, lock, message};
use crate::clock::Clock;

/// Without a word about how long, GitHub asks for at least a minute.
const PAUSE_DEFAULT: Duration = Duration::from_secs(60);
/// A longer pause than GitHub ever needs is a clock that is wrong.
const PAUSE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// What each installation may do when.
#[derive(Debug)]
pub(super) struct Limiter {
    pace: Duration,
    paused: Mutex<HashMap<u64, Instant>>,
    next_change: Mutex<HashMap<u64, Instant>>,
}

impl Limiter {
    pub(super) fn new(pace: Duration) -> Self {
        Self {
            pace,
            paused: Mutex::default(),
            next_change: Mutex::default(),
        }
    }

    /// Refuses while a pause is on, without a call.
    pub(super) fn check(&self, installation: u64, clock: Clock) -> Result<(), GitHubError> {
        let now = clock.monotonic();
        match lock(&self.paused).get(&installation) {
            Some(until) if *until > now => Err(GitHubError::RateLimited {
                retry_after: until.duration_since(now),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Begins a pause. A longer one that is on stays: calls that were under way end one by one.
    pub(super) fn pause(&self, installation: u64, wait: Duration, clock: Clock) {
        let until = clock.monotonic() + wait;
        let mut paused = lock(&self.paused);
        let end = paused.entry(installation).or_insert(until);
        *end = until.max(*end);
    }

    /// The pauses that are on, and how long each still lasts.
    pub(super) fn pauses(&self, clock: Clock) -> Vec<(u64, Duration)> {
        let now = clock.monotonic();
        let paused = lock(&self.paused);
        let left = paused.iter().filter(|(_, until)| **until > now);
        let mut left: Vec<_> = left
            .map(|(id, until)| (*id, until.duration_since(now)))
            .collect();
        left.sort_unstable();
        left
    }

    /// Waits for this installation's turn to change something.
    pub(super) async fn pace(&self, installation: u64, clock: Clock) {
        let now = clock.monotonic();
        let turn = {
            let mut next = lock(&self.next_change);
            let turn = next.get(&installation).copied().unwrap_or(now).max(now);
            next.insert(installation, turn + self.pace);
            turn
        };
        tokio::time::sleep(turn.duration_since(now)).await;
    }
}

/// How long this answer wants us to be silent, if it does. A 403 may be a limit or a refusal; the
/// headers tell, and where they are missing the words do.
pub(super) fn wanted_pause(answer: &Answer, clock: Clock) -> Option<Duration> {
    if !matches!(
        answer.status,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    ) {
        return None;
    }
    let wait = if let Some(after) = number(answer, "retry-after") {
        seconds(after)
    } else if let Some(wait) = used_up(answer, clock) {
        wait
    } else if answer.status == StatusCode::TOO_MANY_REQUESTS
        || message(&answer.body).to_lowercase().contains("rate limit")
    {
        PAUSE_DEFAULT
    } else {
        return None;
    };
    Some(wait.clamp(Duration::from_secs(1), PAUSE_MAX))
}

/// How long no further call will be answered, if this answer is the last one that the limit of this
/// hour has allowed, or says that there is none left.
pub(super) fn used_up(answer: &Answer, clock: Clock) -> Option<Duration> {
    if number(answer, "x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let now = clock.now().0 / 1000;
    let reset = number(answer, "x-ratelimit-reset").map_or(0, |reset| reset - now);
    // GitHub counts in whole seconds, and its clock is not ours.
    Some(seconds(reset + 1).clamp(Duration::from_secs(1), PAUSE_MAX))
}

fn number(answer: &Answer, name: &str) -> Option<i64> {
    let text = answer.headers.get(name)?.to_str().ok()?;
    text.parse().ok()
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
