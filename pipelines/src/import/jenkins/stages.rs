//! Stages as jobs: those on one agent in a row are the steps of one.

use super::super::builds::{self, Values};
use super::super::images;
use super::super::model::{Cache, Job, Matrix, Notes, Pairs, Step, When, add, by_hand, set};
use super::super::names::{self, Names};
use super::super::script;
use super::arguments::Arguments;
use super::groovy::Statement;
use super::sections::{self, Scope};
use super::steps::{self, Found};
use super::{VARIABLES, conditions, matrix};

/// The jobs so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    jobs: Vec<Job>,
    names: Names,
    /// What the next job needs.
    pub(super) tail: Vec<String>,
    /// The job that the next stage on the same agent goes into.
    open: Option<usize>,
    /// The matrix of the jobs that are being made.
    pub(super) matrix: Matrix,
    pub(super) env: Pairs,
    when: When,
}

impl Chain {
    pub(super) fn jobs_mut(&mut self) -> &mut Vec<Job> {
        &mut self.jobs
    }

    pub(super) fn into_jobs(self) -> Vec<Job> {
        self.jobs
    }

    /// Gives each job the timeout and the retries of the whole.
    pub(super) fn limit(&mut self, scope: &Scope) {
        for job in &mut self.jobs {
            if job.timeout.is_none() {
                job.timeout.clone_from(&scope.timeout);
            }
            if job.retry.is_none() {
                job.retry.clone_from(&scope.retry);
            }
        }
        if let Some(first) = self.jobs.first_mut() {
            first.by_hand.extend(scope.comments.iter().cloned());
        }
    }

    /// Gives the reports and artifacts of the whole to each job that has steps.
    pub(super) fn share(&mut self, found: &mut Found) {
        for job in self.jobs.iter_mut().filter(|job| job.build.is_none()) {
            found
                .junit
                .iter()
                .for_each(|one| add(&mut job.junit, one.clone()));
            found
                .artifacts
                .iter()
                .for_each(|one| add(&mut job.artifacts, one.clone()));
        }
    }

    /// A job behind all others.
    pub(super) fn last_job(&mut self, name: &str, when: When, step: Step, scope: &Scope) {
        let name = self.names.unique(&format!("post-{name}"));
        let needs = match self.tail.is_empty() {
            true => self
                .jobs
                .last()
                .map(|job| job.name.clone())
                .into_iter()
                .collect(),
            false => self.tail.clone(),
        };
        self.jobs.push(Job {
            name,
            needs,
            when,
            image: Some(scope.image.clone().unwrap_or_else(|| images::LINUX.into())),
            steps: vec![step],
            ..Job::default()
        });
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// A new job, which the next one needs.
    fn begin(&mut self, line: u32, name: &str, image: Option<String>) -> usize {
        let name = self.names.unique(name);
        self.jobs.push(Job {
            line,
            needs: std::mem::replace(&mut self.tail, vec![name.clone()]),
            name,
            image: Some(image.unwrap_or_else(|| images::LINUX.into())),
            matrix: self.matrix.clone(),
            env: self.env.clone(),
            when: self.when.clone(),
            caches: Vec::<Cache>::new(),
            ..Job::default()
        });
        self.jobs.len() - 1
    }
}

/// Stages one after another.
pub(super) fn sequence(list: &[Statement], scope: &Scope, chain: &mut Chain, notes: &mut Notes) {
    for stage in list {
        if stage.name == "stage" {
            one(stage, scope, chain, notes);
        } else {
            let why = "only `stage(…) { … }` stands here";
            notes.add(stage.line, &stage.shown(), why, "write it as a stage first");
        }
    }
}

/// A stage with what surrounds it.
struct Stage<'n> {
    statement: &'n Statement,
    name: String,
    scope: Scope,
    /// The variables that only it has.
    env: Pairs,
    when: When,
    comments: Vec<String>,
    /// Whether its agent is not the one of the stages around it.
    has_agent: bool,
}

