//! What the pages read. Nothing here writes, every list has a limit, and what can grow without end
//! has a cursor.

pub(crate) mod admin;
pub(crate) mod deliveries;
pub(crate) mod deploys;
pub(crate) mod jobs;
pub(crate) mod kept;
pub(crate) mod overview;
pub(crate) mod runs;

use pipelines::job::State;
use sqlx::Sqlite;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};

/// A state as a column holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateCell(pub(crate) State);

impl sqlx::Type<Sqlite> for StateCell {
    fn type_info() -> SqliteTypeInfo {
        <str as sqlx::Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <str as sqlx::Type<Sqlite>>::compatible(info)
    }
}

impl<'r> sqlx::Decode<'r, Sqlite> for StateCell {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as sqlx::Decode<Sqlite>>::decode(value)?;
        Ok(Self(text.parse()?))
    }
}

impl std::ops::Deref for StateCell {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}
