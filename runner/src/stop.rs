//! Why and when a job ends early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pipelines::job::Outcome;
use tokio_util::sync::CancellationToken;

use crate::report::Finish;

/// Who wants a job to end before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// The server: a person, or a newer run.
    Asked(String),
    /// The clock: the job may take no longer.
    TimedOut(Duration),
    /// This runner is being shut down.
    Shutdown,
    /// This runner cannot go on with it, for this reason.
    Broken(String),
    /// The lease is gone: nothing more may be said or written.
    Lost(String),
}

/// The brake of one job. The first cause counts.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    lost: CancellationToken,
    cause: Arc<OnceLock<StopCause>>,
    telling: Arc<AtomicBool>,
}

/// What the server is told about a job's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This result.
    Finished(Finish),
    /// The lease is given back, for this reason.
    GivenBack(String),
    /// Nothing: it would not be heard.
    Silent,
}

impl Stop {
    /// Asks the job to end.
    pub fn ask(&self, cause: StopCause) {
        let lost = matches!(cause, StopCause::Lost(_));
        // A second cause changes nothing, but a lost lease ends the talking in any case.
        let _ = self.cause.set(cause);
        if lost {
            self.lost.cancel();
        }
        self.token.cancel();
    }

    /// The job's last report is on its way. From now on its answer says whether the lease held.
    pub fn tell_end(&self) {
        self.telling.store(true, Ordering::Release);
    }

    /// Whether the last report is on its way: a heartbeat that is refused then is no news.
    pub fn is_telling(&self) -> bool {
        self.telling.load(Ordering::Acquire)
    }

    /// Cancelled when the job should end, for whatever reason.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Cancelled when the lease is gone. Whoever learns it first cancels it; [`Stop::watch_lost`]
    /// then stops the work.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Turns a cancelled [`Stop::lost`], whoever cancelled it, into a stop.
    pub async fn watch_lost(&self) {
        self.lost.cancelled().await;
        self.ask(StopCause::Lost("the lease was taken away".into()));
    }

    /// What to tell the server. Work that had ended by itself keeps its own result.
    pub fn verdict(&self, finish: Finish) -> Verdict {
        if self.lost.is_cancelled() {
            return Verdict::Silent;
        }
        match finish.outcome {
            Outcome::Passed
            | Outcome::Failed
            | Outcome::Skipped
            | Outcome::TimedOut
            | Outcome::Superseded => Verdict::Finished(Finish {
                // Nothing is lost without a word: the end of its log may be missing.
                reason: finish.reason.or_else(|| self.damage()),
                ..finish
            }),
            // An engine that stumbles over our own stop is no infrastructure failure.
            Outcome::Cancelled | Outcome::InfrastructureError => self.stopped(finish),
        }
    }

    /// Why this runner could not go on, if it could not.
    fn damage(&self) -> Option<String> {
        match self.cause.get()? {
            StopCause::Broken(reason) => Some(reason.clone()),
            StopCause::Asked(_)
            | StopCause::TimedOut(_)
            | StopCause::Shutdown
            | StopCause::Lost(_) => None,
        }
    }

    fn stopped(&self, finish: Finish) -> Verdict {
        let Some(cause) = self.cause.get() else {
            return Verdict::Finished(finish);
        };
        let ended = |outcome, reason: String| {
            Verdict::Finished(Finish {
                outcome,
                reason: Some(reason),
                ..finish
            })
        };
        match cause {
            StopCause::Asked(reason) => ended(Outcome::Cancelled, reason.clone()),
            StopCause::TimedOut(limit) => ended(
                Outcome::TimedOut,
                format!("not done within its {}", limit_words(*limit)),
            ),
            StopCause::Broken(reason) => ended(Outcome::InfrastructureError, reason.clone()),
            StopCause::Shutdown => {
                Verdict::GivenBack("the runner was shut down while this ran".into())
            }
            StopCause::Lost(_) => Verdict::Silent,
        }
    }
}

/// A limit as people write it in the pipeline file.
pub fn limit_words(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F21
    #[test]
    fn the_end_of_a_stopped_job_is_named_by_who_stopped_it() {
        let cancelled = Finish::ended(Outcome::Cancelled, "who stopped it");
        let cases = [
            (
                StopCause::Asked("who stopped it".into()),
                Verdict::Finished(cancelled),
            ),
            (
                StopCause::TimedOut(Duration::from_secs(120)),
                Verdict::Finished(Finish::ended(
                    Outcome::TimedOut,
                    "not done within its 2 min",
                )),
            ),
            (
                StopCause::Broken("the disk is full".into()),
                Verdict::Finished(Finish::infrastructure("the disk is full")),
            ),
            (
                StopCause::Shutdown,
                Verdict::GivenBack("the runner was shut down while this ran".into()),
            ),
            (StopCause::Lost("gone".into()), Verdict::Silent),
        ];
        for (cause, expected) in cases {
            for own in [Finish::stopped(), Finish::infrastructure("broken pipe")] {
                let stop = Stop::default();
                stop.ask(cause.clone());
                assert_eq!(stop.verdict(own), expected);
            }
        }
    }

    /// F21
    #[test]
    fn work_that_ended_by_itself_keeps_its_result() {
        for own in [Finish::passed(), Finish::failed("exit code 3")] {
            let stop = Stop::default();
            stop.ask(StopCause::Asked("too late".into()));
            assert_eq!(stop.verdict(own.clone()), Verdict::Finished(own));
        }
        let unasked = Finish::infrastructure("no engine");
        let expected = Verdict::Finished(unasked.clone());
        assert_eq!(Stop::default().verdict(unasked), expected);
    }

    #[test]
    fn a_lost_lease_silences_even_a_result() {
        let stop = Stop::default();
        stop.ask(StopCause::Asked("first".into()));
        stop.ask(StopCause::Lost("then".into()));
        assert_eq!(stop.verdict(Finish::passed()), Verdict::Silent);
    }
}
