//! What every part of the server holds: configuration, clock, store, logs and who listens.

use std::path::PathBuf;

use crate::clock::Clock;
use crate::live::Live;
use crate::objects::Objects;
use crate::store::Store;

/// Cheap to clone; all parts are shared.
#[derive(Debug, Clone)]
pub struct App {
    /// Where the data is.
    pub data: PathBuf,
    /// The time.
    pub clock: Clock,
    /// The history.
    pub store: Store,
    /// The logs.
    pub objects: Objects,
    /// Who listens.
    pub live: Live,
}
