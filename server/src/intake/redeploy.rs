//! Deploys of stored releases that a person asks for: back to what ran before, or again.

use std::collections::BTreeMap;

use pipelines::event::{EventKind, GitEvent};
use pipelines::ids::{DeployNumber, ReleaseNumber, RunNumber};
use pipelines::limits::JOB_TIMEOUT_DEFAULT;
use pipelines::names::{EnvironmentName, PipelineName};
use pipelines::plan::{Condition, DeployWork, Plan, PlannedJob, ReleaseSource, Retry, Work};

use super::decide::{Decided, Decision, Verdict};
use super::record::{Batch, record_in};
use super::start::StartError;
use crate::app::App;
use crate::live::Topic;
use crate::progress;
use crate::store::redeploys::{self, Lock, Verified};
use crate::store::repos::Repo;
use crate::store::{Tx, audit};

/// The pipeline that such a run is of: no file has it.
const NAME: &str = "redeploy";
/// How far back a release may be to be chosen.
pub(crate) const CHOICES_MAX: u32 = 100;
/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// What a person wants to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redeploy<'a> {
    pub(crate) environment: &'a EnvironmentName,
    /// The last verified one that is older than the newest deploy's, if none is named.
    pub(crate) release: Option<ReleaseNumber>,
    /// The newest deploy when the person decided; anything may have happened, if none is named.
    pub(crate) seen: Option<DeployNumber>,
    /// Why; also the reason of the lock.
    pub(crate) reason: &'a str,
    /// Whether other deploys shall wait until they are allowed again.
    pub(crate) locks: bool,
}

/// What is there to choose from.
pub(crate) struct Choice {
    pub(crate) verified: Vec<Verified>,
    /// The newest deploy.
    pub(crate) newest: DeployNumber,
    environment: EnvironmentName,
}

impl Choice {
    /// Reads it, or says why there is none.
    pub(crate) async fn read(
        app: &App,
        repo: &Repo,
        environment: &EnvironmentName,
    ) -> Result<Choice, StartError> {
        let (reader, place) = (app.store.reader(), (repo.id, environment));
        if redeploys::lock(reader, place).await?.is_none() {
            let words = format!("environment {environment} of {}", repo.name);
            return Err(StartError::NotFound(words));
        }
        let Some(newest) = redeploys::newest(reader, place).await? else {
            let words = format!("nothing has been deployed to {environment} yet");
            return Err(StartError::Refused(words));
        };
        Ok(Choice {
            verified: redeploys::verified(reader, place, CHOICES_MAX).await?,
            newest,
            environment: environment.clone(),
        })
    }

    /// The release of that number, or the one to return to.
    pub(crate) fn find(&self, release: Option<ReleaseNumber>) -> Result<&Verified, StartError> {
        let environment = &self.environment;
        let mut verified = self.verified.iter();
        match release {
            Some(number) => {
                let words = || format!("release #{number} that {environment} has verified");
                let found = verified.find(|one| one.release == number);
                found.ok_or_else(|| StartError::NotFound(words()))
            }
            None => {
                let words = || format!("{environment} has verified no release before its newest");
                let found = verified.find(|one| one.is_before);
                found.ok_or_else(|| StartError::Refused(words()))
            }
        }
    }
}

/// Starts a run that deploys a stored release, for `by`. The lock, the run and the audit entry
/// are stored together.
pub(crate) async fn redeploy(
    app: &App,
    repo: &Repo,
    wanted: Redeploy<'_>,
    by: &str,
) -> Result<RunNumber, StartError> {
    let environment = wanted.environment;
    let choice = Choice::read(app, repo, environment).await?;
    if wanted.seen.is_some_and(|seen| seen != choice.newest) {
        return Err(StartError::Refused(format!(
            "deploy #{} has come to {environment} since you looked",
            choice.newest
        )));
    }
    let release = choice.find(wanted.release)?;
    let reason: String = wanted.reason.trim().chars().take(REASON_MAX).collect();
    let event = event(release, environment, by);
    let decided = decided(release)?;
    let batch = Batch {
        delivery: None,
        moved: None,
        rerun_of: None,
        repo,
        event: &event,
        schedule: None,
        decided: &decided,
    };
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let (numbers, topics) = record_in(&mut tx, batch, now).await?;
    let number = numbers.into_iter().next();
    let number = number.ok_or_else(|| anyhow::anyhow!("no run was made"))?;
    if wanted.locks {
        let lock = Lock {
            by: by.to_owned(),
            reason: match reason.as_str() {
                "" => format!("returned to release #{}", release.release),
                words => words.to_owned(),
            },
            at: now,
        };
        redeploys::set_lock(&mut tx, (repo.id, environment), Some(&lock)).await?;
    }
    let subject = format!("{} {environment}", repo.name);
    let detail = format!("release #{} as run {number}: {reason}", release.release);
    let entry = (by, "environment.redeploy", subject.as_str());
    audit::record(&mut tx, now, entry, &detail).await?;
    tx.commit().await?;
    progress::tell(app, &topics);
    progress::tell(app, &[Topic::Environments]);
    Ok(number)
}

