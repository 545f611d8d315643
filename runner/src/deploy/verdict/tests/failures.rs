//! Every class of failure: its words, and how long one waits.

use super::*;

/// A pod that stays like this fails the rollout with these words, after about this long.
#[track_caller]
pub(super) fn fails_after(seconds: f64, snapshot: &Snapshot, words: &str) {
    let (took, verdict) = Play::new().until_end(0.0, snapshot);
    failed(&verdict, words);
    assert!(
        (took - seconds).abs() < 1.0,
        "it took {took} s: {verdict:?}"
    );
}

#[test]
fn what_cannot_cure_itself_fails_within_seconds() {
    for (container, words) in [
        (
            waiting("InvalidImageName", "couldn't parse"),
            "`acme/shop:1` is not a valid image name",
        ),
        (
            waiting("ErrImageNeverPull", "not present"),
            "is not on the node",
        ),
        (
            waiting(
                "RunContainerError",
                "exec: \"/nope\": stat /nope: no such file or directory",
            ),
            "the command of container shop cannot be started",
        ),
        (
            waiting("CreateContainerError", "no command specified"),
            "the command of container shop cannot be started",
        ),
        (
            crashed(
                1,
                Termination {
                    message: "exec format error".into(),
                    ..ended(128, "StartError")
                },
            ),
            "exec format error",
        ),
        (
            crashed(2, ended(3, "Error")),
            "container shop exits with code 3, twice so far (pod shop-1)",
        ),
        (crashed(2, ended(0, "Completed")), "exits with code 0"),
        (
            crashed(3, ended(137, "OOMKilled")),
            "killed for using more memory than its limit, 3 times so far",
        ),
    ] {
        fails_after(2.0, &rolling(with(container)), words);
    }
}

#[test]
fn a_cause_that_cures_itself_is_forgotten() {
    let mut play = Play::new();
    play.see(
        0.0,
        &rolling(with(waiting(
            "CreateContainerConfigError",
            "secret \"a\" not found",
        ))),
    );
    for seconds in 1..9 {
        play.see(
            f64::from(seconds),
            &rolling(PodView {
                ready: false,
                ..pod("shop-1")
            }),
        );
    }
    let again = rolling(with(waiting(
        "CreateContainerConfigError",
        "secret \"a\" not found",
    )));
    progressing(&play.see(11.0, &again), "0 of 1 ready");
}

#[test]
fn what_may_be_a_moment_late_has_a_grace() {
    let missing = waiting(
        "CreateContainerConfigError",
        "secret \"shop-env\" not found",
    );
    fails_after(
        10.0,
        &rolling(with(missing)),
        "cannot be made: secret \"shop-env\" not found",
    );
    let mut mount = rolling(with(waiting("ContainerCreating", "")));
    mount.events.push(event(
        "shop-1",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"v\" : configmap \"conf\" not found",
    ));
    fails_after(
        10.0,
        &mount,
        "a volume cannot be mounted: configmap \"conf\" not found",
    );
    let syncing = waiting(
        "CreateContainerConfigError",
        "failed to sync secret cache: timed out waiting for the condition",
    );
    progressing(
        &Play::new().see(30.0, &rolling(with(syncing))),
        "0 of 1 ready",
    );
}

#[test]
fn one_death_is_explained_but_not_yet_a_failure() {
    let mut play = Play::new();
    let once = rolling(with(crashed(1, ended(1, "Error"))));
    progressing(&play.see(0.0, &once), "0 of 1 ready");
    progressing(&play.see(9.0, &once), "0 of 1 ready");
}

#[test]
fn readiness_beats_deaths_until_the_third() {
    let mut play = Play::new();
    let up = ContainerView {
        restarts: 2,
        last: Some(ended(1, "Error")),
        ..container("shop")
    };
    let calm = snapshot(live(1), vec![with(up)]);
    assert_eq!(play.until_end(0.0, &calm).1, Verdict::Good);
    let up = ContainerView {
        restarts: 3,
        last: Some(ended(1, "Error")),
        ..container("shop")
    };
    fails_after(
        2.0,
        &snapshot(live(1), vec![with(up)]),
        "exits with code 1, 3 times so far",
    );
}

#[test]
fn a_container_killed_by_its_probe_is_no_mere_crash() {
    let mut seen = rolling(with(crashed(2, ended(137, "Error"))));
    seen.events.push(event(
        "shop-1",
        "Unhealthy",
        "Liveness probe failed: HTTP 500",
    ));
    seen.events.push(event(
        "shop-1",
        "Killing",
        "Container shop failed liveness probe, will be restarted",
    ));
    fails_after(
        2.0,
        &seen,
        "its liveness probe fails (pod shop-1): Liveness probe failed: HTTP 500",
    );
}

