//! Runs of one concurrency group: they come one after another, and one engine of chance works on
//! all of them. The newest wins, or waits; a deploy that has begun always goes on.

use super::random::Random;
use super::{finish, lose, plans};
use crate::event::Trust;
use crate::ids::{Attempt, Fence, JobId, RunNumber, RunnerId};
use crate::job::{Job, JobEvent, Lease, Outcome, State, Status};
use crate::names::EnvironmentName;
use crate::plan::{JobKind, Newest, Plan};
use crate::run::{Run, RunEvent};
use crate::schedule::{QueuedJob, RunnerOffer, pick, why_waiting};

const WORLDS: u64 = 3_000;
const STEPS_MAX: u64 = 80;
const RUNS_MAX: usize = 5;

#[test]
fn a_group_has_one_run_at_work_and_never_half_a_rollout() {
    let mut seen = Seen::default();
    for newest in [Newest::Wins, Newest::Waits] {
        for seed in 0..WORLDS {
            Group::new(seed, newest).live(&mut seen);
        }
    }
    let all = [seen.waited, seen.superseded, seen.went_on, seen.stopped];
    assert!(all.iter().all(|count| *count >= 100), "{seen:?}");
}

/// What has to happen, so that the worlds are worth living in.
#[derive(Debug, Default)]
struct Seen {
    waited: u32,
    superseded: u32,
    went_on: u32,
    stopped: u32,
}

struct Group {
    random: Random,
    newest: Newest,
    /// Oldest first; a run's number is its place and one.
    runs: Vec<(Plan, Run)>,
    runner: RunnerOffer,
    fence: i64,
}

impl Group {
    fn new(seed: u64, newest: Newest) -> Group {
        Group {
            random: Random::new(seed),
            newest,
            runs: Vec::new(),
            runner: plans::runner(&plans::ENVIRONMENTS),
            fence: 0,
        }
    }

    fn live(mut self, seen: &mut Seen) {
        self.arrive(seen);
        for _ in 0..self.random.below(STEPS_MAX) {
            match self.random.below(10) {
                0 if self.runs.len() < RUNS_MAX => self.arrive(seen),
                0..5 => self.claim(seen),
                5..9 => self.end_one(),
                _ => self.lose_one(),
            }
        }
        for _ in 0..2_000 {
            if self.runs.iter().all(|(_, run)| run.state().is_final()) {
                return self.check_the_end();
            }
            self.claim(seen);
            self.end_one();
        }
        panic!("the group does not end: {:#?}", self.runs);
    }

    /// A newer run comes, as the server records it.
    fn arrive(&mut self, seen: &mut Seen) {
        let plan = plans::plan(&mut self.random, Trust::Trusted);
        let mut run = Run::from_plan(&plan);
        run.apply(RunEvent::Begin).expect("a run can begin");
        self.runs.push((plan, run));
        if self.newest == Newest::Waits {
            return;
        }
        let older = self.runs.len() - 1;
        for (_, run) in &mut self.runs[..older] {
            if run.state().is_final() {
                continue;
            }
            let reason = format!("superseded by run #{}", older + 1);
            run.apply(RunEvent::Supersede { reason })
                .expect("superseding is always possible");
            seen.superseded += 1;
            for job in run.jobs.iter().filter(|job| !job.status.state().is_final()) {
                match (&job.status, job.kind) {
                    (Status::Running { stop: Some(_), .. }, _) => seen.stopped += 1,
                    (_, JobKind::Deploy) if job.attempt > 0 => seen.went_on += 1,
                    _ => panic!("superseded, but goes on: {job:?}"),
                }
            }
        }
    }

