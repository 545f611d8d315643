//! The way back from a release that fails, on a real cluster.

use pipelines::deploy::{Phase, RollbackState};
use pipelines::job::Outcome;
use pipelines::plan::OnFailure;
use pipelines::wire::{Bundle, Fallback, Report};

use super::orders::{Order, Told, deployment, web};
use super::world::{World, in_namespace};

const BEFORE: &str = "1111111000000000000000000000000000000001";

/// Deploys a good release, as #1, and returns it as what later ones return to.
async fn verified(world: &World) -> Fallback {
    let told = world.deploy(Order::new(1, &web("1", 2))).await;
    assert_eq!(told.finish.outcome, Outcome::Passed, "{told:?}");
    Fallback {
        release: pipelines::ids::ReleaseNumber(1),
        run: pipelines::ids::RunNumber(6),
        commit: BEFORE.parse().unwrap(),
        bundle: bundle(&told),
    }
}

fn bundle(told: &Told) -> Bundle {
    let mut reports = told.reports.iter();
    let bundle = reports.find_map(|(_, report)| match report {
        Report::Bundle(bundle) => Some(bundle.clone()),
        _ => None,
    });
    bundle.unwrap()
}

fn bad(number: i64, fallback: &Fallback) -> Order {
    // Without a probe it would count as ready while it runs.
    let manifest = deployment(
        "command: [sh, -c, 'echo cannot find the database; exit 3']
        readinessProbe: {exec: {command: ['false']}}",
    );
    let mut order = Order::new(number, &manifest.replace("replicas: 1", "replicas: 2"));
    order.fallback = Some(fallback.clone());
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_release_is_left_for_the_last_verified_one() {
    in_namespace(async |world: World| {
        let fallback = verified(&world).await;
        let told = world.deploy(bad(2, &fallback)).await;
        assert_eq!(told.finish.outcome, Outcome::Failed);
        let reason = told.finish.reason.clone().unwrap();
        assert!(
            reason.contains("container web exits with code 3"),
            "{reason}"
        );
        assert!(
            reason.contains(
                "Rolled back: 1111111 (release #1) runs in staging again, 2 of 2 pods ready"
            ),
            "{reason}"
        );
        assert_eq!(told.finish.outputs["rolled_back_to"], "1");
        assert_eq!(told.steps().last().unwrap(), "roll back");
        let last = told.last();
        let rollback = last.rollback.unwrap();
        assert_eq!(
            (last.phase, rollback.state),
            (Phase::Done, RollbackState::Verified)
        );
        assert!(
            last.causes[0]
                .lines
                .contains(&"cannot find the database".to_owned())
        );
        let marks = world.annotations("web").await;
        let mark = |name: &str| marks[&format!("seaworthy.dev/{name}")].clone();
        assert_eq!(
            [mark("deploy"), mark("release"), mark("run"), mark("commit")],
            ["2", "1", "6", BEFORE]
        );
        assert_eq!(world.image("web").await, "localhost/busybox:1");
        assert_eq!(world.sets().await, 2, "the former ReplicaSet is used again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rollback_is_carried_on_and_the_bad_release_not_applied_again() {
    in_namespace(async |world: World| {
        let fallback = verified(&world).await;
        let reports = world
            .deploy_until(bad(2, &fallback), |report| {
                matches!(report, Report::Deploy(progress)
                    if progress.phase == Phase::RollingBack && progress.verdict.starts_with("Rolling out"))
            })
            .await;
        let bundle = reports.into_iter().find_map(|report| match report {
            Report::Bundle(bundle) => Some(bundle),
            _ => None,
        });
        let mut order = bad(2, &fallback);
        order.attempt = 2;
        order.bundle = bundle;
        let told = world.deploy(order).await;
        let reason = told.finish.reason.clone().unwrap();
        assert!(reason.contains("container web exits with code 3"), "{reason}");
        assert!(reason.contains("Rolled back: 1111111 (release #1)"), "{reason}");
        assert_eq!(told.steps(), ["render", "preflight", "roll back"]);
        assert_eq!(world.sets().await, 2, "no revision more");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_fails_is_said_so_and_not_repeated() {
    in_namespace(async |world: World| {
        let mut fallback = verified(&world).await;
        // What was verified once does not run any more.
        let container =
            &mut fallback.bundle.objects[0]["spec"]["template"]["spec"]["containers"][0];
        container["image"] = format!("127.0.0.1:5050/base/gone@sha256:{}", "a".repeat(64)).into();
        let told = world.deploy(bad(2, &fallback)).await;
        assert_eq!(told.finish.outcome, Outcome::Failed);
        let reason = told.finish.reason.clone().unwrap();
        assert!(
            reason.contains("The rollback to release #1 failed as well: "),
            "{reason}"
        );
        assert!(reason.contains("Nothing more is tried"), "{reason}");
        assert_eq!(told.last().rollback.unwrap().state, RollbackState::Failed);
        assert!(!told.finish.outputs.contains_key("rolled_back_to"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_environment_says_hold_a_failed_release_stays() {
    in_namespace(async |world: World| {
        let fallback = verified(&world).await;
        let mut order = bad(2, &fallback);
        order.on_failure = OnFailure::Hold;
        let told = world.deploy(order).await;
        let reason = told.finish.reason.clone().unwrap();
        assert!(
            reason.contains("Nothing was rolled back: staging says `on_failure: hold`"),
            "{reason}"
        );
        assert_eq!(world.annotations("web").await["seaworthy.dev/release"], "2");
    })
    .await;
}
