//! What GitLab's jobs take from one another: `extends`, `default` and `!reference`.

use super::super::model::Notes;
use super::super::source::{Entry, Kind, Node};

const DEPTH_MAX: u32 = 10;
/// Most nodes that references may bring: a reference may hold references.
const NODES_MAX: usize = 50_000;

/// The file with what its `!reference`s name in their places.
pub(super) fn with_references(root: &Node, notes: &mut Notes) -> Node {
    let mut budget = NODES_MAX;
    resolved(root, root, (0, &mut budget), notes)
}

fn resolved(
    root: &Node,
    node: &Node,
    (depth, budget): (u32, &mut usize),
    notes: &mut Notes,
) -> Node {
    *budget = budget.saturating_sub(1);
    if node.tag.as_deref() == Some("reference") {
        let path: Vec<String> = node.texts().into_iter().map(|(_, text)| text).collect();
        let mut found = Some(root);
        for key in &path {
            found = found.and_then(|node| node.find(key));
        }
        match found.filter(|_| depth < DEPTH_MAX && *budget > 0) {
            Some(found) => return resolved(root, found, (depth + 1, budget), notes),
            None => {
                let what = format!("!reference [{}]", path.join(", "));
                let why = "what it names is not in this file";
                notes.add(node.line, &what, why, "write it out");
                return Node {
                    line: node.line,
                    tag: None,
                    kind: Kind::Nothing,
                };
            }
        }
    }
    let kind = match &node.kind {
        Kind::Nothing | Kind::Text(_) => node.kind.clone(),
        _ if *budget == 0 => Kind::Nothing,
        Kind::List(items) => {
            let mut list = Vec::new();
            for item in items {
                list.push(resolved(root, item, (depth, &mut *budget), notes));
            }
            Kind::List(list)
        }
        Kind::Map(entries) => {
            let mut map = Vec::new();
            for entry in entries {
                map.push(Entry {
                    key: entry.key.clone(),
                    line: entry.line,
                    value: resolved(root, &entry.value, (depth, &mut *budget), notes),
                });
            }
            Kind::Map(map)
        }
    };
    Node {
        line: node.line,
        tag: node.tag.clone(),
        kind,
    }
}

/// A job with what it extends, and with the file's defaults.
pub(super) fn whole(root: &Node, job: &Node, line: u32, notes: &mut Notes) -> Node {
    let mut node = extended(root, job, 0, notes);
    node.line = line;
    let Kind::Map(entries) = &mut node.kind else {
        return node;
    };
    let default = root.find("default");
    let keys = [
        "image",
        "services",
        "before_script",
        "after_script",
        "cache",
        "retry",
        "timeout",
        "interruptible",
        "tags",
        "artifacts",
    ];
    for key in keys {
        let is_global = [
            "image",
            "services",
            "before_script",
            "after_script",
            "cache",
        ];
        let global = is_global.contains(&key).then(|| root.find(key)).flatten();
        let value = default.and_then(|node| node.find(key)).or(global);
        if let Some(value) = value.filter(|_| !entries.iter().any(|entry| entry.key == key)) {
            entries.push(Entry {
                key: key.to_owned(),
                line: value.line,
                value: value.clone(),
            });
        }
    }
    node
}

fn extended(root: &Node, job: &Node, depth: u32, notes: &mut Notes) -> Node {
    let Some(extends) = job.find("extends") else {
        return job.clone();
    };
    let mut base = Node {
        line: job.line,
        tag: None,
        kind: Kind::Map(Vec::new()),
    };
    for (line, name) in extends.texts() {
        match root.find(&name).filter(|_| depth < DEPTH_MAX) {
            Some(parent) => {
                let parent = extended(root, parent, depth + 1, notes);
                base = merged(base, &parent);
            }
            None => {
                let what = format!("extends: {name}");
                let why = "there is no such job in this file";
                notes.add(line, &what, why, "write out what it brings");
            }
        }
    }
    let mut whole = merged(base, job);
    if let Kind::Map(entries) = &mut whole.kind {
        entries.retain(|entry| entry.key != "extends");
    }
    whole
}

/// Mappings are put together key by key; anything else is replaced.
fn merged(mut base: Node, over: &Node) -> Node {
    let (Kind::Map(entries), Kind::Map(others)) = (&mut base.kind, &over.kind) else {
        return over.clone();
    };
    for other in others {
        match entries.iter_mut().find(|entry| entry.key == other.key) {
            Some(entry) => {
                entry.value = merged(entry.value.clone(), &other.value);
                entry.line = other.line;
            }
            None => entries.push(other.clone()),
        }
    }
    base
}
