//! What success takes, and what is none.

use super::*;

#[test]
fn a_rollout_is_good_after_a_bake_without_a_death() {
    let mut play = Play::new();
    let whole = snapshot(live(2), vec![pod("a"), pod("b")]);
    assert!(matches!(play.see(1.0, &whole), Verdict::Baking { until } if until == at(11.0)));
    assert!(matches!(play.see(10.9, &whole), Verdict::Baking { .. }));
    assert_eq!(play.see(11.0, &whole), Verdict::Good);
}

#[test]
fn nothing_is_judged_before_our_generation_is_observed() {
    let mut play = Play::new();
    // The old state, healthy: what the cluster shows in the first moments after a change.
    let early = Live {
        observed: 1,
        ..live(1)
    };
    for seconds in [1.0, 12.0, 30.0] {
        progressing(
            &play.see(seconds, &snapshot(early.clone(), vec![old("a")])),
            "not yet acted on",
        );
    }
    // The old state, failed: not ours either.
    let mut play = Play::new();
    let late = Live {
        observed: 1,
        late: Some("too long".into()),
        replica_failure: Some("quota".into()),
        ..live(1)
    };
    progressing(&play.see(30.0, &snapshot(late, vec![])), "not yet acted on");
}

#[test]
fn an_old_pod_that_is_still_ending_is_waited_for() {
    let mut play = Play::new();
    let ending = PodView {
        ending: true,
        ready: false,
        ..old("a")
    };
    let verdict = play.see(1.0, &snapshot(live(1), vec![ending, pod("b")]));
    progressing(&verdict, "1 of 1 ready, waiting for 1 old pod to end");
}

#[test]
fn counts_of_the_deployment_alone_are_not_believed() {
    let mut play = Play::new();
    progressing(
        &play.see(1.0, &snapshot(live(2), vec![pod("a")])),
        "1 of 2 ready",
    );
    let unready = PodView {
        ready: false,
        ..pod("b")
    };
    progressing(
        &play.see(2.0, &snapshot(live(2), vec![pod("a"), unready])),
        "1 of 2 ready",
    );
}

#[test]
fn counts_of_the_pods_alone_are_not_believed() {
    let mut play = Play::new();
    let behind = Live {
        available: 1,
        ..live(2)
    };
    progressing(
        &play.see(1.0, &snapshot(behind, vec![pod("a"), pod("b")])),
        "1 of 2 available",
    );
    let surging = Live {
        replicas: 3,
        ..live(2)
    };
    progressing(
        &play.see(2.0, &snapshot(surging, vec![pod("a"), pod("b")])),
        "old pod",
    );
}

#[test]
fn a_slow_crash_in_the_bake_is_no_success() {
    let mut play = Play::new();
    play.see(1.0, &snapshot(live(1), vec![pod("a")]));
    // Dead: the counts break. Then it runs again, and everything looks well.
    let dead = ContainerView {
        ready: false,
        state: ContainerState::Terminated(ended(7, "Error")),
        ..container("shop")
    };
    let broken = Live {
        available: 0,
        ..live(1)
    };
    let dead = PodView {
        ready: false,
        containers: vec![dead],
        ..pod("a")
    };
    failed(
        &play.see(5.0, &snapshot(broken, vec![dead])),
        "ended within the 10 s of the bake (exit code 7)",
    );
    let again = ContainerView {
        restarts: 1,
        last: Some(ended(7, "Error")),
        ..container("shop")
    };
    let again = PodView {
        containers: vec![again],
        ..pod("a")
    };
    failed(
        &play.see(6.0, &snapshot(live(1), vec![again])),
        "exit code 7",
    );
}

#[test]
fn a_restart_before_the_counts_were_right_is_forgiven() {
    let mut play = Play::new();
    let once = ContainerView {
        restarts: 1,
        last: Some(ended(1, "Error")),
        ..container("shop")
    };
    let calm = snapshot(
        live(1),
        vec![PodView {
            containers: vec![once],
            ..pod("a")
        }],
    );
    let (seconds, verdict) = play.until_end(1.0, &calm);
    assert_eq!((seconds, verdict), (10.0, Verdict::Good));
}

