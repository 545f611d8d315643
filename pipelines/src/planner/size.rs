//! How large a plan will be, before it is made: a matrix makes many jobs of one, and the variables
//! of a job stand in each of its steps, so that a small file and a long input can make a huge plan.

use super::Made;
use super::work::variables;
use crate::definition::{
    At, BuildDefinition, Env, Problem, StepDefinition, StepsDefinition, When, WorkDefinition,
};
use crate::expression::Template;
use crate::limits::PLAN_BYTES_MAX;
use crate::names::{JobName, SecretName};

/// What is left of a plan's bound.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget {
            bytes: PLAN_BYTES_MAX,
        }
    }

    /// Takes what a job will need, or says that there is not so much.
    pub(super) fn take(&mut self, made: &Made<'_>, needs: &[JobName]) -> Result<(), Problem> {
        let names = needs.iter().map(|need| need.as_str().len() + PUNCTUATION);
        let bytes = JOB_BYTES + names.sum::<usize>() + bytes(made);
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                let name = &made.job.name;
                let message = format!(
                    "with this job the plan has more than {PLAN_BYTES_MAX} bytes, which is the limit"
                );
                let problem = Problem::new(name.place, name.value.as_str(), message);
                Err(problem
                    .hint("each step holds the `env`, the matrix values and the inputs of its job"))
            }
        }
    }
}

/// What a job, a step, and a pair of texts have around them when they are stored, about.
const JOB_BYTES: usize = 512;
const STEP_BYTES: usize = 128;
const PUNCTUATION: usize = 6;

fn bytes(made: &Made<'_>) -> usize {
    let values = made.cell.values.iter();
    let cell = values.map(|(axis, value)| axis.len() + value.len() + PUNCTUATION);
    let work = match &made.job.work {
        WorkDefinition::Steps(work) => steps(work, made),
        WorkDefinition::Build(work) => build(work, made),
        // A deploy holds little, and nothing that is filled in.
        WorkDefinition::Deploy(_) => JOB_BYTES,
    };
    cell.sum::<usize>() + reason(&made.job.when) + work
}

fn steps(work: &StepsDefinition, made: &Made<'_>) -> usize {
    let given = variables(made);
    let given = given
        .iter()
        .map(|(name, value)| name.len() + value.to_string().len() + PUNCTUATION);
    let shared = given.sum::<usize>()
        + env(&made.definition.env, made)
        + env(&work.env, made)
        + secrets(&work.secrets);
    let step = |step: &StepDefinition| {
        STEP_BYTES
            + shared
            + step.name.len()
            + step.run.len()
            + text(&step.image, made)
            + env(&step.env, made)
            + secrets(&step.secrets)
            + reason(&step.when)
    };
    let services = work.services.iter().map(|service| {
        STEP_BYTES
            + text(&service.image, made)
            + env(&service.env, made)
            + service.ready.as_ref().map_or(0, String::len)
    });
    let caches = work.caches.iter().map(|cache| {
        let told = texts(&cache.key, made) + texts(&cache.paths, made);
        STEP_BYTES + told
    });
    let outputs = work.outputs.iter();
    let outputs = outputs.map(|(name, path)| name.len() + text(path, made));
    work.steps.iter().map(step).sum::<usize>()
        + services.sum::<usize>()
        + caches.sum::<usize>()
        + outputs.sum::<usize>()
        + texts(&work.artifacts, made)
        + texts(&work.junit, made)
}

fn build(work: &BuildDefinition, made: &Made<'_>) -> usize {
    let platforms = work.platforms.iter().map(|name| name.len() + PUNCTUATION);
    JOB_BYTES
        + text(&work.image, made)
        + work.context.len()
        + work.dockerfile.len()
        + work.target.as_ref().map_or(0, |target| text(target, made))
        + env(&work.args, made)
        + texts(&work.tags, made)
        + secrets(&work.secrets)
        + platforms.sum::<usize>()
}

fn env(env: &Env, made: &Made<'_>) -> usize {
    let pairs = env.iter();
    pairs
        .map(|(name, value)| name.len() + text(value, made))
        .sum()
}

fn text(template: &At<Template>, made: &Made<'_>) -> usize {
    template.value.filled_bytes(&made.values()) + PUNCTUATION
}

fn texts(templates: &[At<Template>], made: &Made<'_>) -> usize {
    templates.iter().map(|template| text(template, made)).sum()
}

fn secrets(names: &[SecretName]) -> usize {
    let names = names.iter();
    names.map(|name| name.as_str().len() + PUNCTUATION).sum()
}

/// The longest reason why it may be skipped: it repeats what was wanted.
fn reason(when: &When) -> usize {
    let patterns = [&when.branch, &when.tag, &when.path];
    let patterns = patterns.into_iter().flatten();
    let axes = when.matrix.iter().map(|(_, patterns)| patterns);
    let longest = patterns.chain(axes).map(|all| all.to_string().len()).max();
    longest.unwrap_or_default()
}