    fn claim(&mut self, seen: &mut Seen) {
        let queue = self.queue();
        if let Some(waiting) = queue.iter().find(|job| job.group_busy.is_some()) {
            seen.waited += 1;
            let number = waiting.group_busy.map_or(0, |number| number.0);
            let words = why_waiting(waiting, std::slice::from_ref(&self.runner));
            assert!(words.contains(&format!("#{number}")), "{words}");
        }
        let Some(picked) = pick(&queue, &self.runner) else {
            return;
        };
        let (at, place) = places(picked.id);
        assert!(!picked.environment_busy, "two rollouts at once: {picked:?}");
        let newest = self.runs.len() - 1;
        let is_open = |(_, run): &(Plan, Run)| !run.state().is_final();
        match self.newest {
            Newest::Waits => {
                let is_older_open = self.runs[..at].iter().any(is_open);
                assert!(!is_older_open, "did not wait: {picked:?}");
            }
            Newest::Wins => {
                let job = &self.runs[at].1.jobs[place];
                let is_begun = job.kind == JobKind::Deploy && job.attempt > 0;
                assert!(at == newest || is_begun, "an old run begins more: {job:?}");
            }
        }
        self.fence += 1;
        let run = &mut self.runs[at].1;
        let name = run.jobs[place].name.clone();
        let lease = Lease {
            runner: RunnerId(1),
            attempt: Attempt(run.jobs[place].attempt + 1),
            fence: Fence(self.fence),
        };
        run.apply(RunEvent::Job(name, JobEvent::Claim(lease)))
            .expect("a picked job can be claimed");
    }

    fn queue(&self) -> Vec<QueuedJob> {
        let mut queue = Vec::new();
        let mut open: Option<RunNumber> = None;
        for (at, (plan, run)) in self.runs.iter().enumerate() {
            for (place, job) in run.jobs.iter().enumerate() {
                if job.status != Status::Queued {
                    continue;
                }
                let environment = plan.jobs[place].work.environment();
                queue.push(QueuedJob {
                    id: id(at, place),
                    kind: job.kind,
                    trust: Trust::Trusted,
                    environment: environment.cloned(),
                    environment_busy: self.is_busy(environment),
                    locked: None,
                    group_busy: open.filter(|_| self.newest == Newest::Waits),
                });
            }
            if open.is_none() && !run.state().is_final() {
                open = Some(RunNumber(at as i64 + 1));
            }
        }
        queue
    }

    fn is_busy(&self, environment: Option<&EnvironmentName>) -> bool {
        let mut jobs = self
            .runs
            .iter()
            .flat_map(|(plan, run)| plan.jobs.iter().zip(&run.jobs));
        jobs.any(|(planned, job)| {
            let is_same = environment.is_some() && planned.work.environment() == environment;
            is_same && matches!(job.status, Status::Running { .. })
        })
    }

    /// One of the jobs that run, if any does.
    fn any_running(&mut self) -> Option<(usize, Job, Lease)> {
        let mut running = Vec::new();
        for (at, (_, run)) in self.runs.iter().enumerate() {
            for job in &run.jobs {
                if let Status::Running { lease, .. } = job.status {
                    running.push((at, job.clone(), lease));
                }
            }
        }
        let count = running.len() as u64;
        (count > 0).then(|| running.swap_remove(self.random.below(count) as usize))
    }

    fn end_one(&mut self) {
        if let Some((at, job, lease)) = self.any_running() {
            let outcome = match self.random.below(10) {
                0 => Outcome::Failed,
                1 => Outcome::TimedOut,
                2 => Outcome::InfrastructureError,
                3 => Outcome::Cancelled,
                _ => Outcome::Passed,
            };
            let run = &mut self.runs[at].1;
            run.apply(finish(&job.name, lease, outcome))
                .expect("the holder of a lease is heard");
        }
    }

    fn lose_one(&mut self) {
        if let Some((at, job, lease)) = self.any_running() {
            let run = &mut self.runs[at].1;
            run.apply(lose(&job.name, lease))
                .expect("a held lease can be lost");
        }
    }

    /// Nobody supersedes the newest, and nobody at all where the newest waits.
    fn check_the_end(&self) {
        let states = self.runs.iter().map(|(_, run)| run.state());
        let superseded = states.filter(|state| *state == State::Superseded).count();
        let newest = self.runs.last().expect("one came").1.state();
        assert_ne!(newest, State::Superseded);
        assert!(self.newest == Newest::Wins || superseded == 0);
    }
}

fn id(run: usize, place: usize) -> JobId {
    JobId((run * 100 + place) as i64)
}

fn places(id: JobId) -> (usize, usize) {
    let id = usize::try_from(id.0).expect("made of places");
    (id / 100, id % 100)
}
