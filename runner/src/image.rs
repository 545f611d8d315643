//! A build job: checkout, build, push; the digest is what later jobs get.

use std::path::Path;

use pipelines::job::Outcome;
use pipelines::plan::{BuildWork, OUTPUT_DIGEST, OUTPUT_IMAGE};

use crate::config::RunnerConfig;
use crate::engine::docker::{DockerEngine, words};
use crate::engine::{EngineError, JobKey};
use crate::execute::Job;
use crate::image::build::{Built, Order};
use crate::image::context::{Context, ContextError};
use crate::image::push::Pusher;
use crate::logs::JobLog;
use crate::report::Finish;
use crate::steps::secrets::Vault;

pub mod build;
pub mod context;
pub mod ignore;
mod index;
pub mod progress;
pub mod push;
pub mod registry;
mod session;

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
    let built = async {
        let secrets = Vault::default().take(job, &work.secrets, &log).await?;
        for target in targets(work, tag) {
            let context = find_context(work, checkout).await?;
            if let Some(platform) = target.platform.filter(|_| work.platforms.len() > 1) {
                log.note(&format!("building for {platform}")).await;
            }
            let order = Order {
                work,
                platform: target.platform,
                secrets: &secrets,
                name: &format!("{}:{}", work.image, target.tag),
            };
            match build::build(engine, order, context, (&log, job.stop.token())).await? {
                Built::Tagged => {}
                Built::Failed { reason, exit_code } => {
                    return Err(Finish::failed(reason).with_code(exit_code));
                }
                Built::Stopped => return Err(Finish::stopped()),
            }
        }
        Ok(())
    };
    let finish = built.await.err().unwrap_or_else(Finish::passed);
    let code = finish.exit_code;
    let finish = job.end(BUILD_STEP, finish, code).await;
    if finish.outcome == Outcome::Passed {
        return Ok(());
    }
    // What was built before the failure is of no use to anybody.
    let pusher = Pusher {
        engine,
        repository: &work.image,
        log: &log,
    };
    for target in targets(work, tag) {
        pusher.forget(&target.tag).await;
    }
    Err(finish)
}

/// One image to build: for a platform, under a tag of its own.
struct Target<'w> {
    platform: Option<&'w str>,
    tag: String,
}

/// The images to build. A lone one has the attempt's own tag; of several, that names the index.
fn targets<'w>(work: &'w BuildWork, tag: &str) -> Vec<Target<'w>> {
    let target = |platform: Option<&'w str>, tag| Target { platform, tag };
    match work.platforms.as_slice() {
        [] => vec![target(None, tag.to_owned())],
        [platform] => vec![target(Some(platform), tag.to_owned())],
        platforms => platforms
            .iter()
            .map(|platform| target(Some(platform), push::platform_tag(tag, platform)))
            .collect(),
    }
}

async fn find_context(work: &BuildWork, checkout: &Path) -> Result<Context, Finish> {
    let (checkout, context, dockerfile) = (
        checkout.to_owned(),
        work.context.clone(),
        work.dockerfile.clone(),
    );
    let find = move || Context::find(&checkout, &context, &dockerfile);
    match tokio::task::spawn_blocking(find).await {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(ContextError::Work(text))) => Err(Finish::failed(text)),
        Ok(Err(error @ ContextError::Read(_))) => Err(Finish::infrastructure(error.to_string())),
        Err(panic) => Err(Finish::infrastructure(panic.to_string())),
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
    for target in targets(work, tag) {
        pusher.forget(&target.tag).await;
    }
    job.end(PUSH_STEP, finish, None).await
}

/// Without a push, the engine's id of the image stands for its digest: this engine knows it by that,
/// and no other does. Of several platforms the first one's.
async fn keep_step(job: &Job<'_>, engine: &DockerEngine, work: &BuildWork, tag: &str) -> Finish {
    let log = job.begin(PUSH_STEP, "keep");
    let first = targets(work, tag).into_iter().next();
    let name = first.map_or_else(String::new, |first| format!("{}:{}", work.image, first.tag));
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

/// Takes an attempt's own names for its images back from the engine.
pub async fn forget(config: &RunnerConfig, work: &BuildWork, key: &JobKey) {
    let Ok(engine) = DockerEngine::connect(config).await else {
        return;
    };
    let (log, records) = JobLog::local();
    drop(records);
    let pusher = Pusher {
        engine: &engine,
        repository: &work.image,
        log: &log.step(PUSH_STEP),
    };
    for target in targets(work, &push::attempt_tag(key)) {
        pusher.forget(&target.tag).await;
    }
}

/// The attempt's own tag first: the moving tags follow only what is safely there.
async fn push_all(pusher: &Pusher<'_>, work: &BuildWork, tag: &str) -> Result<Finish, EngineError> {
    let moving: Vec<String> = work.tags.iter().map(ToString::to_string).collect();
    let image = if work.platforms.len() > 1 {
        let mut images = Vec::new();
        for target in targets(work, tag) {
            let platform = target.platform.unwrap_or_default().to_owned();
            images.push((platform, pusher.push(&target.tag).await?));
        }
        pusher.push_index(&images, tag, &moving).await?
    } else {
        let image = pusher.push(tag).await?;
        for to in &moving {
            pusher.push_as(tag, to).await?;
        }
        image
    };
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
