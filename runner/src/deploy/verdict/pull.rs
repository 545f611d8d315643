//! Why an image could not be pulled, read from the runtime's message: only the words tell a
//! registry that does not have it from one that is busy.

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PullFault {
    /// The registry answers that it does not have it.
    Absent,
    /// The registry wants other credentials.
    Denied,
    /// The registry is busy, or cannot be reached: it may come back.
    Unavailable,
    /// The message says nothing we know.
    Unknown,
}

/// Words of a busy or absent registry come first: a proxy's `503 … not found` is one.
const UNAVAILABLE: &[&str] = &[
    "429",
    "too many requests",
    "toomanyrequests",
    "rate limit",
    "500 internal",
    "502 bad",
    "503 service",
    "504 gateway",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "tls handshake timeout",
    "no such host",
    "deadline exceeded",
    "no route to host",
    "temporary failure",
    "unexpected eof",
];
const DENIED: &[&str] = &[
    "unauthorized",
    "denied",
    "forbidden",
    "authentication required",
    "no basic auth credentials",
    "insufficient_scope",
    "authorization failed",
];
const ABSENT: &[&str] = &[
    "not found",
    "manifest unknown",
    "name unknown",
    "no such manifest",
    "no match for platform",
    "manifest_unknown",
    "name_unknown",
];

/// Reads a message.
pub(crate) fn read(message: &str) -> PullFault {
    let message = without_names(&message.to_lowercase());
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(UNAVAILABLE) {
        PullFault::Unavailable
    } else if says(DENIED) {
        PullFault::Denied
    } else if says(ABSENT) {
        PullFault::Absent
    } else {
        PullFault::Unknown
    }
}

/// A digest may hold the digits `429`, a name the word `denied`: what names the image is left out.
fn without_names(message: &str) -> String {
    let words = message.split_whitespace();
    let kept = words.filter(|word| !word.contains("@sha256") && !word.contains('/'));
    kept.collect::<Vec<_>>().join(" ")
}
