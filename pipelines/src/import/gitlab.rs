//! `.gitlab-ci.yml`: jobs in stages, which inherit from one another.

mod inherit;
mod jobs;
mod keep;
mod rules;

use super::model::{Concurrency, Filter, Job, Notes, Pairs, Pipeline, add};
use super::names::{self, Names};
use super::source::{Entry, Node};
use super::variables::{Table, both, script};

const VARIABLES: Table = Table {
    known: &[
        both("CI_COMMIT_SHA", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both(
            "CI_COMMIT_SHORT_SHA",
            "$SEAWORTHY_SHORT_COMMIT",
            "${{ short_commit }}",
        ),
        both("CI_COMMIT_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("CI_COMMIT_REF_NAME", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("CI_COMMIT_REF_SLUG", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both(
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
            "$SEAWORTHY_BRANCH",
            "${{ branch }}",
        ),
        both("CI_COMMIT_TAG", "$SEAWORTHY_TAG", "${{ tag }}"),
        both(
            "CI_PROJECT_PATH",
            "$SEAWORTHY_REPOSITORY",
            "${{ repository }}",
        ),
        both("CI_PIPELINE_ID", "$SEAWORTHY_RUN", "${{ run }}"),
        both("CI_PIPELINE_IID", "$SEAWORTHY_RUN", "${{ run }}"),
        both("CI_PROJECT_DIR", "/workspace", "/workspace"),
        both("GITLAB_USER_LOGIN", "$SEAWORTHY_AUTHOR", "${{ author }}"),
        both(
            "CI_REGISTRY_IMAGE",
            "registry.example.com/$SEAWORTHY_REPOSITORY",
            "registry.example.com/${{ repository }}",
        ),
        both(
            "CI_REGISTRY",
            "registry.example.com",
            "registry.example.com",
        ),
        script("CI_JOB_NAME", "$SEAWORTHY_JOB"),
        script("CI_JOB_URL", "$SEAWORTHY_URL"),
        script("CI_PIPELINE_URL", "$SEAWORTHY_URL"),
        script("CI_MERGE_REQUEST_IID", "$SEAWORTHY_PULL_REQUEST"),
        both("CI_DEFAULT_BRANCH", "main", "main"),
    ],
    prefixes: &["CI_", "GITLAB_"],
};

/// Keys of the file that are no jobs.
const KEYS: &[&str] = &[
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "types",
    "spec",
];

/// What all jobs of the file share.
struct Reader {
    root: Node,
    env: Pairs,
    /// Their names and ours.
    names: Pairs,
    /// Whether a job without rules runs for pull requests too.
    has_workflow: bool,
}

/// Translates the file.
pub(super) fn pipeline(root: &Node, notes: &mut Notes) -> Pipeline {
    let root = inherit::with_references(root, notes);
    let mut pipeline = Pipeline::default();
    for entry in root.entries() {
        strange(entry, notes);
    }
    let env = variables(root.find("variables"), &Pairs::new(), notes);
    let mut unique = Names::default();
    let is_job = |entry: &&Entry| {
        !KEYS.contains(&entry.key.as_str())
            && !entry.key.starts_with('.')
            && !entry.value.entries().is_empty()
    };
    let entries: Vec<Entry> = root.entries().iter().filter(is_job).cloned().collect();
    let named = entries
        .iter()
        .map(|entry| (entry.key.clone(), unique.unique(&entry.key)));
    let reader = Reader {
        names: named.collect(),
        has_workflow: root
            .find("workflow")
            .is_some_and(|node| node.find("rules").is_some()),
        env: env.clone(),
        root,
    };
    let resolved: Vec<(Entry, Node)> = entries
        .into_iter()
        .map(|entry| {
            let node = inherit::whole(&reader.root, &entry.value, entry.line, notes);
            (entry, node)
        })
        .collect();
    triggers(&reader, &resolved, &mut pipeline, notes);
    pipeline.env = env;
    let mut staged = Vec::new();
    for (entry, node) in &resolved {
        let stage = node.text_of("stage").unwrap_or("test").to_owned();
        let mut job = jobs::read(&reader, entry, node, &pipeline.triggers, notes);
        job.name = reader.ours(&entry.key);
        if node.find("interruptible").is_some_and(Node::is_true) {
            pipeline.concurrency = Some(Concurrency {
                group: "${{ branch }}".into(),
                newest_wins: true,
            });
        }
        staged.push((stage, job, node.find("needs").cloned()));
    }
    pipeline.jobs = needs(&reader, staged, notes);
    note_artifacts(&resolved, &pipeline, notes);
    pipeline
}

impl Reader {
    /// Our name of a job.
    fn ours(&self, theirs: &str) -> String {
        let found = self.names.iter().find(|(name, _)| name == theirs);
        found.map_or_else(|| names::job(theirs), |(_, ours)| ours.clone())
    }
}

fn strange(entry: &Entry, notes: &mut Notes) {
    let (why, hint) = match entry.key.as_str() {
        "include" => (
            "other files are not read in",
            "translate them too, or put what they share into `templates`",
        ),
        "types" | "spec" => ("there is no such thing here", "see docs/pipeline-file.md"),
        _ => return,
    };
    for item in entry.value.items() {
        let text = item.text().map(str::to_owned);
        let shown = text.unwrap_or_else(|| {
            let values = item.entries().iter();
            values
                .map(|one| one.value.shown())
                .collect::<Vec<_>>()
                .join(" ")
        });
        notes.add(item.line, &format!("{}: {shown}", entry.key), why, hint);
    }
}

/// `variables`, with what others of the file hold in place of their names.
fn variables(node: Option<&Node>, outer: &Pairs, notes: &mut Notes) -> Pairs {
    let mut own = outer.clone();
    let mut env = Pairs::new();
    for entry in node.map(Node::entries).unwrap_or_default() {
        let key = entry.key.as_str();
        let value = entry
            .value
            .text()
            .or(entry.value.text_of("value"))
            .unwrap_or_default();
        match key {
            "GIT_SUBMODULE_STRATEGY" if value != "none" => {
                let hint = "add `git submodule update --init` as a first step";
                notes.add(
                    entry.line,
                    key,
                    "the checkout is plain git, without submodules",
                    hint,
                );
            }
            key if key.starts_with("GIT_") || key.starts_with("FF_") => {}
            // They tell a client where the engine is, which no step has.
            "DOCKER_HOST" | "DOCKER_TLS_CERTDIR" | "DOCKER_DRIVER" | "DOCKER_TLS_VERIFY"
            | "DOCKER_CERT_PATH" => {}
            key if !names::is_variable(key) => {
                let hint = "use letters, digits and `_`";
                notes.add(entry.line, key, "this is not a name of a variable", hint);
            }
            key => {
                let value = VARIABLES.in_value(value, &own, entry.line, notes);
                own.push((key.to_owned(), value.clone()));
                env.push((key.to_owned(), value));
            }
        }
    }
    env
}

/// What starts the pipeline: what `workflow` says, or else what the jobs want.
fn triggers(reader: &Reader, jobs: &[(Entry, Node)], pipeline: &mut Pipeline, notes: &mut Notes) {
    let triggers = &mut pipeline.triggers;
    let workflow = reader
        .root
        .find("workflow")
        .and_then(|node| node.find("rules"));
    if let Some(rules) = workflow {
        rules::workflow(rules, triggers, notes);
    } else {
        triggers.push = Some(Filter::default());
        let mut events = Vec::new();
        for (_, node) in jobs {
            rules::events(node, &mut events);
        }
        if events.iter().any(|event| event == "pull_request") {
            triggers.pull_request = Some(Filter::default());
        }
        rules::narrow(jobs.iter().map(|(_, node)| node), triggers);
    }
    let mut noted = Vec::new();
    for (_, node) in jobs {
        let mut events = Vec::new();
        rules::events(node, &mut events);
        if events.iter().any(|event| event == "schedule") {
            add(&mut noted, node.line);
        }
        if events.iter().any(|event| event == "manual") {
            triggers.manual.get_or_insert_with(Vec::new);
        }
    }
    if let Some(line) = noted.first() {
        notes.add(
            *line,
            "schedules",
            "the times stand in GitLab's settings, not in the file",
            "add `schedule: [{ cron: \"0 4 * * *\" }]` to `on`",
        );
    }
}

/// `needs`, or else the jobs of the stage before.
fn needs(reader: &Reader, staged: Vec<(String, Job, Option<Node>)>, notes: &mut Notes) -> Vec<Job> {
    let mut order: Vec<String> = vec![".pre".into()];
    match reader.root.find("stages") {
        Some(stages) => order.extend(stages.texts().into_iter().map(|(_, text)| text)),
        None => order.extend(["build", "test", "deploy"].map(str::to_owned)),
    }
    order.push(".post".into());
    let place = |stage: &str| {
        order
            .iter()
            .position(|name| name == stage)
            .unwrap_or(order.len())
    };
    let mut before: Vec<(usize, String)> = Vec::new();
    for (stage, job, _) in &staged {
        before.push((place(stage), job.name.clone()));
    }
    let mut jobs = Vec::new();
    for (stage, mut job, needs) in staged {
        match needs {
            Some(needs) => {
                for need in needs.items() {
                    let name = need.text().or(need.text_of("job"));
                    let is_other = need.find("project").or(need.find("pipeline")).is_some();
                    match name.filter(|_| !is_other) {
                        Some(name) if reader.names.iter().any(|(theirs, _)| theirs == name) => {
                            add(&mut job.needs, reader.ours(name));
                        }
                        _ => {
                            let what = format!("needs: {}", need.shown());
                            let why = "there is no such job in this file";
                            notes.add(need.line, &what, why, "leave it out, or write the job");
                        }
                    }
                }
            }
            None => {
                let own = place(&stage);
                let earlier = before.iter().filter(|(place, _)| *place < own);
                if let Some(nearest) = earlier.clone().map(|(place, _)| *place).max() {
                    let names = earlier.filter(|(place, _)| *place == nearest);
                    job.needs = names.map(|(_, name)| name.clone()).collect();
                }
            }
        }
        jobs.push((place(&stage), job));
    }
    // Sorted as they run; those of one stage stay as they are written.
    jobs.sort_by_key(|(place, _)| *place);
    jobs.into_iter().map(|(_, job)| job).collect()
}

/// GitLab hands artifacts on; here nobody does.
fn note_artifacts(jobs: &[(Entry, Node)], pipeline: &Pipeline, notes: &mut Notes) {
    for (entry, node) in jobs {
        let Some(paths) = node.find("artifacts").and_then(|node| node.find("paths")) else {
            continue;
        };
        let name = &pipeline
            .jobs
            .iter()
            .find(|job| job.name == names::job(&entry.key));
        let is_needed = name.is_some_and(|job| {
            pipeline
                .jobs
                .iter()
                .any(|other| other.needs.contains(&job.name))
        });
        if is_needed {
            notes.add(
                paths.line,
                &format!("artifacts: {}", paths.shown()),
                "they are kept, but a later job starts from a fresh checkout without them",
                "do in one job what needs the files, or make them again",
            );
        }
    }
}
