//! A whole run on this machine, without a server: what `seaworthy exec` does.
//!
//! The plan, the state machine of a run ([`Run`]) and the work of each job ([`crate::execute`]) are
//! those of a server and its runners. Only what stands between them is missing: what a job tells
//! arrives at a channel ([`crate::desk`]), and what it made is kept in memory until the run ends.

mod assign;
mod folder;
pub mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipelines::ids::{Attempt, Fence, JobId, RunnerId};
use pipelines::job::{Job, JobEvent, Lease, Outcome, State, Status};
use pipelines::names::{EnvironmentName, JobName, SecretName};
use pipelines::plan::{Plan, PlannedJob, Work};
use pipelines::run::{Effect, Run, RunEvent};
use pipelines::wire::{Bundle, Report, RunFacts, Secrets};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::RunnerConfig;
use crate::desk::{Desk, LocalDesk, LocalStore, Told};
use crate::execute::{Host, Reach, execute};
use crate::image;
use crate::lease::LeaseTiming;

pub use folder::{LocalFolder, sweep};

/// What is to be run.
pub struct LocalRun {
    /// Which jobs, and what they do.
    pub plan: Plan,
    /// What scripts are told about it.
    pub facts: RunFacts,
    /// The files that every job begins with; they are read and never changed.
    pub tree: PathBuf,
    /// The secrets there are; work goes on without the others.
    pub secrets: BTreeMap<SecretName, String>,
    /// How many jobs may run at once.
    pub slots: usize,
    /// Where caches and artifacts are kept.
    pub store: LocalStore,
}

impl Host {
    /// The host of a run without a server. `config` must have the folder's path.
    pub fn local(config: RunnerConfig, folder: &LocalFolder, reach: Reach) -> Self {
        Self {
            config,
            instance: folder.instance(),
            timing: LeaseTiming {
                heartbeat: HEARTBEAT,
                unreachable_max: crate::lease::UNREACHABLE_MAX,
                repeated_max: crate::lease::UNREACHABLE_MAX,
            },
            reach,
            halt: CancellationToken::new(),
            abandon: CancellationToken::new(),
        }
    }
}

/// How often a job asks whether it should stop; it is told at once.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Something that a person may want to see.
#[derive(Debug, Clone)]
pub enum News {
    /// A job has a new state, attempt or reason.
    Job(Job),
    /// A job at work tells something.
    Report(JobName, Report),
    /// More of a job's log: whole records ([`pipelines::log`]).
    Log(JobName, Vec<u8>),
    /// A job keeps a file.
    Artifact {
        /// The job.
        job: JobName,
        /// Its path in the job's workspace.
        path: String,
        /// Its size.
        bytes: u64,
    },
}

/// What a job left for later ones.
#[derive(Debug, Default)]
struct Made {
    outputs: BTreeMap<String, String>,
    bundle: Option<Bundle>,
}

struct Conductor {
    host: Arc<Host>,
    local: LocalRun,
    run: Run,
    made: BTreeMap<JobName, Made>,
    stops: BTreeMap<JobName, watch::Sender<Option<String>>>,
    tasks: JoinSet<(JobName, Lease)>,
    told: mpsc::UnboundedSender<(JobId, Told)>,
    news: mpsc::UnboundedSender<News>,
}

/// Runs all jobs of a plan to their ends; answers how they ended. Once `stop` is cancelled, what
/// runs is stopped and the rest is left out. Nothing is left on the engine when this returns.
pub async fn run(
    host: Host,
    local: LocalRun,
    news: mpsc::UnboundedSender<News>,
    stop: CancellationToken,
) -> Run {
    let (told, mut hear) = mpsc::unbounded_channel();
    let mut conductor = Conductor {
        run: Run::from_plan(&local.plan),
        host: Arc::new(host),
        local,
        made: BTreeMap::new(),
        stops: BTreeMap::new(),
        tasks: JoinSet::new(),
        told,
        news,
    };
    for job in &conductor.run.jobs {
        conductor.tell(News::Job(job.clone()));
    }
    conductor.apply(RunEvent::Begin);
    let mut asked = false;
    loop {
        conductor.start();
        if conductor.run.state().is_final() && conductor.tasks.is_empty() {
            break;
        }
        tokio::select! {
            // A job's last words come before its end.
            biased;
            Some((job, told)) = hear.recv() => conductor.hear(job, told),
            () = stop.cancelled(), if !asked => {
                asked = true;
                conductor.apply(RunEvent::Stop {
                    outcome: Outcome::Cancelled,
                    reason: "interrupted".to_owned(),
                });
            }
            Some(ended) = conductor.tasks.join_next() => conductor.ended(ended),
        }
    }
    conductor.clean().await;
    conductor.run
}

