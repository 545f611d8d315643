//! What stands around the stages: agent, environment, options, parameters, triggers, tools.

use super::super::images;
use super::super::model::{Concurrency, Notes, Pairs, Pipeline, Retry, by_hand, set};
use super::super::names;
use super::arguments::{Arguments, template, value};
use super::groovy::Statement;
use super::starts;

/// What stages inherit.
#[derive(Debug, Default, Clone)]
pub(super) struct Scope {
    pub(super) image: Option<String>,
    pub(super) env: Pairs,
    /// Variables that hold a secret, with its name.
    pub(super) secrets: Pairs,
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<Retry>,
    pub(super) comments: Vec<String>,
    /// Whether its variables stand in the file's `env` already.
    pub(super) is_root: bool,
}

/// Reads the sections of the whole pipeline.
pub(super) fn read(root: &Statement, pipeline: &mut Pipeline, notes: &mut Notes) -> Scope {
    let mut scope = Scope::default();
    if let Some(block) = root.find("environment") {
        environment(block, &mut scope, notes);
    }
    pipeline.env.clone_from(&scope.env);
    if let Some(agent) = root.find("agent") {
        let own = scope.env.clone();
        scope.image = image(agent, &own, &mut scope.comments, notes);
    }
    if let Some(block) = root.find("tools") {
        tools(block, &mut scope, notes);
    }
    for section in root.block() {
        match section.name.as_str() {
            "options" => options(section, &mut scope, Some(pipeline), notes),
            "parameters" => starts::parameters(section, pipeline, notes),
            "triggers" => starts::triggers(section, pipeline, notes),
            "agent" | "environment" | "stages" | "post" | "tools" => {}
            "libraries" => {
                let why = "shared libraries are programs of Jenkins";
                notes.add(
                    section.line,
                    "libraries",
                    why,
                    "write the steps they stand for",
                );
            }
            _ => {
                let why = "there is no such section here";
                notes.add(
                    section.line,
                    &section.shown(),
                    why,
                    "see docs/pipeline-file.md",
                );
            }
        }
    }
    if scope.image.is_none() && root.find("agent").is_some_and(|agent| agent.rest != "none") {
        let line = root.find("agent").map_or(root.line, |agent| agent.line);
        let why = format!(
            "`{}` stands in for the agent, which may have more",
            images::LINUX
        );
        notes.add(
            line,
            "agent",
            &why,
            "choose an image that has what the scripts need",
        );
    }
    scope
}

/// The image of an agent; nothing if it is no container.
pub(super) fn image(
    agent: &Statement,
    own: &Pairs,
    comments: &mut Vec<String>,
    notes: &mut Notes,
) -> Option<String> {
    if let Some(docker) = agent.find("docker") {
        let inner = docker
            .find("image")
            .map(|image| Arguments::read(&image.rest));
        let arguments = inner.unwrap_or_else(|| Arguments::read(&docker.rest));
        if let Some(options) = docker.find("args") {
            let why = "a container has no options of its own";
            let hint = "use `cache` for folders, `env` for variables; steps are root of their own";
            notes.add(options.line, &options.shown(), why, hint);
        }
        let image = arguments.main("image");
        return image.map(|image| template(image, own, docker.line, notes));
    }
    for (name, why, hint) in [
        (
            "dockerfile",
            "an image is not built for a job before it",
            "build it in a pipeline of its own, and name it as `image`",
        ),
        (
            "kubernetes",
            "a job is no pod: its steps name their images",
            "give the job or its steps the images of the pod's containers",
        ),
    ] {
        let Some(found) = agent.find(name) else {
            continue;
        };
        notes.add(found.line, &format!("agent {{ {name} }}"), why, hint);
        comments.push(by_hand(found.line, &format!("agent {{ {name} }}")));
        let rest = found
            .find("yaml")
            .map(|yaml| yaml.rest.clone())
            .unwrap_or_default();
        let mut lines = rest.lines().filter_map(|line| line.split_once("image:"));
        let image = lines
            .next()
            .map(|(_, image)| image.trim().trim_matches(['\'', '"']));
        return image.filter(|image| !image.is_empty()).map(str::to_owned);
    }
    None
}

