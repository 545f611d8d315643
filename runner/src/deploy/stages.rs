//! What a deploy does before there is a rollout to follow.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pipelines::job::Outcome;
use pipelines::plan::{DeployWork, ReleaseSource, Strategy};
use pipelines::wire::{Bundle, Report};

use super::apply::{self, Prepared, Refusal, Unwritten};
use super::cluster::{self, Cluster};
use super::snapshot::{Change, Target};
use super::steps::Steps;
use super::{DeployJob, Early, early, manifests};

/// Between two tries of a call that the cluster did not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// Tries to reach the cluster before anything has been written.
const TRIES_MAX: u32 = 3;
/// Times an object may be changed by others between our look at it and our write.
const MOVES_MAX: u32 = 20;
/// Problems told in the reason of a failed deploy; the log has all.
const PROBLEMS_TOLD_MAX: usize = 3;

/// The release: as it was stored, or made from the repository, and then stored.
pub(super) async fn render(job: &DeployJob<'_>, steps: &Steps<'_>) -> Result<Bundle, Early> {
    let deploy = job.deploy;
    if let Some(bundle) = &deploy.bundle {
        let count = bundle.objects.len();
        steps
            .note(&format!(
                "release #{} as it is stored: {count} objects",
                deploy.release
            ))
            .await;
        return Ok(bundle.clone());
    }
    let path = match &deploy.work.source {
        ReleaseSource::Manifests { path, .. } => path.clone(),
        ReleaseSource::Promote { environment, .. } => {
            let reason = format!(
                "the release that {environment} has verified is not stored: deploy there again"
            );
            return Err(early(Outcome::InfrastructureError, reason));
        }
        ReleaseSource::Stored { release } => {
            let reason = format!("the objects of release #{release} are not stored");
            return Err(early(Outcome::InfrastructureError, reason));
        }
    };
    let Some(root) = job.checkout.map(Path::to_owned) else {
        return Err(early(
            Outcome::InfrastructureError,
            "the repository was not checked out",
        ));
    };
    let (namespace, images) = (deploy.work.namespace.clone(), deploy.images.clone());
    // Files are read on a thread that may wait for a disk.
    let rendered =
        tokio::task::spawn_blocking(move || manifests::render(&root, &path, &namespace, &images));
    let rendered = rendered.await.map_err(|error| {
        early(
            Outcome::InfrastructureError,
            format!("rendering ended early: {error}"),
        )
    })?;
    let bundle = match rendered {
        Ok(bundle) => bundle,
        Err(problems) => return Err(told(steps, problems).await),
    };
    for object in &bundle.objects {
        steps.note(&manifests::title(object)).await;
    }
    for (name, image) in &deploy.images {
        steps.note(&format!("image {name} is {image}")).await;
    }
    job.reporter.send(Report::Bundle(bundle.clone())).await?;
    Ok(bundle)
}

/// What a deploy asks for that this runner would not do. The server refuses such files; this is for
/// plans that come another way, as from a newer server.
pub(super) fn not_carried_out(work: &DeployWork) -> Option<String> {
    let strategy = match work.strategy {
        Strategy::Rolling => None,
        Strategy::Recreate => Some("`recreate`"),
        Strategy::BlueGreen { .. } => Some("`blue_green`"),
        Strategy::Canary { .. } => Some("`canary`"),
    };
    let before = match &work.source {
        ReleaseSource::Manifests { before, .. } if !before.is_empty() => Some("`before`"),
        ReleaseSource::Manifests { .. }
        | ReleaseSource::Promote { .. }
        | ReleaseSource::Stored { .. } => None,
    };
    let http = work.verify.http.as_ref().map(|_| "`verify.http`");
    let what = strategy.or(before).or(http)?;
    Some(format!(
        "this runner does not carry out {what}: nothing was changed. Update it, or take that out of the pipeline file"
    ))
}

/// Writes every problem to the log, and the first ones to the reason.
async fn told(steps: &Steps<'_>, problems: Vec<String>) -> Early {
    for problem in &problems {
        steps.note(problem).await;
    }
    let mut reason = problems[..problems.len().min(PROBLEMS_TOLD_MAX)].join("; ");
    if problems.len() > PROBLEMS_TOLD_MAX {
        reason += &format!(
            "; and {} more in the log",
            problems.len() - PROBLEMS_TOLD_MAX
        );
    }
    early(Outcome::Failed, reason)
}

pub(super) async fn connect(job: &DeployJob<'_>, steps: &Steps<'_>) -> Result<Cluster, Early> {
    let cluster = cluster::connect(job.kubeconfig).await;
    let cluster = cluster.map_err(|problem| early(Outcome::InfrastructureError, problem))?;
    let mut tries = 0;
    loop {
        tries += 1;
        match cluster.version().await {
            Ok(version) => {
                let text = format!("the cluster at {} runs Kubernetes {version}", cluster.url);
                steps.note(&text).await;
                return Ok(cluster);
            }
            Err(fault) if tries == TRIES_MAX => return Err(unreachable(&cluster, &fault.words())),
            Err(_) => rest(job).await?,
        }
    }
}

fn unreachable(cluster: &Cluster, words: &str) -> Early {
    early(
        Outcome::InfrastructureError,
        format!(
            "cannot reach the cluster at {}: {words}. This attempt changed nothing; check KUBECONFIG and the network of this runner",
            cluster.url
        ),
    )
}

/// Waits before the next try, unless the job is stopped.
async fn rest(job: &DeployJob<'_>) -> Result<(), Early> {
    tokio::select! {
        () = job.stop.cancelled() => Err(early(Outcome::Cancelled, "stopped before anything was written")),
        () = tokio::time::sleep(AGAIN) => Ok(()),
    }
}

