//! Whether what stands in `${{ … }}` exists where it stands: axes, inputs, outputs of other jobs.

use std::cell::LazyCell;

use super::problem::{At, Problem};
use super::reader::Reader;
use super::{Definition, Env, JobDefinition, WorkDefinition};
use crate::expression::{Gap, Template};
use crate::graph::Graph;
use crate::names::JobName;
use crate::plan::{Late, OUTPUT_DIGEST, OUTPUT_IMAGE};

/// Checks every text of a file in which all jobs could be read.
pub(crate) fn check(reader: &mut Reader, definition: &Definition, graph: &Graph) {
    let outside = Scope {
        definition,
        job: None,
    };
    for (_, value) in &definition.env {
        // It stands in the steps of every job; what only one of them has is that one's to use.
        outside.template(reader, value);
    }
    if let Some(concurrency) = &definition.concurrency {
        outside.template(reader, &concurrency.group);
    }
    for (at, job) in definition.jobs.iter().enumerate() {
        let scope = Scope {
            definition,
            // Few jobs ask for outputs, and what is behind each of many costs much to find.
            job: Some((job, Behind::new(Box::new(move || graph.behind(at))))),
        };
        for template in templates(job) {
            scope.template(reader, template);
        }
        scope.matrix(reader, job);
    }
}

/// Where a text stands.
struct Scope<'d> {
    definition: &'d Definition,
    /// The job, and which jobs are behind it; none outside of jobs.
    job: Option<(&'d JobDefinition, Behind<'d>)>,
}

/// Which jobs are behind one.
type Behind<'d> = LazyCell<Vec<bool>, Box<dyn FnOnce() -> Vec<bool> + 'd>>;

impl Scope<'_> {
    fn template(&self, reader: &mut Reader, template: &At<Template>) {
        for gap in template.value.gaps() {
            let wrong = match gap {
                Gap::Known(_) | Gap::Late(Late::Run) => None,
                Gap::Matrix(axis) => self.axis(axis),
                Gap::Input(name) => self.input(name),
                Gap::Late(Late::Output { job, name }) => self.output(job, name),
            };
            if let Some((message, hint)) = wrong {
                let problem = Problem::new(template.place, &shown(gap), message);
                reader.report(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        }
    }

    fn axis(&self, axis: &str) -> Wrong {
        let Some((job, _)) = &self.job else {
            return Some(("only a job has a `matrix`".into(), None));
        };
        let known = axes(job);
        if known.contains(&axis) {
            return None;
        }
        let message = format!("the matrix of this job has no axis `{axis}`");
        Some((message, near(axis, &known)))
    }

    fn input(&self, name: &str) -> Wrong {
        let inputs = self.definition.inputs().unwrap_or_default();
        let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        if known.contains(&name) {
            return None;
        }
        let message = format!("there is no input `{name}`");
        let hint =
            near(name, &known).or_else(|| Some("declare it under `on.manual.inputs`".into()));
        Some((message, hint))
    }

    fn output(&self, job: &JobName, name: &str) -> Wrong {
        let Some((_, behind)) = &self.job else {
            return Some(("outputs of jobs are only known within jobs".into(), None));
        };
        let jobs = &self.definition.jobs;
        let Some(at) = jobs.iter().position(|other| other.name.value == *job) else {
            let known: Vec<&str> = jobs.iter().map(|job| job.name.value.as_str()).collect();
            return Some((
                format!("there is no job `{job}`"),
                near(job.as_str(), &known),
            ));
        };
        let other = &jobs[at];
        if !behind[at] {
            let message = format!("this job does not wait for job `{job}`");
            return Some((message, Some(format!("add `{job}` to its `needs`"))));
        }
        if other.matrix.is_some() {
            let message = format!("job `{job}` has a matrix, so its outputs are many");
            return Some((
                message,
                Some("take them from a job without a matrix".into()),
            ));
        }
        let known = outputs(other);
        if known.contains(&name) {
            return None;
        }
        let message = format!("job `{job}` has no output `{name}`");
        let hint =
            near(name, &known).or_else(|| Some("declare it under the job's `outputs`".into()));
        Some((message, hint))
    }

    /// `when` asks for axes that there are.
    fn matrix(&self, reader: &mut Reader, job: &JobDefinition) {
        let mut whens = vec![&job.when];
        if let WorkDefinition::Steps(work) = &job.work {
            whens.extend(work.steps.iter().map(|step| &step.when));
        }
        for (axis, _) in whens.into_iter().flat_map(|when| &when.matrix) {
            if let Some((message, hint)) = self.axis(&axis.value) {
                let problem = Problem::new(axis.place, &axis.value, message);
                reader.report(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        }
    }
}

/// What is wrong, and what to do about it.
type Wrong = Option<(String, Option<String>)>;

fn near(name: &str, known: &[&str]) -> Option<String> {
    let nearest = super::problem::nearest(name, known.iter().copied());
    nearest.map(|name| format!("did you mean `{name}`?"))
}

fn shown(gap: &Gap) -> String {
    match gap {
        Gap::Known(variable) => variable.as_str().to_owned(),
        Gap::Matrix(axis) => format!("matrix.{axis}"),
        Gap::Input(name) => format!("inputs.{name}"),
        Gap::Late(Late::Run) => "run".to_owned(),
        Gap::Late(Late::Output { job, name }) => format!("jobs.{job}.outputs.{name}"),
    }
}

/// The axes of a job, also those that only some of its cells have.
fn axes(job: &JobDefinition) -> Vec<&str> {
    let Some(matrix) = &job.matrix else {
        return Vec::new();
    };
    let own = matrix.axes.iter().map(|(name, _)| name.as_str());
    let added = matrix.include.iter().flatten();
    own.chain(added.map(|(name, _)| name.as_str())).collect()
}

/// What a job makes.
pub(crate) fn outputs(job: &JobDefinition) -> Vec<&str> {
    match &job.work {
        WorkDefinition::Steps(work) => work.outputs.iter().map(|(name, _)| name.as_str()).collect(),
        WorkDefinition::Build(_) => vec![OUTPUT_DIGEST, OUTPUT_IMAGE],
        WorkDefinition::Deploy(_) => Vec::new(),
    }
}

/// Every text of a job that may have gaps.
fn templates(job: &JobDefinition) -> Vec<&At<Template>> {
    fn values(env: &Env) -> impl Iterator<Item = &At<Template>> {
        env.iter().map(|(_, value)| value)
    }
    let mut all: Vec<&At<Template>> = Vec::new();
    match &job.work {
        WorkDefinition::Steps(work) => {
            all.extend(values(&work.env));
            for service in &work.services {
                all.push(&service.image);
                all.extend(values(&service.env));
            }
            for cache in &work.caches {
                all.extend(cache.key.iter().chain(&cache.paths));
            }
            for step in &work.steps {
                all.push(&step.image);
                all.extend(values(&step.env));
            }
            all.extend(work.artifacts.iter().chain(&work.junit));
            all.extend(values(&work.outputs));
        }
        WorkDefinition::Build(work) => {
            all.push(&work.image);
            all.extend(&work.target);
            all.extend(values(&work.args));
            all.extend(&work.tags);
        }
        WorkDefinition::Deploy(_) => {}
    }
    all
}
