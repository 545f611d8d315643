//! What has to be known of the live objects before the release is rehearsed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::super::cluster::{
    ANNOTATION_DEPLOY, ANNOTATION_LEFT, ANNOTATION_REPOSITORY, Cluster, FIELD_MANAGER, Fault, call,
};
use super::super::watch::last_writer;
use super::{Object, Refusal};

/// Refuses an object of another repository, and of a newer deploy.
pub(super) fn fence(
    title: &str,
    live: &DynamicObject,
    marks: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let repository = live.annotations().get(ANNOTATION_REPOSITORY);
    if let Some(other) = repository.filter(|other| marks.get(ANNOTATION_REPOSITORY) != Some(other))
    {
        return Err(Refusal::Words(vec![format!(
            "{title} belongs to repository {other}: use another name or namespace, or remove its \
             annotation `{ANNOTATION_REPOSITORY}` to hand it over"
        )]));
    }
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
    let theirs = number(live.annotations().get(ANNOTATION_DEPLOY));
    if let (Some(theirs), Some(ours)) = (theirs, number(marks.get(ANNOTATION_DEPLOY)))
        && theirs > ours
    {
        return Err(Refusal::Superseded(theirs));
    }
    Ok(())
}

/// Whether an earlier attempt of this deploy has written the object.
pub(super) fn is_marked(object: &Object, marks: &BTreeMap<String, String>) -> bool {
    let live = object.live.as_ref();
    live.is_some_and(|live| {
        marks
            .iter()
            .all(|(key, value)| live.annotations().get(key) == Some(value))
    })
}

/// Why an earlier attempt of this deploy has left its release, if it has; on the way back itself
/// that is known already.
pub(super) fn left(object: &Object, marks: &BTreeMap<String, String>) -> Option<String> {
    let live = object.live.as_ref()?.annotations();
    let ours = live.get(ANNOTATION_DEPLOY) == marks.get(ANNOTATION_DEPLOY);
    let cause = live.get(ANNOTATION_LEFT)?;
    (ours && !marks.contains_key(ANNOTATION_LEFT)).then(|| cause.clone())
}

/// A Deployment that is paused would take the change and do nothing with it.
pub(super) fn paused(object: &Object) -> Option<String> {
    let wanted = &object.wanted["spec"]["paused"];
    let live = object
        .live
        .as_ref()
        .map(|live| &live.data["spec"]["paused"]);
    if *wanted == true {
        return Some(format!(
            "{} is paused by its manifest, so its pods would not be replaced: remove `paused`",
            object.title
        ));
    }
    (wanted.is_null() && live.is_some_and(|paused| *paused == true)).then(|| {
        format!(
            "{} was paused by hand, so its pods would not be replaced: resume it \
             (`kubectl rollout resume`) and deploy again",
            object.title
        )
    })
}

/// A sentence about an object that an earlier attempt wrote and somebody has changed since.
pub(super) fn changed_since(object: &Object) -> String {
    let fields = object
        .live
        .as_ref()
        .and_then(|live| live.metadata.managed_fields.as_ref());
    let writer = last_writer(fields.into_iter().flatten());
    format!(
        "{} was changed by {} after an earlier attempt of this deploy had applied it: it is left as it is; deploy again to decide",
        object.title,
        writer.as_deref().unwrap_or("somebody")
    )
}

/// Decides what is sent as `replicas`, so that a deploy never resets what an autoscaler, or a
/// person, has set.
///
/// - An autoscaler has the workload: the number is its, so ours is left out.
/// - But what our manager owns already must not be left out: server-side apply would remove the
///   field, and the cluster's default is 1. Then the live number is sent as it is.
/// - The manifest has no number: none is sent, with the same exception.
pub(super) async fn settle_replicas(
    cluster: &Cluster,
    namespace: &str,
    objects: &mut [Object],
) -> Result<(), Refusal> {
    let is_deployment = |object: &Object| object.wanted["kind"] == "Deployment";
    if !objects.iter().any(is_deployment) {
        return Ok(());
    }
    let mut scaled = live_autoscaled(cluster, namespace).await?;
    scaled.extend(objects.iter().filter_map(|object| scales(&object.wanted)));
    for object in objects.iter_mut().filter(|object| is_deployment(object)) {
        let wanted = object.wanted["spec"].get("replicas").is_some();
        if wanted && !scaled.contains(&object.name) {
            continue;
        }
        let kept = object.live.as_ref().filter(|live| {
            live.metadata.managed_fields.iter().flatten().any(|entry| {
                let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
                entry.manager.as_deref() == Some(FIELD_MANAGER)
                    && fields.is_some_and(|fields| fields["f:spec"].get("f:replicas").is_some())
            })
        });
        let kept = kept.map(|live| live.data["spec"]["replicas"].clone());
        let Some(spec) = object.wanted["spec"].as_object_mut() else {
            continue;
        };
        match kept {
            Some(number) => spec.insert("replicas".to_owned(), number),
            None => spec.remove("replicas"),
        };
    }
    Ok(())
}

/// The name of the Deployment that this object scales, if it is an autoscaler.
fn scales(object: &Value) -> Option<String> {
    let is_autoscaler = object["kind"] == json!("HorizontalPodAutoscaler");
    let target = &object["spec"]["scaleTargetRef"];
    (is_autoscaler && target["kind"] == "Deployment")
        .then(|| target["name"].as_str().map(str::to_owned))
        .flatten()
}

async fn live_autoscaled(cluster: &Cluster, namespace: &str) -> Result<BTreeSet<String>, Refusal> {
    let api = Api::<HorizontalPodAutoscaler>::namespaced(cluster.client.clone(), namespace);
    match call(api.list(&ListParams::default())).await {
        Ok(list) => {
            let targets = list.items.into_iter().filter_map(|item| item.spec);
            let targets = targets.map(|spec| spec.scale_target_ref);
            Ok(targets
                .filter(|target| target.kind == "Deployment")
                .map(|target| target.name)
                .collect())
        }
        Err(Fault::Away(words)) => Err(Refusal::Away(words)),
        // Without the right to list them, or without that API, only the release's own are known.
        // If one is missed, the conflict with its field manager is found by the rehearsal.
        Err(Fault::No(_)) => Ok(BTreeSet::new()),
    }
}
