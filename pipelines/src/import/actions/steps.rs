//! The steps of a job: scripts that shared a machine, cut where an image is built between them.
//!
//! A step of ours is a container of its own, so what one installs the next does not have. From the
//! first one that installs something on, scripts become one step; what each changed for itself
//! stays within brackets.

use super::super::builds;
use super::super::model::{Build, Cache, Job, Notes, Pairs, Step, When, add, by_hand};
use super::super::names::{self, Names};
use super::super::script::{self, Part};
use super::super::source::Node;
use super::expressions::{self, Scope};
use super::{jobs, outputs, uses};

/// A script that is to become a step, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) part: Part,
    pub(super) when: When,
    pub(super) secrets: Vec<String>,
    pub(super) image: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) comments: Vec<String>,
    pub(super) line: u32,
}

#[derive(Debug)]
pub(super) enum Piece {
    Run(Box<Draft>),
    Build {
        build: Box<Build>,
        when: When,
        line: u32,
    },
    /// What only a person can write.
    Comment(String),
}

/// The steps of a job as far as they are read, and what they want around them.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) pieces: Vec<Piece>,
    pub(super) image: Option<String>,
    pub(super) caches: Vec<Cache>,
    pub(super) artifacts: Vec<String>,
    pub(super) junit: Vec<String>,
    /// The names and tags that a step made for an image, by its id.
    pub(super) metadata: Vec<(String, Vec<String>)>,
}

/// The working directory that `defaults` say, the nearest first.
pub(super) fn default_dir(defaults: &[Option<&Node>]) -> Option<String> {
    let run = defaults
        .iter()
        .flatten()
        .filter_map(|node| node.find("run"));
    let mut dirs = run.filter_map(|run| run.text_of("working-directory"));
    dirs.next().map(str::to_owned)
}

/// Reads the steps.
pub(super) fn read(
    node: Option<&Node>,
    dir: Option<String>,
    scope: &Scope,
    notes: &mut Notes,
) -> Work {
    let mut work = Work::default();
    for step in node.map(Node::items).unwrap_or_default() {
        if jobs::is_never(step.find("if"), scope, notes) {
            continue;
        }
        match (step.find("uses"), step.find("run")) {
            (Some(_), _) => uses::read(step, scope, &mut work, notes),
            (None, Some(run)) => {
                let draft = draft(step, run, dir.as_deref(), scope, notes);
                work.pieces.push(Piece::Run(Box::new(draft)));
            }
            (None, None) => {}
        }
        strange(step, notes);
    }
    work
}

fn strange(step: &Node, notes: &mut Notes) {
    if let Some(node) = step
        .find("continue-on-error")
        .filter(|node| !node.is_false())
    {
        let what = format!("continue-on-error: {}", node.shown());
        let why = "a step that fails makes the job fail";
        notes.add(node.line, &what, why, "append `|| true` to what may fail");
    }
    if let Some(node) = step.find("shell") {
        let shell = node.shown();
        if !matches!(shell.split_whitespace().next(), Some("sh" | "bash") | None) {
            let what = format!("shell: {shell}");
            let why = "a step runs in `sh -e`";
            notes.add(
                node.line,
                &what,
                why,
                "call the interpreter, with a script of the repository",
            );
        }
    }
}

fn draft(step: &Node, run: &Node, dir: Option<&str>, scope: &Scope, notes: &mut Notes) -> Draft {
    let mut draft = Draft {
        line: run.line,
        ..Draft::default()
    };
    draft.when = jobs::when(step.find("if"), scope, &mut draft.comments, notes);
    let (env, own_secrets) = expressions::environment(step.find("env"), scope, notes);
    let mut scope = scope.clone();
    scope.env.extend(env.clone());
    let text = run.text().unwrap_or_default();
    script::inspect(text, run.line, notes);
    let text = match step.text_of("id") {
        Some(id) => outputs::to_files(text, id),
        None => text.to_owned(),
    };
    let (run, secrets) = scope.script(&text, draft.line, notes);
    draft.secrets = secrets;
    let mut exports = Vec::new();
    for (variable, secret) in scope.secret_env.iter().chain(&own_secrets) {
        add(&mut draft.secrets, secret.clone());
        let given = names::secret_variable(secret);
        let export = format!("export {variable}=\"${given}\"");
        if *variable != given && !exports.contains(&export) {
            exports.push(export);
        }
    }
    let dir = step.text_of("working-directory").or(dir);
    let dir = dir.map(|dir| scope.fill(dir, draft.line, notes));
    draft.timeout = jobs::minutes(step.find("timeout-minutes"), notes);
    draft.part = Part {
        name: step.text_of("name").and_then(names::step),
        run: script::without_sudo(run.trim_end()),
        dir,
        exports,
        env,
    };
    draft
}

