//! `opml_tests::fuzz::onnx_model` for libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opml_tests::fuzz::onnx_model(bytes));