impl Conductor {
    fn tell(&self, news: News) {
        // Without a listener the run goes on to its end all the same.
        let _ = self.news.send(news);
    }

    /// Moves the run, and does what follows.
    fn apply(&mut self, event: RunEvent) {
        match self.run.apply(event) {
            Ok(effects) => effects.into_iter().for_each(|effect| self.follow(effect)),
            Err(refused) => tracing::warn!(%refused, "an event of the run was refused"),
        }
    }

    fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::JobChanged(name) => {
                if let Some(job) = self.run.job(&name) {
                    self.tell(News::Job(job.clone()));
                }
            }
            Effect::StopJob(name) => {
                let job = self.run.job(&name).map(|job| &job.status);
                if let (
                    Some(stop),
                    Some(Status::Running {
                        stop: Some(why), ..
                    }),
                ) = (self.stops.get(&name), job)
                {
                    stop.send_replace(Some(why.reason.clone()));
                }
            }
            Effect::JobReady(_) | Effect::RunChanged(_) => {}
        }
    }

    fn planned(&self, name: &JobName) -> Option<(usize, &PlannedJob)> {
        let mut jobs = self.local.plan.jobs.iter().enumerate();
        jobs.find(|(_, job)| job.name == *name)
    }

    /// Starts what is ready, as far as there is room.
    fn start(&mut self) {
        loop {
            let is_running = |job: &&Job| job.status.state() == State::Running;
            if self.run.jobs.iter().filter(is_running).count() >= self.local.slots {
                return;
            }
            let mut queued = self.run.jobs.iter().filter(|job| self.is_startable(job));
            let Some(job) = queued.next() else {
                return;
            };
            let (name, attempt) = (job.name.clone(), job.attempt + 1);
            self.begin(&name, attempt);
        }
    }

    /// Whether it may start now: one deploy at a time changes an environment.
    fn is_startable(&self, job: &Job) -> bool {
        let environment = |name: &JobName| -> Option<&EnvironmentName> {
            self.planned(name)?.1.work.environment()
        };
        let wanted = environment(&job.name);
        let is_busy = wanted.is_some()
            && self.run.jobs.iter().any(|other| {
                other.status.state() == State::Running && environment(&other.name) == wanted
            });
        job.status.state() == State::Queued && !is_busy
    }

    fn begin(&mut self, name: &JobName, attempt: u32) {
        let lease = Lease {
            runner: RunnerId(0),
            attempt: Attempt(attempt),
            fence: Fence(attempt.into()),
        };
        self.apply(RunEvent::Job(name.clone(), JobEvent::Claim(lease)));
        let Some((place, planned)) = self.planned(name) else {
            return;
        };
        let id = job_id(place);
        let assigned = assign::assignment(self, planned, (id, lease));
        match assigned {
            Ok(assignment) => {
                let (stop, stopped) = watch::channel(None);
                let secrets = self.secrets(&planned.work);
                let desk = LocalDesk::new(
                    id,
                    (self.local.tree.clone(), secrets, self.local.store.clone()),
                    self.told.clone(),
                    stopped,
                );
                self.stops.insert(name.clone(), stop);
                let (host, desk, name) = (self.host.clone(), Desk::Local(desk), name.clone());
                self.tasks.spawn(async move {
                    execute(&host, &desk, assignment).await;
                    (name, lease)
                });
            }
            Err(reason) => {
                let event = JobEvent::Finish {
                    lease,
                    outcome: Outcome::Failed,
                    exit_code: None,
                    reason: Some(reason),
                };
                self.apply(RunEvent::Job(name.clone(), event));
            }
        }
    }

    /// The secrets that some work names, as far as they were given.
    fn secrets(&self, work: &Work) -> Secrets {
        let named: Vec<&SecretName> = match work {
            Work::Steps(work) => work.steps.iter().flat_map(|step| &step.secrets).collect(),
            Work::Build(work) => work.secrets.iter().collect(),
            Work::Deploy(_) => Vec::new(),
        };
        let mut secrets = Secrets::default();
        for name in named {
            match self.local.secrets.get(name) {
                Some(value) => {
                    secrets.values.insert(name.clone(), value.clone());
                }
                None => {
                    let reason = format!("it was not given; give it with --secret {name}");
                    secrets.withheld.insert(name.clone(), reason);
                }
            }
        }
        secrets
    }

    fn hear(&mut self, id: JobId, told: Told) {
        let place = usize::try_from(id.0 - 1).ok();
        let Some(job) = place.and_then(|place| self.run.jobs.get(place)) else {
            return;
        };
        let name = job.name.clone();
        let Status::Running { lease, .. } = job.status else {
            return;
        };
        let report = match told {
            Told::Log(bytes) => return self.tell(News::Log(name, bytes)),
            Told::Artifact { path, bytes } => {
                return self.tell(News::Artifact {
                    job: name,
                    path,
                    bytes,
                });
            }
            Told::Report(report) => report,
        };
        self.tell(News::Report(name.clone(), report.clone()));
        let event = match report {
            Report::Finished {
                outcome,
                reason,
                exit_code,
                outputs,
            } => {
                self.made.entry(name.clone()).or_default().outputs = outputs;
                JobEvent::Finish {
                    lease,
                    outcome,
                    exit_code,
                    reason,
                }
            }
            Report::Lost { reason } => JobEvent::Lose { lease, reason },
            Report::Bundle(bundle) => {
                self.made.entry(name.clone()).or_default().bundle = Some(bundle);
                return;
            }
            Report::StepStarted { .. }
            | Report::StepFinished { .. }
            | Report::StepSkipped { .. }
            | Report::Tests(_)
            | Report::Deploy(_) => return,
        };
        self.apply(RunEvent::Job(name, event));
    }

    /// A job's task is over. One that had no last word has broken down.
    fn ended(&mut self, ended: Result<(JobName, Lease), tokio::task::JoinError>) {
        let broken = match ended {
            Ok((name, lease)) => vec![(name, lease)],
            Err(error) => {
                tracing::error!(%error, "the work on a job broke down");
                self.without_task()
            }
        };
        for (name, lease) in broken {
            let status = self.run.job(&name).map(|job| &job.status);
            if matches!(status, Some(Status::Running { lease: held, .. }) if *held == lease) {
                let reason = "the work on it broke down: see the messages above".to_owned();
                self.apply(RunEvent::Job(name, JobEvent::Lose { lease, reason }));
            }
        }
    }

    /// With no task left, every job that still counts as running is a broken one.
    fn without_task(&self) -> Vec<(JobName, Lease)> {
        if !self.tasks.is_empty() {
            return Vec::new();
        }
        let jobs = self.run.jobs.iter();
        jobs.filter_map(|job| match job.status {
            Status::Running { lease, .. } => Some((job.name.clone(), lease)),
            Status::Waiting | Status::Queued | Status::Finished { .. } => None,
        })
        .collect()
    }

    /// Takes the names of built images back from the engine, if they were only made for this run.
    async fn clean(&self) {
        if self.host.reach.push {
            return;
        }
        for (place, (job, planned)) in self.run.jobs.iter().zip(&self.local.plan.jobs).enumerate() {
            let Work::Build(build) = &planned.work else {
                continue;
            };
            for attempt in 1..=job.attempt {
                let key = assign::key(self, planned, (job_id(place), Attempt(attempt)));
                image::forget(&self.host.config, build, &key).await;
            }
        }
    }
}

/// The id of the job at this place of the plan.
fn job_id(place: usize) -> JobId {
    JobId(i64::try_from(place).map_or(i64::MAX, |place| place + 1))
}