#[test]
fn losing_a_pod_in_the_bake_begins_the_bake_anew() {
    let mut play = Play::new();
    play.see(1.0, &snapshot(live(1), vec![pod("a")]));
    let unready = PodView {
        ready: false,
        ..pod("a")
    };
    progressing(
        &play.see(
            8.0,
            &snapshot(
                Live {
                    available: 0,
                    ..live(1)
                },
                vec![unready],
            ),
        ),
        "0 of 1 ready",
    );
    let whole = snapshot(live(1), vec![pod("a")]);
    assert!(matches!(play.see(9.0, &whole), Verdict::Baking { until } if until == at(19.0)));
}

#[test]
fn another_digest_than_ours_is_no_success() {
    let mut play = Play::pinned();
    let other = format!("acme/shop@{}", DIGEST.replace('0', "f"));
    let wrong = with(ContainerView {
        image_id: other,
        ..container("shop")
    });
    let (seconds, verdict) = play.until_end(1.0, &snapshot(live(1), vec![wrong]));
    failed(&verdict, "runs another image than the one deployed");
    assert!(seconds < 5.0);
    let mut play = Play::pinned();
    let unknown = with(ContainerView {
        image_id: String::new(),
        ..container("shop")
    });
    progressing(
        &play.see(1.0, &snapshot(live(1), vec![unknown])),
        "not confirmed yet",
    );
    assert!(matches!(
        Play::pinned().see(1.0, &snapshot(live(1), vec![pod("a")])),
        Verdict::Baking { .. }
    ));
}

#[test]
fn no_replicas_are_no_failure() {
    assert_eq!(
        Play::new().see(1.0, &snapshot(live(0), vec![])),
        Verdict::Good
    );
    progressing(
        &Play::new().see(1.0, &snapshot(live(0), vec![old("a")])),
        "waiting for 1 old pod",
    );
}

#[test]
fn an_unchanged_release_is_good_at_once_if_its_pods_are_old_and_calm() {
    let mut play = Play::new();
    play.targets[0].change = Change::Unchanged;
    let calm = snapshot(live(1), vec![pod("a")]);
    assert!(
        matches!(play.see(5.0, &calm), Verdict::Baking { .. }),
        "the pod is 5 s old"
    );
    assert_eq!(play.see(11.0, &calm), Verdict::Good);
    let mut play = Play::new();
    play.targets[0].change = Change::Unchanged;
    let once = ContainerView {
        restarts: 1,
        ..container("shop")
    };
    let restarted = snapshot(
        live(1),
        vec![PodView {
            containers: vec![once],
            ..pod("a")
        }],
    );
    assert!(
        matches!(play.see(100.0, &restarted), Verdict::Baking { .. }),
        "it has restarted before"
    );
}

#[test]
fn a_foreign_change_is_a_takeover_and_names_its_author() {
    let taken = Live {
        generation: 3,
        ours: false,
        last_writer: Some("kubectl-edit".into()),
        ..live(1)
    };
    let verdict = Play::new().see(1.0, &snapshot(taken, vec![pod("a")]));
    let by = Taker::Manager {
        object: "Deployment shop".into(),
        manager: "kubectl-edit".into(),
    };
    assert_eq!(verdict, Verdict::TakenOver { by });
}

#[test]
fn a_newer_deploy_is_a_takeover_even_with_the_same_spec() {
    let newer = Live {
        deploy: Some(8),
        ..live(1)
    };
    let verdict = Play::new().see(1.0, &snapshot(newer, vec![pod("a")]));
    assert_eq!(
        verdict,
        Verdict::TakenOver {
            by: Taker::Deploy(8)
        }
    );
}

#[test]
fn an_autoscaler_that_changes_the_number_takes_nothing_over() {
    let scaled = Live {
        generation: 3,
        observed: 3,
        ..live(2)
    };
    assert!(matches!(
        Play::new().see(1.0, &snapshot(scaled, vec![pod("a"), pod("b")])),
        Verdict::Baking { .. }
    ));
    let behind = Live {
        generation: 3,
        observed: 2,
        ..live(2)
    };
    progressing(
        &Play::new().see(1.0, &snapshot(behind, vec![pod("a"), pod("b")])),
        "not yet acted on",
    );
}

#[test]
fn pods_that_were_evicted_hold_no_place() {
    let gone = PodView {
        ended: true,
        ready: false,
        ..old("a")
    };
    let evicted = PodView {
        ended: true,
        ready: false,
        ..pod("b")
    };
    let verdict = Play::new().see(1.0, &snapshot(live(1), vec![gone, evicted, pod("c")]));
    assert!(matches!(verdict, Verdict::Baking { .. }), "{verdict:?}");
}
