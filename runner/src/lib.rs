//! The runner: takes jobs from a server, does their work on its own engines, and reports.
//!
//! It only dials out. [`work::run`] is the whole runner; [`execute`] does one job.

pub mod archive;
mod claims;
pub mod client;
pub mod clock;
pub mod config;
pub mod deploy;
pub mod desk;
pub mod engine;
pub mod execute;
pub mod image;
mod journal;
mod keep;
pub mod lease;
pub mod local;
pub mod logs;
pub mod report;
pub mod spool;
mod steps;
pub mod stop;
pub mod work;
pub mod workspace;

#[cfg(test)]
mod tests;
