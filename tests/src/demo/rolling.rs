//! The users of the service during the second push, and what they noticed of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::Deserialize;

use super::{PRODUCTION, REPOSITORY, STAGING};
use crate::api::Api;
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::sample::GREETING;
use crate::traffic::{self, Traffic};

/// Requests to the Service of each environment.
pub(super) struct Watch {
    streams: Vec<(&'static str, Traffic)>,
}

#[derive(Deserialize)]
struct Times {
    environment: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl Watch {
    /// Begins once each Service answers: kube-proxy may be a moment later than the pods.
    pub(super) async fn start(cluster: &Cluster) -> Result<Self> {
        let mut streams = Vec::new();
        for (environment, name) in [("staging", STAGING), ("production", PRODUCTION)] {
            let address = cluster.existing_namespace(name).service("shop").await?;
            eventually(
                "the service to answer",
                Duration::from_secs(20),
                async || traffic::ask(address, GREETING).await,
            )
            .await?;
            println!("  sending requests to {environment} at http://{address}/ all the while");
            streams.push((environment, Traffic::start(address, GREETING)));
        }
        Ok(Self { streams })
    }

    /// Ends, and says what was counted. Lost requests are a failure of the demo.
    pub(super) async fn report(self, api: &Api) -> Result<()> {
        println!();
        let mut lost = 0;
        for (environment, stream) in self.streams {
            let counts = stream.stop().await?;
            let seconds = rollout_seconds(api, environment).await?;
            println!(
                "  {environment}: rolling update verified in {seconds:.1} s; {} requests sent \
                 meanwhile, {} failed",
                counts.sent, counts.failed
            );
            let answers: Vec<String> = counts.answers.into_iter().collect();
            println!("  {environment}: answers seen: {}", answers.join("; "));
            counts
                .failures
                .iter()
                .for_each(|failure| println!("    {failure}"));
            lost += counts.failed;
        }
        ensure!(
            lost == 0,
            "{lost} requests were lost during the rolling updates"
        );
        Ok(())
    }
}

/// How long the newest deploy to an environment took.
async fn rollout_seconds(api: &Api, environment: &str) -> Result<f64> {
    let mut newest = None;
    for number in 1.. {
        let path = format!("/api/v1/repos/{REPOSITORY}/deploys/{number}");
        let Ok(times) = api.read::<Times>(&path).await else {
            break;
        };
        if times.environment == environment {
            newest = Some(times);
        }
    }
    let times = newest.with_context(|| format!("nothing was deployed to {environment}"))?;
    let (from, to) = times
        .started_at
        .zip(times.finished_at)
        .context("the deploy has not ended")?;
    Ok(to.duration_since(from).as_secs_f64())
}
