//! A steps job: checkout, then one container after the other over the same workspace.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pipelines::job::Outcome;
use pipelines::plan::{Condition, Step, StepsWork, Text};
use pipelines::wire::{Assignment, Report};

use crate::engine::{Engine, EngineError, JobKey, StepEnd, StepSpec};
use crate::execute::{CHECKOUT_STEP, Job, clean, fetch, left_of};
use crate::journal::Entry;
use crate::keep::{Keeper, caches};
use crate::report::Finish;
use crate::stop::limit_words;

pub(crate) mod secrets;
mod services;

use secrets::Vault;

/// Runs the steps of `work`, or goes on with them; nothing of them is left when it returns.
pub(crate) async fn run<E: Engine>(job: &Job<'_>, engine: &E, work: &StepsWork) -> Finish {
    let key = job.key();
    let finish = match &job.journal.past().finished {
        Some(finish) => finish.clone(),
        None => {
            let mut working = std::pin::pin!(run_all(job, engine, &key, work));
            tokio::select! {
                finish = &mut working => finish,
                () = job.stop.lost().cancelled() => {
                    // No grace: whoever holds the job now must be alone with it.
                    clean(engine, &key).await;
                    working.await
                }
            }
        }
    };
    let finish = job.settle(finish).await;
    clean(engine, &key).await;
    finish
}

async fn run_all<E: Engine>(job: &Job<'_>, engine: &E, key: &JobKey, work: &StepsWork) -> Finish {
    let keeper = Keeper {
        job,
        engine,
        key,
        work,
    };
    let wanted = match set_up(&keeper).await {
        Ok(wanted) => wanted,
        Err(finish) => return finish,
    };
    let place = CHECKOUT_STEP + 1;
    // The start of services, if there are any, takes the place before the steps.
    let first = place + u32::from(!work.services.is_empty());
    let steps = run_steps(job, engine, key, (first..).zip(&work.steps));
    let finish = services::beside((job, engine, key), (place, &work.services), steps).await;
    // A step's place is a small number: a job has a bounded number of them.
    let last = first + u32::try_from(work.steps.len()).unwrap_or(u32::MAX - first);
    keeper.keep(last, &wanted, finish).await
}

/// Fills the workspace; answers the caches that are to be kept.
async fn set_up<E: Engine>(keeper: &Keeper<'_, E>) -> Result<Vec<caches::Wanted>, Finish> {
    const NAME: &str = "checkout";
    let (job, engine, key) = (keeper.job, keeper.engine, keeper.key);
    let past = job.journal.past();
    if let Some(finish) = job.ended_before(CHECKOUT_STEP, NAME) {
        return match &past.ready {
            Some(wanted) if finish.outcome == Outcome::Passed => Ok(wanted.clone()),
            Some(_) | None => Err(finish),
        };
    }
    let log = job.begin(CHECKOUT_STEP, NAME);
    if past.begun.contains_key(&CHECKOUT_STEP) && past.ready.is_none() {
        log.note("the runner was restarted: the checkout begins anew")
            .await;
        clean(engine, key).await;
    }
    let ready = async {
        if let Some(wanted) = &past.ready {
            return Ok(wanted.clone());
        }
        let checkout = fetch(job, &log).await?;
        let mut steps = keeper.work.steps.iter();
        let image = steps
            .find(|step| step.skip.is_none())
            .map_or_else(String::new, |step| step.image.to_string());
        let filled = async {
            fill(engine, key, &image, (&checkout, &log)).await?;
            Ok(caches::restore(keeper, &checkout, &log).await)
        };
        let filled = tokio::select! {
            filled = filled => filled,
            () = job.stop.token().cancelled() => return Err(Finish::stopped()),
        };
        let wanted = filled.map_err(|error: EngineError| Finish::from(error))?;
        job.record(&Entry::Ready {
            caches: wanted.clone(),
        });
        tracing::trace!(target: "failpoint", "runner.ready");
        Ok(wanted)
    };
    let ready = ready.await;
    let finish = ready.as_ref().err().cloned();
    let finish = finish.unwrap_or_else(Finish::passed);
    let finish = job.end(CHECKOUT_STEP, finish, None).await;
    ready.map_err(|_| finish)
}

/// Runs the steps that are to run. The first failure is the job's, whatever comes after it.
async fn run_steps<'s, E: Engine>(
    job: &Job<'_>,
    engine: &E,
    key: &JobKey,
    steps: impl Iterator<Item = (u32, &'s Step)>,
) -> Finish {
    let vault = Vault::default();
    let mut first_failure: Option<(&str, Finish)> = None;
    for (place, step) in steps {
        if let Some(finish) = job.ended_before(place, &step.name) {
            if finish.outcome != Outcome::Passed && first_failure.is_none() {
                first_failure = Some((&step.name, finish));
            }
            continue;
        }
        // After a stop nothing more starts, whatever it wants.
        if job.stop.token().is_cancelled() {
            break;
        }
        let failed = first_failure.as_ref().map(|(name, _)| *name);
        if let Some(reason) = why_skipped(step, failed) {
            job.reporter.post(Report::StepSkipped {
                step: place,
                name: step.name.clone(),
                reason,
            });
            continue;
        }
        let finish = run_one(job, engine, (key, &vault), (place, step)).await;
        if finish.outcome != Outcome::Passed && first_failure.is_none() {
            first_failure = Some((&step.name, finish));
        }
    }
    match first_failure {
        Some((_, finish)) => finish,
        None if job.stop.token().is_cancelled() => Finish::stopped(),
        None => Finish::passed(),
    }
}

