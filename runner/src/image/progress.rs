//! BuildKit's progress as lines, in the way of `docker build --progress plain`.
//!
//! ```text
//! #5 [2/3] RUN make
//! #5 DONE 1.2s
//! #6 CACHED
//! ```

use std::collections::HashMap;

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use pipelines::log::Voice;

use crate::logs::{StepLog, StreamLog};

/// What the kernel says of a program for another kind of machine.
const FOREIGN: &[u8] = b"exec format error";

/// The steps of one build, as far as they are known.
pub struct Progress {
    log: StepLog,
    steps: HashMap<String, Step>,
    /// The instruction that failed, if one did.
    failed: Option<String>,
    /// Whether a program was not one of this machine.
    foreign: bool,
}

struct Step {
    number: usize,
    named: bool,
    done: bool,
    out: StreamLog,
    err: StreamLog,
}

impl Progress {
    /// Progress that is written to `log`.
    pub fn new(log: StepLog) -> Self {
        Self {
            log,
            steps: HashMap::new(),
            failed: None,
            foreign: false,
        }
    }

    /// The instruction that failed: `[2/3] RUN make`.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Whether a program was for another kind of machine.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Takes one message of the builder.
    pub async fn take(&mut self, message: StatusResponse) {
        for vertex in &message.vertexes {
            self.begin(vertex).await;
        }
        for line in message.logs {
            self.foreign |= contains(&line.msg, FOREIGN);
            if let Some(step) = self.steps.get_mut(&line.vertex) {
                let stream = if line.stream == 2 {
                    &mut step.err
                } else {
                    &mut step.out
                };
                stream.write(&line.msg).await;
            }
        }
        for warning in message.warnings {
            let text = String::from_utf8_lossy(&warning.short).into_owned();
            self.log.note(&format!("warning: {text}")).await;
        }
        for vertex in &message.vertexes {
            self.end(vertex).await;
        }
    }

    async fn begin(&mut self, vertex: &Vertex) {
        let next = self.steps.len() + 1;
        let log = &self.log;
        let step = self.steps.entry(vertex.digest.clone());
        let step = step.or_insert_with(|| Step {
            number: next,
            named: false,
            done: false,
            out: log.stream(Voice::Out),
            err: log.stream(Voice::Err),
        });
        // Steps are announced when they begin: BuildKit lists all of them at once.
        if !step.named && (vertex.started.is_some() || vertex.cached) {
            step.named = true;
            self.log
                .note(&format!("#{} {}", step.number, vertex.name))
                .await;
        }
    }

    async fn end(&mut self, vertex: &Vertex) {
        let Some(step) = self.steps.get_mut(&vertex.digest) else {
            return;
        };
        if step.done || vertex.completed.is_none() {
            return;
        }
        step.done = true;
        step.out.end().await;
        step.err.end().await;
        let number = step.number;
        let words = if vertex.cached {
            "CACHED".into()
        } else if vertex.error.is_empty() {
            format!("DONE {:.1}s", seconds(vertex))
        } else {
            self.failed.get_or_insert_with(|| vertex.name.clone());
            self.foreign |= contains(vertex.error.as_bytes(), FOREIGN);
            format!("ERROR: {}", vertex.error)
        };
        self.log.note(&format!("#{number} {words}")).await;
    }
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|part| part == words)
}

fn seconds(vertex: &Vertex) -> f64 {
    let (Some(started), Some(completed)) = (&vertex.started, &vertex.completed) else {
        return 0.0;
    };
    let whole = completed.seconds.saturating_sub(started.seconds);
    let nanos = f64::from(completed.nanos) - f64::from(started.nanos);
    // A build step takes less than a day: the whole seconds fit.
    let whole = f64::from(i32::try_from(whole).unwrap_or(i32::MAX));
    (whole + nanos / 1e9).max(0.0)
}
