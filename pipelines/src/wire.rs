//! Every message between server and runner.
//!
//! HTTP and JSON under `/runner/v1/`; the runner dials, with `Authorization: Bearer <its token>`.
//!
//! | call | body → answer | repeated? |
//! | --- | --- | --- |
//! | `POST register` | [`Register`] → [`Registered`] | harmless |
//! | `POST claim` | [`Claim`] → 200 [`Assignment`] or 204 after `wait_seconds` | same key, same job |
//! | `POST jobs/{job}/heartbeat` | [`Heartbeat`] → [`HeartbeatReply`] | harmless; renews the lease on arrival, then waits up to `wait_seconds` for something to say |
//! | `POST jobs/{job}/log?attempt=&fence=&offset=` | bytes of records ([`crate::log`]) → [`LogAck`] | what is known already is dropped |
//! | `POST jobs/{job}/report` | [`ReportCall`] → 204 | harmless |
//! | `POST jobs/{job}/checkout` | [`LeaseProof`] → [`Checkout`] | harmless |
//! | `POST jobs/{job}/secrets` | [`SecretsCall`] → [`Secrets`] | harmless |
//! | `POST jobs/{job}/cache/find` | [`CacheQuery`] → 200 [`CacheFound`] or 204 | harmless |
//! | `GET jobs/{job}/cache/{cache}?attempt=&fence=` | → its bytes | harmless |
//! | `POST jobs/{job}/cache?attempt=&fence=&prefix=&key=&digest=` | bytes → 204 | a key that is there keeps its bytes |
//! | `POST jobs/{job}/artifact?attempt=&fence=&path=&kind=&digest=` | bytes → 204 | the same path and digest: harmless |
//!
//! Errors are [`WireError`] with 401 (unknown or revoked token), 409 (the lease was taken away, or
//! another process uses this token: stop), 422 (this cannot be had or kept, and trying again brings
//! the same: a secret that is missing or not for this job fails it with the sentence), 426 (speak
//! another version), 503 (later).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deploy::DeployProgress;
use crate::event::EventKind;
use crate::ids::{
    Attempt, CacheId, DeployNumber, Fence, JobId, ReleaseNumber, RunNumber, RunnerId,
};
use crate::job::Outcome;
use crate::junit::TestReport;
use crate::names::{
    BranchName, CommitSha, EnvironmentName, JobName, Label, PinnedImage, RepoName, SecretName,
    TagName,
};
use crate::plan::{BuildWork, DeployWork, StepsWork};
use crate::timestamp::Timestamp;

/// The version of this protocol; the path says its major part.
pub const PROTOCOL: u32 = 1;

/// A runner introduces itself. Who it is, the token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// [`PROTOCOL`] as the runner knows it.
    pub protocol: u32,
    /// The version of the runner's program.
    pub version: String,
    /// Names this runner's state folder; kept across restarts. Two at once are refused.
    pub instance: Ulid,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The environments it may deploy to.
    pub environments: Vec<EnvironmentName>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Its engine, in words: `docker 26.1.5`, or why there is none.
    pub engine: String,
}

/// What a runner needs to know to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its id.
    pub runner: RunnerId,
    /// Its name, given when its token was made.
    pub name: String,
    /// A lease ends this long after the last heartbeat, in milliseconds.
    pub lease_ms: u64,
    /// A heartbeat is due this often, in milliseconds.
    pub heartbeat_ms: u64,
    /// The jobs the server believes this runner is working on: what it does not know, it reports lost.
    pub jobs: Vec<LeasedJob>,
}

/// A job and the lease it is held under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedJob {
    /// Which job.
    pub job: JobId,
    /// Under which lease.
    #[serde(flatten)]
    pub lease: LeaseProof,
}

/// What every call about a job carries: a stale one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseProof {
    /// The attempt.
    pub attempt: Attempt,
    /// The fencing token.
    pub fence: Fence,
}

/// A runner has a free slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The caller's [`Register::instance`].
    pub instance: Ulid,
    /// Names this claim: a repeat of an answered claim gets the same job again.
    pub key: Ulid,
    /// How long the call may wait for work.
    pub wait_seconds: u32,
}

/// A job to work on, with everything needed but secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which job.
    pub job: JobId,
    /// Under which lease.
    pub lease: LeaseProof,
    /// Its name.
    pub name: JobName,
    /// The run it belongs to.
    pub run: RunFacts,
    /// The job must end within this many seconds.
    pub timeout_seconds: u32,
    /// How much of this attempt's log the server has, in bytes.
    pub log_offset: u64,
    /// Whether another attempt begins as soon as this lease has run out: the work must be stopped
    /// before.
    #[serde(default)]
    pub is_repeated_if_lost: bool,
    /// What to do.
    pub work: AssignedWork,
}

/// What scripts and annotations are told about the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The repository.
    pub repository: RepoName,
    /// The run's number there.
    pub number: RunNumber,
    /// The commit.
    pub commit: CommitSha,
    /// The branch, if any.
    pub branch: Option<BranchName>,
    /// The tag, if any.
    pub tag: Option<TagName>,
    /// The pull request's number, if any.
    pub pull_request: Option<u64>,
    /// What started it.
    pub event: EventKind,
    /// Who started it.
    pub author: String,
    /// The run's page.
    pub url: String,
}

