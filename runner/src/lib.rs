//! The runner: takes jobs from a server, does their work on its own engines, and reports.
//!
//! It only dials out. [`work::run`] is the whole runner; [`execute`] does one job.

pub mod client;
pub mod clock;
pub mod logs;
pub mod report;
pub mod stop;
