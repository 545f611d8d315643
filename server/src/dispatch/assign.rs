//! Puts an assignment together: the work as planned, with what earlier jobs made.

use std::collections::BTreeMap;

use pipelines::ids::{JobId, RunId};
use pipelines::job::{Lease, State};
use pipelines::names::{Digest, JobName, PinnedImage};
use pipelines::plan::{DeployWork, OUTPUT_DIGEST, OnFailure, ReleaseSource, Work};
use pipelines::timestamp::Timestamp;
use pipelines::wire::{AssignedDeploy, AssignedWork, Assignment, LeaseProof, RunFacts};

use super::late;
use crate::app::App;
use crate::store::assignments::{self, Facts};
use crate::store::deploys::{self, NewDeploy};
use crate::store::queue::Queued;
use crate::store::releases::{self, NewRelease, Release};
use crate::store::{Tx, jobs};

/// Makes sure that a deploy has its release and its row, which every attempt shares. Returns why
/// that cannot be, as a sentence for people; then the job cannot be done by any runner.
pub(super) async fn prepare(
    tx: &mut Tx,
    queued: &Queued,
    now: Timestamp,
) -> sqlx::Result<Option<String>> {
    let made = jobs::find_made(tx, queued.run, &queued.name).await?;
    let made = made.ok_or(sqlx::Error::RowNotFound)?;
    let work = match made.work {
        Work::Deploy(work) => work,
        work @ (Work::Steps(_) | Work::Build(_)) => {
            let number = assignments::find_facts(&mut **tx, queued.run).await?;
            let number = number.ok_or(sqlx::Error::RowNotFound)?.run.number;
            let filled = late::fill(tx, (queued.run, number), &work).await?;
            return Ok(filled.err());
        }
    };
    if deploys::find_by_job(tx, made.id).await?.is_some() {
        return Ok(None);
    }
    let facts = assignments::find_facts(&mut **tx, queued.run).await?;
    let Facts { repo, .. } = facts.ok_or(sqlx::Error::RowNotFound)?;
    let release = match &work.source {
        ReleaseSource::Manifests { images, .. } => {
            let images = match pin(tx, queued.run, images).await? {
                Ok(images) => images,
                Err(reason) => return Ok(Some(reason)),
            };
            let new = NewRelease {
                repo,
                run: queued.run,
                job: made.id,
                images: &images,
            };
            releases::create(tx, new, now).await?
        }
        ReleaseSource::Stored { release } => {
            match releases::find_numbered(tx, repo, *release).await? {
                Some(release) => release,
                None => return Ok(Some(format!("there is no release #{release}"))),
            }
        }
        ReleaseSource::Promote { job, .. } => match promoted(tx, queued.run, job).await? {
            Ok(release) => release,
            Err(reason) => return Ok(Some(reason)),
        },
    };
    let new = NewDeploy {
        repo,
        run: queued.run,
        job: made.id,
        release: release.id,
        work: &work,
    };
    deploys::create(tx, new, now).await?;
    Ok(None)
}

/// The image that each build job pushed, by digest.
async fn pin(
    tx: &mut Tx,
    run: RunId,
    images: &BTreeMap<String, JobName>,
) -> sqlx::Result<Result<BTreeMap<String, PinnedImage>, String>> {
    let mut pinned = BTreeMap::new();
    for (name, job) in images {
        let Some(made) = jobs::find_made(tx, run, job).await? else {
            return Ok(Err(format!("image `{name}`: this run has no job `{job}`")));
        };
        let Work::Build(build) = made.work else {
            return Ok(Err(format!("image `{name}`: job `{job}` builds no image")));
        };
        let digest = made.outputs.get(OUTPUT_DIGEST);
        let Some(digest) = digest.and_then(|text| text.parse::<Digest>().ok()) else {
            return Ok(Err(format!(
                "image `{name}`: job `{job}` gave no image digest"
            )));
        };
        let image = PinnedImage {
            repository: build.image,
            digest,
        };
        pinned.insert(name.clone(), image);
    }
    Ok(Ok(pinned))
}

/// The very release that another job of this run has rolled out and verified.
async fn promoted(tx: &mut Tx, run: RunId, job: &JobName) -> sqlx::Result<Result<Release, String>> {
    let nothing = || format!("job `{job}` has not verified a release in this run");
    let Some(made) = jobs::find_made(tx, run, job).await? else {
        return Ok(Err(nothing()));
    };
    let deploy = deploys::find_by_job(tx, made.id).await?;
    let Some(deploy) = deploy.filter(|deploy| deploy.state == State::Passed) else {
        return Ok(Err(nothing()));
    };
    let release = releases::find(tx, deploy.release).await?;
    let release = release.ok_or(sqlx::Error::RowNotFound)?;
    if release.bundle.is_none() {
        return Ok(Err(format!(
            "the rendered objects of release #{} are missing, so it cannot be promoted unchanged",
            release.number
        )));
    }
    Ok(Ok(release))
}

/// The assignment of a job that is held under this lease. The log's length is left at 0.
pub(super) async fn build(
    tx: &mut Tx,
    app: &App,
    job: JobId,
    lease: Lease,
) -> sqlx::Result<Option<Assignment>> {
    let Some(holding) = jobs::find_holding(&mut **tx, job).await? else {
        return Ok(None);
    };
    let facts = assignments::find_facts(&mut **tx, holding.run).await?;
    let facts = facts.ok_or(sqlx::Error::RowNotFound)?.run;
    let made = jobs::find_made(tx, holding.run, &holding.name).await?;
    let made = made.ok_or(sqlx::Error::RowNotFound)?;
    let path = format!("/repos/{}/runs/{}", facts.repository, facts.number);
    let number = facts.number;
    let work = match late::fill(tx, (holding.run, number), &made.work).await? {
        Ok(work) => work,
        // `prepare` has seen to it that it can be filled, and what it takes from never changes.
        Err(words) => return Err(sqlx::Error::Decode(words.into())),
    };
    let work = match work {
        Work::Steps(steps) => AssignedWork::Steps(steps),
        Work::Build(build) => AssignedWork::Build(build),
        Work::Deploy(work) => AssignedWork::Deploy(Box::new(deploy(tx, job, work).await?)),
    };
    Ok(Some(Assignment {
        job,
        lease: LeaseProof {
            attempt: lease.attempt,
            fence: lease.fence,
        },
        name: holding.name,
        run: RunFacts {
            url: app.url(&path),
            ..facts
        },
        timeout_seconds: made.timeout_seconds,
        log_offset: 0,
        is_repeated_if_lost: made.retries_left > 0,
        work,
    }))
}

async fn deploy(tx: &mut Tx, job: JobId, work: DeployWork) -> sqlx::Result<AssignedDeploy> {
    let deploy = deploys::find_by_job(tx, job).await?;
    let deploy = deploy.ok_or(sqlx::Error::RowNotFound)?;
    let release = releases::find(tx, deploy.release).await?;
    let release = release.ok_or(sqlx::Error::RowNotFound)?;
    let fallback = match work.on_failure {
        OnFailure::Rollback => releases::find_fallback(tx, job).await?,
        OnFailure::Hold => None,
    };
    Ok(AssignedDeploy {
        number: deploy.number,
        release: release.number,
        work,
        images: release.images,
        bundle: release.bundle,
        fallback,
    })
}
