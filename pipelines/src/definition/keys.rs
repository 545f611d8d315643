//! Every key a file may hold, level by level. A new key begins here.

/// The keys of one level.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The level, as it is called in a message.
    pub(crate) level: &'static str,
    /// Keys that mean something.
    pub(crate) known: &'static [&'static str],
    /// Keys that are described, but come in a later version.
    pub(crate) later: &'static [&'static str],
}

macro_rules! keys {
    ($($name:ident, $level:literal, $known:expr, $later:expr;)*) => {
        $(pub(crate) const $name: Keys = Keys { level: $level, known: &$known, later: &$later };)*
        /// Every level.
        pub(crate) const LEVELS: &[&Keys] = &[$(&$name),*];
    };
}

keys! {
    FILE, "the file", ["on", "concurrency", "env", "templates", "jobs"], [];
    ON, "`on`", ["push", "pull_request", "schedule", "manual"], [];
    PUSH, "`push`", ["branches", "tags", "paths"], [];
    PULL_REQUEST, "`pull_request`", ["branches", "paths"], [];
    SCHEDULE, "a schedule", ["cron", "zone"], [];
    MANUAL, "`manual`", ["inputs"], [];
    INPUT, "an input", ["type", "options", "default", "required", "description"], [];
    CONCURRENCY, "`concurrency`", ["group", "newest"], [];
    JOB, "a job", [
        "extends", "needs", "when", "matrix", "image", "env", "secrets", "services", "cache",
        "steps", "build", "deploy", "artifacts", "reports", "outputs", "timeout", "retry",
    ], [];
    TEMPLATE_FILE, "a file of templates", ["templates"], [];
    WHEN, "`when`", ["branch", "tag", "event", "path", "status", "matrix"], [];
    MATRIX, "`matrix`", ["include", "exclude"], [];
    RETRY, "`retry`", ["attempts", "on"], [];
    SERVICE, "a service", ["image", "env", "ready", "timeout"], [];
    CACHE, "`cache`", ["key", "paths"], [];
    REPORTS, "`reports`", ["junit"], [];
    STEP, "a step", ["name", "run", "image", "env", "secrets", "when", "timeout"], [];
    BUILD, "`build`", [
        "image", "context", "dockerfile", "target", "platforms", "args", "secrets", "tags",
    ], [];
    DEPLOY, "`deploy`", [
        "environment", "manifests", "images", "promote", "before", "strategy", "verify", "deadline",
    ], ["values"];
    VERIFY, "`verify`", ["bake", "http"], [];
    STRATEGY, "`strategy`", ["rolling", "recreate", "blue_green", "canary"], [];
    BLUE_GREEN, "`blue_green`", ["keep"], [];
    CANARY, "`canary`", ["steps", "hold"], [];
    ENVIRONMENT, "an environment", ["namespace", "branches", "after", "on_failure"],
        ["approvals", "freeze"];
}

impl Keys {
    /// The keys of this level, later ones included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().chain(self.later).copied()
    }
}

/// The levels at which a key means something: where a misplaced one may belong.
pub(crate) fn levels_of(key: &str) -> Vec<&'static str> {
    let knows = |keys: &&&Keys| keys.known.contains(&key);
    LEVELS.iter().filter(knows).map(|keys| keys.level).collect()
}
