//! `GET /live?topics=run:12,log:991`: server-sent events that name what changed, and nothing more.
//! The page's script then asks for that part of the page, so there is one renderer and no drift.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::session::Viewer;
use crate::app::App;
use crate::live::Topic;

/// So often the stream says that it lives. An event and not a comment: scripts see no comments, and
/// so could not tell a quiet stream from one that a proxy has forgotten.
const BEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Most topics of one page.
const TOPICS_MAX: usize = 32;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/live", get(listen))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    topics: String,
}

async fn listen(State(app): State<App>, _viewer: Viewer, Query(wanted): Query<Wanted>) -> Response {
    let topics = wanted
        .topics
        .split(',')
        .take(TOPICS_MAX)
        .map(str::to_owned)
        .collect();
    // Subscribed before the answer begins: what changes from here on is told.
    let listener = Listener {
        receiver: app.live.subscribe(),
        topics,
        beat: beat(),
        version: 0,
    };
    let draining = app.draining.clone();
    let hello = stream::once(async { Ok(Event::default().retry(RETRY).event("beat").data("0")) });
    let events = hello
        .chain(listener.events())
        .take_until(draining.cancelled_owned());
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        // Asks nginx not to collect the stream before it passes it on.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Sse::new(events)).into_response()
}

fn beat() -> Interval {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    beat
}

struct Listener {
    receiver: Receiver<Topic>,
    topics: Vec<String>,
    beat: Interval,
    version: u64,
}

impl Listener {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut listener| async move {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        })
    }

    /// The next thing worth saying; none once nothing can be published any more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.version += 1;
            let version = self.version;
            let received = tokio::select! {
                _ = self.beat.tick() => {
                    return Some(Event::default().event("beat").data(version.to_string()));
                }
                received = self.receiver.recv() => received,
            };
            match received {
                Ok(topic) if self.wants(topic) => {
                    return Some(Event::default().data(format!("{topic} {version}")));
                }
                Ok(_) => {}
                // It fell too far behind to know what it missed: it reads everything again.
                Err(RecvError::Lagged(_)) => return Some(Event::default().event("reset").data("")),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, topic: Topic) -> bool {
        let name = topic.to_string();
        // The overview listens to everything but the growth of logs.
        let all = self.topics.iter().any(|wanted| wanted == "all");
        (all && !matches!(topic, Topic::Log(_))) || self.topics.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use pipelines::ids::{JobId, RunId};

    fn listener(live: &Live, topics: &[&str]) -> Listener {
        Listener {
            receiver: live.subscribe(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            beat: beat(),
            version: 0,
        }
    }

    async fn said(listener: &mut Listener) -> String {
        let event = listener.next().await.unwrap();
        format!("{event:?}")
    }

    #[tokio::test]
    async fn only_what_was_asked_for_is_told() {
        let live = Live::default();
        let mut listener = listener(&live, &["run:7"]);
        live.publish(Topic::Run(RunId(8)));
        live.publish(Topic::Log(JobId(7)));
        live.publish(Topic::Run(RunId(7)));
        assert!(said(&mut listener).await.contains("run:7"));
    }

    #[tokio::test]
    async fn the_overview_hears_everything_but_logs() {
        let live = Live::default();
        let mut listener = listener(&live, &["all"]);
        live.publish(Topic::Log(JobId(7)));
        live.publish(Topic::Environments);
        assert!(said(&mut listener).await.contains("environments"));
    }

    #[tokio::test]
    async fn who_fell_behind_is_told_to_read_everything_again() {
        let live = Live::default();
        let mut listener = listener(&live, &["run:7"]);
        for _ in 0..10_000 {
            live.publish(Topic::Queue);
        }
        assert!(said(&mut listener).await.contains("reset"));
    }
}
