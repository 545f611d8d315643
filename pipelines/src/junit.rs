//! What test reports say.

use serde::{Deserialize, Serialize};

/// The tests of one attempt of a job, from all of its reports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestReport {
    /// How many passed.
    pub passed: u32,
    /// How many failed or could not be run.
    pub failed: u32,
    /// How many were left out.
    pub skipped: u32,
    /// The tests, failed ones first; not more than [`crate::limits::TEST_CASES_MAX`].
    pub cases: Vec<TestCase>,
    /// Reports that could not be read, each with the reason, as sentences.
    pub problems: Vec<String>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// The suite, and within it the class or file; empty where there is none.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub state: TestState,
    /// How long it took.
    pub millis: u64,
    /// What the report says about a failure, shortened to [`crate::limits::TEST_MESSAGE_BYTES_MAX`].
    pub message: Option<String>,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestState {
    /// It passed.
    Passed,
    /// It failed, or could not be run.
    Failed,
    /// It was left out.
    Skipped,
}

impl TestState {
    /// The word used in tables and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
