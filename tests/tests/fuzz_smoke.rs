//! Every fuzz target for a few seconds: `OPML_FUZZ_SECONDS` (3), `OPML_FUZZ_SEED` (0).

use opml_tests::fuzz::{TARGETS, Target};
use opml_tests::tools::number;
use std::time::Duration;

/// Fuzzes one target. Writes an input on which it fails to a file.
fn fuzz(name: &str) {
    let target: &Target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let time = Duration::from_secs(number("OPML_FUZZ_SECONDS", 3));
    match target.fuzz(number("OPML_FUZZ_SEED", 0), time) {
        Ok(runs) => eprintln!("{name}: {runs} inputs"),
        Err(input) => {
            let path = std::env::temp_dir().join(format!("opml-fuzz-{name}"));
            std::fs::write(&path, &input).expect("write the input");
            panic!("{name} fails on the {} bytes in {}", input.len(), path.display());
        }
    }
}

macro_rules! targets {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        $($(#[$attribute])*
        #[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($(#[$attribute])* stringify!($name)),*]);
        }
    };
}

targets! { onnx_model compile graph program onnx_tensor elf image witness step jit #[cfg(feature = "chain")] job }
