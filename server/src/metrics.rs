//! What is counted, and how Prometheus is told. Every name begins `seaworthy_`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipelines::job;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

/// How long what the database said is told again: anybody may ask, and counting reads whole tables.
const LEVELS_KEPT: Duration = Duration::from_secs(10);

/// Counters live here; what the database knows is read when somebody asks ([`Levels`]).
#[derive(Clone)]
pub struct Metrics {
    parts: Arc<Parts>,
}

struct Parts {
    registry: Registry,
    deliveries: Family<Outcome, Counter>,
    refusals: Family<Reason, Counter>,
    requests: Family<Route, Histogram, fn() -> Histogram>,
    github: Family<Outcome, Counter>,
    panics: Family<Task, Counter>,
    caches: Family<Outcome, Counter>,
    cache_bytes: Gauge,
    artifact_bytes: Gauge,
    runs: Family<State, Gauge>,
    queue: Gauge,
    runners: Gauge,
    outbox: Gauge,
    open_deliveries: Gauge,
    /// What the database said last, and when.
    levels: Mutex<Option<(Instant, Levels)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Why webhooks are refused, as `web/webhook.rs` counts it, in words for people.
const REFUSALS: &[(&str, &str)] = &[
    ("signature", "the signature does not hold"),
    ("headers", "GitHub's headers are missing"),
    ("content_type", "no JSON"),
    ("too_large", "too large"),
    ("too_slow", "too slow"),
    ("broken", "cut off"),
    ("busy", "too many at once"),
    ("storage", "it could not be stored"),
    ("not_connected", "GitHub is not connected"),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
    status: u16,
}

/// What the database knows at one moment.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Runs by state.
    pub runs: Vec<(String, i64)>,
    /// Jobs ready for a runner.
    pub queue: i64,
    /// Runners heard from lately.
    pub runners: i64,
    /// What GitHub must still be told.
    pub outbox: i64,
    /// Deliveries not handled yet.
    pub open_deliveries: i64,
    /// Bytes of all caches.
    pub cache_bytes: i64,
    /// Bytes of all artifacts.
    pub artifact_bytes: i64,
}

fn durations() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("seaworthy");
        let parts = Parts {
            deliveries: Family::default(),
            refusals: Family::default(),
            requests: Family::new_with_constructor(durations),
            github: Family::default(),
            panics: Family::default(),
            caches: Family::default(),
            cache_bytes: Gauge::default(),
            artifact_bytes: Gauge::default(),
            runs: Family::default(),
            queue: Gauge::default(),
            runners: Gauge::default(),
            outbox: Gauge::default(),
            open_deliveries: Gauge::default(),
            registry: Registry::default(),
            levels: Mutex::default(),
        };
        let r = &mut registry;
        r.register(
            "deliveries",
            "Webhook deliveries by outcome",
            parts.deliveries.clone(),
        );
        r.register(
            "webhook_refusals",
            "Refused webhooks by reason",
            parts.refusals.clone(),
        );
        r.register(
            "http_request_duration_seconds",
            "Requests",
            parts.requests.clone(),
        );
        r.register(
            "github_calls",
            "Calls to GitHub by outcome",
            parts.github.clone(),
        );
        r.register("panics", "Panics caught, by task", parts.panics.clone());
        r.register(
            "cache_lookups",
            "Caches looked for: the very key, one that stands in for it, or none",
            parts.caches.clone(),
        );
        register_levels(r, &parts);
        Self {
            parts: Arc::new(Parts { registry, ..parts }),
        }
    }
}

