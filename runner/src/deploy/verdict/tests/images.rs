//! Images that cannot be pulled.

use super::failures::fails_after;
use super::*;
use crate::deploy::verdict::pull::{PullFault, read};

#[test]
fn a_registry_that_lacks_or_refuses_the_image_fails_after_a_short_grace() {
    for (message, words) in [
        (
            "rpc error: code = NotFound desc = failed to resolve reference: not found",
            "is not in its registry",
        ),
        ("manifest unknown", "is not in its registry"),
        (
            "pull access denied, repository does not exist or may require authorization",
            "does not give image",
        ),
        (
            "failed to authorize: 401 Unauthorized",
            "does not give image",
        ),
    ] {
        fails_after(6.0, &rolling(with(waiting("ErrImagePull", message))), words);
    }
}

#[test]
fn a_registry_that_is_busy_fails_only_at_the_deadline() {
    let busy = rolling(with(waiting(
        "ImagePullBackOff",
        "unexpected status: 503 Service Unavailable",
    )));
    let (took, verdict) = Play::new().until_end(0.0, &busy);
    failed(&verdict, "cannot be pulled at the moment");
    failed(&verdict, "no progress for 60 s");
    assert!(took >= 60.0);
}

#[test]
fn messages_of_registries_are_told_apart() {
    for (message, fault) in [
        (
            "toomanyrequests: rate limit, image acme/x@sha256:404 not found",
            PullFault::Unavailable,
        ),
        (
            "dial tcp 10.0.0.1:443: connect: connection refused",
            PullFault::Unavailable,
        ),
        (
            "Get \"https://r.example/v2/denied/not-found\": EOF",
            PullFault::Unknown,
        ),
        (
            "failed to pull \"acme/unauthorized@sha256:429\": not found",
            PullFault::Absent,
        ),
        ("no match for platform in manifest", PullFault::Absent),
        ("Back-off pulling image \"acme/shop:1\"", PullFault::Unknown),
    ] {
        assert_eq!(read(message), fault, "{message}");
    }
}

#[test]
fn alternating_reasons_are_one_cause_with_one_beginning() {
    let mut play = Play::new();
    let pull = rolling(with(waiting("ErrImagePull", "not found")));
    let wait = rolling(with(waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"x\": ErrImagePull: not found",
    )));
    let between = rolling(with(waiting("ContainerCreating", "")));
    for (seconds, seen) in [(0.0, &pull), (1.0, &wait), (3.0, &between), (4.0, &pull)] {
        progressing(&play.see(seconds, seen), "0 of 1 ready");
    }
    failed(&play.see(6.0, &wait), "is not in its registry");
}

#[test]
fn an_old_back_off_message_is_explained_by_its_event() {
    let mut seen = rolling(with(waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"acme/shop:1\"",
    )));
    seen.events.push(event(
        "shop-1",
        "Failed",
        "Failed to pull image \"acme/shop:1\": not found",
    ));
    fails_after(6.0, &seen, "is not in its registry");
}
