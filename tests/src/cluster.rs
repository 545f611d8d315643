//! The Kubernetes cluster as a story looks at it: a fresh namespace, and what is in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace as Kubernetes, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, PostParams};

use crate::eventually::eventually;

/// Pods that ignore TERM keep their namespace for their whole grace.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// The cluster of `KUBECONFIG`.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

impl Cluster {
    /// Reads the kubeconfig.
    pub async fn connect() -> Result<Self> {
        std::env::var("KUBECONFIG").context("KUBECONFIG is not set")?;
        crate::install_tls();
        Ok(Self {
            client: kube::Client::try_default().await?,
        })
    }

    /// Asks whether it is there.
    pub async fn ping(&self) -> Result<()> {
        self.client
            .apiserver_version()
            .await
            .context("the cluster does not answer")?;
        Ok(())
    }

    /// A namespace of this name that did not exist before. It is deleted when dropped.
    pub async fn namespace(&self, name: &str) -> Result<Namespace> {
        let mut object = Kubernetes::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.labels = Some(BTreeMap::from([(
            "seaworthy.dev/made-by".to_owned(),
            "tests".to_owned(),
        )]));
        let api: Api<Kubernetes> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &object).await?;
        Ok(Namespace {
            name: name.to_owned(),
            client: self.client.clone(),
            end: End::Delete,
        })
    }

    /// The same, once a former one of that name has gone.
    pub async fn namespace_once_free(&self, name: &str) -> Result<Namespace> {
        eventually("the former namespace to go", GONE_LIMIT, async || {
            ensure!(
                !self.has_namespace(name).await?,
                "{name} is still being deleted"
            );
            Ok(())
        })
        .await?;
        self.namespace(name).await
    }

    /// A namespace that is there already, and stays.
    pub fn existing_namespace(&self, name: &str) -> Namespace {
        Namespace {
            name: name.to_owned(),
            client: self.client.clone(),
            end: End::Keep,
        }
    }

    /// Starts deleting a namespace; one that is not there is as good.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let api: Api<Kubernetes> = Api::all(self.client.clone());
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a namespace is there, be it on its way out.
    pub async fn has_namespace(&self, name: &str) -> Result<bool> {
        let api: Api<Kubernetes> = Api::all(self.client.clone());
        Ok(api.get_opt(name).await?.is_some())
    }
}

/// A namespace of one story.
pub struct Namespace {
    /// Its name.
    pub name: String,
    client: kube::Client,
    end: End,
}

/// What becomes of a namespace when its handle is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Delete,
    Keep,
}

impl Namespace {
    /// Leaves it in the cluster when this handle is dropped.
    pub fn keep(mut self) {
        self.end = End::Keep;
    }

    /// A Deployment.
    pub async fn deployment(&self, name: &str) -> Result<Deployment> {
        Ok(Api::namespaced(self.client.clone(), &self.name)
            .get(name)
            .await?)
    }

    /// Its ReplicaSets, the ones without pods too.
    pub async fn replica_sets(&self) -> Result<Vec<ReplicaSet>> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &self.name);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// Its pods, ending ones included.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// The images that its pods' containers were asked to run, without repeats.
    pub async fn images(&self) -> Result<Vec<String>> {
        let pods = self.pods().await?;
        let specs = pods.into_iter().filter_map(|pod| pod.spec);
        let containers = specs.flat_map(|spec| spec.containers);
        let mut images: Vec<String> = containers.filter_map(|one| one.image).collect();
        images.sort();
        images.dedup();
        Ok(images)
    }

    /// Where a Service answers, as seen from the node.
    pub async fn service(&self, name: &str) -> Result<SocketAddr> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), &self.name);
        let spec = api.get(name).await?.spec.context("a Service has a spec")?;
        let ip = spec.cluster_ip.context("the Service has no address yet")?;
        let ports = spec.ports.unwrap_or_default();
        let port = ports.first().context("the Service has no port")?.port;
        Ok(SocketAddr::new(ip.parse()?, u16::try_from(port)?))
    }
}

impl Drop for Namespace {
    /// Without waiting: pods take seconds to end. Nothing can be awaited here, so kubectl does it.
    fn drop(&mut self) {
        if self.end == End::Keep {
            return;
        }
        let kubectl = std::env::var("SEAWORTHY_TEST_KUBECTL").unwrap_or("kubectl".to_owned());
        let started = Command::new(kubectl)
            .args(["delete", "namespace", &self.name, "--wait=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Err(error) = started {
            eprintln!("cannot delete namespace {}: {error}", self.name);
        }
    }
}
