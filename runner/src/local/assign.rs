//! Puts assignments together, as a server does: the work as planned, with what earlier jobs made.

use std::collections::BTreeMap;

use pipelines::ids::{Attempt, DeployNumber, JobId, ReleaseNumber};
use pipelines::job::Lease;
use pipelines::names::{Digest, JobName, PinnedImage};
use pipelines::plan::{
    DeployWork, Late, MissingOutput, OUTPUT_DIGEST, PlannedJob, ReleaseSource, Work,
};
use pipelines::wire::{AssignedDeploy, AssignedWork, Assignment, LeaseProof};

use super::Conductor;
use crate::clock;
use crate::engine::JobKey;

/// The assignment of a job under a lease, or why there is none.
pub(super) fn assignment(
    conductor: &Conductor,
    planned: &PlannedJob,
    (job, lease): (JobId, Lease),
) -> Result<Assignment, String> {
    let filled = planned.work.fill(&|late| fill(conductor, late));
    let work = match filled.map_err(|missing| missing.to_string())? {
        Work::Steps(work) => AssignedWork::Steps(work),
        Work::Build(work) => AssignedWork::Build(work),
        Work::Deploy(work) => AssignedWork::Deploy(Box::new(deploy(conductor, work)?)),
    };
    Ok(Assignment {
        job,
        lease: LeaseProof {
            attempt: lease.attempt,
            fence: lease.fence,
        },
        name: planned.name.clone(),
        run: conductor.local.facts.clone(),
        timeout_seconds: planned.timeout_seconds,
        log_offset: 0,
        work,
    })
}

/// What an attempt of a job is called on the engine.
pub(super) fn key(
    conductor: &Conductor,
    planned: &PlannedJob,
    (job, attempt): (JobId, Attempt),
) -> JobKey {
    let facts = &conductor.local.facts;
    JobKey {
        instance: conductor.host.instance,
        job,
        attempt,
        repository: facts.repository.to_string(),
        run: facts.number.to_string(),
        name: planned.name.to_string(),
    }
}

fn fill(conductor: &Conductor, late: &Late) -> Result<String, MissingOutput> {
    match late {
        Late::Run => Ok(conductor.local.facts.number.to_string()),
        Late::Output { job, name } => {
            let made = conductor.made.get(job);
            let value = made.and_then(|made| made.outputs.get(name));
            value.cloned().ok_or_else(|| MissingOutput {
                job: job.clone(),
                name: name.clone(),
            })
        }
    }
}

/// A deploy is numbered by the clock: each is newer than the one before it.
fn deploy(conductor: &Conductor, work: DeployWork) -> Result<AssignedDeploy, String> {
    let number = clock::now().0;
    let (images, bundle) = match &work.source {
        ReleaseSource::Manifests { images, .. } => (pin(conductor, images)?, None),
        ReleaseSource::Promote { job, .. } => {
            let made = conductor.made.get(job);
            let bundle = made.and_then(|made| made.bundle.clone());
            let missing = || format!("job `{job}` has not rendered a release in this run");
            (BTreeMap::new(), Some(bundle.ok_or_else(missing)?))
        }
    };
    Ok(AssignedDeploy {
        number: DeployNumber(number),
        release: ReleaseNumber(number),
        work,
        images,
        bundle,
    })
}

/// The image of each build job, by its digest.
fn pin(
    conductor: &Conductor,
    images: &BTreeMap<String, JobName>,
) -> Result<BTreeMap<String, PinnedImage>, String> {
    let one = |(name, job): (&String, &JobName)| {
        let made = conductor.made.get(job);
        let digest = made.and_then(|made| made.outputs.get(OUTPUT_DIGEST));
        let digest = digest.and_then(|text| text.parse::<Digest>().ok());
        let build = conductor.planned(job).map(|(_, planned)| &planned.work);
        match (build, digest) {
            (Some(Work::Build(build)), Some(digest)) => {
                let repository = build.image.clone();
                Ok((name.clone(), PinnedImage { repository, digest }))
            }
            _ => Err(format!("image `{name}`: job `{job}` gave no image digest")),
        }
    };
    images.iter().map(one).collect()
}
