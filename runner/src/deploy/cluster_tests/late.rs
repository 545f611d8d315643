//! What happens between the rehearsal of a release and its writing.

use std::time::Duration;

use pipelines::job::Outcome;
use pipelines::wire::Report;

use super::orders::{Order, web};
use super::world::{World, in_namespace};

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_deploy_that_comes_after_the_rehearsal_is_not_overwritten() {
    in_namespace(async |world: World| {
        let line = world.line().await;
        let late = world.rehearse(&line, Order::new(8, &web("1", 1))).await;
        world.deploy(Order::new(9, &web("2", 1))).await;
        let (outcome, reason) = late.write().await.expect_err("a newer one is there");
        assert_eq!(outcome, Outcome::Superseded, "{reason}");
        assert!(reason.contains("deploy #9 is newer"), "{reason}");
        assert_eq!(world.annotations("web").await["seaworthy.dev/deploy"], "9");
        assert_eq!(world.sets().await, 1);
    })
    .await;
}

/// F28
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lost_while_the_cluster_is_away_ends_the_writing() {
    in_namespace(async |world: World| {
        let line = world.line().await;
        let mut late = world.rehearse(&line, Order::new(1, &web("1", 1))).await;
        line.cut();
        let (reports, reporter) = (late.reports.take(), late.reporter());
        let lose = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(reports);
            let step = Report::StepStarted {
                step: 0,
                name: "apply".to_owned(),
                at: crate::clock::now(),
            };
            reporter.send(step).await.expect_err("nobody listens");
            line.mend();
        };
        let (written, ()) = tokio::join!(late.write(), lose);
        let (outcome, reason) = written.expect_err("the lease is gone");
        assert_eq!(outcome, Outcome::Cancelled, "{reason}");
        assert!(reason.contains("has been taken away"), "{reason}");
        assert_eq!(world.sets().await, 0);
    })
    .await;
}