fn one(statement: &Statement, outer: &Scope, chain: &mut Chain, notes: &mut Notes) {
    let arguments = Arguments::read(&statement.rest);
    let name = arguments.places.first().map(|name| name.plain().to_owned());
    let mut scope = outer.clone();
    let mut comments = Vec::new();
    let env = surroundings(statement, &mut scope, &mut comments, notes);
    let when = conditions::when(statement, &mut comments, notes);
    let stage = Stage {
        name: name.unwrap_or_else(|| "stage".into()),
        has_agent: has_agent(statement, outer),
        statement,
        scope,
        env,
        when,
        comments,
    };
    let inner = ["parallel", "matrix", "stages"];
    if !inner.iter().any(|key| statement.find(key).is_some()) {
        single(stage, outer, chain, notes);
        return;
    }
    chain.close();
    let outer_when = chain.when.clone();
    if !stage.when.is_empty() {
        chain.when.clone_from(&stage.when);
    }
    if let Some(parallel) = statement.find("parallel") {
        many(parallel.block(), &stage.scope, chain, notes);
    } else if let Some(matrix) = statement.find("matrix") {
        matrix::read(matrix, &stage.scope, chain, notes);
    } else if let Some(stages) = statement.find("stages") {
        sequence(stages.block(), &stage.scope, chain, notes);
    }
    chain.close();
    chain.when = outer_when;
}

fn has_agent(stage: &Statement, outer: &Scope) -> bool {
    let Some(agent) = stage.find("agent") else {
        return false;
    };
    let docker = agent.find("docker");
    let is_same = docker.is_some_and(|docker| docker.find("reuseNode").is_some());
    !is_same && (agent.rest != "any" || outer.image.is_some())
}

/// A stage with steps: a step of the job that is open, or of one of its own.
fn single(mut stage: Stage<'_>, outer: &Scope, chain: &mut Chain, notes: &mut Notes) {
    if stage.has_agent {
        chain.close();
    }
    let mut found = match stage.statement.find("steps") {
        Some(block) => steps::of_stage(&stage.name, block, &stage.scope, notes),
        None => Found::default(),
    };
    if build(&stage, &found, chain, notes) {
        return;
    }
    found.inspect(notes);
    note_installs(stage.statement, &found, notes);
    let has_post = stage.statement.find("post").is_some();
    if found.is_empty() && !has_post && stage.comments.is_empty() {
        return;
    }
    let open = match chain.open {
        Some(open) => open,
        None => chain.begin(stage.statement.line, &stage.name, stage.scope.image.clone()),
    };
    chain.open = (!stage.has_agent).then_some(open);
    let job = &mut chain.jobs[open];
    for step in &mut found.steps {
        let base = std::mem::replace(&mut step.env, stage.env.clone());
        base.iter()
            .for_each(|(key, value)| set(&mut step.env, key, value));
        step.when = merge(&stage.when, &step.when);
        if step.timeout.is_none() && stage.scope.timeout != outer.timeout {
            step.timeout.clone_from(&stage.scope.timeout);
        }
        if stage.scope.image != outer.image && job.image != stage.scope.image {
            step.image.clone_from(&stage.scope.image);
        }
    }
    post(&stage, &mut found, notes);
    if let Some(first) = found.steps.first_mut() {
        first.by_hand.append(&mut stage.comments);
    }
    job.steps.append(&mut found.steps);
    job.after_steps.append(&mut stage.comments);
    job.after_steps.append(&mut found.comments);
    found
        .junit
        .into_iter()
        .for_each(|one| add(&mut job.junit, one));
    found
        .artifacts
        .into_iter()
        .for_each(|one| add(&mut job.artifacts, one));
}

