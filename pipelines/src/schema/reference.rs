//! The reference page, from the schemas: a table for each level, in the order of `definition::keys`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{environments, pipeline, templates};
use crate::definition::keys::{self, Keys};
use crate::limits as bound;

/// Each level with its heading and its place in the schemas.
pub(crate) const LEVELS: &[(&Keys, &str, &str)] = &[
    (&keys::FILE, "The file", "Pipeline"),
    (&keys::ON, "on", "Triggers"),
    (&keys::PUSH, "on.push", "Push"),
    (&keys::PULL_REQUEST, "on.pull_request", "PullRequest"),
    (&keys::SCHEDULE, "on.schedule", "Schedule"),
    (&keys::MANUAL, "on.manual", "Manual"),
    (&keys::INPUT, "on.manual.inputs", "Input"),
    (&keys::CONCURRENCY, "concurrency", "Concurrency"),
    (&keys::JOB, "A job", "Job"),
    (&keys::WHEN, "when", "When"),
    (&keys::MATRIX, "matrix", "Matrix"),
    (&keys::RETRY, "retry", "Retry"),
    (&keys::SERVICE, "A service", "Service"),
    (&keys::CACHE, "cache", "Cache"),
    (&keys::REPORTS, "reports", "Reports"),
    (&keys::STEP, "A step", "Step"),
    (&keys::BUILD, "build", "Build"),
    (&keys::DEPLOY, "deploy", "Deploy"),
    (&keys::VERIFY, "deploy.verify", "Verify"),
    (&keys::STRATEGY, "deploy.strategy", "Strategy"),
    (&keys::BLUE_GREEN, "blue_green", "BlueGreen"),
    (&keys::CANARY, "canary", "Canary"),
    (&keys::TEMPLATE_FILE, "A file of templates", "TemplateFile"),
    (&keys::ENVIRONMENT, "environments.yml", "Environment"),
];

/// The levels of all schemas by their names.
pub(crate) fn levels() -> serde_json::Map<String, Value> {
    let mut all = serde_json::Map::new();
    let roots = [
        ("Pipeline", pipeline()),
        ("TemplateFile", templates()),
        ("Environments", environments()),
    ];
    for (name, mut root) in roots {
        if let Some(Value::Object(more)) = root.get_mut("$defs").map(Value::take) {
            all.extend(more);
        }
        all.insert(name.to_owned(), root);
    }
    all
}

/// Every key of both files, as a page in Markdown.
pub fn reference() -> String {
    let levels = levels();
    let mut page = String::from(HEAD);
    for (keys, heading, name) in LEVELS {
        let Some(level) = levels.get(*name) else {
            continue;
        };
        put(&mut page, format_args!("\n## {}\n", title(heading)));
        put(&mut page, format_args!("{}\n\n", words(level)));
        put(
            &mut page,
            format_args!("| key | value | meaning |\n| --- | --- | --- |\n"),
        );
        let needs = level.get("required").and_then(Value::as_array);
        for key in keys.known {
            let property = &level["properties"][*key];
            let is_needed = needs.is_some_and(|needs| needs.iter().any(|need| need == key));
            let must = if is_needed { " (must be there)" } else { "" };
            put(
                &mut page,
                format_args!(
                    "| `{key}` | {}{must} | {} |\n",
                    kind(property),
                    words(property)
                ),
            );
        }
    }
    page.push_str(EXPRESSIONS);
    page.push_str("\n## Bounds\n| bound | value |\n| --- | --- |\n");
    for (what, value) in bounds() {
        put(&mut page, format_args!("| {what} | {value} |\n"));
    }
    page
}

const HEAD: &str = "# Reference of the pipeline file

Every key of `.seaworthy/*.yml` and `.seaworthy/environments.yml`. [The pipeline file](pipeline-file.md) explains them with examples. This page is made from the same source as the JSON Schemas [pipeline.json](schema/pipeline.json) and [environments.json](schema/environments.json), which a server offers at `/schema/pipeline.json` and `/schema/environments.json`.
";

const EXPRESSIONS: &str = "
## `${{ … }}`
Filled in as text, once, in values; never in `run`, in names, numbers and times.

