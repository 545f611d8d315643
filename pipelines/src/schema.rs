//! JSON Schemas of both files, for editors, and the reference that people read.
//!
//! Both come from the types below and their comments, so that they say the same. The types mirror
//! what `definition` reads and read nothing themselves: a schema cannot say everything that is
//! refused, but whatever is accepted fits it. `tests` compares their keys with those of
//! `definition::keys`, level by level.

mod environments;
mod job;
mod pipeline;
mod reference;
mod text;
mod work;

pub use reference::reference;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// A level of a file: a mapping with fixed keys, of which some must be there. The comments become
/// the descriptions.
macro_rules! level {
    ($(#[$doc:meta])* $name:ident needs $needs:tt {
        $($(#[$key_doc:meta])* $key:ident: $kind:ty,)*
    }) => {
        #[derive(schemars::JsonSchema)]
        $(#[$doc])*
        #[schemars(deny_unknown_fields, extend("required" = $needs))]
        #[expect(dead_code, reason = "only its shape and comments are of use")]
        pub(crate) struct $name {
            $($(#[$key_doc])* $key: $kind,)*
        }
    };
}
pub(crate) use level;

/// The JSON Schema of a pipeline file.
pub fn pipeline() -> Value {
    schema_of::<pipeline::Pipeline>("pipeline", "Seaworthy pipeline")
}

/// The JSON Schema of `environments.yml`.
pub fn environments() -> Value {
    schema_of::<environments::Environments>("environments", "Seaworthy environments")
}

/// The JSON Schema of a file of templates, which other repositories take jobs from.
pub(crate) fn templates() -> Value {
    schema_of::<pipeline::TemplateFile>("templates", "Seaworthy templates")
}

fn schema_of<T: JsonSchema>(name: &str, title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema: Schema = generator.into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), format!("/schema/{name}.json").into());
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

#[cfg(test)]
mod tests;