/// `post` of a stage: steps behind its own.
fn post(stage: &Stage<'_>, found: &mut Found, notes: &mut Notes) {
    let Some(post) = stage.statement.find("post") else {
        return;
    };
    let mut after = steps::post(post, &stage.scope, notes);
    for step in &mut after.steps {
        step.when = merge(&stage.when, &step.when);
        let name = step.name.clone().unwrap_or_default();
        step.name = names::step(&format!("{}: {name}", stage.name));
        note_status(post.line, &stage.name, step, notes);
    }
    found.steps.append(&mut after.steps);
    found.comments.append(&mut after.comments);
    found.junit.append(&mut after.junit);
    found.artifacts.append(&mut after.artifacts);
}

/// A container that ran several stages kept what one of them had installed.
fn note_installs(stage: &Statement, found: &Found, notes: &mut Notes) {
    if found.steps.iter().any(|step| script::installs(&step.run)) {
        let why = "what it installs is not there in later steps, which are containers of their own";
        let hint = "install into the workspace, join the stages, or use an image that has it";
        notes.add(stage.line, &stage.shown(), why, hint);
    }
}

fn note_status(line: u32, stage: &str, step: &Step, notes: &mut Notes) {
    if step.when.status.is_some() {
        let why = "the step looks at the job so far, and not at this stage alone";
        let hint = "check that it is right when an earlier stage fails";
        notes.add(line, &format!("post of {stage}"), why, hint);
    }
}

/// The stage's `when` with the status of a step in `post`.
fn merge(stage: &When, step: &When) -> When {
    When {
        status: step.status.or(stage.status),
        ..stage.clone()
    }
}

/// Reads what surrounds a stage; its own variables come back.
fn surroundings(
    stage: &Statement,
    scope: &mut Scope,
    comments: &mut Vec<String>,
    notes: &mut Notes,
) -> Pairs {
    let outer = scope.env.clone();
    scope.is_root = false;
    if let Some(agent) = stage.find("agent")
        && let Some(image) = sections::image(agent, &outer, comments, notes)
    {
        scope.image = Some(image);
    }
    for section in stage.block() {
        match section.name.as_str() {
            "environment" => sections::environment(section, scope, notes),
            "options" => sections::options(section, scope, None, notes),
            "tools" => sections::tools(section, scope, notes),
            "input" => {
                let why = "nothing waits for a click in the middle of a run";
                let hint = "give the environment approvals, and make it a job with `deploy`";
                notes.add(section.line, "input", why, hint);
                comments.push(by_hand(section.line, "it waited for a person here"));
            }
            _ => {}
        }
    }
    let is_new = |pair: &&(String, String)| !outer.contains(pair);
    scope.env.iter().filter(is_new).cloned().collect()
}

/// Branches of `parallel`: each a chain of its own from where we are.
fn many(branches: &[Statement], scope: &Scope, chain: &mut Chain, notes: &mut Notes) {
    chain.close();
    let before = chain.tail.clone();
    let mut ends = Vec::new();
    for branch in branches.iter().filter(|branch| branch.name == "stage") {
        chain.tail.clone_from(&before);
        one(branch, scope, chain, notes);
        chain.close();
        chain
            .tail
            .iter()
            .for_each(|end| add(&mut ends, end.clone()));
    }
    // A branch without a job leaves what was before.
    if ends.len() > 1 {
        ends.retain(|end| !before.contains(end));
    }
    chain.tail = ends;
}

/// A stage that does nothing but build an image. Whether it is one.
fn build(stage: &Stage<'_>, found: &Found, chain: &mut Chain, notes: &mut Notes) -> bool {
    if found.lines.is_empty() || !found.comments.is_empty() {
        return false;
    }
    let line = stage.statement.line;
    let values = Values {
        table: &VARIABLES,
        own: &stage.scope.env,
        line,
    };
    let Some(build) = builds::of_script(&found.lines, &values, notes) else {
        return false;
    };
    builds::note_fresh_context(line, &stage.name, notes);
    chain.close();
    let at = chain.begin(line, &stage.name, None);
    let job = &mut chain.jobs[at];
    job.image = None;
    job.env.clear();
    job.when.clone_from(&stage.when);
    job.build = Some(build);
    true
}
