//! `opml verifier`: writes the Foundry package for an image.

use crate::cli::Verifier;
use crate::failure::Failure;
use crate::images::load_verified;
use crate::output::{self, Output, create_folder, write_file};
use crate::package::{package, runs};
use crate::tensors::read_given_inputs;
use serde_json::json;
use solidity::File;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Writes the package.
pub fn run(args: &Verifier, output: Output) -> Result<(), Failure> {
    let image = load_verified(&args.image, output)?;
    let inputs = read_given_inputs(&image, &args.inputs)?;
    let inputs: Vec<(u64, Vec<u8>)> = inputs.into_iter().map(|input| (input.address, input.bytes)).collect();
    let stem = args.image.file_stem().unwrap_or_default().to_string_lossy();
    args.limits.admit(&image.big_steps())?;
    // A package that can't be written is rejected before the image runs.
    let place = Place::open(&args.output, args.force)?;
    let progress = output.steps(Some(runs::steps_searched(&image)));
    let files = package(&image, &identifier(&stem), &inputs, &args.limits.memory(), &progress)?;
    progress.finish_and_clear();
    place.write(&files)?;
    let written: Vec<PathBuf> = files.iter().map(|file| args.output.join(&file.name)).collect();
    let list: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
    let object = json!({ "files": written.iter().map(|file| output::path(file)).collect::<Vec<_>>() });
    output.result(&object, &list.join("\n"))
}

/// Where to write a package.
enum Place<'a> {
    /// A new folder, which appears with all its files at once.
    New {
        folder: &'a Path,
        /// A temporary folder beside it. It is removed if the package isn't finished.
        draft: TempDir,
    },
    /// An existing folder.
    Old { folder: &'a Path, force: bool },
}

impl<'a> Place<'a> {
    fn open(folder: &'a Path, force: bool) -> Result<Self, Failure> {
        if folder.symlink_metadata().is_err() {
            let parent =
                folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            create_folder(parent)?;
            let mut builder = tempfile::Builder::new();
            builder.prefix(".opml-");
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
            let draft = builder.tempdir_in(parent).map_err(|error| cannot_write(folder, &error))?;
            return Ok(Self::New { folder, draft });
        }
        let unreadable = |error| Failure::io("use the folder", &folder.display().to_string(), &error);
        let mut entries = std::fs::read_dir(folder).map_err(unreadable)?;
        if !force && entries.next().is_some() && !folder.join("src/StepVerifier.sol").exists() {
            let message = "the folder has files in it, but is not a package of `opml verifier`";
            return Err(Failure::about(folder, message)
                .hint("choose another --output; --force writes the package among these files"));
        }
        Ok(Self::Old { folder, force })
    }

    /// Writes all files, or none if one of them would overwrite something else.
    fn write(self, files: &[File]) -> Result<(), Failure> {
        match self {
            Self::New { folder, draft } => {
                write_all(draft.path(), files)?;
                std::fs::rename(draft.path(), folder).map_err(|error| cannot_write(folder, &error))?;
                // The folder is in its place now.
                let _ = draft.keep();
                Ok(())
            }
            Self::Old { folder, force } => {
                // A file that can't be read may contain anything.
                let differ = |file: &&File| match std::fs::read(folder.join(&file.name)) {
                    Ok(old) => old != file.text.as_bytes(),
                    Err(error) => error.kind() != std::io::ErrorKind::NotFound,
                };
                let edited: Vec<&str> = files.iter().filter(differ).map(|file| &*file.name).collect();
                if !force && !edited.is_empty() {
                    let message = format!("these files differ from the package's: {}", edited.join(", "));
                    return Err(Failure::about(folder, message)
                        .hint("--force overwrites them; another --output keeps both"));
                }
                write_all(folder, files)
            }
        }
    }
}

fn write_all(folder: &Path, files: &[File]) -> Result<(), Failure> {
    for file in files {
        let path = folder.join(&file.name);
        create_folder(path.parent().unwrap_or(folder))?;
        write_file(&path, file.text.as_bytes())?;
    }
    Ok(())
}

fn cannot_write(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::io("write", &folder.display().to_string(), error)
}

/// The first part of a contract's name, derived from a file name: "mnist-cnn.v2" becomes "MnistCnnV2".
fn identifier(stem: &str) -> String {
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    // StepVerifier and IStepVerifier are files beside it. Some file systems ignore case.
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
