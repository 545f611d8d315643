//! Writes a release to the cluster, after asking it whether it would take all of it.
//!
//! Server-side apply under our own field manager, never by force: a field that somebody else
//! wrote is reported, not overwritten. Every object carries the number of its deploy, so that an
//! older deploy cannot pass a newer one, and so that a second attempt knows what the first has
//! done. The marks are on the objects, never on a pod template: there they would restart every
//! pod of an unchanged image.

mod plan;
mod refusal;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, ResourceExt};
use pipelines::wire::{AssignedDeploy, Assignment, Bundle, Fallback};
use serde_json::{Value, json};

use super::cluster::{
    ANNOTATION_DEPLOY, ANNOTATION_LEFT, ANNOTATION_REPOSITORY, Cluster, FIELD_MANAGER, Fault, call,
};
use super::manifests;
use super::snapshot::{Change, Target, WorkloadKind};
pub(crate) use refusal::{Refusal, Unwritten};

/// Every object of a release, ready to be written, with what the cluster has now.
pub(crate) struct Prepared {
    /// In the order of applying.
    pub(crate) objects: Vec<Object>,
    /// Every object is as an earlier attempt of this very deploy wrote it: nothing is left to write.
    pub(crate) adopted: bool,
    /// An earlier attempt has begun to leave this release, for this reason: nothing of it is to be
    /// written, and there are no objects.
    pub(crate) left: Option<String>,
}

/// One object.
pub(crate) struct Object {
    /// `Deployment shop`.
    pub(crate) title: String,
    name: String,
    wanted: Value,
    /// As it is in the cluster, if it is there.
    pub(super) live: Option<DynamicObject>,
    /// As it was after the dry run.
    pub(super) rehearsed: Option<DynamicObject>,
    /// The generation it had after the dry run.
    expected: Option<i64>,
    api: Api<DynamicObject>,
}

/// What every object of a deploy is marked with.
pub(crate) fn annotations(
    assignment: &Assignment,
    deploy: &AssignedDeploy,
) -> BTreeMap<String, String> {
    let run = &assignment.run;
    BTreeMap::from([
        (ANNOTATION_REPOSITORY.to_owned(), run.repository.to_string()),
        ("seaworthy.dev/commit".to_owned(), run.commit.to_string()),
        ("seaworthy.dev/run".to_owned(), run.number.to_string()),
        (ANNOTATION_DEPLOY.to_owned(), deploy.number.to_string()),
        (
            "seaworthy.dev/release".to_owned(),
            deploy.release.to_string(),
        ),
    ])
}

/// What the objects are marked with that lead back: the release and its origin are the former
/// ones, the deploy stays the fence.
pub(crate) fn marks_of_return(
    assignment: &Assignment,
    deploy: &AssignedDeploy,
    fallback: &Fallback,
    cause: &str,
) -> BTreeMap<String, String> {
    let mut marks = annotations(assignment, deploy);
    marks.extend([
        (
            "seaworthy.dev/commit".to_owned(),
            fallback.commit.to_string(),
        ),
        ("seaworthy.dev/run".to_owned(), fallback.run.to_string()),
        (
            "seaworthy.dev/release".to_owned(),
            fallback.release.to_string(),
        ),
        (ANNOTATION_LEFT.to_owned(), cause.to_owned()),
    ]);
    marks
}

/// Asks the cluster about every object, and lets it rehearse the whole release: everything that
/// stands in the way is found before anything is written.
pub(crate) async fn prepare(
    cluster: &Cluster,
    namespace: &str,
    bundle: &Bundle,
    marks: &BTreeMap<String, String>,
) -> Result<Prepared, Refusal> {
    let mut resources = BTreeMap::new();
    let mut objects = Vec::new();
    let mut problems = Vec::new();
    for object in &bundle.objects {
        match resolve(cluster, object, &mut resources).await? {
            Ok(resource) => {
                let wanted = mark(object.clone(), namespace, marks);
                objects.push(look(cluster, namespace, &resource, wanted).await?);
            }
            Err(problem) => problems.push(problem),
        }
    }
    for object in &objects {
        if let Some(live) = &object.live {
            plan::fence(&object.title, live, marks)?;
        }
    }
    let left = objects.iter().find_map(|object| plan::left(object, marks));
    if left.is_some() {
        return Ok(Prepared {
            objects: Vec::new(),
            adopted: false,
            left,
        });
    }
    problems.extend(objects.iter().filter_map(plan::paused));
    plan::settle_replicas(cluster, namespace, &mut objects).await?;
    let adopted =
        problems.is_empty() && objects.iter().all(|object| plan::is_marked(object, marks));
    for object in &mut objects {
        match write(object, DryRun::Yes, None).await {
            Ok(answer) => {
                object.expected = answer.metadata.generation;
                object.rehearsed = Some(answer);
            }
            Err(Fault::No(status)) => problems.extend(refusal::words(object, namespace, &status)),
            Err(Fault::Away(words)) => return Err(Refusal::Away(words)),
        }
    }
    problems.dedup();
    if !problems.is_empty() {
        return Err(Refusal::Words(problems));
    }
    if adopted && let Some(changed) = objects.iter().find(|object| !object.is_unchanged()) {
        return Err(Refusal::Words(vec![plan::changed_since(changed)]));
    }
    Ok(Prepared {
        objects,
        adopted,
        left: None,
    })
}

