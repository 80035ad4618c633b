//! `opml_tests::fuzz::job` for libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opml_tests::fuzz::job(bytes));
