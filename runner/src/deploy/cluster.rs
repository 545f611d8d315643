//! The door to a cluster: how it is found, and what its errors mean in words.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Our name in `managedFields`: what we own, and nothing else, we change.
pub(crate) const FIELD_MANAGER: &str = "seaworthy";
/// Why the release of the deploy was left, on objects that were returned to another one.
pub(crate) const ANNOTATION_LEFT: &str = "seaworthy.dev/left-because";
/// The deploy's number on every object: a fence that an older deploy cannot pass.
pub(crate) const ANNOTATION_DEPLOY: &str = "seaworthy.dev/deploy";
/// The repository whose deploys an object belongs to.
pub(crate) const ANNOTATION_REPOSITORY: &str = "seaworthy.dev/repository";

/// Longest wait for one answer, admission webhooks included (their own limit is 30 s).
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// A cluster, reached with the credentials of this runner.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// Speaks to it.
    pub(crate) client: Client,
    /// Its address, for people.
    pub(crate) url: String,
}

/// Why a call did not do what it should.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The cluster did not answer, or not with sense: the same call may work later.
    Away(String),
    /// The cluster understood and says no.
    No(Box<kube::core::Status>),
}

/// Reads the kubeconfig: the given file, or what `KUBECONFIG`, `~/.kube/config` or the pod's own
/// service account say.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Cluster, String> {
    let config = match kubeconfig {
        Some(path) => from_file(path).await,
        None => Config::infer().await.map_err(|error| {
            format!("no cluster is configured on this runner: set KUBECONFIG, or run it in a pod with a service account ({error})")
        }),
    }?;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config)
        .map_err(|error| format!("cannot use the credentials for the cluster at {url}: {error}"))?;
    Ok(Cluster { client, url })
}

async fn from_file(path: &Path) -> Result<Config, String> {
    let say = |error: &dyn std::fmt::Display| {
        format!("cannot use kubeconfig {}: {error}", path.display())
    };
    let file = Kubeconfig::read_from(path).map_err(|error| say(&error))?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|error| say(&error))
}

impl Cluster {
    /// Asks for its version: whether it is there, and lets us in.
    pub(crate) async fn version(&self) -> Result<String, Fault> {
        Ok(call(self.client.apiserver_version()).await?.git_version)
    }
}

/// Runs one call with a limit, and sorts its error.
pub(crate) async fn call<T>(work: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    match tokio::time::timeout(CALL_TIMEOUT, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(sort(error)),
        Err(_) => Err(Fault::Away(format!(
            "no answer within {} s",
            CALL_TIMEOUT.as_secs()
        ))),
    }
}

fn sort(error: kube::Error) -> Fault {
    let words = words(&error);
    match error {
        kube::Error::Api(status) if is_away(&status) => Fault::Away(words),
        kube::Error::Api(status) => Fault::No(status),
        _ => Fault::Away(words),
    }
}

/// Whether the answer speaks of the cluster's own state and not of the request. A bare 500 is
/// both: server-side apply answers so to a manifest it cannot read, and a webhook that is away
/// makes one too, which may last; but a store that is away soon comes back.
fn is_away(status: &kube::core::Status) -> bool {
    match status.code {
        // Expired credentials are renewed by those who run the cluster, not by the release.
        401 | 408 | 429 | 502..=504 => true,
        500 => {
            let says = |word: &str| status.message.contains(word);
            !says("webhook")
                && (says("etcdserver") || says("timed out") || says("connection refused"))
        }
        _ => false,
    }
}

/// An error in words, with its innermost cause: "connection refused" is what helps.
pub(crate) fn words(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return match status.code {
            401 => "the cluster does not accept this runner's credentials".to_owned(),
            _ if status.message.is_empty() => format!("the cluster answers {}", status.code),
            _ => status.message.clone(),
        };
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl Fault {
    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Away(words) => words.clone(),
            Self::No(status) => status.message.clone(),
        }
    }
}
