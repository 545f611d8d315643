//! Single values of files. A text may be written without quotes, and then looks like a number or a
//! truth value to other readers of YAML; it is a text to us.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Kinds of values: how each is called, and which texts are one.
macro_rules! values {
    ($($(#[$doc:meta])* $name:ident = $title:literal, $schema:tt;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("title".to_owned(), $title.into());
                schema
            }
        }
    )*};
}

values! {
    /// Any text; `${{ … }}` may stand in it where the reference says so.
    Text = "text", { "type": ["string", "number", "boolean"] };
    /// Shell script.
    Script = "script", { "type": ["string", "number", "boolean"], "minLength": 1 };
    /// The name of a job, service or environment.
    Name = "name", { "type": ["string", "number", "boolean"], "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" };
    /// The name of a namespace, as Kubernetes has them.
    NamespaceName = "name", { "type": ["string", "number", "boolean"], "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" };
    /// The name of an axis, an input or an output.
    Word = "name", { "type": ["string", "number", "boolean"], "pattern": "^[a-z][a-z0-9_-]{0,62}$" };
    /// The name of a variable.
    Variable = "name", { "type": ["string", "number", "boolean"], "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$" };
    /// The name of a secret of the server.
    Secret = "name", { "type": ["string", "number", "boolean"], "pattern": "^[a-z][a-z0-9_]*$" };
    /// A span of time.
    Span = "span of time", { "type": "string", "pattern": "^(?=[0-9])([0-9]+h)?([0-9]+m)?([0-9]+s)?$" };
    /// A share.
    Percent = "percentage", { "type": "string", "pattern": "^[1-9][0-9]?%$" };
    /// The image of a container.
    Image = "image", { "type": ["string", "number", "boolean"], "minLength": 1 };
    /// A path.
    Path = "path", { "type": ["string", "number", "boolean"] };
    /// A pattern of names or paths.
    Pattern = "pattern", { "type": ["string", "number", "boolean"] };
    /// An address.
    Address = "address", { "type": "string", "pattern": "^https?://[^/@ ][^@ ]*$" };
    /// An event.
    Event = "event", { "enum": ["push", "pull_request", "manual"] };
    /// The name of a strategy.
    OnFailureName = "name", { "enum": ["rollback", "hold"] };
    StrategyName = "name", { "enum": ["rolling", "recreate", "blue_green", "canary"] };
    /// A platform, as Docker writes them.
    Platform = "platform", { "type": "string", "pattern": "^[a-z0-9]{1,32}/[a-z0-9]{1,32}(/[a-z0-9]{1,32})?$" };
    /// A reason to try again.
    Reason = "reason", { "type": "string", "pattern": "^(infrastructure|timeout|failure|exit:[0-9]{1,3})$" };
    /// Where templates come from.
    Source = "template", { "type": ["string", "number", "boolean"], "pattern": "^([^@:#]+|[^/@]+/[^/@]+@[^:]+:[^#]+#.+)$" };
    /// Nothing at all.
    Nothing = "nothing", { "type": "null" };
}

/// One value, or a list of at most `MAX` of them.
pub(crate) struct OneOrMany<T, const MAX: usize>(PhantomData<T>);

impl<T: JsonSchema, const MAX: usize> JsonSchema for OneOrMany<T, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        let many = json_schema!({ "type": "array", "items": one, "minItems": 1, "maxItems": MAX });
        json_schema!({ "anyOf": [one, many] })
    }
}

/// A list of at most `MAX`.
pub(crate) struct List<T, const MAX: usize>(PhantomData<T>);

impl<T: JsonSchema, const MAX: usize> JsonSchema for List<T, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": one, "minItems": 1, "maxItems": MAX })
    }
}

/// At most `MAX` keys of the author's choice.
pub(crate) struct Map<K, V, const MAX: usize>(PhantomData<(K, V)>);

impl<K: JsonSchema, V: JsonSchema, const MAX: usize> JsonSchema for Map<K, V, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map{}{}", K::schema_name(), V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = K::json_schema(generator);
        let value = generator.subschema_for::<V>();
        let mut schema = json_schema!({
            "type": "object", "propertyNames": key, "additionalProperties": value,
        });
        if MAX < usize::MAX {
            schema.insert("maxProperties".to_owned(), MAX.into());
        }
        schema
    }
}

/// One of two ways to write it.
pub(crate) struct Or<A, B>(PhantomData<(A, B)>);

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Or<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<A>();
        let other = generator.subschema_for::<B>();
        json_schema!({ "anyOf": [one, other] })
    }
}
