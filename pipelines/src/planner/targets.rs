//! Whether the deploys of a file fit the environments they name.

use crate::definition::{Definition, DeployDefinition, Problem, SourceDefinition};
use crate::environment::{Environment, Environments};
use crate::names::EnvironmentName;

/// Everything that does not fit.
pub(super) fn problems(definition: &Definition, environments: &Environments) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, deploy) in definition.deploys() {
        problems.extend(match environments.find(&deploy.environment.value) {
            Some(environment) => out_of_order(definition, at, deploy, environment),
            None => Some(unknown(deploy, environments)),
        });
    }
    problems
}

fn unknown(deploy: &DeployDefinition, environments: &Environments) -> Problem {
    let name = deploy.environment.value.as_str();
    let message = format!("there is no environment `{name}`");
    let problem = Problem::new(deploy.environment.place, name, message);
    let names = || environments.iter().map(|known| known.name.as_str());
    let problem = match names().next() {
        Some(_) => {
            let names: Vec<_> = names().collect();
            problem.hint(format!(
                "the default branch's `.seaworthy/environments.yml` has {}",
                names.join(", ")
            ))
        }
        None => problem.hint("describe it in `.seaworthy/environments.yml` on the default branch"),
    };
    problem.nearest(name, names())
}

/// An environment that comes after another is only deployed to behind a deploy to that other.
fn out_of_order(
    definition: &Definition,
    at: usize,
    deploy: &DeployDefinition,
    environment: &Environment,
) -> Option<Problem> {
    let after = environment.after.as_ref()?;
    let name = &environment.name;
    if let SourceDefinition::Promote(from) = &deploy.source
        && from.value != *after
    {
        let message = format!("`{name}` comes after `{after}`, and can promote from no other");
        let problem = Problem::new(from.place, from.value.as_str(), message);
        return Some(problem.hint(format!("write `promote: {after}`")));
    }
    let behind = definition.graph().behind(at);
    let mut deploys = definition.deploys();
    if deploys.any(|(at, other)| other.environment.value == *after && behind[at]) {
        return None;
    }
    let message = format!("`{name}` comes after `{after}`, but this job waits for no deploy to it");
    let problem = Problem::new(deploy.environment.place, name.as_str(), message);
    Some(problem.hint(hint(definition, after)))
}

fn hint(definition: &Definition, after: &EnvironmentName) -> String {
    let mut deploys = definition.deploys();
    match deploys.find(|(_, other)| other.environment.value == *after) {
        Some((at, _)) => {
            let job = &definition.jobs[at].name.value;
            format!("add `{job}` to its `needs`, and `promote: {after}` to deploy the same release")
        }
        None => format!("add a job that deploys to `{after}`, and need it here"),
    }
}
