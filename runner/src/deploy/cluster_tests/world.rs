//! A namespace of a real cluster, and deploys into it.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use pipelines::job::Outcome;
use pipelines::log::Record;
use pipelines::names::PinnedImage;
use pipelines::wire::{AssignedDeploy, Assignment, Bundle, Report};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::orders::{Order, Told, assignment, web};
use crate::deploy::cluster::{Cluster, connect};
use crate::deploy::steps::Steps;
use crate::deploy::{DeployJob, apply, run, stages};
use crate::logs::JobLog;
use crate::report::Reporter;

/// Where `dev/cluster` puts the credentials.
fn kubeconfig() -> PathBuf {
    let home = std::env::var("HOME").unwrap();
    let usual = Path::new(&home).join(".cache/seaworthy-kubernetes/run/admin.kubeconfig");
    std::env::var("KUBECONFIG").map_or(usual, PathBuf::from)
}

/// What cannot run says so; where engines are required, it fails.
pub(super) fn skipped(why: &str) {
    assert!(
        std::env::var("SEAWORTHY_REQUIRE_ENGINES").as_deref() != Ok("1"),
        "{why}"
    );
    eprintln!("SKIPPED: {why}. Run `dev/cluster up` first.");
}

pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) kubeconfig: PathBuf,
    pub(super) namespace: String,
}

/// Runs a test in a namespace of its own, which is deleted without waiting.
pub(super) async fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let kubeconfig = kubeconfig();
    let cluster = match connect(Some(&kubeconfig)).await {
        Ok(cluster) => cluster,
        Err(why) => return skipped(&why),
    };
    if let Err(fault) = cluster.version().await {
        return skipped(&format!("no cluster at {}: {}", cluster.url, fault.words()));
    }
    let namespace = format!(
        "deploy-{}",
        ulid::Ulid::generate().to_string().to_lowercase()
    );
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), &namespace);
    while accounts.get_opt("default").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let world = World {
        cluster,
        kubeconfig,
        namespace: namespace.clone(),
    };
    let outcome = AssertUnwindSafe(test(world)).catch_unwind().await;
    namespaces
        .delete(&namespace, &DeleteParams::background().grace_period(0))
        .await
        .ok();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// A running deploy and what it tells.
struct Listening {
    voices: Voices,
    reports: tokio::sync::mpsc::UnboundedReceiver<Report>,
    notes: tokio::task::JoinHandle<Vec<String>>,
}

struct Voices {
    reporter: Reporter,
    log: JobLog,
}

fn listening() -> Listening {
    let (reporter, reports) = Reporter::local();
    let (log, mut lines) = JobLog::local();
    let notes = tokio::spawn(async move {
        let mut notes = Vec::new();
        while let Some(bytes) = lines.next().await {
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let record = Record::read(line);
            notes.push(String::from_utf8_lossy(record.text).into_owned());
        }
        notes
    });
    Listening {
        voices: Voices { reporter, log },
        reports,
        notes,
    }
}

impl World {
    pub(super) async fn deploy(&self, order: Order) -> Told {
        deploy(&self.kubeconfig, &self.namespace, order).await
    }

    /// Deploys over a line that can be cut.
    pub(super) async fn deploy_over(&self, line: &Line, order: Order) -> Told {
        deploy(&line.kubeconfig, &self.namespace, order).await
    }

    /// Rehearses a deploy over a line, and leaves the writing for later.
    pub(super) async fn rehearse(&self, line: &Line, order: Order) -> Rehearsed {
        let cluster = connect(Some(&line.kubeconfig)).await.unwrap();
        let bundle = Bundle {
            objects: vec![serde_saphyr::from_str(&order.manifest).unwrap()],
        };
        let (assignment, work) = assignment(&self.namespace, &order);
        let marks = apply::annotations(&assignment, &work);
        let prepared = apply::prepare(&cluster, &self.namespace, &bundle, &marks).await;
        let Listening {
            voices, reports, ..
        } = listening();
        Rehearsed {
            prepared: prepared.unwrap(),
            reports: Some(reports),
            voices,
            assignment,
            work,
            order,
        }
    }

    /// A line to the cluster that can be cut.
    pub(super) async fn line(&self) -> Line {
        Line::to(&self.cluster.url, &self.kubeconfig).await
    }

    pub(super) async fn replicas(&self, name: &str) -> Option<i32> {
        self.deployments()
            .get(name)
            .await
            .unwrap()
            .spec
            .unwrap()
            .replicas
    }

    /// Kills a deploy as soon as it has told this: its future is dropped.
    pub(super) async fn deploy_until(
        &self,
        order: Order,
        enough: impl Fn(&Report) -> bool,
    ) -> Vec<Report> {
        let Listening {
            voices,
            mut reports,
            ..
        } = listening();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.yaml"), &order.manifest).unwrap();
        let (assignment, work) = assignment(&self.namespace, &order);
        let job = job(
            &assignment,
            &work,
            folder.path(),
            (&voices, &order.stop),
            &self.kubeconfig,
        );
        let mut seen = Vec::new();
        let told = async {
            while let Some(report) = reports.recv().await {
                let is_enough = enough(&report);
                seen.push(report);
                if is_enough {
                    return;
                }
            }
        };
        tokio::select! {
            finish = run(job) => panic!("it ended before it was killed: {finish:?}"),
            () = told => seen,
        }
    }

