//! Manifests of a repository, read and checked: the release as it will be stored.
//!
//! Nothing here asks a cluster. Every problem of every file is reported at once, with file and
//! document, because a person who mends one and finds the next an hour later has lost the hour.

mod images;
mod read;

use std::collections::BTreeMap;
use std::path::Path;

use pipelines::limits::{PROBLEMS_MAX, REPORT_BYTES_MAX};
use pipelines::names::{Namespace, PinnedImage};
use pipelines::wire::Bundle;
use serde_json::{Map, Value};

/// One object of a manifest, and where it was found.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    /// `deploy/app.yaml, document 2`.
    place: String,
    object: Value,
}

/// Our own annotations begin with this. They are written at apply and are no part of a release.
pub(crate) const ANNOTATION_PREFIX: &str = "seaworthy.dev/";

/// Kinds that belong to the whole cluster. A deploy into one namespace must not change others'.
const CLUSTER_SCOPED: &[&str] = &[
    "Namespace",
    "Node",
    "PersistentVolume",
    "StorageClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "PriorityClass",
    "IngressClass",
    "RuntimeClass",
    "CSIDriver",
    "VolumeSnapshotClass",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ClusterIssuer",
];

/// Reads, checks and pins what is at `path` of a checkout: the release, or every problem found.
pub(crate) fn render(
    root: &Path,
    path: &str,
    namespace: &Namespace,
    images: &BTreeMap<String, PinnedImage>,
) -> Result<Bundle, Vec<String>> {
    let (found, mut problems) = read::objects(root, path);
    let mut objects = Vec::new();
    for Found { place, object } in found {
        match check(&object, namespace) {
            Ok(()) => objects.push(Found {
                place,
                object: strip(object),
            }),
            Err(problem) => problems.push(format!("{place}: {problem}")),
        }
    }
    problems.extend(duplicates(&objects));
    problems.extend(images::pin(&mut objects, images));
    let mut objects: Vec<Value> = objects.into_iter().map(|found| found.object).collect();
    objects.sort_by_key(rank);
    if problems.is_empty() && objects.is_empty() {
        problems.push(format!(
            "`{path}` holds no Kubernetes object: nothing to deploy"
        ));
    }
    let bundle = Bundle { objects };
    let bytes = serde_json::to_vec(&bundle).map_or(usize::MAX, |bytes| bytes.len());
    if problems.is_empty() && bytes > REPORT_BYTES_MAX {
        problems.push(format!(
            "the rendered release has {bytes} bytes, more than the {REPORT_BYTES_MAX} that are kept"
        ));
    }
    if problems.is_empty() {
        return Ok(bundle);
    }
    problems.truncate(PROBLEMS_MAX);
    Err(problems)
}

/// What an object is called, for people: `Deployment shop`.
pub(crate) fn title(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("object");
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or("without a name");
    format!("{kind} {name}")
}

/// Why this object cannot be part of a release for this namespace, if it cannot.
fn check(object: &Value, namespace: &Namespace) -> Result<(), String> {
    let text = |value: &Value, key: &str| match value[key].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(format!("no `{key}`: it is not a Kubernetes object")),
    };
    let kind = text(object, "kind")?;
    let version = text(object, "apiVersion")?;
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    if name.is_empty() {
        return Err(format!(
            "{kind} has no `metadata.name` (`generateName` is not supported: a release names its objects)"
        ));
    }
    let title = title(object);
    // The name becomes a part of paths and of sentences.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:_-".contains(c);
    if !name.chars().all(is_plain) {
        return Err(format!(
            "{kind} has the `metadata.name` {name:?}: a name has only letters, digits and . : _ -"
        ));
    }
    for field in ["labels", "annotations"] {
        if !matches!(object["metadata"][field], Value::Null | Value::Object(_)) {
            return Err(format!("{title}: `metadata.{field}` is not a mapping"));
        }
    }
    match &object["metadata"]["namespace"] {
        Value::Null => {}
        Value::String(theirs) if theirs == namespace.as_str() => {}
        other => {
            return Err(format!(
                "{title} is for namespace {other}, but the environment is namespace \"{namespace}\": \
                 remove `metadata.namespace`, it is filled in"
            ));
        }
    }
    if CLUSTER_SCOPED.contains(&kind.as_str()) {
        return Err(format!(
            "{title} belongs to the whole cluster and is not deployed from a pipeline: \
             an administrator applies it once"
        ));
    }
    let is_deployment = kind == "Deployment" && version == "apps/v1";
    // An unverified workload would be a false success, whatever group invented it.
    if !is_deployment && (is_workload(&kind, &version) || !images::containers(object).is_empty()) {
        return Err(format!(
            "{title} ({version}) is not supported yet: only `apps/v1` Deployments are followed to \
             their end, and a workload nobody follows would be a false success"
        ));
    }
    if is_deployment && images::containers(object).is_empty() {
        return Err(format!("{title} has no `spec.template.spec.containers`"));
    }
    Ok(())
}

fn is_workload(kind: &str, version: &str) -> bool {
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("" | "apps" | "batch" | "extensions", kind) => matches!(
            kind,
            "Pod"
                | "Deployment"
                | "ReplicaSet"
                | "ReplicationController"
                | "StatefulSet"
                | "DaemonSet"
                | "Job"
                | "CronJob"
        ),
        (_, _) => false,
    }
}

/// Removes what a cluster or a deploy writes, so that equal releases are equal texts.
fn strip(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
            "selfLink",
        ] {
            metadata.remove(field);
        }
        strip_annotations(metadata);
    }
    object
}

fn strip_annotations(metadata: &mut Map<String, Value>) {
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return;
    };
    annotations.retain(|key, _| {
        !key.starts_with(ANNOTATION_PREFIX)
            && key != "kubectl.kubernetes.io/last-applied-configuration"
            && key != "deployment.kubernetes.io/revision"
    });
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// The order of applying: what others read first, then what finds pods, then pods, then the rest.
/// Equal ranks keep the order of the files.
fn rank(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or("") {
        "ServiceAccount"
        | "ConfigMap"
        | "Secret"
        | "PersistentVolumeClaim"
        | "Role"
        | "RoleBinding"
        | "ResourceQuota"
        | "LimitRange"
        | "NetworkPolicy" => 0,
        "Service" => 1,
        "Deployment" => 2,
        // Ingress, HorizontalPodAutoscaler, PodDisruptionBudget, and kinds we do not know.
        _ => 3,
    }
}

fn duplicates(objects: &[Found]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for found in objects {
        let group = found.object["apiVersion"].as_str().unwrap_or("");
        let group = group.split_once('/').map_or("", |(group, _)| group);
        if let Some(first) = seen.insert((group, title(&found.object)), &found.place) {
            problems.push(format!(
                "{}: {} is there already, at {first}: remove one of them",
                found.place,
                title(&found.object)
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
