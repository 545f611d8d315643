//! A seeded world: plans at random, runners that claim, die, repeat themselves and report late,
//! people who cancel, a server that restarts. After every step the invariants of ARCHITECTURE.md
//! are checked ([`World::apply`]), and at the end that every run ends once runners are fair.
//!
//! A failing world prints its seed. Put the seed into [`FAILED_ONCE`]: that is its test.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Trust;
use crate::ids::{Attempt, Fence, JobId, RunnerId};
use crate::job::{Job, JobEvent, Lease, Outcome, Status};
use crate::limits::DEPLOY_TAKEOVERS_MAX;
use crate::names::{EnvironmentName, JobName};
use crate::plan::{JobKind, Plan, Work};
use crate::run::{Run, RunEvent};
use crate::schedule::{QueuedJob, RunnerOffer, pick};

mod accidents;
mod checks;
mod groups;
mod plans;
mod random;
mod webhooks;

use random::Random;

const WORLDS: u64 = 10_000;
const STEPS_MAX: u64 = 60;
/// Seeds of worlds that have failed: kept, so that they never do again.
const FAILED_ONCE: [u64; 0] = [];

/// F42, F16, F20
#[test]
fn no_world_breaks_an_invariant() {
    for seed in FAILED_ONCE.into_iter().chain(0..WORLDS) {
        let _named = NamedOnFailure(seed);
        live(seed);
    }
}

/// The worlds must be worth living in: each kind of accident has to happen, and often.
#[test]
fn the_worlds_hold_every_kind_of_accident() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..2000 {
        for (what, count) in live(seed).seen {
            *seen.entry(what).or_default() += count;
        }
    }
    let wanted = [
        "claim",
        "lost answer",
        "repeated claim",
        "death",
        "late report",
        "stale report refused",
        "lease ran out",
        "given back",
        "stop of a run",
        "stop of a job",
        "supersede of a run",
        "deploy went on",
        "takeover went on",
        "failure far behind",
        "nothing to watch for",
        "retry by reason",
        "job after a failure",
        "restart",
        "retry",
        "takeover",
        "fork kept apart",
        "forged report refused",
    ];
    for what in wanted {
        assert!(
            seen.get(what).is_some_and(|count| *count >= 20),
            "{what}: {seen:?}"
        );
    }
}

struct NamedOnFailure(u64);

impl Drop for NamedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulation: the world with seed {} fails", self.0);
        }
    }
}

fn live(seed: u64) -> World {
    let mut world = World::new(seed);
    world.apply(RunEvent::Begin).expect("a run can begin");
    for _ in 0..world.random.below(STEPS_MAX) {
        world.step();
    }
    world.be_fair();
    world.check_the_end();
    world
}

struct World {
    random: Random,
    trust: Trust,
    plan: Plan,
    /// The run as it was stored first, and what has been applied since: the server's record.
    initial: Run,
    record: Vec<RunEvent>,
    run: Run,
    runners: Vec<Runner>,
    /// Reports that were sent and have not arrived.
    post: Vec<RunEvent>,
    fence: i64,
    claimed: BTreeSet<(JobName, Attempt)>,
    /// Every lease there ever was.
    leases: Vec<(JobName, Lease)>,
    seen: BTreeMap<&'static str, u32>,
}

