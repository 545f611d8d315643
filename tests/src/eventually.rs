//! Waiting for what other processes do. The only place of the tests that sleeps.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks until the probe gives a value; its error says what is still missing, and the last one is
/// part of the failure.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // A question that is never answered must not outlive the limit either.
        let left = limit.saturating_sub(began.elapsed()).max(LONGEST_PAUSE);
        let missing = match tokio::time::timeout(left, probe()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "the question itself got no answer".to_owned(),
        };
        if began.elapsed() >= limit {
            bail!("waited {limit:?} for {what}; at last: {missing}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}
