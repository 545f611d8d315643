//! Declarative Jenkinsfiles: stages on a workspace that they share.
//!
//! Stages on the same agent become the steps of one job, because each finds what the one before
//! left. A stage with an agent of its own, and the branches of `parallel`, become jobs.

mod arguments;
mod conditions;
mod groovy;
mod matrix;
mod plugins;
mod sections;
mod stages;
mod starts;
mod steps;

use super::model::{Filter, Notes, Pipeline, Step, When};
use super::variables::{Table, both, script};
use crate::definition::{Place, Problem};
use groovy::Statement;
use stages::Chain;

const VARIABLES: Table = Table {
    known: &[
        both("GIT_COMMIT", "$SEAWORTHY_COMMIT", "${{ commit }}"),
        both("GIT_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("BRANCH_NAME", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("CHANGE_BRANCH", "$SEAWORTHY_BRANCH", "${{ branch }}"),
        both("TAG_NAME", "$SEAWORTHY_TAG", "${{ tag }}"),
        both("BUILD_NUMBER", "$SEAWORTHY_RUN", "${{ run }}"),
        both("BUILD_ID", "$SEAWORTHY_RUN", "${{ run }}"),
        both("WORKSPACE", "/workspace", "/workspace"),
        both("CHANGE_AUTHOR", "$SEAWORTHY_AUTHOR", "${{ author }}"),
        script("BUILD_URL", "$SEAWORTHY_URL"),
        script("STAGE_NAME", "$SEAWORTHY_JOB"),
        script("CHANGE_ID", "$SEAWORTHY_PULL_REQUEST"),
    ],
    prefixes: &[
        "JENKINS_",
        "BUILD_",
        "JOB_NAME",
        "JOB_URL",
        "NODE_NAME",
        "EXECUTOR_",
    ],
};

/// Translates the file.
pub(super) fn pipeline(text: &str, notes: &mut Notes) -> Result<Pipeline, Vec<Problem>> {
    let statements = groovy::read(text)?;
    let Some(root) = statements.iter().find(|one| one.name == "pipeline") else {
        let message = "there is no `pipeline { … }`";
        let hint = "a scripted Jenkinsfile (`node { … }`) is a program: write the jobs by hand";
        return Err(vec![Problem::new(Place::START, "", message).hint(hint)]);
    };
    for other in statements.iter().filter(|one| one.name != "pipeline") {
        let (why, hint) = match other.name.as_str() {
            "@Library" | "library" => (
                "shared libraries are programs of Jenkins",
                "write the steps they stand for, or take jobs with `extends`",
            ),
            _ => (
                "only the `pipeline` block is read",
                "write in the shell what it computes",
            ),
        };
        notes.add(other.line, &other.shown(), why, hint);
    }
    let mut pipeline = Pipeline::default();
    let mut scope = sections::read(root, &mut pipeline, notes);
    scope.is_root = true;
    let mut chain = Chain::default();
    if let Some(stages) = root.find("stages") {
        stages::sequence(stages.block(), &scope, &mut chain, notes);
    }
    chain.limit(&scope);
    if let Some(post) = root.find("post") {
        post_of_all(post, &scope, &mut chain, notes);
    }
    pipeline.jobs = chain.into_jobs();
    if pipeline.triggers.is_empty() || pipeline.triggers.push.is_none() {
        pipeline.triggers.push = Some(Filter::default());
        pipeline.triggers.pull_request = Some(Filter::default());
    }
    Ok(pipeline)
}

/// `post` of the whole: reports are the jobs' own, commands a last step or job.
fn post_of_all(post: &Statement, scope: &sections::Scope, chain: &mut Chain, notes: &mut Notes) {
    let mut after = steps::post(post, scope, notes);
    chain.share(&mut after);
    let Some(last) = chain.jobs_mut().last_mut() else {
        return;
    };
    last.after_steps.append(&mut after.comments);
    if after.steps.is_empty() {
        return;
    }
    if chain.jobs_mut().len() == 1
        && let Some(only) = chain
            .jobs_mut()
            .first_mut()
            .filter(|job| job.build.is_none())
    {
        only.steps.append(&mut after.steps);
        return;
    }
    // A job each for what follows success and failure: a job has one `when` for its status.
    for step in after.steps {
        let when = step.when.clone();
        let name = step.name.clone().unwrap_or_else(|| "post".into());
        let step = Step {
            when: When::default(),
            ..step
        };
        chain.last_job(&name, when, step, scope);
    }
}
