//! The checked-in verifiers are the generator's output, and the pinned compiler's output for it.
//!
//! `OPML_BLESS=1` rewrites them. The compiler is solc from npm: run `npm ci` in the repository's root.

use isa::Extensions;
use opml_tests::generated::{check, lines, size_limit};
use opml_tests::solc::{bytecode, compile, settings};
use opml_tests::tools::in_repository;
use serde_json::json;
use std::path::PathBuf;

/// The folder of the checked-in verifier for these extensions.
fn folder(extensions: Extensions) -> PathBuf {
    in_repository("vm/solidity/generated").join(extensions.name())
}

fn sources(extensions: Extensions) -> Vec<(String, String)> {
    vec![
        ("IStepVerifier.sol".to_owned(), solidity::interface().to_owned()),
        ("StepVerifier.sol".to_owned(), solidity::verifier(extensions)),
    ]
}

#[test]
fn sources_are_up_to_date() {
    for &extensions in Extensions::ALL {
        for (name, text) in sources(extensions) {
            check(&folder(extensions).join(name), &text);
        }
    }
}

#[test]
fn bytecode_is_up_to_date() {
    for &extensions in Extensions::ALL {
        let limit = size_limit(extensions);
        let output = compile(&sources(extensions));
        let (creation, deployed) = bytecode(&output, "StepVerifier");
        let bytes = deployed.len() / 2;
        assert!(bytes > 0 && bytes <= limit, "{bytes} bytes for {}; the limit is {limit}", extensions.name());
        let about = json!({
            "compiler": output["version"],
            "settings": settings(),
            "keccak256": step::keccak(solidity::verifier(extensions).as_bytes()).to_string(),
            "deployedBytes": bytes,
        });
        let about = serde_json::to_string_pretty(&about).expect("JSON") + "\n";
        check(&folder(extensions).join("compiler.json"), &about);
        check(&folder(extensions).join("StepVerifier.hex"), &lines(creation));
    }
}

#[test]
fn a_package_for_an_image_compiles() {
    for &extensions in Extensions::ALL {
        let profile = step::MachineProfile::new(extensions, 20, 0x10_0000, 4096).expect("a machine");
        let files = solidity::generate(&profile, "Mnist").into_iter().map(|file| (file.name, file.text));
        let output = compile(&files.filter(|(name, _)| name.ends_with(".sol")).collect::<Vec<_>>());
        let bytes = bytecode(&output, "StepVerifier").1.len() / 2;
        assert!(bytes > 0 && bytes <= size_limit(extensions), "{bytes} bytes");
        assert!(output["contracts"]["MnistMachine.sol"]["MnistMachine"].is_object(), "no machine");
    }
}

#[test]
fn lines_are_readable() {
    for (_, text) in Extensions::ALL.iter().flat_map(|&extensions| sources(extensions)) {
        let long: Vec<_> = text.lines().filter(|line| line.len() > 110).collect();
        assert!(long.is_empty(), "{} long lines:\n{}", long.len(), long.join("\n"));
    }
}
