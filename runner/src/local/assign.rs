//! Puts assignments together, as a server does: the work as planned, with what earlier jobs made.

use std::collections::BTreeMap;

use pipelines::ids::{Attempt, DeployNumber, JobId, ReleaseNumber};
use pipelines::job::Lease;
use pipelines::names::{Digest, InvalidName, JobName, PinnedImage};
use pipelines::plan::{
    BuildWork, DeployWork, Late, MissingOutput, OUTPUT_DIGEST, PlannedJob, ReleaseSource, Text,
    Work,
};
use pipelines::planner::fit_tag;
use pipelines::wire::{AssignedDeploy, AssignedWork, Assignment, LeaseProof};

use super::Conductor;
use crate::clock;
use crate::engine::JobKey;
use crate::keep::paths;

/// The assignment of a job under a lease, or why there is none.
pub(super) fn assignment(
    conductor: &Conductor,
    planned: &PlannedJob,
    (job, lease): (JobId, Lease),
) -> Result<Assignment, String> {
    let filled = planned.work.fill(&|late| fill(conductor, late));
    let work = match filled.map_err(|missing| missing.to_string())? {
        Work::Steps(work) => AssignedWork::Steps(work),
        Work::Build(work) => AssignedWork::Build(with_fit_tags(work)?),
        Work::Deploy(work) => AssignedWork::Deploy(Box::new(deploy(conductor, work)?)),
    };
    let mut run = conductor.local.facts.clone();
    if conductor.host.reach.deploy && matches!(work, AssignedWork::Deploy(_)) {
        // Of its own: what a server has deployed is refused, and left as it is.
        let own = format!("local/{}", run.repository.name()).parse();
        run.repository = own.map_err(|error: InvalidName| error.to_string())?;
    }
    Ok(Assignment {
        job,
        lease: LeaseProof {
            attempt: lease.attempt,
            fence: lease.fence,
        },
        name: planned.name.clone(),
        run,
        timeout_seconds: planned.timeout_seconds,
        log_offset: 0,
        is_repeated_if_lost: false,
        work,
    })
}

/// Tags must be tags once they are filled.
fn with_fit_tags(mut work: BuildWork) -> Result<BuildWork, String> {
    for tag in &mut work.tags {
        let filled = tag.to_string();
        let fit = fit_tag(&filled);
        *tag = Text::Known(fit.ok_or_else(|| format!("`{filled}` is no valid tag of an image"))?);
    }
    Ok(work)
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
        volumes: match &planned.work {
            Work::Steps(work) => paths::volumes(&work.caches),
            Work::Build(_) | Work::Deploy(_) => Vec::new(),
        },
    }
}

fn fill(conductor: &Conductor, late: &Late) -> Result<String, MissingOutput> {
    match late {
        Late::Run => Ok(conductor.local.facts.number.to_string()),
        Late::Output { job, name } => {
            let made = conductor.made.get(job);
            let value = made.and_then(|made| made.outputs.get(name));
            // As on a server: a job that did not run has made nothing, which is an empty text.
            Ok(value.cloned().unwrap_or_default())
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
        ReleaseSource::Stored { release } => {
            return Err(format!("release #{release} is on a server"));
        }
    };
    Ok(AssignedDeploy {
        number: DeployNumber(number),
        release: ReleaseNumber(number),
        work,
        images,
        bundle,
        // Without a record there is no verified release to return to.
        fallback: None,
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