struct Runner {
    id: RunnerId,
    offer: RunnerOffer,
    /// What it believes it works on. It may be wrong.
    work: Vec<(JobName, Lease)>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let trust = match random.chance(20) {
            true => Trust::Fork,
            false => Trust::Trusted,
        };
        let plan = plans::plan(&mut random, trust);
        let run = Run::from_plan(&plan);
        // One runner for anything but deploys, one for all of them, and some more.
        let mut runners = vec![plans::runner(&[]), plans::runner(&plans::ENVIRONMENTS)];
        for _ in 0..random.below(3) {
            let count = random.below(3) as usize;
            runners.push(plans::runner(&plans::ENVIRONMENTS[..count]));
        }
        let runners = (1..).zip(runners).map(|(id, offer)| Runner {
            id: RunnerId(id),
            offer,
            work: Vec::new(),
        });
        World {
            runners: runners.collect(),
            random,
            trust,
            plan,
            initial: run.clone(),
            record: Vec::new(),
            run,
            post: Vec::new(),
            fence: 0,
            claimed: BTreeSet::new(),
            leases: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something happens.
    fn step(&mut self) {
        let runner = self.random.below(self.runners.len() as u64) as usize;
        match self.random.below(100) {
            0..30 => self.claim(runner),
            30..50 => self.report(runner),
            50..60 => self.deliver(),
            60..66 => self.lose_a_lease(),
            66..70 => {
                self.note("death");
                self.runners[runner].work.clear();
            }
            70..74 => self.give_back(runner),
            74..78 => self.stop(),
            78..86 => self.forge(),
            86..92 => self.restart(),
            92..96 => {
                self.apply(RunEvent::Begin)
                    .expect("beginning again is harmless");
            }
            _ => self.meddle(),
        }
    }

    /// A runner asks for work. The answer may get lost, and the question may be repeated.
    fn claim(&mut self, runner: usize) {
        let queue: Vec<QueuedJob> = self.queue();
        let offer = &self.runners[runner].offer;
        let Some(picked) = pick(&queue, offer) else {
            let is_apart = self.trust == Trust::Fork && !offer.environments.is_empty();
            if is_apart && !queue.is_empty() {
                self.note("fork kept apart");
            }
            return;
        };
        let is_protected = picked.environment.is_some() || !offer.environments.is_empty();
        assert!(
            !(self.trust == Trust::Fork && is_protected),
            "a fork on a protected runner"
        );
        let job = &self.run.jobs[usize::try_from(picked.id.0).unwrap()];
        let name = job.name.clone();
        self.fence += 1;
        let lease = Lease {
            runner: self.runners[runner].id,
            attempt: Attempt(job.attempt + 1),
            fence: Fence(self.fence),
        };
        let claim = RunEvent::Job(name.clone(), JobEvent::Claim(lease));
        self.apply(claim.clone())
            .expect("a picked job can be claimed");
        self.note("claim");
        if self.random.chance(20) {
            self.note("repeated claim");
            assert_eq!(self.apply(claim), Ok(()), "a repeated claim is harmless");
        }
        if self.random.chance(15) {
            self.note("lost answer");
            return;
        }
        self.runners[runner].work.push((name, lease));
    }

    /// The jobs that wait for a runner; their ids are their places.
    fn queue(&self) -> Vec<QueuedJob> {
        let queued = |(place, job): (usize, &Job)| {
            let work = &self.plan.jobs[place].work;
            (job.status == Status::Queued).then(|| QueuedJob {
                id: JobId(place as i64),
                kind: job.kind,
                trust: self.trust,
                environment: work.environment().cloned(),
                environment_busy: self.is_busy(work.environment()),
                locked: None,
                group_busy: None,
            })
        };
        self.run
            .jobs
            .iter()
            .enumerate()
            .filter_map(queued)
            .collect()
    }

    fn is_busy(&self, environment: Option<&EnvironmentName>) -> bool {
        let mut jobs = self.run.jobs.iter().zip(&self.plan.jobs);
        jobs.any(|(job, planned)| {
            let same = environment.is_some() && planned.work.environment() == environment;
            same && matches!(job.status, Status::Running { .. })
        })
    }

    /// A runner ends what it believes to work on, whether or not it still holds the lease.
    fn report(&mut self, runner: usize) {
        let Some((name, lease)) = self.take_work(runner) else {
            return;
        };
        let outcome = self.outcome();
        let event = finish(&name, lease, outcome);
        match self.random.below(4) {
            // The report is late, and comes twice.
            0 => {
                self.note("late report");
                self.post.extend([event.clone(), event]);
            }
            1 => {
                self.send(event.clone());
                self.post.push(event);
            }
            _ => self.send(event),
        }
    }

    fn give_back(&mut self, runner: usize) {
        if let Some((name, lease)) = self.take_work(runner) {
            self.note("given back");
            self.send(lose(&name, lease));
        }
    }

    fn take_work(&mut self, runner: usize) -> Option<(JobName, Lease)> {
        let count = self.runners[runner].work.len() as u64;
        (count > 0).then(|| {
            let at = self.random.below(count) as usize;
            self.runners[runner].work.swap_remove(at)
        })
    }

    fn outcome(&mut self) -> Outcome {
        match self.random.below(20) {
            0..12 => Outcome::Passed,
            12..14 => Outcome::Failed,
            14 => Outcome::TimedOut,
            15 => Outcome::Cancelled,
            16 => Outcome::Superseded,
            17 => Outcome::Skipped,
            _ => Outcome::InfrastructureError,
        }
    }

    /// From here on runners live, answers arrive, and work ends.
    fn be_fair(&mut self) {
        for _ in 0..500 {
            if self.run.state().is_final() {
                return;
            }
            self.deliver();
            for (name, lease) in self.held() {
                let mut works = self.runners.iter().flat_map(|runner| &runner.work);
                if !works.any(|work| *work == (name.clone(), lease)) {
                    self.send(lose(&name, lease));
                }
            }
            for runner in 0..self.runners.len() {
                self.claim(runner);
                while let Some((name, lease)) = self.take_work(runner) {
                    let outcome = self.outcome();
                    // Only a stopped job may be given up; and nobody skips what runs.
                    let outcome = match outcome {
                        Outcome::Skipped => Outcome::Passed,
                        other => other,
                    };
                    self.send(finish(&name, lease, outcome));
                }
            }
        }
        panic!("the run does not end: {:#?}", self.run);
    }
}

fn finish(name: &JobName, lease: Lease, outcome: Outcome) -> RunEvent {
    let finish = JobEvent::Finish {
        lease,
        outcome,
        // By the fence, so that the same event is the same whenever it is made.
        exit_code: (outcome == Outcome::Failed).then_some(70 + lease.fence.0 % 8),
        reason: None,
    };
    RunEvent::Job(name.clone(), finish)
}

fn lose(name: &JobName, lease: Lease) -> RunEvent {
    let reason = "not heard from".into();
    RunEvent::Job(name.clone(), JobEvent::Lose { lease, reason })
}

/// How many attempts a job can come to.
fn attempts_max(job: &Job, retries: u32) -> u32 {
    let takeovers = match job.kind {
        JobKind::Deploy => DEPLOY_TAKEOVERS_MAX,
        JobKind::Steps | JobKind::Build => 0,
    };
    1 + retries + takeovers
}

fn is_deploy(work: &Work) -> bool {
    work.kind() == JobKind::Deploy
}
