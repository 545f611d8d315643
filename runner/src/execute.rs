//! One assignment from its first report to its last.
//!
//! Three things go on at once: the work, the heartbeat that may stop it, and the log on its way.
//! Whatever happens, the order at the end is the same: the work has ended, its containers are gone,
//! the whole log is acknowledged, then the result is reported, once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use pipelines::plan::{BuildWork, ReleaseSource, StepsWork};
use pipelines::timestamp::Timestamp;
use pipelines::wire::{AssignedDeploy, AssignedWork, Assignment, Report};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use ulid::Ulid;

use crate::client::{CallError, retry};
use crate::config::RunnerConfig;
use crate::deploy::{self, DeployJob};
use crate::desk::{Desk, Source};
use crate::engine::{self, Connected, Engine, JobKey};
use crate::journal::Journal;
use crate::lease::{self, LeaseTiming};
use crate::logs::StepLog;
use crate::report::{Finish, Reporter};
use crate::stop::{Stop, StopCause, Verdict};
use crate::workspace::{CheckoutError, Fetch};
use crate::{clock, image, steps};

mod job;

pub(crate) use job::Job;

/// How long the server may be unable to say how to fetch the commit.
const CHECKOUT_PATIENCE: Duration = Duration::from_secs(120);
/// The step of a job in which its commit is fetched.
pub(crate) const CHECKOUT_STEP: u32 = 0;

/// What all jobs of a runner share.
pub struct Host {
    /// The runner's settings.
    pub config: RunnerConfig,
    /// Names this runner to its engine; see [`JobKey::instance`].
    pub instance: Ulid,
    /// How leases are kept.
    pub timing: LeaseTiming,
    /// How far the work of its jobs may reach.
    pub reach: Reach,
    /// Cancelled when running work must end, because the runner does.
    pub halt: CancellationToken,
    /// Cancelled when even the last reports are given up.
    pub abandon: CancellationToken,
}

/// How far work may reach beyond this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Built images are pushed; otherwise they stay on the engine, and go by their ids.
    pub push: bool,
    /// Deploys write to the cluster; otherwise they are rehearsed there.
    pub deploy: bool,
}

impl Reach {
    /// All the way, as for a server.
    pub const WHOLE: Reach = Reach {
        push: true,
        deploy: true,
    };
}

impl Host {
    /// The folder of one attempt's files on this machine.
    pub fn folder(&self, assignment: &Assignment) -> PathBuf {
        let name = format!("{}-{}", assignment.job, assignment.lease.attempt);
        self.config.state_dir.join("jobs").join(name)
    }
}

/// Does a job, or goes on with it, and reports its end. Returns when nothing of it is left on this
/// machine.
pub async fn execute(host: &Host, desk: &Desk, assignment: Assignment) {
    let stop = Stop::default();
    let folder = host.folder(&assignment);
    let journal = Journal::of(&folder, &assignment, desk);
    let past = journal.as_ref().map(Journal::past).ok();
    let since = past.and_then(|past| past.taken.map(|(_, at, _)| at));
    let _watchers = watch(host, &assignment, (desk, since), &stop);
    let reporter = Reporter::to(desk.clone(), stop.lost().clone());
    let opened = async {
        let journal = journal.with_context(|| format!("cannot write to {}", folder.display()))?;
        let log = journal.open_log(&folder, &assignment, (desk, &stop));
        Ok::<_, anyhow::Error>((log.await?, journal))
    };
    let finish = match opened.await {
        Err(error) => Finish::infrastructure(format!("{error:#}")),
        Ok((log, journal)) => {
            let job = Job {
                host,
                assignment: &assignment,
                desk,
                reporter: &reporter,
                log: &log,
                stop: &stop,
                journal: &journal,
                folder: folder.clone(),
            };
            let finish = work(&job).await;
            log.flush().await;
            job.masked(finish)
        }
    };
    let verdict = stop.verdict(finish);
    stop.tell_end();
    conclude(&assignment, &reporter, verdict).await;
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
        tracing::warn!(%error, folder = %folder.display(), "a job's folder could not be removed");
    }
}

