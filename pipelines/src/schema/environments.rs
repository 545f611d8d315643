//! The file of environments.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::level;
use super::text::{Map, Name, NamespaceName, OnFailureName, OneOrMany, Pattern};
use crate::limits::{ENVIRONMENTS_MAX, PATTERNS_MAX};

/// Where a repository may deploy to.
pub(crate) struct Environments;

impl JsonSchema for Environments {
    fn schema_name() -> Cow<'static, str> {
        "Environments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Map::<Name, Environment, ENVIRONMENTS_MAX>::json_schema(generator)
    }
}

level! {
    /// One deploy target.
    Environment needs ["namespace"] {
        /// The namespace it means in the cluster of the runner that serves it.
        namespace: NamespaceName,
        /// Branches that may be deployed to it; without any, every branch and tag may.
        branches: OneOrMany<Pattern, PATTERNS_MAX>,
        /// Only a release that this environment has verified may be deployed.
        after: Name,
        /// What follows a rollout that has failed: `rollback` (the default) returns to the last
        /// verified release, `hold` leaves it as it is.
        on_failure: OnFailureName,
    }
}
