//! What stands beside the steps of a job, and what outlives them: services, caches, artifacts,
//! reports, outputs; and the secrets they get.

use super::keys::{CACHE, REPORTS, SERVICE};
use super::problem::{At, Problem};
use super::reader::{Fields, Reader};
use super::tree::{Entry, Kind, Node};
use super::{CacheDefinition, Env, ServiceDefinition, jobs, syntax};
use crate::expression::{Template, WORD_RULE, is_word};
use crate::limits::{
    CACHES_MAX, JOB_TIMEOUT_MAX, OUTPUTS_MAX, PATTERNS_MAX, SECRETS_MAX, SERVICE_READY,
    SERVICES_MAX,
};
use crate::names::SecretName;
use crate::pattern::Patterns;

/// Reads `services`.
pub(crate) fn services(reader: &mut Reader, node: &Node) -> Vec<ServiceDefinition> {
    let entries = reader.mapping(node, "`services`").unwrap_or(&[]);
    if entries.len() > SERVICES_MAX {
        let count = entries.len();
        let message = format!("the job has {count} services; at most {SERVICES_MAX} may be");
        reader.report(Problem::new(node.place, "services", message));
        return Vec::new();
    }
    let services = entries.iter().filter_map(|entry| service(reader, entry));
    services.collect()
}

fn service(reader: &mut Reader, entry: &Entry) -> Option<ServiceDefinition> {
    let name = reader.parse_name(&entry.key, entry.place);
    let ready_seconds = SERVICE_READY.as_secs() as u32;
    if matches!(entry.value.kind, Kind::Scalar { .. }) {
        let image = jobs::image_of(reader, &entry.value);
        return Some(ServiceDefinition {
            name: name?.value,
            image: image?,
            env: Env::new(),
            ready: None,
            ready_seconds,
        });
    }
    let fields = reader.fields(&entry.value, &SERVICE)?;
    let image = match fields.find("image") {
        Some(entry) => jobs::image_of(reader, &entry.value),
        None => {
            let problem = Problem::new(entry.place, &entry.key, "the service has no image");
            reader.report(problem.hint("write `image: postgres:17`"));
            None
        }
    };
    let env = match fields.find("env") {
        Some(entry) => syntax::env(reader, &entry.value, "`env`"),
        None => Env::new(),
    };
    let ready = match fields.find("ready") {
        Some(entry) => Some(reader.plain_text(&entry.value, "`ready`")?.value),
        None => None,
    };
    let max = JOB_TIMEOUT_MAX.as_secs();
    let timeout = fields.find("timeout");
    let timeout = timeout.and_then(|entry| reader.seconds(&entry.value, "`timeout`", max));
    Some(ServiceDefinition {
        name: name?.value,
        image: image?,
        env,
        ready,
        ready_seconds: timeout.unwrap_or(ready_seconds),
    })
}

/// Reads `cache`: one, or a list of them.
pub(crate) fn caches(reader: &mut Reader, node: &Node) -> Vec<CacheDefinition> {
    let items = match &node.kind {
        Kind::Mapping(_) => std::slice::from_ref(node),
        Kind::Sequence(_) | Kind::Scalar { .. } => reader.list(node, "`cache`", CACHES_MAX),
    };
    let mut caches: Vec<CacheDefinition> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for item in items {
        let Some(cache) = cache(reader, item) else {
            continue;
        };
        for path in &cache.paths {
            let text = path
                .value
                .literal()
                .unwrap_or_default()
                .trim_end_matches('/');
            if seen.iter().any(|other| other == text) && !text.is_empty() {
                let message = "this path is kept twice";
                reader.report(Problem::new(path.place, text, message));
            }
            seen.push(text.to_owned());
        }
        caches.push(cache);
    }
    caches
}

fn cache(reader: &mut Reader, node: &Node) -> Option<CacheDefinition> {
    let fields = reader.fields(node, &CACHE)?;
    let key = match fields.find("key") {
        Some(entry) => file_patterns(reader, &entry.value, "`key`"),
        None => Vec::new(),
    };
    let Some(entry) = fields.find("paths") else {
        let problem = Problem::new(node.place, "cache", "the cache has no `paths`");
        reader.report(problem.hint("say what is kept: `paths: [target]`"));
        return None;
    };
    let mut paths = Vec::new();
    for item in reader.list(&entry.value, "`paths`", PATTERNS_MAX) {
        let path = reader.template(item, "`paths`")?;
        if path
            .value
            .literal()
            .is_some_and(|text| !is_cache_path(text))
        {
            let problem = Problem::new(path.place, &item.shown(), "this path cannot be kept");
            reader.report(problem.hint(
                "write a path of the workspace, or an absolute one; no `..`, and not `/` itself",
            ));
            return None;
        }
        paths.push(path);
    }
    Some(CacheDefinition { key, paths })
}

