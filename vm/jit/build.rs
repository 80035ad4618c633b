//! Names this version of the translator. Other sources make other code, and a cache must not mix them up.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// The sources that determine the code: this crate, and the crates whose functions it runs.
const SOURCES: [&str; 3] = ["src", "../isa/src", "../step/src"];

fn main() {
    let mut files: Vec<PathBuf> = SOURCES.iter().flat_map(|folder| files(Path::new(folder))).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        hasher.write(&fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    SOURCES.iter().for_each(|folder| println!("cargo:rerun-if-changed={folder}"));
    println!("cargo:rustc-env=JIT_SOURCES={:016x}", hasher.finish());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
