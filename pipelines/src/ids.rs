//! Numbers that name rows. Each is its own type, so that one cannot stand for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A repository, by GitHub's own numeric id: it survives renames and transfers.
    RepoId
);
id!(
    /// A stored webhook delivery.
    DeliveryId
);
id!(
    /// A run, across all repositories. People see [`RunNumber`].
    RunId
);
id!(
    /// A run's number within its repository, from 1.
    RunNumber
);
id!(
    /// A job of a run.
    JobId
);
id!(
    /// A registered runner.
    RunnerId
);
id!(
    /// A release, across all repositories.
    ReleaseId
);
id!(
    /// A release's number within its repository, from 1.
    ReleaseNumber
);
id!(
    /// A deploy, across all repositories.
    DeployId
);
id!(
    /// A deploy's number within its repository, from 1.
    DeployNumber
);
id!(
    /// A stored cache.
    CacheId
);
id!(
    /// A stored artifact.
    ArtifactId
);
id!(
    /// The fencing token of a lease: grows with every claim, so that a late writer is told apart.
    Fence
);

/// Which try of a job this is, from 1. Every retry is a new, visible attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