/// Whether a cache may keep this. The workspace itself holds the checkout, and `/` everything;
/// what the engine or we mount is nobody's to keep.
pub(crate) fn is_cache_path(path: &str) -> bool {
    let parts = || path.split('/').filter(|part| !part.is_empty());
    let is_taken = [
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/workspace",
        "/bin",
        "/etc",
        "/lib",
        "/usr/bin",
    ]
    .iter()
    .any(|taken| {
        path.trim_end_matches('/') == *taken
            || path.starts_with("/proc/")
            || path.starts_with("/sys/")
            || path.starts_with("/dev/")
            || path.starts_with("/run/")
    });
    path.len() <= 1024
        && parts().next().is_some()
        && !parts().any(|part| part == "." || part == "..")
        && !path.contains(['\\', ':', ','])
        && !path.chars().any(char::is_control)
        && !is_taken
}

/// A list of patterns of files, as texts with gaps.
pub(crate) fn file_patterns(reader: &mut Reader, node: &Node, what: &str) -> Vec<At<Template>> {
    let mut patterns = Vec::new();
    for item in reader.list(node, what, PATTERNS_MAX) {
        let Some(pattern) = reader.template(item, what) else {
            continue;
        };
        if let Some(text) = pattern.value.literal() {
            let plain = text.strip_prefix('!').unwrap_or(text).trim_end_matches('/');
            let is_outside = plain.split('/').any(|part| part == "..");
            let wrong = match Patterns::default().add(text.trim_end_matches('/')) {
                Ok(()) if is_outside => Some("it leads out of the workspace"),
                Ok(()) => None,
                Err(error) => Some(error.rule),
            };
            if let Some(rule) = wrong {
                let message = "this is not a valid pattern";
                reader.report(Problem::new(pattern.place, text, message).hint(rule));
                continue;
            }
        }
        patterns.push(pattern);
    }
    patterns
}

/// Reads `reports`.
pub(crate) fn junit(reader: &mut Reader, node: &Node) -> Vec<At<Template>> {
    let fields = reader.fields(node, &REPORTS);
    match fields.and_then(|fields: Fields<'_>| fields.find("junit")) {
        Some(entry) => file_patterns(reader, &entry.value, "`junit`"),
        None => Vec::new(),
    }
}

/// Reads `outputs`.
pub(crate) fn outputs(reader: &mut Reader, node: &Node) -> Vec<(String, At<Template>)> {
    let entries = reader.mapping(node, "`outputs`").unwrap_or(&[]);
    if entries.len() > OUTPUTS_MAX {
        let count = entries.len();
        let message = format!("the job has {count} outputs; at most {OUTPUTS_MAX} may be");
        reader.report(Problem::new(node.place, "outputs", message));
        return Vec::new();
    }
    let mut outputs = Vec::new();
    for entry in entries {
        if !is_word(&entry.key) {
            let message = "this is not a valid name of an output";
            reader.report(Problem::new(entry.place, &entry.key, message).hint(WORD_RULE));
        } else if let Some(path) = reader.template_path(&entry.value, &format!("`{}`", entry.key)) {
            outputs.push((entry.key.clone(), path));
        }
    }
    outputs
}

/// Reads `secrets`.
pub(crate) fn secrets(reader: &mut Reader, node: &Node) -> Vec<SecretName> {
    let mut secrets: Vec<SecretName> = Vec::new();
    for item in reader.list(node, "`secrets`", SECRETS_MAX) {
        let Some(name) = reader.name::<SecretName>(item, "`secrets`") else {
            continue;
        };
        if secrets.contains(&name.value) {
            let message = "this secret is named twice";
            reader.report(Problem::new(name.place, name.value.as_str(), message));
        } else {
            secrets.push(name.value);
        }
    }
    secrets
}