| expression | in scripts | value |
| --- | --- | --- |
| `branch`, `tag` | `SEAWORTHY_BRANCH`, `SEAWORTHY_TAG` | empty if the event has none |
| `commit`, `short_commit` | `SEAWORTHY_COMMIT`, `SEAWORTHY_SHORT_COMMIT` | the commit's id, and its first seven digits |
| `event` | `SEAWORTHY_EVENT` | `push`, `pull_request`, `schedule` or `manual` |
| `author` | `SEAWORTHY_AUTHOR` | who wrote the commit |
| `repository` | `SEAWORTHY_REPOSITORY` | `owner/name` |
| `matrix.AXIS` | `SEAWORTHY_MATRIX_AXIS` | the cell's value, in jobs that have the axis |
| `inputs.NAME` | `SEAWORTHY_INPUT_NAME` | what the person said, or the default |
| `run` | `SEAWORTHY_RUN` | the run's number; only in images, `env`, and `args`, `tags` and `target` of a build |
| `jobs.JOB.outputs.NAME` | `SEAWORTHY_OUTPUT_JOB_NAME` | where `run` may stand, of a job without a matrix that is behind this one |
";

/// Writing to a text cannot fail.
fn put(page: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(words);
}

fn title(heading: &str) -> String {
    match heading.contains(' ') {
        true => heading.to_owned(),
        false => format!("`{heading}`"),
    }
}

/// Where a heading is found on its page.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| *c != '.' && *c != '`');
    let kept: String = kept.collect();
    kept.replace(' ', "-").to_lowercase()
}

/// The comment of a key or level, as one line.
fn words(schema: &Value) -> String {
    let words = schema["description"].as_str().unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or(name);
        let level = LEVELS.iter().find(|(_, _, level)| *level == name);
        let heading = level.map_or(name, |(_, heading, _)| heading);
        return format!("[{heading}](#{})", anchor(heading));
    }
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return format!("`{}`", values.join("`, `"));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut kinds: Vec<String> = Vec::new();
        for choice in choices {
            let kind = match choice["type"] == "array" && choices[0] == choice["items"] {
                true => "a list of them".to_owned(),
                false => kind(choice),
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        return kinds.join(", or ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of: {}", kind(&schema["items"])),
        Some("object") => format!("names → {}", kind(&schema["additionalProperties"])),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

/// Every bound that a file can meet.
fn bounds() -> Vec<(&'static str, String)> {
    let count = |number: usize| number.to_string();
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let minutes = |time: std::time::Duration| format!("{} minutes", time.as_secs() / 60);
    vec![
        ("a file", kib(bound::FILE_BYTES_MAX)),
        ("files of a repository", count(bound::FILES_MAX)),
        ("nesting", count(bound::DEPTH_MAX)),
        ("what aliases repeat", kib(bound::ALIAS_BYTES_MAX)),
        ("jobs, matrices multiplied out", count(bound::JOBS_MAX)),
        ("steps of a job", count(bound::STEPS_MAX)),
        ("needs of a job", count(bound::NEEDS_MAX)),
        ("axes of a matrix", count(bound::MATRIX_AXES_MAX)),
        ("services of a job", count(bound::SERVICES_MAX)),
        ("caches of a job", count(bound::CACHES_MAX)),
        ("outputs of a job", count(bound::OUTPUTS_MAX)),
        ("one output", kib(bound::OUTPUT_BYTES_MAX)),
        ("secrets of a job, step or build", count(bound::SECRETS_MAX)),
        ("artifacts of a job", count(bound::ARTIFACTS_MAX)),
        ("patterns of a list", count(bound::PATTERNS_MAX)),
        ("tags of an image", count(bound::TAGS_MAX)),
        ("platforms of an image", count(bound::PLATFORMS_MAX)),
        ("files under `before`", count(bound::BEFORE_MAX)),
        ("steps of a canary", count(bound::CANARY_STEPS_MAX)),
        ("schedules", count(bound::SCHEDULES_MAX)),
        ("inputs, and options of one", count(bound::INPUTS_MAX)),
        ("the value of an input", kib(bound::INPUT_BYTES_MAX)),
        (
            "templates that extend one another",
            count(bound::EXTENDS_DEPTH_MAX),
        ),
        (
            "files of other repositories",
            count(bound::TEMPLATE_FILES_MAX),
        ),
        ("attempts that `retry` adds", bound::RETRIES_MAX.to_string()),
        (
            "`timeout`, if nothing is said",
            minutes(bound::JOB_TIMEOUT_DEFAULT),
        ),
        (
            "`timeout`, and every other span",
            minutes(bound::JOB_TIMEOUT_MAX),
        ),
        (
            "environments of a repository",
            count(bound::ENVIRONMENTS_MAX),
        ),
        (
            "steps with their `env` in a plan",
            kib(bound::PLAN_BYTES_MAX),
        ),
        ("problems told of one file", count(bound::PROBLEMS_MAX)),
    ]
}
