//! The services of a job: started together, ready before the first step, watched while steps run.

use std::time::Duration;

use futures_util::future::join_all;
use pipelines::job::Outcome;
use pipelines::plan::Service;

use crate::clock;
use crate::engine::{Engine, JobKey, ServiceSpec, ServiceStart};
use crate::execute::Job;
use crate::logs::StepLog;
use crate::report::Finish;
use crate::steps::environment;

/// What the start of services is called among the steps.
const NAME: &str = "services";
/// How long after a failed step the end of a service is still heard of: it may be the cause.
const LATE: Duration = Duration::from_millis(300);

/// Starts `services`, runs `steps` beside them, and answers how it ended.
///
/// They are shown as the step `place`, before all others; without services there is none.
pub(super) async fn beside<E: Engine>(
    (job, engine, key): (&Job<'_>, &E, &JobKey),
    (place, services): (u32, &[Service]),
    steps: impl Future<Output = Finish>,
) -> Finish {
    if services.is_empty() {
        return steps.await;
    }
    let specs: Vec<ServiceSpec> = services.iter().map(|service| spec(job, service)).collect();
    let log = job.log.step(place);
    let finish = match job.ended_before(place, NAME) {
        Some(finish) => finish,
        None => {
            job.begin(place, NAME);
            let finish = start(job, engine, key, (&specs, &log)).await;
            job.end(place, finish, None).await
        }
    };
    if finish.outcome != Outcome::Passed {
        return finish;
    }
    let mut watch = std::pin::pin!(attend(engine, key, &specs, &log));
    let finish = tokio::select! {
        finish = steps => finish,
        finish = &mut watch => finish,
    };
    if finish.outcome != Outcome::Passed {
        // Whether it was a service is worth the moment; that there is nothing to hear is no news.
        let _ = tokio::time::timeout(LATE, watch).await;
    }
    finish
}

fn spec(job: &Job<'_>, service: &Service) -> ServiceSpec {
    ServiceSpec {
        name: service.name.clone(),
        image: service.image.to_string(),
        env: environment(job.assignment, &service.env),
        ready: service.ready.clone(),
        limit: Duration::from_secs(service.ready_seconds.into()),
    }
}

/// Starts all of them at the same time. The first that fails ends the wait for the others.
async fn start<E: Engine>(
    job: &Job<'_>,
    engine: &E,
    key: &JobKey,
    (services, log): (&[ServiceSpec], &StepLog),
) -> Finish {
    let stop = job.stop.token().child_token();
    let starts = services.iter().map(|service| async {
        let began = clock::monotonic();
        let started = engine.serve(key, service, log, &stop).await;
        match &started {
            Ok(ServiceStart::Ready) => {
                let seconds = began.elapsed().as_secs_f32();
                let note = format!("service `{}` is ready after {seconds:.1} s", service.name);
                log.note(&note).await;
            }
            Ok(ServiceStart::Stopped) => {}
            Err(_) => stop.cancel(),
        }
        started
    });
    let mut finish = Finish::passed();
    for started in join_all(starts).await {
        match started {
            Ok(ServiceStart::Ready) => {}
            // Because another one failed, or because the job is stopped.
            Ok(ServiceStart::Stopped) => finish = Finish::stopped(),
            Err(error) => return error.into(),
        }
    }
    finish
}

/// Follows all of them, for as long as somebody waits for it: it never answers.
async fn attend<E: Engine>(
    engine: &E,
    key: &JobKey,
    services: &[ServiceSpec],
    log: &StepLog,
) -> Finish {
    let ends = services.iter().map(|service| async {
        if let Err(error) = engine.attend(key, service, log).await {
            tracing::warn!(service = %service.name, %error, "a service is not followed any more");
        }
    });
    join_all(ends).await;
    std::future::pending().await
}
