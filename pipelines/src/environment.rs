//! The deploy targets of a repository and their rules: `.seaworthy/environments.yml`.
//!
//! The file is read from the default branch only, so a pull request cannot loosen it.

use crate::definition::Problem;
use crate::names::{EnvironmentName, Namespace};
use crate::pattern::Patterns;

/// One deploy target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// The namespace it means in the cluster of the runner that serves it.
    pub namespace: Namespace,
    /// The branches that may be deployed to it; without any, every branch and tag may.
    pub branches: Option<Patterns>,
    /// The environment that must have verified a release first.
    pub after: Option<EnvironmentName>,
}

/// The deploy targets of a repository, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environments {
    list: Vec<Environment>,
}

impl Environments {
    /// Reads an environments file, or says everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Environments, Vec<Problem>> {
        let _ = text;
        Err(vec![Problem {
            line: 1,
            column: 1,
            text: String::new(),
            message: "environment files cannot be read yet".into(),
            hint: None,
        }])
    }

    /// The environments of a repository without an environments file: none.
    pub fn none() -> Environments {
        Environments::default()
    }

    /// The environment of that name.
    pub fn find(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.list
            .iter()
            .find(|environment| environment.name == *name)
    }

    /// Every environment, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Environment> {
        self.list.iter()
    }

    /// Every environment, each behind the one it comes after, otherwise in the file's order.
    pub fn promotion_order(&self) -> Vec<&Environment> {
        let mut order: Vec<&Environment> = Vec::new();
        // `after` has no cycles, so each pass places at least one more.
        while order.len() < self.list.len() {
            let placed = order.len();
            for environment in &self.list {
                let is_in = |name: &EnvironmentName| order.iter().any(|known| known.name == *name);
                if !is_in(&environment.name) && environment.after.as_ref().is_none_or(is_in) {
                    order.push(environment);
                }
            }
            assert!(order.len() > placed, "`after` leads back to itself");
        }
        order
    }
}