    /// The image that the workload names now.
    pub(super) async fn image(&self, name: &str) -> String {
        let spec = self.deployments().get(name).await.unwrap().spec.unwrap();
        let pod = spec.template.spec.unwrap();
        pod.containers[0].image.clone().unwrap()
    }
    pub(super) async fn annotations(&self, name: &str) -> BTreeMap<String, String> {
        self.deployments()
            .get(name)
            .await
            .unwrap()
            .annotations()
            .clone()
    }
    pub(super) async fn sets(&self) -> usize {
        let api = Api::<ReplicaSet>::namespaced(self.cluster.client.clone(), &self.namespace);
        api.list(&ListParams::default()).await.unwrap().items.len()
    }
    pub(super) async fn edit(&self, name: &str, manager: &str, patch: &str) {
        let patch: serde_json::Value = serde_json::from_str(patch).unwrap();
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        self.deployments()
            .patch(name, &params, &Patch::Strategic(patch))
            .await
            .unwrap();
    }
    pub(super) async fn until_exists(&self, name: &str) {
        while self.deployments().get_opt(name).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    pub(super) async fn quota(&self, pods: u32) {
        let api = Api::<ResourceQuota>::namespaced(self.cluster.client.clone(), &self.namespace);
        let quota =
            json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": pods.to_string()}}});
        let quota = serde_json::from_value(quota).unwrap();
        api.create(&PostParams::default(), &quota).await.unwrap();
        // It counts once its controller has seen it.
        while api
            .get("pods")
            .await
            .unwrap()
            .status
            .and_then(|status| status.used)
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}

/// A deploy before anything is written.
pub(super) struct Rehearsed {
    /// The lease is lost with it, as soon as something is reported.
    pub(super) reports: Option<tokio::sync::mpsc::UnboundedReceiver<Report>>,
    prepared: apply::Prepared,
    voices: Voices,
    assignment: Assignment,
    work: AssignedDeploy,
    order: Order,
}

impl Rehearsed {
    pub(super) fn reporter(&self) -> Reporter {
        self.voices.reporter.clone()
    }
    /// How many targets there are to follow, or the early end.
    pub(super) async fn write(&self) -> Result<usize, (Outcome, String)> {
        let nowhere = Path::new("/");
        let voices = (&self.voices, &self.order.stop);
        let job = job(&self.assignment, &self.work, nowhere, voices, nowhere);
        let steps = Steps::new(job.reporter, job.log);
        let targets = stages::write(&job, &self.prepared, &steps).await;
        targets
            .map(|targets| targets.len())
            .map_err(|early| (early.outcome, early.reason))
    }
}

/// A deploy to a port where nobody listens.
pub(super) async fn unreachable() -> Told {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: k\ncontexts: [{name: k, context: {cluster: k, user: k}}]\nclusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: k, user: {token: t}}]\n";
    std::fs::write(&kubeconfig, text).unwrap();
    deploy(&kubeconfig, "shop", Order::new(1, &web("1", 1))).await
}

pub(super) async fn deploy(kubeconfig: &Path, namespace: &str, order: Order) -> Told {
    let Listening {
        voices,
        reports: mut coming,
        notes,
    } = listening();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.yaml"), &order.manifest).unwrap();
    let (assignment, work) = assignment(namespace, &order);
    let job = job(
        &assignment,
        &work,
        folder.path(),
        (&voices, &order.stop),
        kubeconfig,
    );
    let mut reports = Vec::new();
    let finish = {
        let running = run(job);
        tokio::pin!(running);
        loop {
            tokio::select! {
                finish = &mut running => break finish,
                Some(report) = coming.recv() => reports.push((Instant::now(), report)),
            }
        }
    };
    drop(voices);
    while let Some(report) = coming.recv().await {
        reports.push((Instant::now(), report));
    }
    Told {
        finish,
        reports,
        notes: notes.await.unwrap(),
    }
}

fn job<'a>(
    assignment: &'a Assignment,
    deploy: &'a AssignedDeploy,
    checkout: &'a Path,
    (voices, stop): (&'a Voices, &CancellationToken),
    kubeconfig: &'a Path,
) -> DeployJob<'a> {
    DeployJob {
        assignment,
        deploy,
        checkout: Some(checkout),
        reporter: &voices.reporter,
        log: &voices.log,
        stop: stop.clone(),
        kubeconfig: Some(kubeconfig),
    }
}

/// An image of the local registry, by its digest.
pub(super) async fn pushed_image() -> Option<PinnedImage> {
    let base = "http://127.0.0.1:5050/v2/base/busybox";
    let client = reqwest::Client::new();
    let tags: serde_json::Value = client
        .get(format!("{base}/tags/list"))
        .send()
        .await
        .ok()?
        .json()
        .await
        .ok()?;
    let tag = tags["tags"][0].as_str()?;
    let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    let manifest = client
        .get(format!("{base}/manifests/{tag}"))
        .header("Accept", accept)
        .send()
        .await
        .ok()?;
    let digest = manifest
        .headers()
        .get("Docker-Content-Digest")?
        .to_str()
        .ok()?;
    Some(PinnedImage {
        repository: "127.0.0.1:5050/base/busybox".parse().ok()?,
        digest: digest.parse().ok()?,
    })
}
