//! Services and caches of a Travis build.

use super::super::images;
use super::super::model::{Cache, Notes, Service, add, by_hand};
use super::super::source::Node;

pub(super) fn services(node: &Node, by_hands: &mut Vec<String>, notes: &mut Notes) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for (line, name) in node.texts() {
        match images::service(&name) {
            Some(service) => {
                notes.add(
                    line,
                    &name,
                    "a service has a host name of its own and is not at `localhost`",
                    &format!("connect to the host `{}`", service.name),
                );
                services.push(service);
            }
            None => {
                let (why, hint) = match name.as_str() {
                    "docker" => (
                        "a step has no Docker engine to talk to",
                        "build images in a job with `build`, start others as `services`",
                    ),
                    "xvfb" => (
                        "there is no display",
                        "use an image with xvfb and begin the command with `xvfb-run`",
                    ),
                    _ => (
                        "no image is known for it",
                        "add it to `services` with its image",
                    ),
                };
                notes.add(line, &name, why, hint);
                by_hands.push(by_hand(line, &format!("service {name}")));
            }
        }
    }
    services
}

pub(super) fn caches(node: &Node, language: &str) -> Vec<Cache> {
    let mut caches = Vec::new();
    let mut tool = |name: &str| {
        let name = match (name, language) {
            ("true", "node_js") => "npm",
            ("true", "python") => "pip",
            ("true", "rust") => "cargo",
            ("packages", _) => "packages",
            (name, _) => name,
        };
        if let Some(cache) = images::cache_of(name) {
            add(&mut caches, cache);
        }
    };
    for item in node.items() {
        match item.text() {
            Some(text) => tool(text),
            None => {
                let wanted = item.entries().iter().filter(|entry| entry.value.is_true());
                wanted.for_each(|entry| tool(&entry.key));
            }
        }
    }
    let folders = node
        .items()
        .iter()
        .flat_map(|item| item.texts_of("directories"));
    let paths: Vec<String> = folders.map(|folder| images::path(&folder)).collect();
    if !paths.is_empty() {
        // Travis has one cache a branch and job, whatever changes: so has a cache without a key.
        let key = Vec::new();
        caches.push(Cache { key, paths });
    }
    caches
}