/// Why a step does not run. `failed`: the step before it that failed first.
fn why_skipped(step: &Step, failed: Option<&str>) -> Option<String> {
    if let Some(reason) = &step.skip {
        return Some(reason.clone());
    }
    match (step.condition, failed) {
        (Condition::Success, None) | (Condition::Failure, Some(_)) | (Condition::Always, _) => None,
        (Condition::Success, Some(name)) => Some(format!("step `{name}` did not pass")),
        (Condition::Failure, None) => Some("no step before it has failed".into()),
    }
}

async fn fill<E: Engine>(
    engine: &E,
    key: &JobKey,
    image: &str,
    (checkout, log): (&Path, &crate::logs::StepLog),
) -> Result<(), EngineError> {
    engine.prepare(key).await?;
    engine.fill(key, image, checkout, log).await
}

async fn run_one<E: Engine>(
    job: &Job<'_>,
    engine: &E,
    (key, vault): (&JobKey, &Vault),
    (place, step): (u32, &Step),
) -> Finish {
    let begun = job.journal.past().begun.get(&place).copied();
    let log = job.begin(place, &step.name);
    if begun.is_some()
        && let Err(finish) = vault.hide(job).await
    {
        return job.end(place, finish, None).await;
    }
    let secrets = match vault.take(job, &step.secrets, &log).await {
        Ok(secrets) => secrets,
        Err(finish) => return job.end(place, finish, None).await,
    };
    let spec = StepSpec {
        step: place,
        image: step.image.to_string(),
        script: step.run.clone(),
        env: environment(job.assignment, &step.env),
        secrets,
    };
    let stop = job.stop.token().child_token();
    let mut running = std::pin::pin!(async {
        if begun.is_some()
            && let Some(end) = engine.adopt(key, &spec, &log, &stop).await?
        {
            return Ok(end);
        }
        engine.run(key, &spec, &log, &stop).await
    });
    let limit = step
        .timeout_seconds
        .map(|seconds| Duration::from_secs(seconds.into()));
    let left = limit.map(|limit| left_of(limit, begun));
    let mut late = false;
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = sleep_or_never(left) => {
            late = true;
            stop.cancel();
            running.await
        }
    };
    let (finish, code) = match (ended, limit) {
        (Ok(StepEnd::Exited { code: 0, .. }), _) => (Finish::passed(), Some(0)),
        (Ok(StepEnd::Exited { code, reason }), _) => {
            let words = reason.unwrap_or_else(|| format!("exit code {code}"));
            let text = format!("step `{}` failed: {words}", step.name);
            (Finish::failed(text), Some(code))
        }
        (Ok(StepEnd::Stopped), Some(limit)) if late => {
            let limit = limit_words(limit);
            let text = format!("step `{}` was not done within its {limit}", step.name);
            (Finish::ended(Outcome::TimedOut, text), None)
        }
        (Ok(StepEnd::Stopped), _) => (Finish::stopped(), None),
        (Err(error), _) => (Finish::from(error), None),
    };
    let finish = finish.with_code(code.filter(|code| *code != 0));
    job.end(place, finish, code).await
}

async fn sleep_or_never(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// What a script is told about its run, as variables: a name from outside is only ever text. The
/// pipeline's own variables cannot change ours.
pub(crate) fn environment(
    assignment: &Assignment,
    own: &BTreeMap<String, Text>,
) -> BTreeMap<String, String> {
    let run = &assignment.run;
    let text = |value: Option<String>| value.unwrap_or_default();
    let facts = [
        ("CI", "true".to_owned()),
        ("SEAWORTHY", "true".to_owned()),
        ("SEAWORTHY_REPOSITORY", run.repository.to_string()),
        ("SEAWORTHY_RUN", run.number.to_string()),
        ("SEAWORTHY_URL", run.url.clone()),
        ("SEAWORTHY_JOB", assignment.name.to_string()),
        ("SEAWORTHY_ATTEMPT", assignment.lease.attempt.to_string()),
        ("SEAWORTHY_EVENT", run.event.as_str().to_owned()),
        ("SEAWORTHY_COMMIT", run.commit.to_string()),
        ("SEAWORTHY_SHORT_COMMIT", run.commit.short().to_owned()),
        (
            "SEAWORTHY_BRANCH",
            text(run.branch.as_ref().map(ToString::to_string)),
        ),
        (
            "SEAWORTHY_TAG",
            text(run.tag.as_ref().map(ToString::to_string)),
        ),
        (
            "SEAWORTHY_PULL_REQUEST",
            text(run.pull_request.map(|n| n.to_string())),
        ),
        ("SEAWORTHY_AUTHOR", run.author.clone()),
    ];
    let own = own.iter();
    let own = own.map(|(name, value)| (name.clone(), value.to_string()));
    let mut env: BTreeMap<String, String> = own.collect();
    env.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    env
}
