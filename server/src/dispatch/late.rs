//! What only the run knows, filled into the work of a job when it is given to a runner.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pipelines::ids::{RunId, RunNumber};
use pipelines::names::{JobName, is_image_reference};
use pipelines::plan::{Late, MissingOutput, Part, Text, Work};
use pipelines::planner::fit_tag;

use crate::store::{Tx, jobs};

/// The work with nothing missing, or why it cannot be completed, as a sentence for people.
///
/// A job that did not run has made nothing: in a variable that is an empty text, as for a branch
/// that there is none of. A name of an image cannot be made of nothing, and says so.
pub(super) async fn fill(
    tx: &mut Tx,
    (run, number): (RunId, RunNumber),
    work: &Work,
) -> sqlx::Result<Result<Work, String>> {
    let mut outputs: BTreeMap<JobName, BTreeMap<String, String>> = BTreeMap::new();
    for job in wanted(work) {
        if let Entry::Vacant(place) = outputs.entry(job) {
            let made = jobs::find_made(tx, run, place.key()).await?;
            place.insert(made.map(|made| made.outputs).unwrap_or_default());
        }
    }
    let value = |late: &Late| -> Result<String, MissingOutput> {
        Ok(match late {
            Late::Run => number.to_string(),
            Late::Output { job, name } => {
                let made = outputs.get(job).and_then(|outputs| outputs.get(name));
                made.cloned().unwrap_or_default()
            }
        })
    };
    let filled = work.fill(&value).map_err(|missing| missing.to_string());
    Ok(filled.and_then(|filled| checked(work, filled)))
}

/// The jobs that a work takes outputs from.
fn wanted(work: &Work) -> Vec<JobName> {
    let mut jobs = Vec::new();
    for text in texts(work) {
        let Text::Late(parts) = text else { continue };
        for part in parts {
            if let Part::Gap(Late::Output { job, .. }) = part {
                jobs.push(job.clone());
            }
        }
    }
    jobs
}

fn texts(work: &Work) -> Vec<&Text> {
    let mut all = Vec::new();
    match work {
        Work::Steps(steps) => {
            for service in &steps.services {
                all.push(&service.image);
                all.extend(service.env.values());
            }
            for step in &steps.steps {
                all.push(&step.image);
                all.extend(step.env.values());
            }
        }
        Work::Build(build) => {
            all.extend(build.args.values());
            all.extend(&build.tags);
            all.extend(&build.target);
        }
        Work::Deploy(_) => {}
    }
    all
}

/// Names must be names once they are filled. Those that were whole before have been looked at.
fn checked(planned: &Work, mut filled: Work) -> Result<Work, String> {
    match (planned, &mut filled) {
        (Work::Steps(planned), Work::Steps(filled)) => {
            let services = planned.services.iter().zip(&filled.services);
            let services = services.map(|(old, new)| (&old.image, &new.image));
            let steps = planned.steps.iter().zip(&filled.steps);
            let steps = steps.map(|(old, new)| (&old.image, &new.image));
            for (old, new) in services.chain(steps) {
                if !is_image_reference(&new.to_string()) {
                    return Err(unfit("image", (old, new)));
                }
            }
        }
        (Work::Build(planned), Work::Build(filled)) => {
            for (old, new) in planned.tags.iter().zip(&mut filled.tags) {
                match fit_tag(&new.to_string()) {
                    Some(fit) => *new = Text::Known(fit),
                    None => return Err(unfit("tag of an image", (old, new))),
                }
            }
            if let (Some(old), Some(new)) = (&planned.target, &filled.target)
                && old.known().is_none()
                && new.to_string().trim().is_empty()
            {
                return Err(unfit("target of a Dockerfile", (old, new)));
            }
        }
        (Work::Steps(_) | Work::Build(_) | Work::Deploy(_), _) => {}
    }
    Ok(filled)
}

fn unfit(what: &str, (old, new): (&Text, &Text)) -> String {
    format!("`{old}` became `{new}`, which is no valid {what}")
}
