use std::collections::BTreeMap;

use pipelines::deploy::Phase;
use pipelines::timestamp::Timestamp;

use super::{Scene, Tails, picture, serving};
use crate::deploy::snapshot::{EventView, PodView, Snapshot, WorkloadView};

fn event(at: i64, message: &str, count: u32) -> EventView {
    EventView {
        at: Timestamp(at),
        warning: true,
        kind: "Pod".to_owned(),
        name: "shop-1".to_owned(),
        uid: "u".to_owned(),
        container: None,
        reason: "BackOff".to_owned(),
        message: message.to_owned(),
        count,
    }
}

#[test]
fn equal_events_are_one_with_their_count() {
    let snapshot = Snapshot {
        workloads: Vec::new(),
        events: vec![event(3, "a", 2), event(2, "b", 1), event(1, "a", 5)],
    };
    let scene = Scene {
        targets: &[],
        snapshot: &snapshot,
        groups: &[],
        tails: &Tails::new(),
    };
    let shown = picture(&scene, Phase::Rolling, "x".to_owned(), None).events;
    let shown: Vec<_> = shown
        .iter()
        .map(|event| (event.message.as_str(), event.count, event.at.0))
        .collect();
    assert_eq!(shown, [("a", 7, 3), ("b", 1, 2)]);
}

#[test]
fn what_serves_is_said_by_the_counts_alone() {
    let pod = |new, ready, ending| PodView {
        new,
        ready,
        ending,
        ..PodView::default()
    };
    let cases = BTreeMap::from([
        (
            "no pod serves",
            vec![pod(true, false, false), pod(false, true, true)],
        ),
        (
            "the former release keeps serving with 1 ready pod",
            vec![pod(false, true, false)],
        ),
        (
            "what serves is the new release, with 2 ready pods",
            vec![pod(true, true, false), pod(true, true, false)],
        ),
        (
            "the former release keeps serving with 1 ready pod, beside 1 ready pod of the new one",
            vec![pod(true, true, false), pod(false, true, false)],
        ),
    ]);
    for (words, pods) in cases {
        let view = WorkloadView {
            pods,
            ..WorkloadView::default()
        };
        let snapshot = Snapshot {
            workloads: vec![view],
            events: Vec::new(),
        };
        assert_eq!(serving(&snapshot), words);
    }
}
