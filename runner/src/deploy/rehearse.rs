//! A deploy that only asks: the release is made, the cluster rehearses all of it, nothing is written.

use kube::api::DynamicObject;
use pipelines::job::Outcome;
use serde_json::Value;

use super::apply::Object;
use super::steps::{Step, Steps};
use super::{DeployJob, Early, apply, cluster, early, stages, what};
use crate::report::Finish;

/// Differences of one object that are told one by one.
const DIFFERENCES_MAX: usize = 20;
/// Longest text of one value that is told.
const VALUE_CHARS_MAX: usize = 80;

/// Why no cluster can be asked, if none can.
pub async fn why_unreachable(kubeconfig: Option<&std::path::Path>) -> Option<String> {
    let cluster = match cluster::connect(kubeconfig).await {
        Ok(cluster) => cluster,
        Err(problem) => return Some(problem),
    };
    let fault = cluster.version().await.err()?;
    Some(format!(
        "the cluster at {} does not answer: {}",
        cluster.url,
        fault.words()
    ))
}

/// Makes the release and tells what applying it would change.
pub async fn rehearse(job: DeployJob<'_>) -> Finish {
    let mut steps = Steps::new(job.reporter, job.log);
    let end = match ask(&job, &mut steps).await {
        Ok(reason) => early(Outcome::Passed, reason),
        Err(end) => end,
    };
    steps.note(&end.reason).await;
    steps.end(end.outcome);
    Finish::ended(end.outcome, end.reason)
}

async fn ask(job: &DeployJob<'_>, steps: &mut Steps<'_>) -> Result<String, Early> {
    steps.begin(Step::Render).await;
    let bundle = stages::render(job, steps).await?;
    steps.begin(Step::Preflight).await;
    let cluster = stages::connect(job, steps).await?;
    let marks = apply::annotations(job.assignment, job.deploy);
    let patience = stages::Patience::Little;
    let prepared = stages::preflight(job, &cluster, (&bundle, &marks), steps, patience).await?;
    let (mut new, mut changed) = (0, 0);
    for object in &prepared.objects {
        let title = &object.title;
        match differences(object) {
            None => {
                new += 1;
                steps.note(&format!("{title}: would be created")).await;
            }
            Some(lines) if lines.is_empty() => {
                steps.note(&format!("{title}: no change")).await;
            }
            Some(lines) => {
                changed += 1;
                steps.note(&format!("{title}: would change")).await;
                for line in lines.iter().take(DIFFERENCES_MAX) {
                    steps.note(&format!("  {line}")).await;
                }
                if let Some(more) = lines.len().checked_sub(DIFFERENCES_MAX + 1) {
                    steps.note(&format!("  and {} more", more + 1)).await;
                }
            }
        }
    }
    let same = prepared.objects.len() - new - changed;
    Ok(format!(
        "rehearsed {}: {new} new, {changed} changed, {same} unchanged; nothing was written",
        what(job)
    ))
}

/// Where the live object and the rehearsed one differ; nothing if there is no live one.
fn differences(object: &Object) -> Option<Vec<String>> {
    let live = object.live.as_ref()?;
    let mut lines = Vec::new();
    if let Some(wanted) = &object.rehearsed {
        compare("", &comparable(live), &comparable(wanted), &mut lines);
    }
    Some(lines)
}

/// The object without what every write changes.
fn comparable(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations"));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|key, _| !key.starts_with(super::manifests::ANNOTATION_PREFIX));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    value
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let at = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let side = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                compare(&at, &side(old), &side(new), lines);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{place}]"), old, new, lines);
            }
        }
        (old, new) if old == new => {}
        (Value::Null, new) => lines.push(format!("{path}: added {}", short(new))),
        (old, Value::Null) => lines.push(format!("{path}: removed {}", short(old))),
        (old, new) => lines.push(format!("{path}: {} becomes {}", short(old), short(new))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_told_where_they_are() {
        let old = json!({"spec": {"replicas": 1, "list": [{"image": "a"}], "gone": true}});
        let new = json!({"spec": {"replicas": 2, "list": [{"image": "b"}], "new": "x"}});
        let mut lines = Vec::new();
        compare("", &old, &new, &mut lines);
        lines.sort();
        assert_eq!(
            lines,
            [
                "spec.gone: removed true",
                "spec.list[0].image: \"a\" becomes \"b\"",
                "spec.new: added \"x\"",
                "spec.replicas: 1 becomes 2",
            ]
        );
    }
}
