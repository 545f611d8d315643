//! Faults on cue, limits, and the log of calls.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;

use super::GitHub;
use super::hub::lock;

/// Kept calls; older ones are dropped, so that a demo can run for days.
const KEPT: usize = 50_000;

/// One call that arrived, over the API or over git.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// When it arrived.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The path, without the base of the API, with its query.
    pub path: String,
    /// With what it came: `app`, `installation`, `developer`, `anonymous` or `unknown`.
    pub token: &'static str,
    /// What was answered; 0 while it is not.
    pub status: u16,
}

impl Request {
    /// Whether it asks to change something. Getting a token is not counted.
    pub fn is_mutation(&self) -> bool {
        let reads = matches!(self.method.as_str(), "GET" | "HEAD");
        !reads && !self.path.ends_with("/access_tokens") && !self.path.contains("/git-")
    }
}

/// How GitHub says that it is too much.
#[derive(Clone, Debug)]
pub enum Limit {
    /// 403 for too many changes at once, without a header that says how long.
    Secondary,
    /// 429 with `Retry-After`, in seconds.
    RetryAfter(u64),
    /// 403 with nothing remaining until that many seconds from now.
    Exhausted(u64),
}

/// Something that will go wrong.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    path: String,
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(String, String)>,
    pub(super) message: String,
}

impl Fault {
    fn new(status: StatusCode, headers: &[(&str, &str)], message: &str) -> Self {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let (headers, message) = (headers.collect(), message.to_owned());
        Self {
            path: String::new(),
            status,
            headers,
            message,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) outage: bool,
    pub(super) delay: Duration,
    pub(super) lost_answers: usize,
    /// Calls each credential may make; none is GitHub's 5,000 and never refused.
    pub(super) budget: Option<u64>,
    pub(super) used: HashMap<String, u64>,
    queue: VecDeque<Fault>,
}

impl Faults {
    /// The fault that strikes a call to that path, if one does.
    pub(super) fn strike(&mut self, path: &str) -> Option<Fault> {
        let index = self
            .queue
            .iter()
            .position(|fault| path.contains(&fault.path))?;
        self.queue.remove(index)
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    requests: VecDeque<Request>,
    next: usize,
}

impl Log {
    pub(super) fn arrived(&mut self, method: &str, path: String, token: &'static str) -> usize {
        let number = self.next;
        let (at, method) = (Timestamp::now(), method.to_owned());
        self.requests.push_back(Request {
            number,
            at,
            method,
            path,
            token,
            status: 0,
        });
        self.next += 1;
        if self.requests.len() > KEPT {
            self.requests.pop_front();
        }
        number
    }

    pub(super) fn answered(&mut self, number: usize, status: u16) {
        let first = self.requests.front().map_or(0, |request| request.number);
        let index = number.checked_sub(first);
        if let Some(request) = index.and_then(|index| self.requests.get_mut(index)) {
            request.status = status;
        }
    }
}

impl GitHub {
    /// The next `times` calls of the API are answered with that status and those headers, and do
    /// nothing.
    pub fn fail_next(&self, times: usize, status: u16, headers: &[(&str, &str)]) {
        self.fail_next_on("", times, status, headers);
    }

    /// The same for calls whose path contains `path`, such as `/check-runs`; others go on.
    pub fn fail_next_on(&self, path: &str, times: usize, status: u16, headers: &[(&str, &str)]) {
        let message = match status {
            500.. => "Server Error",
            _ => "Refused by the story",
        };
        let status = StatusCode::from_u16(status).expect("a story names a real status");
        let fault = Fault::new(status, headers, message);
        self.strike_next(
            times,
            Fault {
                path: path.to_owned(),
                ..fault
            },
        );
    }

    /// The next `times` calls meet a rate limit.
    pub fn limit_next(&self, times: usize, limit: &Limit) {
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before \
                         you try again.";
        let primary = "API rate limit exceeded for installation.";
        let fault = match limit {
            Limit::Secondary => Fault::new(StatusCode::FORBIDDEN, &[], secondary),
            Limit::RetryAfter(seconds) => {
                let headers = [("retry-after", seconds.to_string())];
                let headers = headers
                    .each_ref()
                    .map(|(name, value)| (*name, value.as_str()));
                Fault::new(StatusCode::TOO_MANY_REQUESTS, &headers, secondary)
            }
            Limit::Exhausted(seconds) => {
                let reset = Timestamp::now()
                    .as_second()
                    .saturating_add_unsigned(*seconds);
                let reset = reset.to_string();
                let headers = [
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", &reset),
                ];
                Fault::new(StatusCode::FORBIDDEN, &headers, primary)
            }
        };
        self.strike_next(times, fault);
    }

    fn strike_next(&self, times: usize, fault: Fault) {
        let faults = std::iter::repeat_n(fault, times);
        lock(&self.hub.faults).queue.extend(faults);
    }

    /// While on, every call of the API and of git is answered 503.
    pub fn set_outage(&self, on: bool) {
        lock(&self.hub.faults).outage = on;
    }

    /// Every call of the API takes that much longer.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.hub.faults).delay = delay;
    }

    /// The next `times` calls do what they ask, but the connection breaks before the caller has the
    /// answer.
    pub fn lose_answers(&self, times: usize) {
        lock(&self.hub.faults).lost_answers = times;
    }

    /// Each credential may make that many calls from now on, then it gets GitHub's 403 until this is
    /// called again. Answers 304 cost nothing.
    pub fn set_budget(&self, calls: Option<u64>) {
        let mut faults = lock(&self.hub.faults);
        faults.budget = calls;
        faults.used.clear();
    }

    /// Forgets every fault, limit, delay and outage.
    pub fn heal(&self) {
        *lock(&self.hub.faults) = Faults::default();
    }

    /// All calls so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.hub.log).requests.iter().cloned().collect()
    }

    /// The calls that asked to change something, in order of arrival.
    pub fn mutations(&self) -> Vec<Request> {
        let mut all = self.requests();
        all.retain(Request::is_mutation);
        all
    }
}
