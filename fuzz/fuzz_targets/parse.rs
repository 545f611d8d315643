//! Any bytes as a file: there is an answer, and every place in it is inside the file.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::parse(&String::from_utf8_lossy(bytes)));