/// Whether a call only rehearses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DryRun {
    Yes,
    No,
}

impl Object {
    /// Tries once to write it; for a workload, the answer is the fence that its rollout is judged
    /// by. What is there is read first, and nothing is written if it has changed since, so that a
    /// newer deploy is never overwritten, however long ago this one was rehearsed.
    pub(crate) async fn apply(&self, namespace: &str) -> Result<Option<Target>, Unwritten> {
        let refused = |status: &Status| Unwritten::Refused(refusal::words(self, namespace, status));
        let now = match call(self.api.get_opt(&self.name)).await {
            Ok(now) => now,
            Err(Fault::Away(words)) => return Err(Unwritten::Away(words)),
            Err(Fault::No(status)) => return Err(refused(&status)),
        };
        let version = now.as_ref().and_then(ResourceExt::resource_version);
        if let Some(now) = &now {
            plan::fence(&self.title, now, &self.marks())?;
        }
        let answer = match write(self, DryRun::No, version.as_deref()).await {
            Ok(answer) => answer,
            Err(Fault::Away(words)) => return Err(Unwritten::Away(words)),
            Err(Fault::No(status)) if refusal::is_moved(&status) => return Err(Unwritten::Moved),
            Err(Fault::No(status)) => return Err(refused(&status)),
        };
        // The generation does not tell: for a Deployment it grows with our annotations as well.
        let same = self
            .live
            .as_ref()
            .is_some_and(|live| live.data["spec"] == answer.data["spec"]);
        let change = if same {
            Change::Unchanged
        } else {
            Change::Changed
        };
        target(answer, change).map_err(|problem| Unwritten::Refused(vec![problem]))
    }

    /// The fence of a workload that an earlier attempt has written. That it was changed by that
    /// attempt is all we know, so it is watched as a changed one.
    pub(crate) fn adopt(&self) -> Result<Option<Target>, String> {
        let live = self.live.clone();
        live.map_or(Ok(None), |live| target(live, Change::Changed))
    }

    /// The marks that it will carry.
    fn marks(&self) -> BTreeMap<String, String> {
        let marks = self.wanted["metadata"]["annotations"].as_object();
        let text =
            |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        marks.into_iter().flatten().filter_map(text).collect()
    }

    /// Whether applying leaves its spec as it is.
    fn is_unchanged(&self) -> bool {
        self.live
            .as_ref()
            .is_some_and(|live| live.metadata.generation == self.expected)
    }
}

/// Writes it, if it still has this version: without one, whatever it has.
async fn write(
    object: &Object,
    dry_run: DryRun,
    version: Option<&str>,
) -> Result<DynamicObject, Fault> {
    let mut params = PatchParams::apply(FIELD_MANAGER).validation_strict();
    params.dry_run = dry_run == DryRun::Yes;
    let mut wanted = object.wanted.clone();
    if let Some(version) = version {
        wanted["metadata"]["resourceVersion"] = json!(version);
    }
    call(
        object
            .api
            .patch(&object.name, &params, &Patch::Apply(&wanted)),
    )
    .await
}

type Resources = BTreeMap<(String, String), Result<ApiResource, String>>;

