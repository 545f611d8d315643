//! What a pipeline is, what runs next, and what the programs say to each other.
//!
//! Pure: no clock, file, environment, network or randomness. Values in, values out, so every rule
//! is tested as a table and the whole as a seeded simulation.

pub mod cron;
pub mod definition;
pub mod deploy;
pub mod environment;
pub mod event;
mod expression;
mod graph;
pub mod ids;
pub mod import;
pub mod job;
pub mod junit;
pub mod limits;
pub mod log;
pub mod names;
pub mod order;
pub mod pattern;
pub mod plan;
pub mod planner;
pub mod run;
pub mod schedule;
pub mod schema;
#[cfg(test)]
mod simulation;
pub mod template;
pub mod timestamp;
pub mod wire;
