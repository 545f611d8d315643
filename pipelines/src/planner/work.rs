//! The work of a job with every `${{ … }}` filled in and every inherited value in its place.

use std::collections::BTreeMap;

use super::Context;
use crate::definition::{
    At, BuildDefinition, Definition, DeployDefinition, Env, JobDefinition, Problem,
    SourceDefinition, StepsDefinition, WorkDefinition,
};
use crate::expression::{Template, Values};
use crate::names::{ImageRepository, is_image_reference};
use crate::plan::{BuildWork, DeployWork, ReleaseSource, Step, StepsWork, Text, Work};

/// The work of a job. `None` for a deploy to an environment that is not there.
pub(super) fn work(
    definition: &Definition,
    job: &JobDefinition,
    context: &Context<'_>,
) -> Result<Option<Work>, Vec<Problem>> {
    match &job.work {
        WorkDefinition::Steps(work) => steps(&definition.env, work, context).map(Work::Steps),
        WorkDefinition::Build(work) => build(work, context).map(Work::Build),
        WorkDefinition::Deploy(work) => {
            return Ok(deploy(definition, work, context).map(Work::Deploy));
        }
    }
    .map(Some)
}

fn steps(
    shared: &Env,
    work: &StepsDefinition,
    context: &Context<'_>,
) -> Result<StepsWork, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut steps = Vec::new();
    let mut of_job = filled(shared, context);
    of_job.extend(filled(&work.env, context));
    for step in &work.steps {
        let image = fill(&step.image.value, context).to_string();
        if !is_image_reference(&image) {
            let message = format!("`{image}` is not a valid image");
            let problem = Problem::new(step.image.place, &image, message);
            problems.push(problem.hint("this is the value with `${{ … }}` filled in"));
            continue;
        }
        let mut env = of_job.clone();
        env.extend(filled(&step.env, context));
        steps.push(Step {
            name: step.name.clone(),
            image: image.into(),
            run: step.run.clone(),
            env,
            secrets: step.secrets.clone(),
            timeout_seconds: step.timeout_seconds,
            condition: step.when.status,
            skip: None,
        });
    }
    match problems.is_empty() {
        true => Ok(StepsWork {
            steps,
            ..StepsWork::default()
        }),
        false => Err(problems),
    }
}

fn build(work: &BuildDefinition, context: &Context<'_>) -> Result<BuildWork, Vec<Problem>> {
    let image = fill(&work.image.value, context).to_string();
    let Ok(image) = image.parse::<ImageRepository>() else {
        let message = format!("`{image}` is not a valid image repository");
        let problem = Problem::new(work.image.place, &image, message);
        let hint = "this is the value with `${{ … }}` filled in";
        return Err(vec![problem.hint(hint)]);
    };
    let mut tags: Vec<Text> = Vec::new();
    for tag in work.tags.iter().filter_map(|tag| tag_of(tag, context)) {
        let tag = Text::from(tag);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(BuildWork {
        image,
        context: work.context.clone(),
        dockerfile: work.dockerfile.clone(),
        target: work
            .target
            .as_ref()
            .map(|target| fill(&target.value, context)),
        platforms: work.platforms.clone(),
        args: filled(&work.args, context),
        secrets: work.secrets.clone(),
        tags,
    })
}

/// A tag with its gaps filled. Branches hold characters that tags cannot: those become `-`. A tag
/// of nothing (`${{ tag }}` when a branch was pushed) is left out.
fn tag_of(tag: &At<Template>, context: &Context<'_>) -> Option<String> {
    const CHARS_MAX: usize = 128;
    let fit = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => c,
        _ => '-',
    };
    let text: String = fill(&tag.value, context)
        .to_string()
        .chars()
        .map(fit)
        .collect();
    let text = text.trim_start_matches(['.', '-']);
    let text: String = text.chars().take(CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

fn deploy(
    definition: &Definition,
    work: &DeployDefinition,
    context: &Context<'_>,
) -> Option<DeployWork> {
    let environment = context.environments.find(&work.environment.value)?;
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
            let mut deploys = definition.deploys();
            let (at, _) = deploys.find(|(_, other)| other.environment.value == from.value)?;
            ReleaseSource::Promote {
                environment: from.value.clone(),
                job: definition.jobs[at].name.value.clone(),
            }
        }
    };
    Some(DeployWork {
        environment: environment.name.clone(),
        namespace: environment.namespace.clone(),
        source,
        strategy: work.strategy.clone(),
        verify: work.verify.clone(),
    })
}

fn filled(env: &Env, context: &Context<'_>) -> BTreeMap<String, Text> {
    let pair = |(name, value): &(String, At<Template>)| (name.clone(), fill(&value.value, context));
    env.iter().map(pair).collect()
}

fn fill(template: &Template, context: &Context<'_>) -> Text {
    let values = Values {
        event: context.event,
        repository: context.repository,
        matrix: &BTreeMap::new(),
        inputs: &context.event.inputs,
    };
    template.fill(&values)
}
