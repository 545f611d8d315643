//! Image names in manifests → pinned images.

use std::collections::{BTreeMap, BTreeSet};

use pipelines::names::PinnedImage;
use serde_json::Value;

use super::Found;

/// Puts each pinned image in the place of its name; a problem for each name nobody uses, because
/// a release that does not hold what was just built is not the release that was meant.
pub(super) fn pin(objects: &mut [Found], images: &BTreeMap<String, PinnedImage>) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for found in objects.iter_mut() {
        for container in containers_mut(&mut found.object) {
            let Some(image) = container["image"].as_str().map(str::to_owned) else {
                continue;
            };
            if let Some((name, pinned)) = images.get_key_value(repository(&image)) {
                container["image"] = Value::String(pinned.to_string());
                used.insert(name.clone());
            }
            seen.insert(image);
        }
    }
    let unused = images.keys().filter(|name| !used.contains(*name));
    unused
        .map(|name| {
            let seen: Vec<_> = seen.iter().take(5).map(String::as_str).collect();
            format!(
                "no container uses image `{name}`: correct `images:` of the deploy, or the manifests \
                 (they use {})",
                if seen.is_empty() { "no image".to_owned() } else { seen.join(", ") }
            )
        })
        .collect()
}

/// An image reference without its tag or digest.
pub(super) fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    // A colon after the last slash is a tag; one before it is a registry's port.
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].find(':') {
        Some(colon) => &image[..last + colon],
        None => image,
    }
}

/// The pod spec inside an object, wherever its kind keeps it.
fn pod_spec(object: &Value) -> Option<&'static str> {
    let paths = [
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
        "/spec",
    ];
    paths.into_iter().find(|path| {
        let pointer = format!("{path}/containers");
        object.pointer(&pointer).is_some_and(Value::is_array)
    })
}

/// The containers of an object, init containers included.
pub(super) fn containers(object: &Value) -> Vec<&Value> {
    let Some(spec) = pod_spec(object).and_then(|path| object.pointer(path)) else {
        return Vec::new();
    };
    let lists = ["initContainers", "containers"].map(|key| spec[key].as_array());
    lists.into_iter().flatten().flatten().collect()
}

fn containers_mut(object: &mut Value) -> Vec<&mut Value> {
    let Some(spec) = pod_spec(object).and_then(|path| object.pointer_mut(path)) else {
        return Vec::new();
    };
    let Some(fields) = spec.as_object_mut() else {
        return Vec::new();
    };
    let wanted = |key: &str| key == "initContainers" || key == "containers";
    let lists = fields.iter_mut().filter(|(key, _)| wanted(key));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .collect()
}
