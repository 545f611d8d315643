//! The work of a job with every `${{ … }}` filled in that can be, and every inherited value in its
//! place.

use std::collections::BTreeMap;

use super::{Made, applies};
use crate::definition::{
    At, BuildDefinition, CacheDefinition, DeployDefinition, Env, Problem, ServiceDefinition,
    SourceDefinition, StepDefinition, StepsDefinition, WorkDefinition, is_cache_path, made_outputs,
};
use crate::expression::{Template, variable_name};
use crate::names::{ImageRepository, is_image_reference};
use crate::pattern::Patterns;
use crate::plan::{
    BuildWork, Cache, DeployWork, Late, Part, ReleaseSource, Service, Step, StepsWork, Text, Work,
};

/// The work of a job. `None` for a deploy to an environment that is not there.
pub(super) fn work(made: &Made<'_>) -> Result<Option<Work>, Vec<Problem>> {
    match &made.job.work {
        WorkDefinition::Steps(work) => steps(work, made).map(Work::Steps),
        WorkDefinition::Build(work) => build(work, made).map(Work::Build),
        WorkDefinition::Deploy(work) => return Ok(deploy(work, made).map(Work::Deploy)),
    }
    .map(Some)
}

const FILLED: &str = "this is the value with `${{ … }}` filled in";

fn steps(work: &StepsDefinition, made: &Made<'_>) -> Result<StepsWork, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut of_job = variables(made);
    of_job.extend(filled(&made.definition.env, made));
    of_job.extend(filled(&work.env, made));
    let mut steps = Vec::new();
    for step in &work.steps {
        match planned_step(step, work, (&of_job, made)) {
            Ok(step) => steps.push(step),
            Err(problem) => problems.push(problem),
        }
    }
    let mut services = Vec::new();
    for service in &work.services {
        match planned_service(service, made) {
            Ok(service) => services.push(service),
            Err(problem) => problems.push(problem),
        }
    }
    let image = steps.first().map(|step| step.image.to_string());
    let image = image.unwrap_or_default();
    let mut caches = Vec::new();
    for (place, cache) in work.caches.iter().enumerate() {
        match planned_cache(cache, (place, &image), made) {
            Ok(cache) => caches.push(cache),
            Err(more) => problems.extend(more),
        }
    }
    let mut patterns = |templates: &[At<Template>]| match texts(templates, is_file_pattern, made) {
        Ok(texts) => texts,
        Err(more) => {
            problems.extend(more);
            Vec::new()
        }
    };
    let (artifacts, junit) = (patterns(&work.artifacts), patterns(&work.junit));
    let mut outputs = BTreeMap::new();
    for (name, path) in &work.outputs {
        match text(path, is_path, made) {
            Ok(path) => {
                outputs.insert(name.clone(), path);
            }
            Err(problem) => problems.push(problem),
        }
    }
    match problems.is_empty() {
        true => Ok(StepsWork {
            services,
            caches,
            steps,
            artifacts,
            junit,
            outputs,
        }),
        false => Err(problems),
    }
}

fn planned_step(
    step: &StepDefinition,
    work: &StepsDefinition,
    (of_job, made): (&BTreeMap<String, Text>, &Made<'_>),
) -> Result<Step, Problem> {
    let mut env = of_job.clone();
    env.extend(filled(&step.env, made));
    let mut secrets = work.secrets.clone();
    for secret in &step.secrets {
        if !secrets.contains(secret) {
            secrets.push(secret.clone());
        }
    }
    Ok(Step {
        name: step.name.clone(),
        image: image(&step.image, made)?,
        run: step.run.clone(),
        env,
        secrets,
        timeout_seconds: step.timeout_seconds,
        condition: step.when.status,
        skip: applies::why_missed(&step.when, &made.cell.values, made.context),
    })
}

fn planned_service(service: &ServiceDefinition, made: &Made<'_>) -> Result<Service, Problem> {
    Ok(Service {
        name: service.name.clone(),
        image: image(&service.image, made)?,
        env: filled(&service.env, made),
        ready: service.ready.clone(),
        ready_seconds: service.ready_seconds,
    })
}

/// What must wait for the run is looked at when the run has it.
fn image(template: &At<Template>, made: &Made<'_>) -> Result<Text, Problem> {
    let image = template.value.fill(&made.values());
    match image.known() {
        Some(known) if !is_image_reference(known) => {
            let message = format!("`{known}` is not a valid image");
            Err(Problem::new(template.place, known, message).hint(FILLED))
        }
        Some(_) | None => Ok(image),
    }
}

/// Caches of one job that differ in what they keep, or for which image, must not stand in for one
/// another; what they are called is told apart by a hash, as it could be long.
fn planned_cache(
    cache: &CacheDefinition,
    (place, image): (usize, &str),
    made: &Made<'_>,
) -> Result<Cache, Vec<Problem>> {
    let files = texts(&cache.key, is_file_pattern, made);
    let paths = texts(&cache.paths, is_cache_path, made);
    let (files, paths) = match (files, paths) {
        (Ok(files), Ok(paths)) => (files, paths),
        (files, paths) => {
            let all = [files.err(), paths.err()];
            return Err(all.into_iter().flatten().flatten().collect());
        }
    };
    let told = format!("{image}\n{}", paths.join("\n"));
    let (pipeline, name) = (made.context.pipeline, &made.cell.name);
    Ok(Cache {
        prefix: format!("{pipeline}.{name}.{place}.{:016x}", hash(told.as_bytes())),
        files,
        paths,
    })
}

/// FNV-1a, 64 bits: to tell apart, not to withstand malice.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn is_file_pattern(text: &str) -> bool {
    let plain = text.strip_prefix('!').unwrap_or(text);
    Patterns::default().add(text.trim_end_matches('/')).is_ok()
        && !plain.split('/').any(|part| part == "..")
}

fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 1024
        && !text.starts_with(['/', '-'])
        && !text.contains(['\\', '\n', '\r'])
        && !text.split('/').any(|part| part == "..")
}

/// A text that nothing late can stand in, filled and checked.
fn text(
    template: &At<Template>,
    is_fit: fn(&str) -> bool,
    made: &Made<'_>,
) -> Result<String, Problem> {
    let text = template.value.fill(&made.values()).to_string();
    match is_fit(&text) {
        true => Ok(text),
        false => {
            let message = format!("`{text}` is not a valid path or pattern");
            Err(Problem::new(template.place, &text, message).hint(FILLED))
        }
    }
}

fn texts(
    templates: &[At<Template>],
    is_fit: fn(&str) -> bool,
    made: &Made<'_>,
) -> Result<Vec<String>, Vec<Problem>> {
    let all = templates
        .iter()
        .map(|template| text(template, is_fit, made));
    let (good, bad): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
    match bad.is_empty() {
        true => Ok(good.into_iter().flatten().collect()),
        false => Err(bad.into_iter().filter_map(Result::err).collect()),
    }
}

fn build(work: &BuildDefinition, made: &Made<'_>) -> Result<BuildWork, Vec<Problem>> {
    let image = work.image.value.fill(&made.values()).to_string();
    let Ok(image) = image.parse::<ImageRepository>() else {
        let message = format!("`{image}` is not a valid image repository");
        let problem = Problem::new(work.image.place, &image, message);
        return Err(vec![problem.hint(FILLED)]);
    };
    let mut tags: Vec<Text> = Vec::new();
    for tag in work.tags.iter().filter_map(|tag| tag_of(tag, made)) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let target = work.target.as_ref();
    Ok(BuildWork {
        image,
        context: work.context.clone(),
        dockerfile: work.dockerfile.clone(),
        target: target.map(|target| target.value.fill(&made.values())),
        platforms: work.platforms.clone(),
        args: filled(&work.args, made),
        secrets: work.secrets.clone(),
        tags,
    })
}

/// A tag with its gaps filled. Branches hold characters that tags cannot: those become `-`. A tag
/// of nothing (`${{ tag }}` when a branch was pushed) is left out. What is filled in late is made to
/// fit by whoever fills it: see [`fit_tag`].
fn tag_of(tag: &At<Template>, made: &Made<'_>) -> Option<Text> {
    match tag.value.fill(&made.values()) {
        Text::Known(text) => fit_tag(&text).map(Text::Known),
        late @ Text::Late(_) => Some(late),
    }
}

/// A text as a tag, in the letters that tags have; none if nothing is left of it.
pub fn fit_tag(text: &str) -> Option<String> {
    const CHARS_MAX: usize = 128;
    let fit = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => c,
        _ => '-',
    };
    let text: String = text.chars().map(fit).collect();
    let text = text.trim_start_matches(['.', '-']);
    let text: String = text.chars().take(CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

fn deploy(work: &DeployDefinition, made: &Made<'_>) -> Option<DeployWork> {
    let environment = made.context.environments.find(&work.environment.value)?;
    let source = match &work.source {
        SourceDefinition::Manifests {
            path,
            images,
            before,
        } => ReleaseSource::Manifests {
            path: path.clone(),
            images: images
                .iter()
                .map(|(image, job)| (image.clone(), job.value.clone()))
                .collect(),
            before: before.clone(),
        },
        SourceDefinition::Promote(from) => {
            let mut deploys = made.definition.deploys();
            let (at, _) = deploys.find(|(_, other)| other.environment.value == from.value)?;
            ReleaseSource::Promote {
                environment: from.value.clone(),
                job: made.definition.jobs[at].name.value.clone(),
            }
        }
    };
    Some(DeployWork {
        environment: environment.name.clone(),
        namespace: environment.namespace.clone(),
        source,
        strategy: work.strategy.clone(),
        verify: work.verify.clone(),
        on_failure: environment.on_failure,
    })
}

fn filled(env: &Env, made: &Made<'_>) -> BTreeMap<String, Text> {
    let values = made.values();
    let pair = |(name, value): &(String, At<Template>)| (name.clone(), value.value.fill(&values));
    env.iter().map(pair).collect()
}

/// What a script is told that is its job's alone: its cell, the inputs, and what the jobs behind it
/// made. What is the same for every job of a run, the runner tells.
pub(super) fn variables(made: &Made<'_>) -> BTreeMap<String, Text> {
    let mut all = BTreeMap::new();
    for (axis, value) in &made.cell.values {
        all.insert(
            variable_name(&format!("matrix_{axis}")),
            value.clone().into(),
        );
    }
    for (name, value) in made.inputs {
        all.insert(
            variable_name(&format!("input_{name}")),
            value.clone().into(),
        );
    }
    let jobs = made.definition.jobs.iter().zip(made.behind);
    for (job, _) in jobs.filter(|(job, behind)| **behind && job.matrix.is_none()) {
        let name = &job.name.value;
        for output in made_outputs(job) {
            let late = Late::Output {
                job: name.clone(),
                name: output.to_owned(),
            };
            let text = Text::Late(vec![Part::Gap(late)]);
            all.insert(variable_name(&format!("output_{name}_{output}")), text);
        }
    }
    all
}