/// What the database knows.
fn register_levels(r: &mut Registry, parts: &Parts) {
    r.register("runs", "Runs by state", parts.runs.clone());
    r.register(
        "queue_length",
        "Jobs ready for a runner",
        parts.queue.clone(),
    );
    r.register(
        "runners_connected",
        "Runners heard from lately",
        parts.runners.clone(),
    );
    r.register(
        "outbox_length",
        "What GitHub must still be told",
        parts.outbox.clone(),
    );
    let open = parts.open_deliveries.clone();
    r.register(
        "deliveries_open",
        "Deliveries stored and not handled yet",
        open,
    );
    r.register(
        "cache_bytes",
        "Bytes of all caches",
        parts.cache_bytes.clone(),
    );
    r.register(
        "artifact_bytes",
        "Bytes of all artifacts",
        parts.artifact_bytes.clone(),
    );
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// A delivery was stored, repeated, or handled.
    pub fn delivery(&self, outcome: &'static str) {
        self.parts
            .deliveries
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// A webhook was refused before it was read.
    pub fn refusal(&self, reason: &'static str) {
        self.parts.refusals.get_or_create(&Reason { reason }).inc();
    }

    /// How many webhooks were refused since the start, by reason in words.
    pub(crate) fn refusals(&self) -> Vec<(u64, &'static str)> {
        let count = |(reason, words): &(&'static str, &'static str)| {
            let counted = self.parts.refusals.get(&Reason { reason })?.get();
            Some((counted, *words))
        };
        REFUSALS.iter().filter_map(count).collect()
    }

    /// A call to GitHub ended.
    pub fn github(&self, outcome: &'static str) {
        self.parts.github.get_or_create(&Outcome { outcome }).inc();
    }

    /// A task panicked and was caught.
    pub fn panic(&self, task: &'static str) {
        self.parts.panics.get_or_create(&Task { task }).inc();
    }

    /// A cache was looked for.
    pub fn cache(&self, outcome: &'static str) {
        self.parts.caches.get_or_create(&Outcome { outcome }).inc();
    }

    /// A request was answered. `route` is the pattern, not the path: paths are without number.
    pub fn request(&self, method: &str, route: &str, (status, took): (u16, Duration)) {
        let labels = Route {
            method: known(method),
            route: route.to_owned(),
            status,
        };
        let requests = &self.parts.requests;
        requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// What the database knows, asked by `read` at most every few seconds: who asks meanwhile waits
    /// for that answer or gets the last.
    pub async fn levels<E>(
        &self,
        now: Instant,
        read: impl Future<Output = Result<Levels, E>>,
    ) -> Result<Levels, E> {
        let mut kept = self.parts.levels.lock().await;
        if let Some((at, levels)) = &*kept
            && now.saturating_duration_since(*at) < LEVELS_KEPT
        {
            return Ok(levels.clone());
        }
        let levels = read.await?;
        *kept = Some((now, levels.clone()));
        Ok(levels)
    }

    /// Everything, as Prometheus reads it.
    pub fn render(&self, levels: &Levels) -> String {
        let parts = &self.parts;
        // A state that no run is in any more is not told by the database, and is zero.
        for state in job::State::ALL.map(job::State::as_str) {
            let found = levels.runs.iter().find(|(name, _)| name == state);
            let count = found.map_or(0, |(_, count)| *count);
            let state = state.to_owned();
            parts.runs.get_or_create(&State { state }).set(count);
        }
        parts.queue.set(levels.queue);
        parts.runners.set(levels.runners);
        parts.outbox.set(levels.outbox);
        parts.open_deliveries.set(levels.open_deliveries);
        parts.cache_bytes.set(levels.cache_bytes);
        parts.artifact_bytes.set(levels.artifact_bytes);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &parts.registry);
        text
    }
}

/// A label of ours for a client's word: each other word would be kept for ever.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];
    let found = METHODS.into_iter().find(|known| *known == method);
    found.unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_database_is_asked_once_however_many_scrape() {
        let metrics = Metrics::default();
        let now = Instant::now();
        let ask = |queue, now| {
            let metrics = &metrics;
            let read = async move {
                tokio::task::yield_now().await;
                Ok::<_, ()>(Levels {
                    queue,
                    ..Levels::default()
                })
            };
            async move { metrics.levels(now, read).await.unwrap().queue }
        };
        let (one, two) = tokio::join!(ask(1, now), ask(2, now));
        assert_eq!((one, two), (1, 1));
        assert_eq!(ask(3, now + LEVELS_KEPT).await, 3);
        let failed = async { Err::<Levels, _>("full") };
        let later = now + 2 * LEVELS_KEPT;
        assert_eq!(metrics.levels(later, failed).await.unwrap_err(), "full");
        assert_eq!(ask(4, later).await, 4);
    }

    #[test]
    fn a_state_that_no_run_is_in_any_more_is_zero() {
        let metrics = Metrics::default();
        let runs = vec![("running".to_owned(), 3)];
        metrics.render(&Levels {
            runs,
            ..Levels::default()
        });
        let text = metrics.render(&Levels::default());
        assert!(
            text.contains("seaworthy_runs{state=\"running\"} 0"),
            "{text}"
        );
    }

    #[test]
    fn a_clients_own_method_gets_no_label_of_its_own() {
        let metrics = Metrics::default();
        metrics.request("GET", "/", (200, Duration::ZERO));
        metrics.request("EVIL1", "/", (405, Duration::ZERO));
        let text = metrics.render(&Levels::default());
        assert!(text.contains("method=\"GET\"") && text.contains("method=\"other\""));
        assert!(!text.contains("EVIL1"), "{text}");
    }
}