/// Locks an environment for this reason, or opens it again.
pub(crate) async fn set_lock(
    app: &App,
    repo: &Repo,
    environment: &EnvironmentName,
    reason: Option<&str>,
    by: &str,
) -> Result<(), StartError> {
    let now = app.clock.now();
    let lock = reason.map(|reason| Lock {
        by: by.to_owned(),
        reason: reason.trim().chars().take(REASON_MAX).collect(),
        at: now,
    });
    if lock.as_ref().is_some_and(|lock| lock.reason.is_empty()) {
        let words = "a lock needs a reason, for those who wait".to_owned();
        return Err(StartError::Refused(words));
    }
    let mut tx: Tx = app.store.begin().await?;
    if !redeploys::set_lock(&mut tx, (repo.id, environment), lock.as_ref()).await? {
        let words = format!("environment {environment} of {}", repo.name);
        return Err(StartError::NotFound(words));
    }
    let action = match lock {
        Some(_) => "environment.lock",
        None => "environment.unlock",
    };
    let subject = format!("{} {environment}", repo.name);
    let detail = lock.map(|lock| lock.reason).unwrap_or_default();
    audit::record(&mut tx, now, (by, action, &subject), &detail).await?;
    tx.commit().await?;
    progress::tell(app, &[Topic::Environments, Topic::Queue]);
    Ok(())
}

fn event(release: &Verified, environment: &EnvironmentName, by: &str) -> GitEvent {
    GitEvent {
        kind: EventKind::Manual,
        commit: release.commit.clone(),
        before: None,
        branch: release.branch.clone(),
        tag: None,
        pull_request: None,
        title: format!(
            "Deploy release #{} to {environment}: {}",
            release.release, release.title
        ),
        author: by.to_owned(),
        inputs: BTreeMap::new(),
    }
}

/// How a verified release was rolled out last.
pub(crate) fn work(release: &Verified) -> Result<&DeployWork, StartError> {
    match &release.work {
        Work::Deploy(work) => Ok(work),
        Work::Steps(_) | Work::Build(_) => {
            Err(anyhow::anyhow!("release #{} was deployed by no deploy", release.release).into())
        }
    }
}

/// A plan of one job, named and made as the one that verified the release: of several parts that
/// share an environment, only deploys of the same one take each other's place.
fn decided(release: &Verified) -> Result<Decided, StartError> {
    let fixed = |error| anyhow::anyhow!("`{NAME}` is no name: {error}");
    let pipeline: PipelineName = NAME.parse().map_err(fixed)?;
    let (work, job) = (work(release)?, &release.job);
    let plan = Plan {
        pipeline: pipeline.clone(),
        concurrency: None,
        templates: Vec::new(),
        jobs: vec![PlannedJob {
            name: job.clone(),
            group: job.clone(),
            matrix: BTreeMap::new(),
            needs: Vec::new(),
            condition: Condition::Success,
            skip: None,
            timeout_seconds: JOB_TIMEOUT_DEFAULT.as_secs() as u32,
            retry: Retry::default(),
            work: Work::Deploy(DeployWork {
                source: ReleaseSource::Stored {
                    release: release.release,
                },
                ..work.clone()
            }),
        }],
    };
    Ok(Decided {
        decisions: vec![Decision {
            pipeline,
            file: String::new(),
            schedules: None,
            verdict: Verdict::Run(plan),
        }],
        environments: None,
    })
}
