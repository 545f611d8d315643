//! Any bytes as a file, planned for every kind of event.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::plan(&String::from_utf8_lossy(bytes)));
