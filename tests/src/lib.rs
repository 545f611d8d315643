//! The test world: everything a story needs to start the real programs and look at what they did.
//!
//! [`world::World`] is the way in. Only GitHub is a stand-in; Docker, the registry and Kubernetes
//! are the real ones that `dev/up` starts.

pub mod api;
pub mod browser;
pub mod caller;
pub mod campaign;
pub mod cluster;
pub mod daemon;
pub mod demo;
pub mod docker;
pub mod engines;
pub mod eventually;
pub mod github;
pub mod half_open;
pub mod history;
pub mod invariants;
pub mod laptop;
pub mod network;
pub mod program;
pub mod registry;
pub mod runners;
pub mod s3;
pub mod sample;
pub mod shop;
pub mod traffic;
pub mod volume;
pub mod world;

/// Chooses the TLS provider of this process; a second call changes nothing.
pub fn install_tls() {
    // An error says that one is installed already, which is all we want.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
