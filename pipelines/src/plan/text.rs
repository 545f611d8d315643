//! A text of a plan, with gaps that only the run can fill.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::JobName;

/// A text that may have to wait for its run. In JSON it is a plain text where nothing is missing.
///
/// The gaps are kept apart from the text, never written into it: a branch that is called like a gap
/// stays a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Nothing is missing.
    Known(String),
    /// Something is.
    Late(Vec<Part>),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// As it stands.
    Text(String),
    /// Filled when the job is given to a runner.
    Gap(Late),
}

/// What is known only once the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// The run's number: `${{ run }}`.
    Run,
    /// What an earlier job made: `${{ jobs.test.outputs.version }}`.
    Output {
        /// The job.
        job: JobName,
        /// The output's name.
        name: String,
    },
}

/// A job made nothing of that name, so a text that needs it cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job `{job}` made no output `{name}`")]
pub struct MissingOutput {
    /// The job.
    pub job: JobName,
    /// The output's name.
    pub name: String,
}

impl Text {
    /// The text, if nothing is missing.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Late(_) => None,
        }
    }

    /// The same text with its gaps filled.
    pub fn fill(
        &self,
        value: &dyn Fn(&Late) -> Result<String, MissingOutput>,
    ) -> Result<Text, MissingOutput> {
        let Self::Late(parts) = self else {
            return Ok(self.clone());
        };
        let mut whole = String::new();
        for part in parts {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Gap(late) => whole.push_str(&value(late)?),
            }
        }
        Ok(Self::Known(whole))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Known(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

/// The text, for people: a gap is written as in the file.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(text) => f.write_str(text),
            Self::Late(parts) => parts.iter().try_for_each(|part| match part {
                Part::Text(text) => f.write_str(text),
                Part::Gap(late) => write!(f, "{late}"),
            }),
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("${{ run }}"),
            Self::Output { job, name } => write!(f, "${{{{ jobs.{job}.outputs.{name} }}}}"),
        }
    }
}
