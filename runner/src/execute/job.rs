//! One job at work: what it tells, and what it writes down before.

use std::path::PathBuf;

use pipelines::job::Outcome;
use pipelines::wire::{Assignment, Report};

use super::Host;
use crate::clock;
use crate::desk::Desk;
use crate::engine::{EngineError, JobKey};
use crate::journal::{Entry, Journal};
use crate::logs::{JobLog, StepLog};
use crate::report::{Finish, Reporter};
use crate::stop::{Stop, StopCause, Verdict};

/// One job at work.
pub(crate) struct Job<'a> {
    pub(crate) host: &'a Host,
    pub(crate) assignment: &'a Assignment,
    pub(crate) desk: &'a Desk,
    pub(crate) reporter: &'a Reporter,
    pub(crate) log: &'a JobLog,
    pub(crate) stop: &'a Stop,
    pub(crate) journal: &'a Journal,
    pub(crate) folder: PathBuf,
}

impl Job<'_> {
    pub(crate) fn key(&self) -> JobKey {
        JobKey::of(self.assignment, self.host.instance)
    }

    /// Reports that a step begins; answers its log.
    pub(crate) fn begin(&self, step: u32, name: &str) -> StepLog {
        let begun = self.journal.past().begun.get(&step).copied();
        let at = begun.unwrap_or_else(|| {
            let at = clock::now();
            self.record(&Entry::Begun { step, at });
            at
        });
        tracing::trace!(target: "failpoint", "runner.begun");
        self.reporter.post(Report::StepStarted {
            step,
            name: name.to_owned(),
            at,
        });
        self.log.step(step)
    }

    /// Reports that a step has ended, and writes the reason below its output.
    pub(crate) async fn end(&self, step: u32, finish: Finish, exit_code: Option<i64>) -> Finish {
        let at = clock::now();
        // The step of a stopped job is called what the job will be called.
        let outcome = match self.stop.verdict(finish.clone()) {
            Verdict::Finished(told) => {
                let told = self.masked(told);
                if let Some(reason) = &told.reason {
                    self.log.note_once(step, reason).await;
                }
                let outcome = told.outcome;
                self.record(&Entry::Ended {
                    step,
                    finish: told,
                    exit_code,
                    at,
                });
                outcome
            }
            Verdict::GivenBack(reason) => {
                self.log.note(step, &reason).await;
                Outcome::Cancelled
            }
            Verdict::Silent => Outcome::Cancelled,
        };
        tracing::trace!(target: "failpoint", "runner.ended");
        self.reporter.post(Report::StepFinished {
            step,
            outcome,
            exit_code,
            at,
        });
        finish
    }

    /// How a step ended in a former life of this runner. It is reported once more.
    pub(crate) fn ended_before(&self, step: u32, name: &str) -> Option<Finish> {
        let (finish, exit_code, at) = self.journal.past().ended.get(&step)?.clone();
        self.begin(step, name);
        self.reporter.post(Report::StepFinished {
            step,
            outcome: finish.outcome,
            exit_code,
            at,
        });
        Some(finish)
    }

    /// Keeps the end of the work on disk and sees to it that the server has all that was told:
    /// until then, containers are the only other place that knows how their steps ended.
    pub(crate) async fn settle(&self, finish: Finish) -> Finish {
        if let Verdict::Finished(told) = self.stop.verdict(finish.clone()) {
            self.record(&Entry::Finished(self.masked(told)));
        }
        tracing::trace!(target: "failpoint", "runner.finished");
        self.log.flush().await;
        self.reporter.settled().await;
        tracing::trace!(target: "failpoint", "runner.settled");
        finish
    }

    /// Writes to the journal. Without it the job cannot go on: it would be done twice.
    pub(crate) fn record(&self, entry: &Entry) {
        if let Err(error) = self.journal.write(entry) {
            let text = format!("the runner cannot keep this job's journal on its disk: {error}");
            self.stop.ask(StopCause::Broken(text));
        }
    }

    pub(super) fn masked(&self, mut finish: Finish) -> Finish {
        finish.reason = finish.reason.map(|reason| self.log.masks().text(&reason));
        finish
    }
}

impl From<EngineError> for Finish {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Work(text) => Self::failed(text),
            EngineError::Infrastructure(text) => Self::infrastructure(text),
        }
    }
}
