//! The Foundry package for an image: contracts, a deploy script, and tests made from real runs of the image.

pub mod runs;

use crate::commands::deploy::BURIED;
use crate::failure::Failure;
use crate::network::{ether, verifiers};
use crate::terms;
use contracts::{B256, Bytes, CHEATCODES, SOURCES, U256};
use game::Side;
use image::Image;
use indicatif::ProgressBar;
use isa::Extensions;
use players::region_root;
use prover::MemoryLimit;
use runs::{Example, Recorded};
use solidity::{File, fill};
use std::fmt::Write as _;

/// Packages leave out the bare game, which is only for opml's own tests.
const NOT_DEPLOYED: &str = "OpenDisputes.sol";
/// The most bytes of an input that are written into a test. A longer one is given by its root.
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
    let regions = |name: &str, regions: &[U256]| -> String {
        let assign =
            |(index, region): (usize, &U256)| format!("        its.{name}[{index}] = {};\n", word(*region));
        regions.iter().enumerate().map(assign).collect()
    };
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
            ("input_count", &model.inputs.len().to_string()),
            ("inputs", &regions("inputs", &model.inputs)),
            ("output_count", &model.outputs.len().to_string()),
            ("outputs", &regions("outputs", &model.outputs)),
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
    let regions = recorded.model.inputs.iter().zip(&recorded.inputs).enumerate();
    let inputs: String = regions
        .map(|(index, (region, bytes))| {
            let (source, data) = match bytes.len() <= LONGEST_INPUT {
                true => ("Bytes", hex(bytes)),
                false => ("Root", hex(&region_root(region, bytes).0)),
            };
            format!("        given[{index}] = Input(Source.{source}, hex\"{data}\");\n")
        })
        .collect();
    let outputs = |outputs: &[Bytes]| -> String {
        let assign =
            |(index, bytes): (usize, &Bytes)| format!("        all[{index}] = hex\"{}\";\n", hex(bytes));
        outputs.iter().enumerate().map(assign).collect()
    };
    let words: String = contracts::opening(opening)
        .iter()
        .enumerate()
        .map(|(index, word)| format!("        words[{index}] = {word};\n"))
        .collect();
    let (computed, answered) = (recorded.computed.shown(0), &recorded.answered);
    fill(
        include_str!("package/Service.t.sol"),
        &[
            ("name", name),
            ("arity", &terms::ARITY.to_string()),
            ("input_count", &recorded.inputs.len().to_string()),
            ("inputs", &inputs),
            ("result", &recorded.computed.result.to_string()),
            ("output_count", &computed.len().to_string()),
            ("outputs", &outputs(&computed)),
            ("answered_count", &answered.len().to_string()),
            ("answered", &outputs(answered)),
            ("asserter_wins", &(recorded.winner == Side::Asserter).to_string()),
            ("word_count", &contracts::opening(opening).len().to_string()),
            ("words", &words),
            ("move_count", &moves.len().to_string()),
            ("moves", &calls),
        ],
    )
}

/// Bytes as a hexadecimal literal of Solidity.
fn hex(bytes: &[u8]) -> String {
    crate::output::hex(bytes).split_off(2)
}
