//! The test world.

pub mod github;
