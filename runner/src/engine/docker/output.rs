//! The output of a container on its way to the log.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use pipelines::log::Voice;

use crate::logs::StreamLog;

/// Output that does not come for this long may have lost its way: the container is looked at.
const QUIET: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 15_000 });

/// How much of each stream has been written to the log.
#[derive(Default, Clone, Copy)]
pub(super) struct Seen {
    out: usize,
    err: usize,
}

/// Output of a container as it comes.
pub(super) type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>;

/// Where output goes.
pub(super) struct Sink {
    out: StreamLog,
    err: StreamLog,
    pub(super) seen: Seen,
}

/// How a stream of output came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    Whole,
    /// The connection broke.
    Broken,
    /// Nothing came any more, although the container has ended: a connection of which only our
    /// side is left says nothing of it.
    Stalled,
}

impl Sink {
    /// A log's two streams.
    pub(super) fn new(out: StreamLog, err: StreamLog) -> Self {
        let seen = Seen::default();
        Self { out, err, seen }
    }

    /// Takes a stream to its end. `skip`: what of it is known already. `over`: whether the container
    /// is known to have ended; asked whenever nothing has come for a while.
    pub(super) async fn take<F>(
        &mut self,
        mut output: Output,
        mut skip: Seen,
        over: impl Fn() -> F,
    ) -> End
    where
        F: Future<Output = bool>,
    {
        loop {
            let chunk = match tokio::time::timeout(QUIET, output.next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return End::Whole,
                Err(_) if over().await => {
                    // What came meanwhile has come in time.
                    match output.next().now_or_never() {
                        Some(Some(chunk)) => chunk,
                        Some(None) => return End::Whole,
                        None => return End::Stalled,
                    }
                }
                Err(_) => continue,
            };
            let (bytes, voice) = match chunk {
                Ok(LogOutput::StdErr { message }) => (message, Voice::Err),
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    (message, Voice::Out)
                }
                Ok(LogOutput::StdIn { .. }) => continue,
                Err(error) => {
                    tracing::debug!(%error, "the output of a container broke off");
                    return End::Broken;
                }
            };
            let (known, seen, log) = match voice {
                Voice::Err => (&mut skip.err, &mut self.seen.err, &mut self.err),
                Voice::Out | Voice::Note => (&mut skip.out, &mut self.seen.out, &mut self.out),
            };
            let drop = bytes.len().min(*known);
            *known -= drop;
            *seen += bytes.len() - drop;
            log.write(&bytes[drop..]).await;
        }
    }

    pub(super) async fn end(&mut self) {
        self.out.end().await;
        self.err.end().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::logs::JobLog;

    /// F24: a connection of which only our side is left.
    #[tokio::test]
    async fn output_that_does_not_come_any_more_is_not_waited_for_once_the_container_has_ended() {
        let (log, mut read) = JobLog::local();
        let step = log.step(1);
        let mut sink = Sink::new(step.stream(Voice::Out), step.stream(Voice::Err));
        let looks = std::cell::Cell::new(0);
        let over = || {
            looks.set(looks.get() + 1);
            std::future::ready(looks.get() == 3)
        };
        let message = bytes::Bytes::from_static(b"one\n");
        let first = stream::iter([Ok(LogOutput::StdOut { message })]);
        let output = Box::pin(first.chain(stream::pending()));
        assert_eq!(sink.take(output, Seen::default(), over).await, End::Stalled);
        assert_eq!(looks.get(), 3);
        let record = read.next().await.unwrap();
        assert!(record.ends_with(b" 1 o one\n"));
    }
}
