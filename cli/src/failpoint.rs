//! Places to be killed at, for the fault campaign: the event `target: "failpoint"` with the name of
//! the place as its message, in `server` and `runner` wherever state was just committed or something
//! outside was just changed. `SEAWORTHY_FAILPOINT=log.written:3` ends this process, as hard as
//! `kill -9` does, when it comes to that place the third time. Only debug builds have this.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::Context;

const TARGET: &str = "failpoint";

/// Kills the process at the place that the environment names, or does nothing.
pub(crate) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let wanted = std::env::var("SEAWORTHY_FAILPOINT").ok()?;
    let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let left = AtomicU64::new(count.parse().unwrap_or(1));
    let name = name.to_owned();
    let only: FilterFn = filter_fn(|metadata| metadata.target() == TARGET);
    Some(Failpoint { name, left }.with_filter(only))
}

struct Failpoint {
    name: String,
    /// How often the place has yet to be reached.
    left: AtomicU64,
}

impl<S: Subscriber> Layer<S> for Failpoint {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == self.name && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            eprintln!("seaworthy: killed at {}", self.name);
            // No destructor and no other thread has a last word, as with `kill -9`.
            std::process::abort();
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing into a String cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
