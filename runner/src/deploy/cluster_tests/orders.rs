//! Deploys to make, and what they told.

use std::collections::BTreeMap;
use std::time::Instant;

use pipelines::deploy::DeployProgress;
use pipelines::event::EventKind;
use pipelines::ids::{Attempt, DeployNumber, Fence, JobId, ReleaseNumber, RunNumber};
use pipelines::names::PinnedImage;
use pipelines::plan::{DeployWork, OnFailure, ReleaseSource, Strategy, Verify};
use pipelines::wire::{
    AssignedDeploy, AssignedWork, Assignment, Bundle, Fallback, LeaseProof, Report, RunFacts,
};

use tokio_util::sync::CancellationToken;

use crate::report::Finish;

/// One deploy.
pub(super) struct Order {
    pub(super) number: i64,
    pub(super) attempt: u32,
    pub(super) manifest: String,
    pub(super) images: BTreeMap<String, PinnedImage>,
    pub(super) bundle: Option<Bundle>,
    pub(super) fallback: Option<Fallback>,
    pub(super) on_failure: OnFailure,
    pub(super) bake_seconds: u32,
    pub(super) deadline_seconds: u32,
    pub(super) stop: CancellationToken,
}

impl Order {
    pub(super) fn new(number: i64, manifest: &str) -> Self {
        Self {
            number,
            attempt: 1,
            manifest: manifest.to_owned(),
            images: BTreeMap::new(),
            bundle: None,
            fallback: None,
            on_failure: OnFailure::Rollback,
            bake_seconds: 2,
            deadline_seconds: 90,
            stop: CancellationToken::new(),
        }
    }
}

/// What a deploy told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) finish: Finish,
    pub(super) reports: Vec<(Instant, Report)>,
    pub(super) notes: Vec<String>,
}

impl Told {
    pub(super) fn pictures(&self) -> Vec<DeployProgress> {
        let reports = self.reports.iter();
        reports
            .filter_map(|(_, report)| match report {
                Report::Deploy(progress) => Some((**progress).clone()),
                _ => None,
            })
            .collect()
    }
    pub(super) fn last(&self) -> DeployProgress {
        self.pictures().pop().unwrap()
    }
    pub(super) fn steps(&self) -> Vec<String> {
        let reports = self.reports.iter();
        reports
            .filter_map(|(_, report)| match report {
                Report::StepStarted { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect()
    }
    /// From the end of applying to the verdict.
    pub(super) fn rollout_seconds(&self) -> f64 {
        let began = self.reports.iter().find_map(|(at, report)| {
            matches!(report, Report::StepStarted { name, .. } if name == "rollout").then_some(*at)
        });
        let ended = self.reports.last().unwrap().0;
        began.map_or(0.0, |began| (ended - began).as_secs_f64())
    }
}

/// A Deployment `web` of one replica whose container has these fields.
pub(super) fn deployment(fields: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: localhost/busybox:1
        {fields}
"
    )
}

/// One whose container runs this script.
pub(super) fn crash(script: &str) -> String {
    deployment(&format!("command: [sh, -c, '{script}']"))
}

/// A web server that answers with its version.
pub(super) fn web(version: &str, replicas: u32) -> String {
    let serve = "mkdir -p /www; cp /version /www/; exec httpd -f -p 8080 -h /www";
    let fields = format!(
        "command: [sh, -c, '{serve}']\n        readinessProbe: {{httpGet: {{path: /version, port: 8080}}, periodSeconds: 1}}"
    );
    deployment(&fields)
        .replace("busybox:1", &format!("busybox:{version}"))
        .replace("replicas: 1", &format!("replicas: {replicas}"))
}

/// The job that the server would hand out for it.
pub(super) fn assignment(namespace: &str, order: &Order) -> (Assignment, AssignedDeploy) {
    let deploy = AssignedDeploy {
        number: DeployNumber(order.number),
        release: ReleaseNumber(order.number),
        work: DeployWork {
            environment: "staging".parse().unwrap(),
            namespace: namespace.parse().unwrap(),
            source: ReleaseSource::Manifests {
                path: "app.yaml".to_owned(),
                images: BTreeMap::new(),
                before: Vec::new(),
            },
            strategy: Strategy::Rolling,
            verify: Verify {
                bake_seconds: order.bake_seconds,
                deadline_seconds: order.deadline_seconds,
                http: None,
            },
            on_failure: order.on_failure,
        },
        images: order.images.clone(),
        bundle: order.bundle.clone(),
        fallback: order.fallback.clone(),
    };
    let assignment = Assignment {
        job: JobId(1),
        lease: LeaseProof {
            attempt: Attempt(order.attempt),
            fence: Fence(1),
        },
        name: "deploy".parse().unwrap(),
        run: RunFacts {
            repository: "acme/shop".parse().unwrap(),
            number: RunNumber(7),
            commit: "4f2a91c0000000000000000000000000000000aa".parse().unwrap(),
            branch: Some("main".parse().unwrap()),
            tag: None,
            pull_request: None,
            event: EventKind::Push,
            author: "ada".to_owned(),
            url: "http://localhost/run".to_owned(),
        },
        timeout_seconds: 600,
        log_offset: 0,
        is_repeated_if_lost: false,
        work: AssignedWork::Deploy(Box::new(deploy.clone())),
    };
    (assignment, deploy)
}
