//! The server: GitHub in, history in SQLite, pages out. It holds no Docker socket and no cluster
//! credential; builds and deploys happen in runners.

pub mod app;
pub mod clock;
pub mod live;
pub mod objects;
pub(crate) mod progress;
pub mod store;
