//! What of a job outlives it: caches, artifacts, reports and outputs.
//!
//! Files pass through the job's own folder on this machine, one at a time, and are never unpacked
//! there. What is waited for ends with the job's stop.

use std::collections::BTreeMap;
use std::time::Duration;

use pipelines::job::Outcome;
use pipelines::junit::TestReport;
use pipelines::plan::StepsWork;
use pipelines::wire::Report;

use crate::client::{CallError, retry};
use crate::engine::{Engine, JobKey};
use crate::execute::Job;
use crate::report::Finish;

pub(crate) mod artifacts;
pub(crate) mod caches;
mod checkout;
mod outputs;
pub(crate) mod paths;
mod words;

/// How long the server may be unable to give or take a file.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the step is called in which things are kept.
const STEP: &str = "keep";

/// The whole of one job's keeping.
pub(crate) struct Keeper<'a, E> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) engine: &'a E,
    pub(crate) key: &'a JobKey,
    pub(crate) work: &'a StepsWork,
}

impl<E: Engine> Keeper<'_, E> {
    /// Keeps what the job is to leave, in a step of its own at `place`, and answers how the job ends:
    /// `finish` tells how its steps did.
    pub(crate) async fn keep(
        &self,
        place: u32,
        caches: &[caches::Wanted],
        finish: Finish,
    ) -> Finish {
        let has_passed = finish.outcome == Outcome::Passed;
        let has_files = !self.work.artifacts.is_empty() || !self.work.junit.is_empty();
        let has_more = !self.work.outputs.is_empty() || caches.iter().any(|cache| !cache.is_exact);
        let is_wanted = match finish.outcome {
            Outcome::Passed => has_files || has_more,
            Outcome::Failed | Outcome::TimedOut => has_files,
            Outcome::Cancelled
            | Outcome::InfrastructureError
            | Outcome::Skipped
            | Outcome::Superseded => false,
        };
        let stop = self.job.stop.token();
        if !is_wanted || stop.is_cancelled() {
            return finish;
        }
        let log = self.job.begin(place, STEP);
        let kept = async {
            let tests = artifacts::keep(self, &log).await?;
            let outputs = match has_passed {
                true => outputs::read(self).await?,
                false => BTreeMap::new(),
            };
            if has_passed {
                caches::store(self, caches, &log).await;
            }
            Ok::<_, Finish>((tests, outputs))
        };
        let kept = tokio::select! {
            kept = kept => kept,
            () = stop.cancelled() => Err(Finish::stopped()),
        };
        let own = kept.as_ref().err().cloned();
        let own = own.unwrap_or_else(Finish::passed);
        let own = self.job.end(place, own, None).await;
        match kept {
            Ok((tests, outputs)) => Finish {
                reason: why(finish.reason, tests.as_ref()),
                outputs,
                ..finish
            },
            // The first cause counts.
            Err(_) if !has_passed => finish,
            Err(_) => own,
        }
    }

    /// Tells what the tests did; secrets are hidden in it as in a log.
    pub(crate) fn tell(&self, mut tests: TestReport) -> TestReport {
        let masks = self.job.log.masks();
        for case in &mut tests.cases {
            case.name = masks.text(&case.name);
            case.message = case.message.as_deref().map(|text| masks.text(text));
        }
        self.job.reporter.post(Report::Tests(tests.clone()));
        tests
    }
}

/// Why a job failed: its failed tests say more than the exit code of what ran them.
fn why(reason: Option<String>, tests: Option<&TestReport>) -> Option<String> {
    let reason = reason?;
    match tests.and_then(TestReport::failure) {
        Some(tests) => Some(format!("{tests} ({reason})")),
        None => Some(reason),
    }
}

/// Asks the server, and again while it is away, for a while.
async fn patiently<T, F, Fut>(job: &Job<'_>, mut call: F) -> Result<T, CallError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, CallError>>,
{
    let asked = retry(job.stop.token(), &mut call);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::Unreachable("no answer for two minutes".into())),
    }
}
