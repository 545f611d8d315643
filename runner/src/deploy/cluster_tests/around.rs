//! What happens around a rollout: an autoscaler, a broken line, a person who stops it.

use std::time::Duration;

use pipelines::job::Outcome;

use super::orders::{Order, web};
use super::world::{World, in_namespace};

const AUTOSCALER: &str = "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
";

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscalers_number_survives_deploys() {
    in_namespace(async |world: World| {
        // The first deploy owns the number; with the second an autoscaler comes.
        let first = world.deploy(Order::new(1, &web("1", 1))).await;
        assert_eq!(first.finish.outcome, Outcome::Passed, "{first:?}");
        let scaled = world
            .deploy(Order::new(2, &format!("{AUTOSCALER}{}", web("1", 1))))
            .await;
        assert_eq!(scaled.finish.outcome, Outcome::Passed, "{scaled:?}");
        while world.replicas("web").await != Some(2) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let third = world
            .deploy(Order::new(3, &format!("{AUTOSCALER}{}", web("2", 1))))
            .await;
        assert_eq!(third.finish.outcome, Outcome::Passed, "{third:?}");
        assert_eq!(world.replicas("web").await, Some(2));
        assert_eq!(third.last().workloads[0].ready, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_the_number_out_of_the_manifest_does_not_reset_it() {
    in_namespace(async |world: World| {
        world.deploy(Order::new(1, &web("1", 2))).await;
        let without = world
            .deploy(Order::new(2, &web("1", 2).replace("  replicas: 2\n", "")))
            .await;
        assert_eq!(without.finish.outcome, Outcome::Passed, "{without:?}");
        assert_eq!(world.replicas("web").await, Some(2));
    })
    .await;
}

/// F28
#[tokio::test(flavor = "multi_thread")]
async fn time_without_sight_of_the_cluster_does_not_count() {
    in_namespace(async |world: World| {
        let line = world.line().await;
        let slow = web("1", 1).replace(
            "periodSeconds: 1",
            "periodSeconds: 1, initialDelaySeconds: 5",
        );
        let mut order = Order::new(1, &slow);
        order.deadline_seconds = 12;
        let deploy = world.deploy_over(&line, order);
        let cut = async {
            world.until_exists("web").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            line.cut();
            tokio::time::sleep(Duration::from_secs(15)).await;
            line.mend();
        };
        let (done, ()) = tokio::join!(deploy, cut);
        assert_eq!(done.finish.outcome, Outcome::Passed, "{done:?}");
        assert!(done.rollout_seconds() > 15.0);
        let blind = |note: &String| note.contains("the time without sight does not count");
        assert!(done.notes.iter().any(blind), "{:?}", done.notes);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_but_events_are_not_needed() {
    in_namespace(async |world: World| {
        let limited = world.limited().await;
        world.grant("apps", &["deployments", "replicasets"]).await;
        let blind = limited.deploy(Order::new(1, &web("1", 1))).await;
        assert_eq!(
            blind.finish.outcome,
            Outcome::InfrastructureError,
            "{blind:?}"
        );
        let reason = blind.finish.reason.unwrap();
        assert!(reason.contains("refuses list on pods"), "{reason}");
        world.grant("", &["pods"]).await;
        let done = limited.deploy(Order::new(2, &web("1", 1))).await;
        assert_eq!(done.finish.outcome, Outcome::Passed, "{done:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_deploy_says_what_it_leaves() {
    in_namespace(async |world: World| {
        let slow = web("1", 1).replace(
            "periodSeconds: 1",
            "periodSeconds: 1, initialDelaySeconds: 30",
        );
        let order = Order::new(1, &slow);
        let stop = order.stop.clone();
        let deploy = world.deploy(order);
        let stopping = async {
            world.until_exists("web").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        };
        let (stopped, ()) = tokio::join!(deploy, stopping);
        assert_eq!(stopped.finish.outcome, Outcome::Cancelled, "{stopped:?}");
        let verdict = stopped.last().verdict;
        assert!(
            verdict.contains("the cluster goes on rolling it out; no pod serves"),
            "{verdict}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_deployment_is_refused_before_anything_is_written() {
    in_namespace(async |world: World| {
        world.deploy(Order::new(1, &web("1", 1))).await;
        world
            .edit("web", "kubectl-rollout", r#"{"spec":{"paused":true}}"#)
            .await;
        let refused = world.deploy(Order::new(2, &web("2", 1))).await;
        assert_eq!(refused.finish.outcome, Outcome::Failed, "{refused:?}");
        let reason = refused.finish.reason.unwrap();
        assert!(
            reason.contains("Deployment web was paused by hand"),
            "{reason}"
        );
        assert_eq!(world.annotations("web").await["seaworthy.dev/deploy"], "1");
    })
    .await;
}
