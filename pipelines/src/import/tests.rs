//! Samples with what becomes of them, and small tables.

use super::*;

mod samples;
mod tables;
