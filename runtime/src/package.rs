//! The Foundry package for an image: contracts, a deploy script, and tests made from real runs of the image.

pub mod runs;

use crate::commands::deploy::BURIED;
use crate::failure::Failure;
use crate::network::{ether, verifiers};
use crate::terms;
use contracts::{B256, CHEATCODES, SOURCES, SolValue as _, U256};
use game::{MemoryLimit, Side};
use image::Image;
use indicatif::ProgressBar;
use isa::Extensions;
use runs::{Example, Recorded};
use solidity::{File, fill};
use std::fmt::Write as _;

/// Packages leave out the bare game, which is only for opml's own tests.
const NOT_DEPLOYED: &str = "OpenDisputes.sol";
/// What the service's test asks with, if its input is not too long to be in a test.
const ASK: &str = "service.request(order(), input())";
/// And if it is.
const ASK_BY_ROOT: &str = "service.requestByRoot(order(), INPUT_ROOT)";
/// The most bytes of an input that are written into a test.
const LONGEST_INPUT: usize = 1 << 15;

/// The package's files. Inputs are given as addresses and bytes. Everything else is zero.
pub fn package(
    image: &Image,
    stem: &str,
    inputs: &[(u64, Vec<u8>)],
    memory: &MemoryLimit,
    progress: &ProgressBar,
) -> Result<Vec<File>, Failure> {
    let verifier = solidity::generate(&image.profile, stem);
    let name = contract_name(&verifier);
    let steps = runs::steps(image, inputs, memory, progress)?;
    let recorded = runs::record(image, inputs, memory, progress)?;
    let machine = image.extensions().name();
    let mut files: Vec<File> =
        verifier.into_iter().map(|file| in_folder("src", &file.name, file.text)).collect();
    files.push(in_folder("test", CHEATCODES.0, CHEATCODES.1.to_owned()));
    files.push(in_folder("test", "Steps.t.sol", steps_test(&name, &steps)));
    let (mut service, mut service_files) = (String::new(), String::new());
    if let Some(recorded) = recorded {
        files.extend(service_package(image, &name, &recorded)?);
        service = fill_terms(include_str!("package/service.md"), &name)?;
        service_files = fill(include_str!("package/service_files.md"), &[("name", &name)]);
    }
    files.push(File {
        name: "foundry.toml".to_owned(),
        text: include_str!("package/foundry.toml").to_owned(),
    });
    let values =
        [("service_files", &*service_files), ("service", &service), ("name", &name), ("machine", machine)];
    files.push(File { name: "README.md".to_owned(), text: fill(include_str!("package/README.md"), &values) });
    Ok(files)
}

/// What the contracts of an image are called after: the last file is its machine.
fn contract_name(verifier: &[File]) -> String {
    let last = verifier.last().map_or("", |file| &file.name);
    last.trim_end_matches("Machine.sol").to_owned()
}

fn in_folder(folder: &str, name: &str, text: String) -> File {
    File { name: format!("{folder}/{name}"), text }
}

/// The package's other files, if the image is that of a model.
fn service_package(image: &Image, name: &str, recorded: &Recorded) -> Result<Vec<File>, Failure> {
    let sources = SOURCES.iter().filter(|(file, _)| *file != NOT_DEPLOYED);
    let mut files: Vec<_> = sources.map(|(file, text)| in_folder("src", file, (*text).to_owned())).collect();
    files.push(in_folder("src", &format!("{name}Model.sol"), model(image, name, recorded)));
    files.push(in_folder("script", "Deploy.s.sol", fill_terms(include_str!("package/Deploy.s.sol"), name)?));
    files.push(in_folder("test", "Service.t.sol", service_test(name, recorded)));
    Ok(files)
}

