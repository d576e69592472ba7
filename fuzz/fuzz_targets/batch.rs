//! Fuzzes the decoder `batch` of `log-core/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailwater_hostile::attack_named("batch", input));