/// [`crate::plan::Work`] with what earlier jobs made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignedWork {
    /// Commands.
    Steps(StepsWork),
    /// An image.
    Build(BuildWork),
    /// A rollout.
    Deploy(Box<AssignedDeploy>),
}

/// A deploy, with its release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedDeploy {
    /// The deploy's number: the same for every attempt.
    pub number: DeployNumber,
    /// The release's number.
    pub release: ReleaseNumber,
    /// What was planned.
    pub work: DeployWork,
    /// Image name in the manifests → what takes its place.
    pub images: BTreeMap<String, PinnedImage>,
    /// The rendered release, once there is one: a promotion, or a later attempt. Then the repository is not read.
    pub bundle: Option<Bundle>,
    /// Where to return to if it fails: the last verified release of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A release that has been verified where another one is about to be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Its number.
    pub release: ReleaseNumber,
    /// The run that made it.
    pub run: RunNumber,
    /// The commit it was made from.
    pub commit: CommitSha,
    /// Its objects, as they were verified.
    pub bundle: Bundle,
}

/// A rendered release: objects with pinned images, without namespace and without our annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Kubernetes objects in the order they are applied.
    pub objects: Vec<serde_json::Value>,
}

/// The runner is alive and works on the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Under which lease.
    pub lease: LeaseProof,
    /// The caller's [`Register::instance`].
    pub instance: Ulid,
    /// How long the call may wait for something to say.
    pub wait_seconds: u32,
}

/// What the server has to say to a working runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Why the job should end now, if it should.
    pub stop: Option<String>,
}

/// How much of the log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAck {
    /// Bytes stored durably: send from here on.
    pub offset: u64,
}

/// A runner tells what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCall {
    /// Under which lease.
    pub lease: LeaseProof,
    /// What happened.
    pub report: Report,
}

/// What can happen while a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A step began: from now on its image is fetched and its process runs.
    StepStarted {
        /// Its place, from 0.
        step: u32,
        /// Its name, as people see it.
        name: String,
        /// When, by the runner's clock; for display only.
        at: Timestamp,
    },
    /// A step ended.
    StepFinished {
        /// Its place, from 0.
        step: u32,
        /// How.
        outcome: Outcome,
        /// The exit code of its process, where there was one.
        exit_code: Option<i64>,
        /// When, by the runner's clock; for display only.
        at: Timestamp,
    },
    /// The release has been rendered: stored before anything is applied.
    Bundle(Bundle),
    /// A step does not run.
    StepSkipped {
        /// Its place, from 0.
        step: u32,
        /// Its name, as people see it.
        name: String,
        /// Why, as a sentence.
        reason: String,
    },
    /// What the job's JUnit reports say. Replaces what this attempt had told before.
    Tests(TestReport),
    /// Where a rollout stands.
    Deploy(Box<DeployProgress>),
    /// The runner gives the lease back: it cannot go on, or knows nothing of the job (it was
    /// restarted). Not a result; a deploy is handed to the next runner at once.
    Lost {
        /// A sentence about it.
        reason: String,
    },
    /// The job has ended. Sent after the whole log has been acknowledged.
    Finished {
        /// How.
        outcome: Outcome,
        /// A sentence about it: the first cause.
        reason: Option<String>,
        /// The exit code of the step that failed, where it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
        /// What the job made, for later jobs.
        outputs: BTreeMap<String, String>,
    },
}

/// How to fetch the commit. Read-only, for this repository alone, short-lived.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The repository's address, without credentials.
    pub url: String,
    /// The token, for user `x-access-token`; none for a public repository.
    pub token: Option<String>,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Asks for the secrets of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsCall {
    /// Under which lease.
    pub lease: LeaseProof,
}

/// The secrets that a job's work names, as far as it may have them.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// What it gets.
    pub values: BTreeMap<SecretName, String>,
    /// What it does not get, and goes on without: a fork's run has none. The reason is a sentence.
    pub withheld: BTreeMap<SecretName, String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("names", &self.values.keys())
            .field("withheld", &self.withheld)
            .finish_non_exhaustive()
    }
}

/// Looks for a cache. The server adds whose it is: repository, and trusted or of which fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheQuery {
    /// Under which lease.
    pub lease: LeaseProof,
    /// [`crate::plan::Cache::prefix`].
    pub prefix: String,
    /// The hash of the key files, in hex.
    pub key: String,
}

/// A cache that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFound {
    /// Names it in the call that fetches it.
    pub id: CacheId,
    /// Its key; another one than was asked for if only the prefix is the same.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
}

/// What a kept file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// Something the pipeline wants kept.
    Artifact,
    /// A JUnit report, as it was written.
    Junit,
}

impl ArtifactKind {
    /// The word used in tables and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Junit => "junit",
        }
    }
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// A sentence.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests;
