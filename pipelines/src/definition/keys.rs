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

pub(crate) const FILE: Keys = Keys {
    level: "the file",
    known: &["on", "env", "jobs"],
    later: &["concurrency", "templates"],
};
pub(crate) const ON: Keys = Keys {
    level: "`on`",
    known: &["push", "pull_request", "manual"],
    later: &["schedule"],
};
pub(crate) const PUSH: Keys = Keys {
    level: "`push`",
    known: &["branches", "tags", "paths"],
    later: &[],
};
pub(crate) const PULL_REQUEST: Keys = Keys {
    level: "`pull_request`",
    known: &["branches", "paths"],
    later: &[],
};
pub(crate) const MANUAL: Keys = Keys {
    level: "`manual`",
    known: &[],
    later: &["inputs"],
};
pub(crate) const JOB: Keys = Keys {
    level: "a job",
    known: &[
        "needs", "when", "image", "env", "steps", "build", "deploy", "timeout", "retry",
    ],
    later: &[
        "services",
        "matrix",
        "cache",
        "reports",
        "artifacts",
        "outputs",
        "secrets",
        "concurrency",
        "extends",
    ],
};
pub(crate) const WHEN: Keys = Keys {
    level: "`when`",
    known: &["branch", "event"],
    later: &["tag", "path", "status", "matrix"],
};
pub(crate) const STEP: Keys = Keys {
    level: "a step",
    known: &["name", "run", "image", "env", "timeout"],
    later: &["when", "secrets"],
};
pub(crate) const BUILD: Keys = Keys {
    level: "`build`",
    known: &["image", "context", "dockerfile", "target", "args", "tags"],
    later: &["platforms", "secrets"],
};
pub(crate) const DEPLOY: Keys = Keys {
    level: "`deploy`",
    known: &[
        "environment",
        "manifests",
        "images",
        "promote",
        "strategy",
        "verify",
        "deadline",
    ],
    later: &["values", "before"],
};
pub(crate) const VERIFY: Keys = Keys {
    level: "`verify`",
    known: &["bake"],
    later: &["http"],
};
pub(crate) const ENVIRONMENT: Keys = Keys {
    level: "an environment",
    known: &["namespace", "branches", "after"],
    later: &["approvals", "freeze", "on_failure"],
};

const LEVELS: [&Keys; 12] = [
    &FILE,
    &ON,
    &PUSH,
    &PULL_REQUEST,
    &MANUAL,
    &JOB,
    &WHEN,
    &STEP,
    &BUILD,
    &DEPLOY,
    &VERIFY,
    &ENVIRONMENT,
];

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
