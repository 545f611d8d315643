//! Deploys to a real cluster. Each test has a namespace of its own.

mod around;
mod failures;
mod late;
mod line;
mod orders;
mod returns;
mod rights;
mod world;

use orders::{Order, web};
use pipelines::deploy::{Phase, PodState};
use pipelines::job::Outcome;
use pipelines::wire::Report;
use world::{World, in_namespace};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_rolled_out_verified_and_replaced_by_the_next() {
    in_namespace(async |world: World| {
        let first = world.deploy(Order::new(1, &web("1", 2))).await;
        assert_eq!(first.finish.outcome, Outcome::Passed, "{first:?}");
        assert_eq!(first.finish.outputs["release"], "1");
        assert_eq!(
            first.steps(),
            ["render", "preflight", "apply", "rollout", "verify"]
        );
        let last = first.last();
        assert_eq!(last.phase, Phase::Done);
        assert!(
            last.pods
                .iter()
                .all(|pod| pod.new && pod.state == PodState::Ready)
        );
        assert_eq!((last.workloads[0].ready, last.workloads[0].old), (2, 0));
        let marks = world.annotations("web").await;
        assert_eq!(marks["seaworthy.dev/deploy"], "1");
        assert_eq!(marks["seaworthy.dev/repository"], "acme/shop");

        let second = world.deploy(Order::new(2, &web("2", 2))).await;
        assert_eq!(second.finish.outcome, Outcome::Passed, "{second:?}");
        let pods = &second.last().pods;
        assert_eq!(pods.len(), 2, "no old pod is left: {pods:?}");
        assert!(
            second
                .pictures()
                .iter()
                .any(|picture| picture.pods.iter().any(|pod| !pod.new))
        );
        assert_eq!(world.sets().await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_release_restarts_no_pod_and_is_verified_at_once() {
    in_namespace(async |world: World| {
        let mut order = Order::new(1, &web("1", 1));
        order.bake_seconds = 1;
        assert_eq!(world.deploy(order).await.finish.outcome, Outcome::Passed);
        let mut order = Order::new(2, &web("1", 1));
        order.bake_seconds = 1;
        let again = world.deploy(order).await;
        assert_eq!(again.finish.outcome, Outcome::Passed, "{again:?}");
        assert!(
            again.notes.iter().any(|note| note.contains("no change")),
            "{again:?}"
        );
        assert_eq!(world.sets().await, 1);
        assert_eq!(world.annotations("web").await["seaworthy.dev/deploy"], "2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_image_is_what_runs() {
    in_namespace(async |world: World| {
        let Some(image) = world::pushed_image().await else {
            world::skipped("no registry at 127.0.0.1:5050 with an image");
            return;
        };
        let mut order = Order::new(
            1,
            &web("1", 1)
                .replace("localhost/busybox:1", "shop:dev")
                .replace("cp /version /www/", "echo v >/www/version"),
        );
        order.images.insert("shop".to_owned(), image.clone());
        let done = world.deploy(order).await;
        assert_eq!(done.finish.outcome, Outcome::Passed, "{done:?}");
        assert_eq!(done.last().pods[0].image, Some(image.to_string()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_attempt_is_adopted_by_the_next() {
    in_namespace(async |world: World| {
        let slow = web("1", 2).replace(
            "periodSeconds: 1",
            "periodSeconds: 1, initialDelaySeconds: 3",
        );
        let killed = world.deploy_until(Order::new(1, &slow), |report| {
            matches!(report, Report::Deploy(progress) if progress.phase == Phase::Rolling)
        }).await;
        let bundle = killed.into_iter().find_map(|report| match report {
            Report::Bundle(bundle) => Some(bundle),
            _ => None,
        });
        let mut order = Order::new(1, "");
        order.attempt = 2;
        order.bundle = Some(bundle.expect("the release was stored before anything was written"));
        let second = world.deploy(order).await;
        assert_eq!(second.finish.outcome, Outcome::Passed, "{second:?}");
        assert!(
            second.notes.iter().any(|note| note.contains("adopted")),
            "{second:?}"
        );
        assert_eq!(world.sets().await, 1, "exactly one revision");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_killed_while_it_writes_is_completed_by_the_next() {
    in_namespace(async |world: World| {
        let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: b}\n---\n";
        let manifest = format!("{config}{}", web("1", 1));
        world
            .deploy_until(
                Order::new(1, &manifest),
                |report| matches!(report, Report::StepStarted { name, .. } if name == "apply"),
            )
            .await;
        let mut order = Order::new(1, &manifest);
        order.attempt = 2;
        let second = world.deploy(order).await;
        assert_eq!(second.finish.outcome, Outcome::Passed, "{second:?}");
        assert_eq!(world.sets().await, 1, "exactly one revision");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_deploy_does_not_pass_a_newer_one() {
    in_namespace(async |world: World| {
        world.deploy(Order::new(9, &web("2", 1))).await;
        let late = world.deploy(Order::new(8, &web("1", 1))).await;
        assert_eq!(late.finish.outcome, Outcome::Superseded, "{late:?}");
        assert!(late.finish.reason.unwrap().contains("deploy #9 is newer"));
        assert_eq!(world.annotations("web").await["seaworthy.dev/deploy"], "9");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_is_reported_and_left() {
    in_namespace(async |world: World| {
        world.deploy(Order::new(1, &web("1", 1))).await;
        world.edit("web", "kubectl-edit", r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"localhost/busybox:2"}]}}}}"#).await;
        let mut order = Order::new(2, &web("1", 1));
        order.bake_seconds = 1;
        let refused = world.deploy(order).await;
        assert_eq!(refused.finish.outcome, Outcome::Failed, "{refused:?}");
        let reason = refused.finish.reason.clone().unwrap();
        assert!(reason.contains("was written by kubectl-edit") && reason.contains("image"), "{reason}");
        assert_eq!(world.annotations("web").await["seaworthy.dev/deploy"], "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_somebody_else_during_the_rollout_is_no_success() {
    in_namespace(async |world: World| {
        let slow = web("1", 1).replace("periodSeconds: 1", "periodSeconds: 1, initialDelaySeconds: 5");
        let order = Order::new(1, &slow);
        let deploy = world.deploy(order);
        let edit = async {
            world.until_exists("web").await;
            let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"localhost/busybox:2"}]}}}}"#;
            world.edit("web", "kubectl-edit", patch).await;
        };
        let (taken, ()) = tokio::join!(deploy, edit);
        assert_eq!(taken.finish.outcome, Outcome::Failed, "{taken:?}");
        assert!(taken.finish.reason.unwrap().contains("was changed by kubectl-edit"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_refused_is_told_at_once_and_nothing_is_written() {
    in_namespace(async |world: World| {
        let conf = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: 1}\n---\n";
        let manifest = format!(
            "{conf}{}",
            web("1", 1).replace("replicas:", "replicaz: 1\n  replicas:")
        );
        let refused = world.deploy(Order::new(1, &manifest)).await;
        assert_eq!(refused.finish.outcome, Outcome::Failed, "{refused:?}");
        let reason = refused.finish.reason.clone().unwrap();
        assert!(
            reason.contains("ConfigMap conf") && reason.contains("replicaz"),
            "{reason}"
        );
        assert_eq!(world.sets().await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_there_is_no_fault_of_the_release() {
    let gone = world::unreachable().await;
    assert_eq!(
        gone.finish.outcome,
        Outcome::InfrastructureError,
        "{gone:?}"
    );
    let reason = gone.finish.reason.unwrap();
    assert!(
        reason.contains("cannot reach the cluster at https://127.0.0.1:1/"),
        "{reason}"
    );
}
