//! `opml verifier`: the Foundry package for an image.

use crate::cli::Verifier;
use crate::failure::Failure;
use crate::images::load_verified;
use crate::output::{Output, create_folder, write_file};
use crate::package::package;
use crate::tensors::read_given_inputs;
use serde_json::json;

/// Writes the package.
pub fn run(args: &Verifier, output: Output) -> Result<(), Failure> {
    let image = load_verified(&args.image, output)?;
    let inputs = read_given_inputs(&image, &args.inputs)?;
    let inputs: Vec<(u64, Vec<u8>)> = inputs.into_iter().map(|fed| (fed.address, fed.bytes)).collect();
    let stem = args.image.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    args.limits.admit(&image.big_steps())?;
    // What can't be written is known before the image has run.
    create_folder(&args.output)?;
    let spinner = output.spinner("running the image and disputing it");
    let files = package(&image, &identifier(stem), &inputs, &args.limits.memory())?;
    spinner.finish_and_clear();
    let mut written = Vec::new();
    for file in &files {
        let path = args.output.join(&file.name);
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        write_file(&path, file.text.as_bytes())?;
        written.push(path);
    }
    let list: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
    output.result(&json!({ "files": written }), &list.join("\n"))
}

/// A file's name as the first part of a contract's: "mnist-cnn.v2" becomes "MnistCnnV2".
fn identifier(stem: &str) -> String {
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    // StepVerifier and IStepVerifier are the files beside it, also where file names ignore case.
    let taken = ["step", "istep"].contains(&name.to_ascii_lowercase().as_str());
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !taken { name } else { format!("Model{name}") }
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn contract_names() {
        for (stem, name) in [
            ("mnist-cnn.v2", "MnistCnnV2"),
            ("7b", "Model7b"),
            ("", "Model"),
            ("mö/d", "MD"),
            ("a", "A"),
            ("step", "ModelStep"),
            ("istep", "ModelIstep"),
        ] {
            assert_eq!(identifier(stem), name);
        }
    }
}