#[test]
fn an_init_container_that_fails_is_named_and_one_that_ended_well_is_not() {
    let init = ContainerView {
        init: true,
        name: "migrate".into(),
        ..crashed(2, ended(5, "Error"))
    };
    let waits = PodView {
        ready: false,
        containers: vec![init, waiting("PodInitializing", "")],
        ..pod("shop-1")
    };
    fails_after(
        2.0,
        &rolling(waits),
        "init container migrate exits with code 5",
    );
    let done = ContainerView {
        init: true,
        ready: true,
        restarts: 3,
        state: ContainerState::Terminated(ended(0, "Completed")),
        ..container("migrate")
    };
    let whole = PodView {
        containers: vec![done, container("shop")],
        ..pod("shop-1")
    };
    assert_eq!(
        Play::new()
            .until_end(0.0, &snapshot(live(1), vec![whole]))
            .1,
        Verdict::Good
    );
}

#[test]
fn a_readiness_probe_is_explained_early_and_fails_at_the_deadline() {
    let mut play = Play::new();
    let mut seen = rolling(with(ContainerView {
        ready: false,
        ..container("shop")
    }));
    seen.events.push(event(
        "shop-1",
        "Unhealthy",
        "Readiness probe failed: HTTP 503",
    ));
    progressing(&play.see(1.0, &seen), "0 of 1 ready");
    let problems = diagnose(&play.targets, &seen);
    let groups = crate::deploy::verdict::group(&problems, &play.history, at(1.0));
    assert_eq!(groups[0].short(), "1 fails its readiness probe");
    let (took, verdict) = play.until_end(1.5, &seen);
    failed(
        &verdict,
        "readiness probe fails (pod shop-1): Readiness probe failed: HTTP 503",
    );
    assert!(took > 58.0);
}

#[test]
fn every_pod_that_becomes_ready_moves_the_deadline() {
    let mut play = Play::new();
    let unready = |name| PodView {
        ready: false,
        ..pod(name)
    };
    let one = snapshot(
        Live {
            available: 1,
            ..live(2)
        },
        vec![pod("a"), unready("b")],
    );
    play.see(
        0.0,
        &snapshot(
            Live {
                available: 0,
                ..live(2)
            },
            vec![unready("a"), unready("b")],
        ),
    );
    progressing(&play.see(50.0, &one), "1 of 2 ready");
    progressing(&play.see(109.0, &one), "1 of 2 ready");
    failed(&play.see(110.0, &one), "no progress for 60 s: 1 of 2 ready");
}

#[test]
fn a_pod_that_no_node_takes_is_waited_for_longer_if_a_node_is_coming() {
    let pending = PodView {
        ready: false,
        unschedulable: Some("0/1 nodes are available".into()),
        containers: vec![],
        ..pod("shop-1")
    };
    let mut seen = rolling(pending);
    fails_after(
        30.0,
        &seen,
        "no node takes the pod (pod shop-1): 0/1 nodes are available",
    );
    seen.events.push(event(
        "shop-1",
        "TriggeredScaleUp",
        "pod triggered scale-up",
    ));
    fails_after(60.0, &seen, "no node takes the pod");
}

#[test]
fn refused_pods_fail_while_none_is_about_to_leave() {
    let refused = Live {
        updated: 0,
        replicas: 1,
        available: 1,
        replica_failure: Some("exceeded quota: pods".into()),
        ..live(1)
    };
    fails_after(
        5.0,
        &snapshot(refused.clone(), vec![old("a")]),
        "refuses to make pods for Deployment shop: exceeded quota",
    );
    let leaving = PodView {
        ending: true,
        ..old("a")
    };
    progressing(
        &Play::new().see(30.0, &snapshot(refused.clone(), vec![leaving])),
        "0 of 1 ready",
    );
    // A condition that stayed behind is no evidence once the pods are there.
    let stale = Live {
        replica_failure: Some("exceeded quota".into()),
        ..live(1)
    };
    assert_eq!(
        Play::new()
            .until_end(0.0, &snapshot(stale, vec![pod("a")]))
            .1,
        Verdict::Good
    );
}

#[test]
fn the_deployments_own_deadline_counts_once_nothing_moves() {
    let late = Live {
        available: 0,
        late: Some("has timed out progressing".into()),
        ..live(1)
    };
    let seen = snapshot(
        late,
        vec![PodView {
            ready: false,
            ..pod("a")
        }],
    );
    fails_after(5.0, &seen, "past its own progressDeadlineSeconds");
}

#[test]
fn pods_of_former_templates_are_no_evidence() {
    let broken = PodView {
        new: false,
        ..with(crashed(9, ended(1, "Error")))
    };
    let verdict = Play::new().see(
        30.0,
        &rolling(PodView {
            ready: false,
            ..pod("b")
        }),
    );
    progressing(&verdict, "0 of 1 ready");
    let mut seen = rolling(PodView {
        ready: false,
        ..pod("b")
    });
    seen.workloads[0].pods.push(broken);
    progressing(&Play::new().see(30.0, &seen), "0 of 1 ready");
}

#[test]
fn a_paused_or_deleted_deployment_is_told_at_once() {
    let paused = Live {
        paused: true,
        ..live(1)
    };
    failed(
        &Play::new().see(1.0, &snapshot(paused, vec![])),
        "is paused",
    );
    let gone = Snapshot {
        workloads: vec![WorkloadView::default()],
        events: vec![],
    };
    failed(
        &Play::new().see(1.0, &gone),
        "Deployment shop was deleted while it was rolled out",
    );
}
