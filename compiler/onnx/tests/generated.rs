//! `src/generated.rs` is what `onnx.proto` says; `BLESS=1 cargo test -p opml-onnx` writes it anew.

use std::path::Path;

const HEADER: &str = "// Generated from onnx.proto by tests/generated.rs; do not edit.\n";

#[test]
fn generated_types_follow_the_proto_file() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([package.join("onnx.proto")], [package]).expect("onnx.proto parses");
    let folder = tempfile::tempdir().expect("a temporary folder");
    prost_build::Config::new()
        .out_dir(folder.path())
        // The comments are indented prose, which rustdoc would take for code to test.
        .disable_comments(["."])
        .compile_fds(descriptors)
        .expect("prost writes the types");
    let generated = std::fs::read_to_string(folder.path().join("onnx.rs")).expect("one file");
    let wanted = format!("{HEADER}{generated}");

    let checked_in = package.join("src/generated.rs");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&checked_in, &wanted).expect("src/generated.rs can be written");
    }
    let found = std::fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(found == wanted, "src/generated.rs is stale: run `BLESS=1 cargo test -p opml-onnx`");
}