/// What is left of a limit that began to count at `since`, by the wall clock: it may have been
/// another process that began.
pub(crate) fn left_of(limit: Duration, since: Option<Timestamp>) -> Duration {
    let passed = since.map_or(0, |since| clock::now().0.saturating_sub(since.0));
    limit.saturating_sub(Duration::from_millis(u64::try_from(passed).unwrap_or(0)))
}

/// The tasks that end with the job: heartbeat, limit, lost lease, and the runner's own end.
fn watch(
    host: &Host,
    assignment: &Assignment,
    (desk, since): (&Desk, Option<Timestamp>),
    stop: &Stop,
) -> Vec<AbortOnDropHandle<()>> {
    let limit = Duration::from_secs(assignment.timeout_seconds.into());
    let left = left_of(limit, since);
    let is_deploy = matches!(assignment.work, AssignedWork::Deploy(_));
    let silence_max = match assignment.is_repeated_if_lost && !is_deploy {
        true => host.timing.repeated_max,
        false => host.timing.unreachable_max,
    };
    let timing = (host.timing, silence_max);
    let beat = tokio::spawn(lease::keep(desk.clone(), timing, stop.clone()));
    let (lost, timer, ending) = (stop.clone(), stop.clone(), stop.clone());
    let (halt, abandon) = (host.halt.clone(), host.abandon.clone());
    let tasks = [
        beat,
        tokio::spawn(async move { lost.watch_lost().await }),
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            timer.ask(StopCause::TimedOut(limit));
        }),
        tokio::spawn(async move {
            halt.cancelled().await;
            ending.ask(StopCause::Shutdown);
            abandon.cancelled().await;
            ending.ask(StopCause::Lost("the runner ends".into()));
        }),
    ];
    tasks.map(AbortOnDropHandle::new).into()
}

async fn conclude(assignment: &Assignment, reporter: &Reporter, verdict: Verdict) {
    let (job, name) = (assignment.job, &assignment.name);
    let report = match verdict {
        Verdict::Finished(finish) => {
            let outcome = finish.outcome.state();
            tracing::info!(%job, %name, %outcome, reason = finish.reason, "job ended");
            Report::Finished {
                outcome: finish.outcome,
                reason: finish.reason,
                exit_code: finish.exit_code,
                outputs: finish.outputs,
            }
        }
        Verdict::GivenBack(reason) => {
            tracing::info!(%job, %name, reason, "job given back");
            Report::Lost { reason }
        }
        Verdict::Silent => {
            tracing::warn!(%job, %name, "job given up without a word: its lease is gone");
            return;
        }
    };
    if reporter.send(report).await.is_err() {
        tracing::warn!(%job, %name, "the end of the job was not taken: its lease is gone");
    }
}

/// A steps job goes on where it was. A build is made anew: nobody has its result yet. A deploy looks
/// at the cluster first, as if it took over from another runner.
async fn work(job: &Job<'_>) -> Finish {
    let before = job.journal.past().finished.clone();
    let finish = match &job.assignment.work {
        AssignedWork::Steps(steps) => return run_steps(job, steps).await,
        AssignedWork::Build(_) | AssignedWork::Deploy(_) if before.is_some() => before,
        AssignedWork::Build(build) => {
            if !job.journal.past().begun.is_empty() {
                let text = "the runner was restarted: the build begins anew";
                job.log.note(CHECKOUT_STEP, text).await;
            }
            Some(run_build(job, build).await)
        }
        AssignedWork::Deploy(deploy) => Some(run_deploy(job, deploy).await),
    };
    job.settle(finish.unwrap_or_else(Finish::passed)).await
}

async fn run_steps(job: &Job<'_>, work: &StepsWork) -> Finish {
    match connect(job).await {
        Ok(Connected::Docker(engine)) => steps::run(job, &engine, work).await,
        Ok(Connected::Scripted(engine)) => steps::run(job, &engine, work).await,
        Err(finish) => finish,
    }
}

