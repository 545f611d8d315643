//! The loops: this module alone owns "for ever", wake-ups, intervals, back-off and panic fences.
//!
//! What a loop does is a `tick`: one bounded pass that says whether it did something. Tests call
//! ticks by hand; only here do they repeat.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// Something; there may be more.
    Something,
    /// There was nothing to do.
    Nothing,
}

/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A loop: its name in logs, and how long it sleeps when nobody wakes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loop {
    pub(crate) name: &'static str,
    pub(crate) interval: Duration,
}

/// Repeats `tick` until `stop`: at once while it does something, else when woken or after the
/// interval, and later and later while it fails. A running tick is always finished.
pub(crate) async fn run<F, T>(
    (app, stop): (App, CancellationToken),
    this: Loop,
    bell: impl Fn(&App) -> Option<&Notify>,
    tick: F,
) where
    F: Fn(App) -> T,
    T: Future<Output = anyhow::Result<Did>>,
{
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        // The bell remembers one ring, so what is stored between the query and the wait is not lost.
        let pause = match AssertUnwindSafe(tick(app.clone())).catch_unwind().await {
            Ok(Ok(Did::Something)) => {
                failures = 0;
                continue;
            }
            Ok(Ok(Did::Nothing)) => {
                failures = 0;
                this.interval
            }
            Ok(Err(error)) => {
                failures += 1;
                tracing::warn!(
                    task = this.name,
                    error = format!("{error:#}"),
                    "a tick failed"
                );
                after(failures)
            }
            Err(panic) => {
                failures += 1;
                app.metrics.panic(this.name);
                tracing::error!(task = this.name, panic = words(&*panic), "a tick panicked");
                after(failures)
            }
        };
        let rung = async {
            match bell(&app) {
                // After a failure the pause is kept, whoever rings: the cause may need the time.
                Some(bell) if failures == 0 => bell.notified().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = rung => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn after(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(7)).min(PAUSE_MAX)
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

/// Starts every loop of the server; they end, each after its running tick, when `stop` is cancelled.
pub(crate) fn start(app: &App, stop: &CancellationToken) -> TaskTracker {
    let tasks = TaskTracker::new();
    let with = || (app.clone(), stop.clone());
    let every = |name, milliseconds| Loop {
        name,
        interval: Duration::from_millis(milliseconds),
    };
    tasks.spawn(run(
        with(),
        every("intake", 5_000),
        |app| Some(&app.wake.intake),
        |app| async move { crate::intake::tick(&app).await },
    ));
    tasks.spawn(run(
        with(),
        every("schedules", 5_000),
        |_| None,
        |app| async move { crate::intake::schedule::tick(&app).await },
    ));
    tasks.spawn(run(
        with(),
        every("outbox", 1_000),
        |app| Some(&app.wake.outbox),
        |app| async move { crate::outbox::tick(&app).await },
    ));
    let look = app.config.github.as_ref();
    let look = look.map_or(60_000, |github| github.poll_ms / 10);
    tasks.spawn(run(
        with(),
        every("reconcile", look.clamp(50, 10_000)),
        |_| None,
        |app| async move { crate::reconcile::tick(&app).await },
    ));
    let pass = (app.config.lease_ms / 5).clamp(50, 1_000);
    tasks.spawn(run(
        with(),
        every("sweep", pass),
        |_| None,
        |app| async move {
            crate::sweep::tick(&app).await?;
            // What was taken back needs no second look: the next pass is soon enough.
            Ok(Did::Nothing)
        },
    ));
    tasks.spawn(run(
        with(),
        every("checkpoint", 1_000),
        |_| None,
        |app| async move {
            app.store.checkpoint().await?;
            Ok(Did::Nothing)
        },
    ));
    tasks.spawn(run(
        with(),
        every("stored bytes", 60_000),
        |_| None,
        |app| async move {
            crate::blobs::sweep::tick(&app).await?;
            Ok(Did::Nothing)
        },
    ));
    tasks.spawn(run(
        with(),
        every("retention", 60_000),
        |_| None,
        |app| async move { crate::retention::tick(&app).await },
    ));
    tasks.close();
    tasks
}
