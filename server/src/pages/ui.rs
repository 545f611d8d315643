//! `/_ui`, in debug builds only: every component in every state, to look at and to test by picture.

use askama::Template;
use axum::response::Response;
use pipelines::deploy::PodState;
use pipelines::job::State;

use super::ansi;
use super::ask::Ask;
use super::frame::{Frame, Place};
use super::words::{self, Family, Status};
use crate::error::PageError;

#[derive(Template)]
#[template(path = "ui.html")]
struct Ui {
    f: Frame,
    statuses: Vec<Status>,
    pods: Vec<Status>,
    colours: Vec<(&'static str, Vec<String>)>,
}

/// Answers `GET /_ui`.
pub(crate) async fn page(ask: Ask) -> Result<Response, PageError> {
    let others = [
        words::LATE,
        words::LATE_OR_FAILED,
        words::WARNING,
        words::CONNECTED,
        words::NOT_HEARD,
        words::NEVER_HEARD,
        words::REVOKED,
        words::DONE,
        words::OPEN,
        words::IGNORED,
        words::LIVE,
        words::EMPTY,
    ];
    let pods = [
        PodState::Ready,
        PodState::Starting,
        PodState::NotReady,
        PodState::Failing,
        PodState::Terminating,
    ];
    let sample = |codes: std::ops::RangeInclusive<u8>| {
        let line = |code: u8| {
            let mut html = String::new();
            ansi::line(
                format!("\x1b[{code}m colour {code} ").as_bytes(),
                100,
                &mut html,
            );
            html
        };
        codes.map(line).collect::<Vec<_>>()
    };
    ask.show(&Ui {
        f: ask.frame(Place::Admin, Family::Neutral, "Components"),
        statuses: State::ALL
            .map(words::of_state)
            .into_iter()
            .chain(others)
            .collect(),
        pods: pods.map(words::of_pod).to_vec(),
        colours: vec![
            ("Colours", sample(30..=37)),
            ("Bright colours", sample(90..=97)),
            ("Backgrounds", sample(40..=47)),
            ("Styles", sample(1..=9)),
        ],
    })
}
