use std::collections::BTreeMap;
use std::time::Duration;

use pipelines::timestamp::Timestamp;
use serde_json::json;

use super::{History, Rules, Taker, Verdict, diagnose, judge};
use crate::deploy::snapshot::{
    Change, ContainerState, ContainerView, EventView, Live, PodView, Snapshot, Target, Termination,
    WorkloadKind, WorkloadView,
};

mod failures;
mod images;
mod success;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A rollout of `Deployment shop`, generation 2, seen at moments of a test's own choice.
struct Play {
    targets: Vec<Target>,
    rules: Rules,
    history: History,
}

fn at(seconds: f64) -> Timestamp {
    Timestamp(1_000_000_000).plus(Duration::from_secs_f64(seconds))
}

impl Play {
    fn new() -> Self {
        let target = Target {
            kind: WorkloadKind::Deployment,
            name: "shop".to_owned(),
            uid: "d".to_owned(),
            generation: 2,
            spec: json!({}),
            digests: BTreeMap::new(),
            change: Change::Changed,
        };
        Self {
            targets: vec![target],
            rules: Rules {
                bake: Duration::from_secs(10),
                deadline: Duration::from_secs(60),
                deploy: 7,
            },
            history: History::new(at(0.0)),
        }
    }

    fn pinned() -> Self {
        let mut play = Self::new();
        play.targets[0]
            .digests
            .insert("shop".to_owned(), DIGEST.to_owned());
        play
    }

    fn see(&mut self, seconds: f64, snapshot: &Snapshot) -> Verdict {
        let problems = diagnose(&self.targets, snapshot);
        self.history
            .note(&self.targets, snapshot, &problems, at(seconds));
        judge(
            &self.targets,
            snapshot,
            &self.history,
            self.rules,
            at(seconds),
        )
    }

    /// Sees the same until there is an end, twice a second.
    fn until_end(&mut self, from: f64, snapshot: &Snapshot) -> (f64, Verdict) {
        let mut seconds = from;
        loop {
            match self.see(seconds, snapshot) {
                Verdict::Progressing { .. } | Verdict::Baking { .. } => seconds += 0.5,
                end @ (Verdict::Good | Verdict::Failed { .. } | Verdict::TakenOver { .. }) => {
                    return (seconds - from, end);
                }
            }
            assert!(seconds < 1000.0, "there is no end");
        }
    }
}

/// A Deployment of `wanted` replicas, all of them new and available.
fn live(wanted: u32) -> Live {
    Live {
        generation: 2,
        observed: 2,
        ours: true,
        deploy: Some(7),
        wanted,
        replicas: wanted,
        updated: wanted,
        available: wanted,
        ..Live::default()
    }
}

fn container(name: &str) -> ContainerView {
    ContainerView {
        name: name.to_owned(),
        image: format!("acme/{name}:1"),
        image_id: format!("acme/{name}@{DIGEST}"),
        ready: true,
        state: ContainerState::Running,
        ..ContainerView::default()
    }
}

/// A new pod that serves.
fn pod(name: &str) -> PodView {
    PodView {
        uid: name.to_owned(),
        name: name.to_owned(),
        new: true,
        created_at: Some(at(0.0)),
        ready: true,
        containers: vec![container("shop")],
        ..PodView::default()
    }
}

fn old(name: &str) -> PodView {
    PodView {
        new: false,
        ..pod(name)
    }
}

/// A new pod whose one container is like this.
fn with(container: ContainerView) -> PodView {
    PodView {
        ready: container.ready,
        containers: vec![container],
        ..pod("shop-1")
    }
}

fn waiting(reason: &str, message: &str) -> ContainerView {
    ContainerView {
        ready: false,
        image_id: String::new(),
        state: ContainerState::Waiting {
            reason: reason.to_owned(),
            message: message.to_owned(),
        },
        ..container("shop")
    }
}

fn ended(exit_code: i32, reason: &str) -> Termination {
    Termination {
        exit_code,
        reason: reason.to_owned(),
        message: String::new(),
    }
}

/// A container that has died this often, and waits to be started again.
fn crashed(deaths: u32, last: Termination) -> ContainerView {
    ContainerView {
        restarts: deaths - 1,
        last: Some(last),
        ..waiting(
            "CrashLoopBackOff",
            "back-off 10s restarting failed container",
        )
    }
}

fn snapshot(live: Live, pods: Vec<PodView>) -> Snapshot {
    Snapshot {
        workloads: vec![WorkloadView {
            live: Some(live),
            pods,
        }],
        events: Vec::new(),
    }
}

/// One new pod that is not ready yet, beside an old one that serves.
fn rolling(pod: PodView) -> Snapshot {
    let live = Live {
        replicas: 2,
        updated: 1,
        available: 1,
        ..live(1)
    };
    snapshot(live, vec![old("shop-0"), pod])
}

fn event(pod: &str, reason: &str, message: &str) -> EventView {
    EventView {
        at: at(0.0),
        warning: true,
        kind: "Pod".to_owned(),
        name: pod.to_owned(),
        uid: pod.to_owned(),
        container: None,
        reason: reason.to_owned(),
        message: message.to_owned(),
        count: 1,
    }
}

#[track_caller]
fn progressing(verdict: &Verdict, words: &str) {
    match verdict {
        Verdict::Progressing { sentence } => assert!(sentence.contains(words), "{sentence}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn failed(verdict: &Verdict, words: &str) {
    match verdict {
        Verdict::Failed { cause, .. } => assert!(cause.contains(words), "{cause}"),
        other => panic!("{other:?}"),
    }
}
