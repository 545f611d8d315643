//! From the text of a cell to the value it stands for. What does not parse is an error of the
//! database, as a wrong column type would be: only this program writes there.

use std::str::FromStr;

use serde::de::DeserializeOwned;

/// A text that has a `FromStr`.
pub(super) fn parse<T>(text: &str) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(sqlx::Error::decode)
}

/// A text that may be missing.
pub(super) fn parse_option<T>(text: Option<&str>) -> sqlx::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.map(parse).transpose()
}

/// JSON.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(sqlx::Error::decode)
}

/// One of the words of an enum, spelled as in JSON.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value(value).map_err(sqlx::Error::decode)
}

/// A count that is never negative.
pub(super) fn count(number: i64) -> sqlx::Result<u32> {
    u32::try_from(number).map_err(sqlx::Error::decode)
}

/// A value as JSON. Our own types have text keys only, so this cannot fail.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