/// How long a cluster that does not answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A few tries: nothing has been written.
    Little,
    /// Until the job is stopped.
    UntilStopped,
}

/// Looks at what there is, and lets the cluster rehearse these objects under these marks.
pub(super) async fn preflight(
    job: &DeployJob<'_>,
    cluster: &Cluster,
    (bundle, marks): (&Bundle, &BTreeMap<String, String>),
    steps: &Steps<'_>,
    patience: Patience,
) -> Result<Prepared, Early> {
    let namespace = job.deploy.work.namespace.as_str();
    let mut tries = 0;
    loop {
        tries += 1;
        let prepared = tokio::select! {
            prepared = apply::prepare(cluster, namespace, bundle, marks) => prepared,
            () = job.stop.cancelled() => {
                return Err(early(Outcome::Cancelled, "stopped before anything was written"));
            }
        };
        match prepared {
            Ok(prepared) if prepared.left.is_some() => return Ok(prepared),
            Ok(prepared) => {
                steps.note("the cluster would take every object").await;
                return Ok(prepared);
            }
            Err(Refusal::Words(problems)) => return Err(told(steps, problems).await),
            Err(Refusal::Superseded(newer)) => {
                let environment = &job.deploy.work.environment;
                let reason = format!(
                    "deploy #{newer} is newer and is already in {environment}: nothing was changed"
                );
                return Err(early(Outcome::Superseded, reason));
            }
            Err(Refusal::Away(words)) if tries >= TRIES_MAX && patience == Patience::Little => {
                return Err(unreachable(cluster, &words));
            }
            Err(Refusal::Away(_)) => rest(job).await?,
        }
    }
}

/// Writes every object, or takes over what an earlier attempt has written; what is to be followed.
pub(super) async fn write(
    job: &DeployJob<'_>,
    prepared: &Prepared,
    steps: &Steps<'_>,
) -> Result<Vec<Target>, Early> {
    if prepared.adopted {
        steps
            .note("adopted what an earlier attempt has applied: nothing is written again")
            .await;
        let objects = prepared.objects.iter();
        let targets: Result<Vec<_>, _> = objects.map(apply::Object::adopt).collect();
        let targets = targets.map_err(|problem| early(Outcome::Failed, problem))?;
        return Ok(targets.into_iter().flatten().collect());
    }
    let mut targets = Vec::new();
    let all = prepared.objects.len();
    for (written, object) in prepared.objects.iter().enumerate() {
        if job.stop.is_cancelled() {
            let reason =
                format!("stopped while applying: {written} of {all} objects are written, and stay");
            return Err(early(Outcome::Cancelled, reason));
        }
        let target = write_one(job, object, steps).await.map_err(|end| {
            let reason = format!(
                "{}. {written} of {all} objects had been written before, and stay",
                end.reason
            );
            Early {
                written,
                ..early(end.outcome, reason)
            }
        })?;
        if let Some(target) = &target {
            let changed = match target.change {
                Change::Changed => format!("applied, generation {}", target.generation),
                Change::Unchanged => "no change".to_owned(),
            };
            steps.note(&format!("{}: {changed}", object.title)).await;
        } else {
            steps.note(&format!("{}: applied", object.title)).await;
        }
        targets.extend(target);
    }
    Ok(targets)
}

/// Writes one object. Some may be written already, so a cluster that does not answer is asked
/// again until it does or the job is stopped: applying twice is the same as once. Meanwhile the
/// deploy may have been given to another runner, and a newer one may have been there, so every
/// attempt asks for the lease and for the marks first.
async fn write_one(
    job: &DeployJob<'_>,
    object: &apply::Object,
    steps: &Steps<'_>,
) -> Result<Option<Target>, Early> {
    let namespace = job.deploy.work.namespace.as_str();
    let (mut told, mut moves) = (false, 0);
    loop {
        confirm(job).await?;
        match object.apply(namespace).await {
            Ok(target) => return Ok(target),
            Err(Unwritten::Refused(problems)) => {
                return Err(early(Outcome::Failed, problems.join("; ")));
            }
            Err(Unwritten::Superseded(newer)) => {
                let (title, environment) = (&object.title, &job.deploy.work.environment);
                let reason = format!(
                    "deploy #{newer} is newer and is already in {environment}: {title} was not changed"
                );
                return Err(early(Outcome::Superseded, reason));
            }
            Err(Unwritten::Moved) if moves == MOVES_MAX => {
                let reason = format!(
                    "{} changes all the time, so it was not written: deploy again when it is calm",
                    object.title
                );
                return Err(early(Outcome::Failed, reason));
            }
            Err(Unwritten::Moved) => moves += 1,
            Err(Unwritten::Away(words)) => {
                if !told {
                    let text = format!("the cluster does not answer ({words}): trying again");
                    steps.note(&text).await;
                    told = true;
                }
                if rest(job).await.is_err() {
                    let reason = format!(
                        "{} may or may not have been written: the cluster does not answer ({words})",
                        object.title
                    );
                    return Err(early(Outcome::Cancelled, reason));
                }
            }
        }
    }
}

/// Whether this deploy is still ours. A server that is away is waited for, unless the job is
/// stopped.
async fn confirm(job: &DeployJob<'_>) -> Result<(), Early> {
    tokio::select! {
        held = job.reporter.confirm() => Ok(held?),
        () = job.stop.cancelled() => Err(early(Outcome::Cancelled, "stopped while applying")),
    }
}
