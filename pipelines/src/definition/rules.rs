//! What must hold in a file as a whole: needs, cycles, and what a deploy takes from other jobs.

use super::problem::Problem;
use super::reader::Reader;
use super::syntax::File;
use super::{
    Definition, DeployDefinition, Env, JobDefinition, SourceDefinition, WorkDefinition, scope,
};
use crate::graph::Graph;
use crate::limits::{JOBS_MAX, PLAN_BYTES_MAX};
use crate::names::JobName;
use crate::plan::Condition;
use crate::planner::cell_counts;

/// Checks a file whose values have been read.
pub(crate) fn check(reader: &mut Reader, file: &File) {
    let definition = &file.definition;
    let graph = definition.graph();
    cycles(reader, definition, &graph);
    // With a job left out, a deploy would be blamed for what that job lacks.
    if file.is_whole {
        for (at, deploy) in definition.deploys() {
            let scope = Scope {
                definition,
                behind: graph.behind(at),
            };
            images(reader, &scope, deploy);
            promotion(reader, &scope, deploy);
        }
        scope::check(reader, definition, &graph);
        conditions(reader, definition);
        size(reader, definition, &graph);
    }
}

/// A job that waits for a failure must need something that can fail.
fn conditions(reader: &mut Reader, definition: &Definition) {
    for job in &definition.jobs {
        if job.when.status == Condition::Failure && job.needs.is_empty() {
            let name = &job.name;
            let message = "the job runs when something has failed, but needs nothing that could";
            let problem = Problem::new(name.place, name.value.as_str(), message);
            reader.report(problem.hint("name the jobs it watches under `needs`"));
        }
    }
}

fn cycles(reader: &mut Reader, definition: &Definition, graph: &Graph) {
    for cycle in graph.cycles() {
        // A job that needs itself has been told so.
        if cycle.len() < 2 {
            continue;
        }
        let job = |node: usize| &definition.jobs[node];
        let round = cycle.iter().chain(cycle.first());
        let names: Vec<_> = round.map(|node| job(*node).name.value.as_str()).collect();
        let message = format!("these jobs wait for one another: {}", names.join(" → "));
        let next = &job(cycle[1]).name.value;
        let mut needs = job(cycle[0]).needs.iter();
        let place = needs.find(|need| need.value == *next);
        let place = place.map_or(job(cycle[0]).name.place, |need| need.place);
        reader.report(Problem::new(place, next.as_str(), message));
    }
}

/// What a deploy may take from: the jobs behind it.
struct Scope<'d> {
    definition: &'d Definition,
    behind: Vec<bool>,
}

impl Scope<'_> {
    /// The place of a job in the list.
    fn find(&self, name: &JobName) -> Option<usize> {
        let mut jobs = self.definition.jobs.iter();
        jobs.position(|job| job.name.value == *name)
    }
}

fn images(reader: &mut Reader, scope: &Scope<'_>, deploy: &DeployDefinition) {
    let SourceDefinition::Manifests { images, .. } = &deploy.source else {
        return;
    };
    for (_, job) in images {
        let name = job.value.as_str();
        let problem = |message: String| Problem::new(job.place, name, message);
        let jobs = scope.definition.jobs.iter();
        let builds = jobs.filter(|job| matches!(job.work, WorkDefinition::Build(_)));
        let builds = || builds.clone().map(|job| job.name.value.as_str());
        match scope.find(&job.value) {
            None => {
                let problem = problem(format!("there is no job `{name}`"));
                reader.report(problem.nearest(name, builds()));
            }
            Some(_) if !builds().any(|build| build == name) => {
                let problem = problem(format!("job `{name}` builds no image"));
                reader.report(problem.nearest(name, builds()));
            }
            Some(at) if !scope.behind[at] => {
                let problem = problem(format!("the deploy does not wait for job `{name}`"));
                reader.report(problem.hint(format!("add `{name}` to its `needs`")));
            }
            Some(at) if scope.definition.jobs[at].matrix.is_some() => {
                let problem = problem(format!("job `{name}` has a matrix, so its images are many"));
                reader.report(problem.hint("take the image from a job without a matrix"));
            }
            Some(_) => {}
        }
    }
}

