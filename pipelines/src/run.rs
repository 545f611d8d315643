//! A run: its jobs, and what follows from a change to one of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::Graph;
use crate::job::{Changed, Job, JobEvent, Outcome, Refused, State, Status};
use crate::names::JobName;
use crate::plan::{Condition, JobKind, Plan, PlannedJob};

/// A run as the state machine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its jobs, in the plan's order. `needs` name jobs of this list, without cycles.
    pub jobs: Vec<Job>,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// It begins: jobs without needs become ready. Also repairs a run found half-moved.
    Begin,
    /// Something happened to one job.
    Job(JobName, JobEvent),
    /// A person, or a newer run, wants all of it to end.
    Stop {
        /// Which end unfinished jobs get.
        outcome: Outcome,
        /// A sentence about it.
        reason: String,
    },
    /// A newer run takes its place: all of it ends but deploys that have begun. Those go on, since
    /// half a rollout is worse than an old one.
    Supersede {
        /// A sentence about it.
        reason: String,
    },
}

/// What must be done, in the same transaction, because a run moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// This job has a new state, attempt or reason: store it, record it, show it.
    JobChanged(JobName),
    /// This job can be claimed: wake waiting runners.
    JobReady(JobName),
    /// Tell the runner of this job to stop.
    StopJob(JobName),
    /// The run's derived state is now this: store it, tell the forge.
    RunChanged(State),
}

impl Run {
    /// A run that has not begun: jobs wait, but for those the plan leaves out. Its [`Run::state`]
    /// is to be stored as it is; only changes to it are told by effects.
    pub fn from_plan(plan: &Plan) -> Run {
        let job = |planned: &PlannedJob| Job {
            name: planned.name.clone(),
            kind: planned.work.kind(),
            needs: planned.needs.clone(),
            condition: planned.condition,
            status: match &planned.skip {
                Some(_) => Status::Finished {
                    outcome: Outcome::Skipped,
                },
                None => Status::Waiting,
            },
            attempt: 0,
            retries_left: planned.retry.attempts,
            retry_on: planned.retry.on.clone(),
            reason: planned.skip.clone(),
        };
        Run {
            jobs: plan.jobs.iter().map(job).collect(),
        }
    }

    /// The run's state, derived from its jobs; never stored as a second truth.
    pub fn state(&self) -> State {
        let has = |wanted: State| self.jobs.iter().any(|job| job.status.state() == wanted);
        if self.jobs.iter().all(|job| job.status.state().is_final()) {
            // The worst end names the run. What the code did wrong comes before what we did.
            let worst = [
                State::Failed,
                State::TimedOut,
                State::InfrastructureError,
                State::Cancelled,
                State::Superseded,
                State::Passed,
            ];
            return worst
                .into_iter()
                .find(|state| has(*state))
                .unwrap_or(State::Skipped);
        }
        let begun = |job: &Job| job.attempt > 0 || matches!(job.status, Status::Running { .. });
        if self.jobs.iter().any(begun) {
            State::Running
        } else if has(State::Queued) {
            State::Queued
        } else {
            State::Waiting
        }
    }

    /// Moves the run. On `Err` nothing has changed.
    pub fn apply(&mut self, event: RunEvent) -> Result<Vec<Effect>, Refused> {
        let before = self.state();
        let mut effects = Vec::new();
        match event {
            RunEvent::Begin => {}
            // Whether a job is ready follows from its needs, whoever says so.
            RunEvent::Job(name, JobEvent::Ready) if !self.is_met(&name) => {
                return Err(Refused::Illegal);
            }
            RunEvent::Job(name, event) => self.move_job(&name, event, &mut effects)?,
            RunEvent::Stop { outcome, reason } => {
                self.stop((outcome, &reason), |_| true, &mut effects)?;
            }
            RunEvent::Supersede { reason } => {
                let superseded = (Outcome::Superseded, reason.as_str());
                self.stop(superseded, |job| !is_rolling(job), &mut effects)?;
            }
        }
        self.release(&mut effects);
        let after = self.state();
        if after != before {
            effects.push(Effect::RunChanged(after));
        }
        Ok(effects)
    }

    fn stop(
        &mut self,
        (outcome, reason): (Outcome, &str),
        is_meant: impl Fn(&Job) -> bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let meant = self.jobs.iter().filter(|job| is_meant(job));
        let names: Vec<_> = meant.map(|job| job.name.clone()).collect();
        for name in names {
            let reason = reason.to_owned();
            self.move_job(&name, JobEvent::Stop { outcome, reason }, effects)?;
        }
        Ok(())
    }

