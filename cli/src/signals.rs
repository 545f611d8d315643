//! TERM and INT ask for a graceful stop; a second one does not wait for it.

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