/// `tools` are installed by Jenkins; here an image has them.
pub(super) fn tools(block: &Statement, scope: &mut Scope, notes: &mut Notes) {
    let has = |name: &str| block.find(name).is_some();
    let image = if has("maven") {
        Some("maven:3.9-eclipse-temurin-21".to_owned())
    } else if has("gradle") {
        Some("gradle:8-jdk21".to_owned())
    } else if has("nodejs") {
        images::of_language("node", None)
    } else if has("go") {
        images::of_language("go", None)
    } else if has("jdk") {
        images::of_language("java", None)
    } else {
        None
    };
    let names: Vec<_> = block.block().iter().map(Statement::shown).collect();
    let (why, hint) = match &image {
        Some(image) => (
            format!("tools are part of the image, here `{image}`, which is a guess"),
            "choose the tag with the version you need",
        ),
        None => (
            "tools are part of the image".into(),
            "choose an image that has them",
        ),
    };
    notes.add(
        block.line,
        &format!("tools: {}", names.join(", ")),
        &why,
        hint,
    );
    if scope.image.is_none() {
        scope.image = image;
    }
}

/// `NAME = value`, and `NAME = credentials('id')`.
pub(super) fn environment(block: &Statement, scope: &mut Scope, notes: &mut Notes) {
    for statement in block.block() {
        let Some(rest) = statement.rest.strip_prefix('=').map(str::trim) else {
            let why = "only `NAME = value` is read here";
            notes.add(
                statement.line,
                &statement.shown(),
                why,
                "write the value out",
            );
            continue;
        };
        if let Some(inner) = rest.strip_prefix("credentials") {
            let arguments = Arguments::read(inner);
            let id = arguments
                .places
                .first()
                .map(|id| id.plain().to_owned())
                .unwrap_or_default();
            let secret = names::secret(&id);
            let why = format!("credentials are secrets here: the steps name `{secret}`");
            let hint = "store it on the server; user and password are two secrets";
            notes.add(statement.line, &format!("credentials('{id}')"), &why, hint);
            scope.secrets.push((statement.name.clone(), secret));
            continue;
        }
        let found = value(rest);
        if matches!(found, super::arguments::Value::Code(_)) || rest.contains("${sh(") {
            let why = "only Groovy can compute this";
            notes.add(
                statement.line,
                &statement.shown(),
                why,
                "compute it in the script",
            );
            continue;
        }
        let own = scope.env.clone();
        let value = template(&found, &own, statement.line, notes);
        set(&mut scope.env, &statement.name, &value);
    }
}

/// A span of `time: 30, unit: 'MINUTES'`.
pub(super) fn span(arguments: &Arguments) -> Option<String> {
    let time: u64 = arguments.main("time")?.plain().parse().ok()?;
    let minutes = match arguments.text("unit").unwrap_or("MINUTES") {
        "SECONDS" => time.div_ceil(60),
        "HOURS" => time.checked_mul(60)?,
        "DAYS" => time.checked_mul(1440)?,
        _ => time,
    };
    names::minutes(minutes)
}

/// Options of the pipeline, or (without it) of a stage.
pub(super) fn options(
    block: &Statement,
    scope: &mut Scope,
    mut pipeline: Option<&mut Pipeline>,
    notes: &mut Notes,
) {
    for option in block.block() {
        let arguments = Arguments::read(&option.rest);
        match option.name.as_str() {
            "timeout" => scope.timeout = span(&arguments),
            "retry" => {
                let count = arguments
                    .main("count")
                    .and_then(|count| count.plain().parse().ok());
                // Theirs counts the first attempt.
                let attempts = count.unwrap_or(2_u32).saturating_sub(1).clamp(1, 10);
                let on = vec!["failure".into()];
                scope.retry = Some(Retry { attempts, on });
            }
            "disableConcurrentBuilds" => {
                let newest_wins = arguments.text("abortPrevious") == Some("true");
                if let Some(pipeline) = pipeline.as_deref_mut() {
                    let group = "${{ branch }}".into();
                    pipeline.concurrency = Some(Concurrency { group, newest_wins });
                }
            }
            // How much is kept and how it is shown is the server's matter.
            "buildDiscarder"
            | "timestamps"
            | "ansiColor"
            | "skipDefaultCheckout"
            | "preserveStashes"
            | "durabilityHint"
            | "checkoutToSubdirectory"
            | "skipStagesAfterUnstable"
            | "disableResume"
            | "parallelsAlwaysFailFast" => {}
            _ => {
                let why = "there is no such option here";
                notes.add(
                    option.line,
                    &option.shown(),
                    why,
                    "see docs/pipeline-file.md",
                );
            }
        }
    }
}
