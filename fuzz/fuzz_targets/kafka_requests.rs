#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| leftfold_fuzzed::run("kafka_requests", input));