/// How the cluster calls this kind in its paths. The inner error is the manifest's.
async fn resolve(
    cluster: &Cluster,
    object: &Value,
    resources: &mut Resources,
) -> Result<Result<ApiResource, String>, Refusal> {
    let version = object["apiVersion"].as_str().unwrap_or("").to_owned();
    let kind = object["kind"].as_str().unwrap_or("").to_owned();
    if let Some(known) = resources.get(&(version.clone(), kind.clone())) {
        return Ok(known.clone());
    }
    let (group, number) = version.split_once('/').unwrap_or(("", version.as_str()));
    let name = GroupVersionKind::gvk(group, number, &kind);
    let title = manifests::title(object);
    let answer = match tokio::time::timeout(
        super::cluster::CALL_TIMEOUT,
        pinned_kind(&cluster.client, &name),
    )
    .await
    {
        Ok(Ok((resource, capabilities))) if capabilities.scope == Scope::Namespaced => Ok(resource),
        Ok(Ok(_)) => Err(format!(
            "{title} belongs to the whole cluster and is not deployed from a pipeline: \
             an administrator applies it once"
        )),
        Ok(Err(kube::Error::Discovery(_))) => Err(unknown_kind(&title, &version)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            Err(unknown_kind(&title, &version))
        }
        Ok(Err(error)) => return Err(Refusal::Away(super::cluster::words(&error))),
        Err(_) => {
            return Err(Refusal::Away(
                "no answer to what kinds there are".to_owned(),
            ));
        }
    };
    resources.insert((version, kind), answer.clone());
    Ok(answer)
}

fn unknown_kind(title: &str, version: &str) -> String {
    format!(
        "{title}: this cluster knows no such kind in {version}; correct `apiVersion`, or install what defines it"
    )
}

fn mark(mut object: Value, namespace: &str, marks: &BTreeMap<String, String>) -> Value {
    let metadata = &mut object["metadata"];
    metadata["namespace"] = json!(namespace);
    metadata["labels"]["app.kubernetes.io/managed-by"] = json!(FIELD_MANAGER);
    for (key, value) in marks {
        metadata["annotations"][key] = json!(value);
    }
    object
}

async fn look(
    cluster: &Cluster,
    namespace: &str,
    resource: &ApiResource,
    wanted: Value,
) -> Result<Object, Refusal> {
    let api = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), namespace, resource);
    let name = wanted["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let title = manifests::title(&wanted);
    let live = match call(api.get_opt(&name)).await {
        Ok(live) => live,
        Err(Fault::Away(words)) => return Err(Refusal::Away(words)),
        Err(Fault::No(status)) => {
            return Err(Refusal::Words(vec![format!(
                "{title} cannot be read: {}. Give this runner's account the right to get, patch and \
                 create it",
                status.message
            )]));
        }
    };
    Ok(Object {
        title,
        name,
        wanted,
        live,
        rehearsed: None,
        expected: None,
        api,
    })
}

/// What to follow, if it is a workload. One that cannot be read is never taken for none.
fn target(answer: DynamicObject, change: Change) -> Result<Option<Target>, String> {
    let types = answer.types.as_ref();
    if !types.is_some_and(|types| types.kind == "Deployment" && types.api_version == "apps/v1") {
        return Ok(None);
    }
    let title = format!("Deployment {}", answer.name_any());
    let deployment: Deployment = answer.try_parse().map_err(|error| {
        format!("{title} cannot be followed: the cluster's answer is unreadable ({error})")
    })?;
    let followed = followed(deployment, change);
    let lacking = || format!("{title} cannot be followed: the cluster's answer is incomplete");
    followed.map(Some).ok_or_else(lacking)
}

fn followed(deployment: Deployment, change: Change) -> Option<Target> {
    let spec = deployment.spec?;
    let pod = spec.template.spec.clone().unwrap_or_default();
    let containers = pod
        .containers
        .iter()
        .chain(pod.init_containers.iter().flatten());
    let digests = containers.filter_map(|container| {
        let (_, digest) = container.image.as_deref()?.split_once('@')?;
        Some((container.name.clone(), digest.to_owned()))
    });
    Some(Target {
        kind: WorkloadKind::Deployment,
        name: deployment.metadata.name?,
        uid: deployment.metadata.uid?,
        generation: deployment.metadata.generation?,
        digests: digests.collect(),
        spec: super::watch::comparable(serde_json::to_value(spec).ok()?),
        change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: &str, replicas: &Value) -> DynamicObject {
        let spec = json!({"replicas": replicas, "selector": {}, "template": {}});
        let metadata = json!({"name": "shop", "uid": "u", "generation": 1});
        let (version, kind) = kind.split_once(' ').unwrap();
        let object =
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_unreadable_deployment_is_not_taken_for_no_workload() {
        let read = |kind, replicas| target(answer(kind, &replicas), Change::Changed);
        let problem = read("apps/v1 Deployment", json!("many")).unwrap_err();
        assert!(problem.contains("Deployment shop cannot be followed"));
        assert!(read("apps/v1 Deployment", json!(1)).unwrap().is_some());
        assert!(read("v1 ConfigMap", json!("many")).unwrap().is_none());
    }
}
