//! Why the cluster does not take a release, in words that say what to do.

use kube::core::Status;

use super::Object;

/// Why nothing is written.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Everything that stands in the way.
    Words(Vec<String>),
    /// A newer deploy has been there.
    Superseded(i64),
    /// The cluster does not answer.
    Away(String),
}

/// Why one attempt did not write an object.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// It is refused.
    Refused(Vec<String>),
    /// A newer deploy has been there.
    Superseded(i64),
    /// It was changed between the look and the write: to be looked at again.
    Moved,
    /// The cluster does not answer.
    Away(String),
}

impl From<Refusal> for Unwritten {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Words(words) => Self::Refused(words),
            Refusal::Superseded(newer) => Self::Superseded(newer),
            Refusal::Away(words) => Self::Away(words),
        }
    }
}

/// Whether the object is not the one any more that was looked at: it was changed, or removed.
pub(super) fn is_moved(status: &Status) -> bool {
    status.code == 409 && !is_field_conflict(status)
}

fn is_field_conflict(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut reasons = causes.map(|cause| cause.reason.as_str());
    status.code == 409 && reasons.any(|reason| reason == "FieldManagerConflict")
}

/// What the cluster says about one object.
pub(super) fn words(object: &Object, namespace: &str, status: &Status) -> Vec<String> {
    let title = &object.title;
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    if is_field_conflict(status) {
        return vec![conflict(object, namespace, status)];
    }
    if status.code == 404 && status.message.contains("namespaces \"") {
        // The same sentence for every object: it is shown once.
        return vec![format!(
            "namespace {namespace} does not exist: an administrator makes it (`kubectl create namespace {namespace}`)"
        )];
    }
    if status.message.contains("field is immutable") {
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        return vec![format!(
            "{title}: {} cannot be changed once it is made. Give the object another name, or delete it first (its pods go with it)",
            fields.join(", ")
        )];
    }
    let message = readable(&status.message);
    let advice = if message.contains("exceeded quota") {
        ": raise the quota of the namespace"
    } else if status.code == 403 && message.contains(" cannot ") {
        ": give this runner's account that right in the namespace"
    } else {
        ""
    };
    if causes.is_empty() || status.code != 422 {
        return vec![format!("{title}: {message}{advice}")];
    }
    let causes = causes
        .iter()
        .map(|cause| format!("{title}: {}: {}", cause.field, cause.message));
    causes.collect()
}

/// The sentence about a manifest that does not fit its kind, without the server's own types:
/// `failed to create typed patch object (ns/conf; /v1, Kind=ConfigMap): .data.a: expected string,
/// got &value.valueUnstructured{Value:1}`.
fn readable(message: &str) -> String {
    let Some((_, problem)) = message.split_once("typed patch object (") else {
        return message.to_owned();
    };
    let problem = problem
        .split_once("): ")
        .map_or(problem, |(_, problem)| problem);
    let problem = problem
        .replace("&value.valueUnstructured{Value:", "")
        .replace('}', "");
    problem.trim_start_matches('.').to_owned()
}

/// Names the other manager and the fields: who it is decides what to do.
fn conflict(object: &Object, namespace: &str, status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut fields = Vec::new();
    let mut managers: Vec<&str> = Vec::new();
    for cause in causes {
        fields.push(cause.field.trim_start_matches('.').to_owned());
        // `conflict with "kubectl-edit" using apps/v1`
        if let Some(manager) = cause.message.split('"').nth(1)
            && !managers.contains(&manager)
        {
            managers.push(manager);
        }
    }
    let rival = managers.join(" and ");
    format!(
        "{}: {} was written by {rival}, and Seaworthy does not overwrite what others wrote. Take it out of the \
         manifest to leave it to them; or give the object to Seaworthy once: `kubectl apply --server-side \
         --force-conflicts --field-manager=seaworthy -n {namespace} -f MANIFEST`",
        object.title,
        fields.join(", ")
    )
}
