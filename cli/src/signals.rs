//! TERM and INT ask for a graceful stop; a second one does not wait for it.

use runner::work::Ending;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled at the first TERM or INT. The second ends the process at once, with exit code 1.
pub(crate) fn shutdown() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        wait().await;
        tracing::info!("stopping; a second signal stops at once");
        stop.cancel();
        wait().await;
        std::process::exit(1);
    });
    token
}

/// The ways to end a runner: TERM hands its running work over to the next process, INT stops it
/// after a grace, USR1 waits until it has ended. A second TERM or INT ends the process at once.
pub(crate) fn ending() -> Ending {
    let ending = Ending::default();
    let asked = ending.clone();
    tokio::spawn(async move {
        let (Ok(mut term), Ok(mut int), Ok(mut usr1)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::user_defined1()),
        ) else {
            // Without handlers the signals keep their meaning: the process ends.
            return;
        };
        loop {
            tokio::select! {
                _ = term.recv() => {
                    tracing::info!("ending: running jobs go on, for the next process to take up");
                    if asked.hand_over.is_cancelled() || asked.stop.is_cancelled() {
                        std::process::exit(1);
                    }
                    asked.hand_over.cancel();
                }
                _ = int.recv() => {
                    if asked.stop.is_cancelled() {
                        std::process::exit(1);
                    }
                    asked.stop.cancel();
                }
                _ = usr1.recv() => {
                    tracing::info!("draining: no more jobs are taken, running ones are waited for");
                }
            }
            asked.quit.cancel();
        }
    });
    ending
}

async fn wait() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without handlers the signals keep their meaning: the process ends.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