/// A template, filled with the contracts' name and with the default terms of `opml deploy`.
fn fill_terms(text: &str, name: &str) -> Result<String, Failure> {
    let terms = terms::defaults()?;
    let [asserter, challenger, burned]: [U256; 3] =
        [terms.asserterBond.to(), terms.challengerBond.to(), terms.burned.to()];
    let values = [
        ("name", name),
        ("window", &terms.window.to_string()),
        ("clock", &terms.clock.to_string()),
        ("arity", &terms.arity.to_string()),
        ("asserter_bond", &format!("{asserter}")),
        ("challenger_bond", &format!("{challenger}")),
        ("asserter_ether", &ether(asserter)),
        ("challenger_ether", &ether(challenger)),
        ("burned_ether", &ether(burned)),
        ("buried", &BURIED.to_string()),
    ];
    Ok(fill(text, &values))
}

/// The library with the data for the registry.
fn model(image: &Image, name: &str, recorded: &Recorded) -> String {
    let model = contracts::model(&recorded.model);
    let known = verifiers();
    let list = |element: fn(usize, &(Extensions, B256)) -> String| -> String {
        known.iter().enumerate().map(|(index, verifier)| element(index, verifier)).collect()
    };
    let verifiers = list(|index, (extensions, hash)| {
        format!(
            "        // {}\n        extensions[{index}] = {};\n        hashes[{index}] = {hash};\n",
            extensions.name(),
            extensions.bits()
        )
    });
    let word = |word: U256| format!("{word:#066x}");
    fill(
        include_str!("package/Model.sol"),
        &[
            ("name", name),
            ("image", name),
            ("id", &contracts::model_id(&recorded.model).to_string()),
            ("extensions", &image.extensions().bits().to_string()),
            ("count", &known.len().to_string()),
            ("verifiers", &verifiers),
            ("code_root", &model.program.codeRoot.to_string()),
            ("machine", &word(model.program.machine)),
            ("schedule_root", &model.program.scheduleRoot.to_string()),
            ("shape", &word(model.program.shape)),
            ("memory_root", &model.memoryRoot.to_string()),
            ("input", &word(model.input)),
            ("output", &word(model.output)),
        ],
    )
}

/// The test of single steps.
fn steps_test(name: &str, steps: &[Example]) -> String {
    let functions: Vec<_> = steps
        .iter()
        .map(|step| {
            let values = [
                ("step", &*step.claim.step.to_string()),
                ("mnemonic", &step.mnemonic.replace('.', "_")),
                ("before", &step.claim.before.to_string()),
                ("after", &step.claim.after.to_string()),
                ("witness", &hex(&step.claim.witness)),
            ];
            fill(include_str!("package/Step.t.sol"), &values)
        })
        .collect();
    fill(include_str!("package/Steps.t.sol"), &[("name", name), ("steps", &functions.concat())])
}

/// The test of the service.
fn service_test(name: &str, recorded: &Recorded) -> String {
    let Recorded { model, opening, moves, .. } = recorded;
    // The test puts its own game in the place of this one.
    let (game, program) = (contracts::Game::default(), contracts::program(model));
    let mut calls = String::new();
    for (index, move_) in moves.iter().enumerate() {
        let call = contracts::calldata(contracts::U256::ZERO, &game, &program, move_);
        let _ = writeln!(calls, "        calls[{index}] = hex\"{}\";", hex(&call));
    }
    let short = recorded.input.len() <= LONGEST_INPUT;
    let input = format!(
        "\n    function input() private pure returns (bytes memory) {{\n        return hex\"{}\";\n    }}\n",
        hex(&recorded.input)
    );
    fill(
        include_str!("package/Service.t.sol"),
        &[
            ("name", name),
            ("arity", &terms::ARITY.to_string()),
            ("ask", if short { ASK } else { ASK_BY_ROOT }),
            ("input_root", &recorded.input_root.to_string()),
            ("input", if short { &input } else { "" }),
            ("output_root", &recorded.output_root.to_string()),
            ("output", &hex(&recorded.output)),
            ("answered", &hex(&recorded.answered)),
            ("asserter_wins", &(recorded.winner == Side::Asserter).to_string()),
            ("opening", &hex(&contracts::opening(opening).abi_encode())),
            ("move_count", &moves.len().to_string()),
            ("moves", &calls),
        ],
    )
}

/// Bytes as a hexadecimal literal of Solidity.
fn hex(bytes: &[u8]) -> String {
    crate::output::hex(bytes).split_off(2)
}
