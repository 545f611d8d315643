//! The steps of a deploy as the job's page shows them.

use pipelines::job::Outcome;
use pipelines::wire::Report;

use crate::clock;
use crate::logs::JobLog;
use crate::report::Reporter;

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The release is read, or made from manifests.
    Render,
    /// The cluster is asked whether it would take it.
    Preflight,
    /// It is written.
    Apply,
    /// Pods are replaced.
    Rollout,
    /// Watched for restarts.
    Verify,
    /// The last verified release is applied again.
    RollBack,
}

impl Step {
    fn place(self) -> u32 {
        match self {
            Self::Render => 0,
            Self::Preflight => 1,
            Self::Apply => 2,
            Self::Rollout => 3,
            Self::Verify => 4,
            Self::RollBack => 5,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Preflight => "preflight",
            Self::Apply => "apply",
            Self::Rollout => "rollout",
            Self::Verify => "verify",
            Self::RollBack => "roll back",
        }
    }
}

/// Which step is running. Reports about steps are posted, not awaited: a server that is away must
/// not hold up a rollout.
pub(crate) struct Steps<'a> {
    reporter: &'a Reporter,
    log: &'a JobLog,
    now: Option<Step>,
    /// Where sentences go that come after the end of a step.
    last: u32,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(reporter: &'a Reporter, log: &'a JobLog) -> Self {
        Self {
            reporter,
            log,
            now: None,
            last: 0,
        }
    }

    /// Begins a step, which ends the one before it well. A step that has begun stays.
    pub(crate) async fn begin(&mut self, step: Step) {
        if self.now.is_some_and(|now| now >= step) {
            return;
        }
        self.end(Outcome::Passed);
        self.now = Some(step);
        self.last = step.place();
        self.reporter.post(Report::StepStarted {
            step: step.place(),
            name: step.name().to_owned(),
            at: clock::now(),
        });
    }

    /// Ends the running step.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        let Some(step) = self.now.take() else {
            return;
        };
        self.reporter.post(Report::StepFinished {
            step: step.place(),
            outcome,
            exit_code: None,
            at: clock::now(),
        });
    }

    /// Writes a sentence to the log of the running step, or of the last one.
    pub(crate) async fn note(&self, text: &str) {
        self.log.note(self.last, text).await;
    }
}