    /// The job of that name.
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == *name)
    }

    fn move_job(
        &mut self,
        name: &JobName,
        event: JobEvent,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let job = self
            .jobs
            .iter_mut()
            .find(|job| job.name == *name)
            .ok_or(Refused::Illegal)?;
        if job.apply(event)? == Changed::Yes {
            effects.push(Effect::JobChanged(name.clone()));
            match &job.status {
                Status::Queued => effects.push(Effect::JobReady(name.clone())),
                Status::Running { stop: Some(_), .. } => {
                    effects.push(Effect::StopJob(name.clone()));
                }
                Status::Waiting | Status::Running { stop: None, .. } | Status::Finished { .. } => {}
            }
        }
        Ok(())
    }

    /// Readies the jobs whose needs have ended as they want them to, and skips those whose needs
    /// never will. A skip can decide further jobs, so each job is looked at behind the ones it needs.
    fn release(&mut self, effects: &mut Vec<Effect>) {
        let graph = self.graph();
        for place in graph.order() {
            let job = &self.jobs[place];
            let decided = match job.status {
                Status::Waiting => self.decide(&graph, place),
                Status::Queued | Status::Running { .. } | Status::Finished { .. } => None,
            };
            if let Some(event) = decided {
                let name = job.name.clone();
                let moved = self.move_job(&name, event, effects);
                assert!(moved.is_ok(), "a waiting job can be readied and skipped");
            }
        }
    }

    /// Who needs whom, by places in the list.
    fn graph(&self) -> Graph {
        let places: BTreeMap<&JobName, usize> = self
            .jobs
            .iter()
            .enumerate()
            .map(|(place, job)| (&job.name, place))
            .collect();
        let needs = |job: &Job| {
            let needs = job.needs.iter();
            needs.filter_map(|need| places.get(need).copied()).collect()
        };
        Graph::new(self.jobs.iter().map(needs).collect())
    }

    /// What the jobs behind a waiting one make of it, once they say anything.
    fn decide(&self, graph: &Graph, place: usize) -> Option<JobEvent> {
        let job = &self.jobs[place];
        if job.condition == Condition::Success
            && let Some(reason) = self.why_unmet(graph, place)
        {
            return Some(JobEvent::Skip(reason));
        }
        // A job that was skipped has ended, perhaps before those behind it: these count as well, so
        // that what comes of a run does not hang on which of them was faster.
        let is_ended = |need: &JobName| self.job(need).is_some_and(is_final);
        let all_ended = job.needs.iter().all(is_ended) && self.behind(graph, place).all(is_final);
        match (all_ended, job.condition) {
            (false, _) => None,
            (true, Condition::Success | Condition::Always) => Some(JobEvent::Ready),
            (true, Condition::Failure) => match self.behind(graph, place).any(is_failed) {
                true => Some(JobEvent::Ready),
                false => Some(JobEvent::Skip("nothing that it needs has failed".into())),
            },
        }
    }

    /// Why not all behind a job has gone well, if that is known. What it needs itself must pass;
    /// further behind, a job that did not apply is no harm if one between them runs all the same.
    fn why_unmet(&self, graph: &Graph, place: usize) -> Option<String> {
        let bad = self.jobs[place].needs.iter().find_map(|need| {
            let state = self.job(need)?.status.state();
            (state.is_final() && state != State::Passed).then_some((need, state))
        });
        if let Some((need, state)) = bad {
            return Some(format!("needs `{need}`, which {}", past(state)));
        }
        if !self.jobs.iter().any(is_bad) {
            return None;
        }
        let bad = self.behind(graph, place).find(|job| is_bad(job))?;
        let (name, state) = (&bad.name, bad.status.state());
        Some(format!("comes after `{name}`, which {}", past(state)))
    }

    /// The jobs that one needs, those that these need, and so on, in the list's order.
    fn behind(&self, graph: &Graph, place: usize) -> impl Iterator<Item = &Job> {
        let jobs = self.jobs.iter().zip(graph.behind(place));
        jobs.filter_map(|(job, is_behind)| is_behind.then_some(job))
    }

    fn is_met(&self, name: &JobName) -> bool {
        let place = self.jobs.iter().position(|job| job.name == *name);
        place.is_some_and(|place| self.decide(&self.graph(), place) == Some(JobEvent::Ready))
    }
}

fn is_final(job: &Job) -> bool {
    job.status.state().is_final()
}

/// Whether a job has begun to change a cluster and has not come to an end with it, be it that it
/// waits for a runner to take it over.
fn is_rolling(job: &Job) -> bool {
    let is_begun = job.attempt > 0 && !is_final(job);
    job.kind == JobKind::Deploy && is_begun
}

/// Whether a job has ended before it had done what it should.
fn is_bad(job: &Job) -> bool {
    is_failed(job) || matches!(job.status.state(), State::Cancelled | State::Superseded)
}

/// Whether a job did not do what it should have, through whoever's fault.
fn is_failed(job: &Job) -> bool {
    match job.status.state() {
        State::Failed | State::TimedOut | State::InfrastructureError => true,
        State::Waiting
        | State::Queued
        | State::Running
        | State::Passed
        | State::Cancelled
        | State::Skipped
        | State::Superseded => false,
    }
}

fn past(state: State) -> &'static str {
    match state {
        State::Waiting => "is waiting",
        State::Queued => "is queued",
        State::Running => "is running",
        State::Passed => "passed",
        State::Failed => "failed",
        State::Cancelled => "was cancelled",
        State::Skipped => "was skipped",
        State::TimedOut => "timed out",
        State::InfrastructureError => "ended with an infrastructure error",
        State::Superseded => "was superseded",
    }
}

#[cfg(test)]
mod tests;
