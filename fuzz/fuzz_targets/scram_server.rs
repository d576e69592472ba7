//! Fuzzes the decoder `scram_server` of `log-core/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailwater_hostile::attack_named("scram_server", input));