async fn run_build(job: &Job<'_>, work: &BuildWork) -> Finish {
    let engine = match connect(job).await {
        Ok(Connected::Docker(engine)) => engine,
        Ok(Connected::Scripted(_)) => return image::play(job, work).await,
        Err(finish) => return finish,
    };
    let log = job.begin(CHECKOUT_STEP, "checkout");
    let fetched = fetch(job, &log).await;
    let finish = fetched.as_ref().err().cloned();
    let finish = job
        .end(CHECKOUT_STEP, finish.unwrap_or_else(Finish::passed), None)
        .await;
    match fetched {
        Ok(checkout) => image::run(job, &engine, work, &checkout).await,
        Err(_) => finish,
    }
}

/// A deploy has steps of its own; its checkout belongs to the first of them.
async fn run_deploy(job: &Job<'_>, deploy: &AssignedDeploy) -> Finish {
    let needs_checkout = match (&deploy.bundle, &deploy.work.source) {
        (None, ReleaseSource::Manifests { .. }) => true,
        (Some(_), _) | (None, ReleaseSource::Promote { .. } | ReleaseSource::Stored { .. }) => {
            false
        }
    };
    let mut checkout = None;
    if needs_checkout {
        match fetch(job, &job.log.step(CHECKOUT_STEP)).await {
            Ok(folder) => checkout = Some(folder),
            Err(finish) => {
                let log = job.begin(CHECKOUT_STEP, "render");
                drop(log);
                return job.end(CHECKOUT_STEP, finish, None).await;
            }
        }
    }
    let deploy_job = DeployJob {
        assignment: job.assignment,
        deploy,
        checkout: checkout.as_deref(),
        reporter: job.reporter,
        log: job.log,
        stop: job.stop.token().clone(),
        kubeconfig: job.host.config.kubeconfig.as_deref(),
    };
    match job.host.reach.deploy {
        true => deploy::run(deploy_job).await,
        false => deploy::rehearse(deploy_job).await,
    }
}

async fn connect(job: &Job<'_>) -> Result<Connected, Finish> {
    match engine::connect(&job.host.config).await {
        Ok(engine) => Ok(engine),
        Err(error) => {
            job.log.note(CHECKOUT_STEP, &error.to_string()).await;
            Err(Finish::from(error))
        }
    }
}

/// Fetches the run's commit into the job's folder.
pub(crate) async fn fetch(job: &Job<'_>, log: &StepLog) -> Result<PathBuf, Finish> {
    let asked = retry(job.stop.token(), || job.desk.checkout());
    let from = match tokio::time::timeout(CHECKOUT_PATIENCE, asked).await {
        Ok(Ok(from)) => from,
        Ok(Err(error)) => return Err(not_told(job, &error)),
        // One more call, for its words.
        Err(_) => match job.desk.checkout().await {
            Ok(from) => from,
            Err(error) => return Err(not_told(job, &error)),
        },
    };
    let from = match from {
        Source::Repository(from) => from,
        Source::Folder(folder) => return Ok(folder),
    };
    if let Some(token) = &from.token {
        log.masks().add(token);
    }
    let folder = job.folder.join("checkout");
    // What a former life has fetched of it; most often nothing is there.
    let _ = tokio::fs::remove_dir_all(&folder).await;
    let fetch = Fetch {
        from: &from,
        commit: &job.assignment.run.commit,
        folder: &folder,
        env: &job.host.config.program_env,
    };
    match fetch.run(log, job.stop.token()).await {
        Ok(()) => Ok(folder),
        Err(CheckoutError::Gone(text)) => Err(Finish::failed(text)),
        Err(CheckoutError::Infrastructure(text)) => Err(Finish::infrastructure(text)),
        Err(CheckoutError::Stopped) => Err(Finish::stopped()),
    }
}

fn not_told(job: &Job<'_>, error: &CallError) -> Finish {
    if job.stop.token().is_cancelled() {
        return Finish::stopped();
    }
    let text = format!("the server does not say how to fetch the commit: {error}");
    Finish::infrastructure(text)
}

/// Removes everything of a job from its engine, with some patience: what stays is swept later.
pub(crate) async fn clean<E: Engine>(engine: &E, key: &JobKey) {
    const TRIES: u32 = 3;
    for left in (0..TRIES).rev() {
        match engine.remove(key).await {
            Ok(()) => return,
            Err(error) if left == 0 => {
                tracing::warn!(job = %key.job, %error, "leftovers of a job stay for the sweep");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
