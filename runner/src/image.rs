//! A build job: checkout, build, push; the digest is what later jobs get.

use std::path::Path;

use pipelines::job::Outcome;
use pipelines::names::ImageRepository;
use pipelines::plan::{BuildWork, OUTPUT_DIGEST, OUTPUT_IMAGE};

use crate::config::RunnerConfig;
use crate::engine::docker::{DockerEngine, words};
use crate::engine::{EngineError, JobKey};
use crate::execute::Job;
use crate::image::build::Built;
use crate::image::context::{Context, ContextError};
use crate::image::push::Pusher;
use crate::logs::JobLog;
use crate::report::Finish;

pub mod build;
pub mod context;
pub mod ignore;
pub mod progress;
pub mod push;
pub mod registry;

const BUILD_STEP: u32 = 1;
const PUSH_STEP: u32 = 2;

/// Builds and pushes what `work` says from a checkout.
pub(crate) async fn run(
    job: &Job<'_>,
    engine: &DockerEngine,
    work: &BuildWork,
    checkout: &Path,
) -> Finish {
    let tag = push::attempt_tag(&job.key());
    match build_step(job, engine, work, checkout, &tag).await {
        Ok(()) if job.host.reach.push => push_step(job, engine, work, &tag).await,
        Ok(()) => keep_step(job, engine, work, &tag).await,
        Err(finish) => finish,
    }
}

async fn build_step(
    job: &Job<'_>,
    engine: &DockerEngine,
    work: &BuildWork,
    checkout: &Path,
    tag: &str,
) -> Result<(), Finish> {
    let log = job.begin(BUILD_STEP, "build");
    let found = {
        let (checkout, context, dockerfile) = (
            checkout.to_owned(),
            work.context.clone(),
            work.dockerfile.clone(),
        );
        tokio::task::spawn_blocking(move || Context::find(&checkout, &context, &dockerfile)).await
    };
    let found = match found {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(ContextError::Work(text))) => Err(Finish::failed(text)),
        Ok(Err(error @ ContextError::Read(_))) => Err(Finish::infrastructure(error.to_string())),
        Err(panic) => Err(Finish::infrastructure(panic.to_string())),
    };
    let context = match found {
        Ok(context) => context,
        Err(finish) => return Err(job.end(BUILD_STEP, finish, None).await),
    };
    let name = format!("{}:{tag}", work.image);
    let ended = build::build(engine, work, context, &name, (&log, job.stop.token())).await;
    let (finish, code) = match ended {
        Ok(Built::Tagged) => (Finish::passed(), None),
        Ok(Built::Failed { reason, exit_code }) => (Finish::failed(reason), exit_code),
        Ok(Built::Stopped) => (Finish::stopped(), None),
        Err(error) => (Finish::from(error), None),
    };
    let finish = job.end(BUILD_STEP, finish, code).await;
    if finish.outcome == Outcome::Passed {
        Ok(())
    } else {
        Err(finish)
    }
}

async fn push_step(job: &Job<'_>, engine: &DockerEngine, work: &BuildWork, tag: &str) -> Finish {
    let log = job.begin(PUSH_STEP, "push");
    let pusher = Pusher {
        engine,
        repository: &work.image,
        log: &log,
    };
    let finish = tokio::select! {
        pushed = push_all(&pusher, work, tag) => pushed.unwrap_or_else(Finish::from),
        () = job.stop.token().cancelled() => Finish::stopped(),
    };
    pusher.forget(tag).await;
    job.end(PUSH_STEP, finish, None).await
}

/// Without a push, the engine's id of the image stands for its digest: this engine knows it by that,
/// and no other does.
async fn keep_step(job: &Job<'_>, engine: &DockerEngine, work: &BuildWork, tag: &str) -> Finish {
    let log = job.begin(PUSH_STEP, "keep");
    let name = format!("{}:{tag}", work.image);
    let finish = match engine.docker().inspect_image(&name).await {
        Ok(image) => {
            let mut finish = Finish::passed();
            let id = image.id.unwrap_or_default();
            log.note(&format!("built {}, which is not pushed: {id}", work.image))
                .await;
            let outputs = [OUTPUT_DIGEST, OUTPUT_IMAGE].map(|name| (name.to_owned(), id.clone()));
            finish.outputs.extend(outputs);
            finish
        }
        Err(error) => {
            let text = format!("the built image is not on the engine: {}", words(&error));
            Finish::infrastructure(text)
        }
    };
    job.end(PUSH_STEP, finish, None).await
}

/// Takes an attempt's own name for an image back from the engine.
pub async fn forget(config: &RunnerConfig, repository: &ImageRepository, key: &JobKey) {
    let Ok(engine) = DockerEngine::connect(config).await else {
        return;
    };
    let (log, records) = JobLog::local();
    drop(records);
    let pusher = Pusher {
        engine: &engine,
        repository,
        log: &log.step(PUSH_STEP),
    };
    pusher.forget(&push::attempt_tag(key)).await;
}

/// The attempt's own tag first: the moving tags follow only what is safely there.
async fn push_all(pusher: &Pusher<'_>, work: &BuildWork, tag: &str) -> Result<Finish, EngineError> {
    let image = pusher.push(tag).await?;
    for moving in &work.tags {
        pusher.push_as(tag, &moving.to_string()).await?;
    }
    let mut finish = Finish::passed();
    let outputs = [
        (OUTPUT_DIGEST, image.digest.to_string()),
        (OUTPUT_IMAGE, image.to_string()),
    ];
    finish
        .outputs
        .extend(outputs.map(|(name, value)| (name.to_owned(), value)));
    Ok(finish)
}

/// What a scripted build makes: the same outputs, from nothing.
pub(crate) async fn play(job: &Job<'_>, work: &BuildWork) -> Finish {
    let key = job.key();
    let digest = {
        let text = format!("{}/{}/{}", key.job, key.attempt, work.image);
        let mut hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        hex.truncate(64);
        format!("sha256:{hex:0<64}")
    };
    for (step, name) in [(BUILD_STEP, "build"), (PUSH_STEP, "push")] {
        job.begin(step, name);
        job.end(step, Finish::passed(), None).await;
    }
    let mut finish = Finish::passed();
    let image = format!("{}@{digest}", work.image);
    finish.outputs.insert(OUTPUT_DIGEST.into(), digest);
    finish.outputs.insert(OUTPUT_IMAGE.into(), image);
    finish
}

#[cfg(test)]
mod tests;
