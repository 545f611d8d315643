//! What test reports say.

use serde::{Deserialize, Serialize};

use crate::limits::{TEST_CASES_MAX, TEST_REPORT_BYTES_MAX};

mod parse;
mod text;

pub use parse::{NotJunit, parse};

/// Failed tests that a reason names.
const NAMED_MAX: usize = 3;

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

impl TestReport {
    /// Adds the tests of another report.
    pub fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.cases.extend(other.cases);
        self.problems.extend(other.problems);
        self.shorten();
    }

    /// Puts failed tests first and keeps to the bounds: of the last ones the messages go, then they
    /// go themselves.
    pub fn shorten(&mut self) {
        self.cases
            .sort_by_key(|case| case.state != TestState::Failed);
        self.cases.truncate(TEST_CASES_MAX);
        let mut bytes = 0;
        let mut kept = 0;
        for case in &mut self.cases {
            let message = case.message.as_ref().map_or(0, String::len);
            if bytes + message > TEST_REPORT_BYTES_MAX / 2 {
                case.message = None;
            } else {
                bytes += message;
            }
            bytes += case.suite.len() + case.name.len();
            if bytes > TEST_REPORT_BYTES_MAX {
                break;
            }
            kept += 1;
        }
        self.cases.truncate(kept);
    }

    /// Names what failed: `2 of 40 tests failed: adds, removes`. Nothing, if nothing did.
    pub fn failure(&self) -> Option<String> {
        if self.failed == 0 {
            return None;
        }
        let all = u64::from(self.passed) + u64::from(self.failed) + u64::from(self.skipped);
        let failed = self.cases.iter();
        let failed = failed.filter(|case| case.state == TestState::Failed);
        let names: Vec<&str> = failed
            .map(|case| case.name.as_str())
            .take(NAMED_MAX)
            .collect();
        let more = match (self.failed as usize).saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let tests = if all == 1 { "test" } else { "tests" };
        let names = names.join(", ");
        Some(format!(
            "{} of {all} {tests} failed: {names}{more}",
            self.failed
        ))
    }
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

#[cfg(test)]
mod tests;
