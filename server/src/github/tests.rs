//! How answers are judged; whole conversations are told as stories against the stand-in.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use pipelines::job::State;
use serde_json::{Value, json};

use super::limiter::{Limiter, wanted_pause};
use super::{Answer, GitHub, GitHubError, escape, judge};
use crate::clock::Clock;
use crate::web::tests::github_config;

fn answer(status: u16, headers: &[(&'static str, String)], message: &str) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: map,
        body: json!({ "message": message }),
    }
}

fn pause(status: u16, headers: &[(&'static str, String)], message: &str) -> Option<u64> {
    wanted_pause(&answer(status, headers, message), Clock).map(|wait| wait.as_secs())
}

/// F55
#[test]
fn every_way_of_saying_too_much_is_understood() {
    let secondary = "You have exceeded a secondary rate limit.";
    assert_eq!(pause(403, &[], secondary), Some(60));
    assert_eq!(pause(429, &[], ""), Some(60));
    assert_eq!(
        pause(429, &[("retry-after", "120".into())], secondary),
        Some(120)
    );
    let reset = Clock.now().0 / 1000 + 30;
    let used_up = [
        ("x-ratelimit-remaining", "0".into()),
        ("x-ratelimit-reset", reset.to_string()),
    ];
    let wait = pause(403, &used_up, "API rate limit exceeded").unwrap();
    assert!((30..=31).contains(&wait), "{wait}");
    // A refusal is not a limit, and what went well is neither.
    assert_eq!(
        pause(403, &[], "Resource not accessible by integration"),
        None
    );
    assert_eq!(
        pause(200, &[("x-ratelimit-remaining", "0".into())], ""),
        None
    );
    // A clock that is wrong does not silence us for ever.
    let never = [("retry-after", "999999".into())];
    assert_eq!(pause(429, &never, ""), Some(7200));
}

/// F55
#[test]
fn a_pause_holds_for_its_installation_and_no_other() {
    let limiter = Limiter::new(Duration::ZERO);
    limiter.pause(1, Duration::from_secs(60), Clock);
    assert!(matches!(
        limiter.check(1, Clock),
        Err(GitHubError::RateLimited { .. })
    ));
    limiter.check(2, Clock).unwrap();
}

/// F55
#[tokio::test]
async fn changes_of_one_installation_come_one_by_one() {
    let limiter = Limiter::new(Duration::from_millis(20));
    let began = Clock.monotonic();
    for _ in 0..3 {
        limiter.pace(1, Clock).await;
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(39), "{took:?}");
}

#[test]
fn a_status_becomes_what_the_caller_branches_on() {
    let judged = |status| judge(answer(status, &[], "words"), "/x").map(|_| ());
    judged(200).unwrap();
    assert!(matches!(judged(404), Err(GitHubError::NotFound(_))));
    assert!(matches!(judged(401), Err(GitHubError::Unavailable(_))));
    for status in [403, 410, 451] {
        assert!(
            matches!(judged(status), Err(GitHubError::NoAccess(_))),
            "{status}"
        );
    }
    assert!(matches!(judged(422), Err(GitHubError::Refused(_))));
}

#[test]
fn names_cannot_leave_their_place_in_an_address() {
    assert_eq!(escape("feature/a b?c#d%"), "feature/a%20b%3Fc%23d%25");
}

#[tokio::test]
async fn neither_the_client_nor_its_errors_show_the_key() {
    let config = github_config("http://127.0.0.1:9");
    let github = GitHub::new(&config, Clock).unwrap();
    assert_eq!(format!("{github:?}"), "GitHub(\"http://github.test\")");
}

#[test]
fn every_state_has_its_words_at_github() {
    let words = State::ALL.map(|state| {
        let check = super::checks::Check {
            run: pipelines::ids::RunId(1),
            commit: "1f3c9e0b7a6d5c4b3a291807f6e5d4c3b2a19080".parse().unwrap(),
            name: "seaworthy / ci".into(),
            url: "http://ci.test/x".into(),
            state,
            started_at: None,
            finished_at: None,
            title: "t".into(),
            summary: "s".into(),
        };
        let body = check.body();
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .unwrap_or("–")
                .to_owned()
        };
        format!("{state}: {} {}", text("status"), text("conclusion"))
    });
    insta::assert_snapshot!(words.join("\n"), @r#"
    waiting: queued –
    queued: queued –
    running: in_progress –
    passed: completed success
    failed: completed failure
    cancelled: completed cancelled
    skipped: completed skipped
    timed_out: completed timed_out
    infrastructure_error: completed failure
    superseded: completed cancelled
    "#);
}