/// The jobs that a job with these steps becomes.
pub(super) fn assemble(work: Work, base: Job, names: &mut Names, notes: &mut Notes) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut comments = Vec::new();
    let image = base.image.clone().or(work.image);
    let steps_job = |drafts: &mut Vec<Draft>, comments: &mut Vec<String>, notes: &mut Notes| {
        let job = Job {
            image: image.clone(),
            steps: steps(std::mem::take(drafts), notes),
            after_steps: std::mem::take(comments),
            caches: work.caches.clone(),
            ..base.clone()
        };
        (!job.steps.is_empty() || !job.after_steps.is_empty()).then_some(job)
    };
    for piece in work.pieces {
        match piece {
            Piece::Run(draft) => drafts.push(*draft),
            Piece::Comment(comment) => comments.push(comment),
            Piece::Build { build, when, line } => {
                jobs.extend(steps_job(&mut drafts, &mut comments, notes));
                builds::note_fresh_context(line, &format!("build of {}", build.image), notes);
                jobs.push(build_job(*build, when, &base));
            }
        }
    }
    jobs.extend(steps_job(&mut drafts, &mut comments, notes));
    // A part of comments only says nothing by itself, unless it is all there is.
    if let Some(last) = jobs.len().checked_sub(1).filter(|last| *last > 0)
        && jobs[last].does_nothing()
    {
        let after = std::mem::take(&mut jobs[last].after_steps);
        jobs.truncate(last);
        jobs[last - 1].by_hand.extend(after);
    }
    if let Some(last) = jobs.iter_mut().rev().find(|job| job.build.is_none()) {
        last.artifacts = work.artifacts;
        last.junit = work.junit;
    }
    if jobs.is_empty() {
        jobs.push(base);
    }
    name_parts(&mut jobs, names);
    jobs
}

fn build_job(build: Build, when: When, base: &Job) -> Job {
    let mut job = Job {
        line: base.line,
        name: base.name.clone(),
        needs: base.needs.clone(),
        matrix: base.matrix.clone(),
        timeout: base.timeout.clone(),
        by_hand: base.by_hand.clone(),
        build: Some(build),
        ..Job::default()
    };
    job.when = match (base.when.is_empty(), when.is_empty()) {
        (_, true) => base.when.clone(),
        (true, false) => when,
        (false, false) => When {
            branch: either(&base.when.branch, &when.branch),
            tag: either(&base.when.tag, &when.tag),
            event: either(&base.when.event, &when.event),
            path: either(&base.when.path, &when.path),
            status: base.when.status.or(when.status),
            matrix: [base.when.matrix.clone(), when.matrix].concat(),
        },
    };
    job
}

/// The narrower of two lists is the step's, if it has one.
fn either(job: &[String], step: &[String]) -> Vec<String> {
    match step.is_empty() {
        true => job.to_vec(),
        false => step.to_vec(),
    }
}

/// The first part has the job's name; each other one needs the one before it.
fn name_parts(jobs: &mut [Job], names: &mut Names) {
    let mut before: Option<String> = None;
    for job in jobs {
        if let Some(before) = before {
            let word = if job.build.is_some() {
                "image"
            } else {
                "after"
            };
            job.name = names.unique(&format!("{}-{word}", job.name));
            job.needs = vec![before];
        }
        before = Some(job.name.clone());
    }
}

/// Scripts as steps, joined from the first that installs something on.
fn steps(drafts: Vec<Draft>, notes: &mut Notes) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut group: Vec<Draft> = Vec::new();
    let mut installed: Vec<Part> = Vec::new();
    for draft in drafts {
        let stands_alone = !draft.when.is_empty() || draft.image.is_some();
        if stands_alone {
            if !installed.is_empty() && draft.image.is_none() {
                notes.add(
                    draft.line,
                    &draft
                        .part
                        .name
                        .clone()
                        .unwrap_or_else(|| draft.part.run.clone()),
                    "it is a container of its own: what steps before it installed is not there",
                    "install it again, or choose an image that has it",
                );
            }
            steps.extend(step(std::mem::take(&mut group), notes));
            steps.extend(step(vec![draft], notes));
            continue;
        }
        if installed.is_empty() {
            steps.extend(step(std::mem::take(&mut group), notes));
        } else if group.is_empty() {
            // A step stood between, and this is another container.
            group.extend(again(&installed));
        }
        if script::installs(&draft.part.run) {
            installed.push(draft.part.clone());
        }
        group.push(draft);
    }
    steps.extend(step(group, notes));
    steps
}

/// What has been installed, to be installed once more.
fn again(installed: &[Part]) -> impl Iterator<Item = Draft> {
    installed.iter().map(|part| Draft {
        part: Part {
            name: Some("again, because this is another container".into()),
            ..part.clone()
        },
        ..Draft::default()
    })
}

fn step(drafts: Vec<Draft>, notes: &mut Notes) -> Option<Step> {
    if drafts.iter().all(|draft| draft.part.run.trim().is_empty()) {
        return None;
    }
    let is_one = drafts.len() == 1;
    let mut step = Step::default();
    let mut parts = Vec::new();
    for mut draft in drafts {
        for secret in draft.secrets {
            add(&mut step.secrets, secret);
        }
        step.by_hand.extend(draft.comments);
        if is_one {
            step.name = draft.part.name.take();
            step.env = std::mem::take(&mut draft.part.env);
            step.when = draft.when;
            step.image = draft.image;
            step.timeout = draft.timeout;
        } else {
            if draft.timeout.is_some() {
                let why = "it is one step with others, which have one timeout";
                notes.add(
                    draft.line,
                    "timeout-minutes",
                    why,
                    "give the job a `timeout`",
                );
            }
            step.env.extend(gaps(&mut draft.part.env));
        }
        parts.push(draft.part);
    }
    step.run = script::joined(&parts);
    Some(step)
}

/// Takes out the variables that only a value can have: a script exports the others itself.
fn gaps(env: &mut Pairs) -> Pairs {
    let (gaps, rest) = std::mem::take(env)
        .into_iter()
        .partition(|(_, value)| value.contains("${{"));
    *env = rest;
    gaps
}

/// The comment and the note for a step that has no translation.
pub(super) fn leave(
    work: &mut Work,
    (line, what): (u32, &str),
    (why, hint): (&str, &str),
    notes: &mut Notes,
) {
    notes.add(line, what, why, hint);
    work.pieces.push(Piece::Comment(by_hand(line, what)));
}
