//! The server: GitHub in, history in SQLite, pages out. It holds no Docker socket and no cluster
//! credential; builds and deploys happen in runners.

pub mod admin;
pub mod app;
pub mod backup;
pub mod blobs;
pub mod clock;
pub mod config;
pub mod disk;
pub(crate) mod dispatch;
pub(crate) mod error;
pub mod github;
pub mod intake;
pub mod leases;
pub mod live;
pub mod metrics;
pub mod objects;
pub mod outbox;
pub(crate) mod pages;
pub(crate) mod progress;
pub(crate) mod reconcile;
pub(crate) mod retention;
pub mod secrets;
pub mod serve;
pub mod store;
pub(crate) mod sweep;
pub mod tasks;
pub mod token;
pub mod verify;
pub mod web;