fn promotion(reader: &mut Reader, scope: &Scope<'_>, deploy: &DeployDefinition) {
    let SourceDefinition::Promote(from) = &deploy.source else {
        return;
    };
    let name = from.value.as_str();
    let problem = |message: String| Problem::new(from.place, name, message);
    let deploys = || scope.definition.deploys();
    let sources: Vec<usize> = deploys()
        .filter(|(_, source)| source.environment.value == from.value)
        .map(|(at, _)| at)
        .collect();
    let job = |at: usize| scope.definition.jobs[at].name.value.as_str();
    match sources.as_slice() {
        _ if from.value == deploy.environment.value => {
            reader.report(problem("an environment cannot promote from itself".into()));
        }
        [] => {
            let others = deploys().map(|(_, deploy)| deploy.environment.value.as_str());
            let others = others.filter(|other| *other != deploy.environment.value.as_str());
            let problem = problem(format!("no job of this file deploys to `{name}`"));
            reader.report(problem.nearest(name, others));
        }
        [at] if !scope.behind[*at] => {
            let job = job(*at);
            let problem = problem(format!("the deploy does not wait for job `{job}`"));
            reader.report(problem.hint(format!("add `{job}` to its `needs`")));
        }
        [at] if scope.definition.jobs[*at].matrix.is_some() => {
            let job = job(*at);
            let message = format!("job `{job}` has a matrix, so its releases are many");
            reader.report(problem(message));
        }
        [_] => {}
        several => {
            let names: Vec<_> = several.iter().map(|at| format!("`{}`", job(*at))).collect();
            let names = names.join(" and ");
            reader.report(problem(format!(
                "it is not clear which release is promoted: {names} deploy to `{name}`"
            )));
        }
    }
}

/// A matrix makes many jobs of one, and `env` of the file and the outputs of others stand in every
/// step: the plan can be far larger than the file.
fn size(reader: &mut Reader, definition: &Definition, graph: &Graph) {
    let env_bytes = |env: &Env| -> usize {
        let pairs = env.iter();
        pairs
            .map(|(name, value)| name.len() + value.value.bytes())
            .sum()
    };
    let shared = env_bytes(&definition.env);
    let made = |job: &JobDefinition| scope::outputs(job).len() * OUTPUT_BYTES;
    let made: Vec<usize> = definition.jobs.iter().map(made).collect();
    let (mut jobs, mut bytes) = (0_usize, 0_usize);
    let cells = cell_counts(definition);
    for ((place, job), cells) in definition.jobs.iter().enumerate().zip(cells) {
        jobs = jobs.saturating_add(cells);
        if let WorkDefinition::Steps(work) = &job.work {
            let behind = match made.iter().any(|bytes| *bytes > 0) {
                true => graph.behind(place),
                false => Vec::new(),
            };
            let given = made.iter().zip(behind).filter(|(_, behind)| *behind);
            let given: usize = given.map(|(bytes, _)| bytes).sum();
            let steps = work.steps.iter().map(|step| {
                let own = env_bytes(&step.env) + step.run.len() + step.image.value.bytes();
                shared + given + env_bytes(&work.env) + own
            });
            bytes = bytes.saturating_add(steps.sum::<usize>().saturating_mul(cells));
        }
        let name = &job.name;
        let problem = |message: String| Problem::new(name.place, name.value.as_str(), message);
        // What needs a job that is not there would not wait for anything.
        if cells == 0 {
            let problem = problem("the matrix of this job has no cell left".into());
            reader.report(problem.hint("`exclude` leaves all of them out"));
        }
        if jobs > JOBS_MAX {
            return reader.report(problem(format!(
                "up to this job, matrices make {jobs} jobs; a pipeline may have at most {JOBS_MAX}"
            )));
        }
        if bytes > PLAN_BYTES_MAX {
            return reader.report(problem(format!(
                "up to this job, the steps with their `env` have more than {PLAN_BYTES_MAX} bytes, which is the limit"
            )));
        }
    }
}

/// What the variable of an output costs in a plan, about.
const OUTPUT_BYTES: usize = 128;
