//! Fuzz targets, and a small fuzzer to run them briefly without anything installed.
//!
//! A target is a function of bytes that panics if something is wrong. `tests/fuzz` hands the same functions to
//! libFuzzer; `tests/tests/fuzz_smoke.rs` runs them over mutations of the fixtures.

use crate::random::Random;
use crate::tools::in_repository;
use image::Image;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// A function to feed with bytes, and bytes to start from.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub run: fn(&[u8]),
    /// Good inputs.
    pub corpus: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "onnx_model", run: onnx_model, corpus: models },
    Target { name: "onnx_tensor", run: onnx_tensor, corpus: tensors },
    Target { name: "elf", run: elf, corpus: elves },
    Target { name: "image", run: image, corpus: images },
];

/// Small, so that a hostile size shows as an error and not as an hour of zeros.
const LIMITS: onnx::Limits = onnx::Limits { file: 1 << 20, tensor: 1 << 20 };

/// Any bytes are a model or an error, and any model is a graph or an error.
pub fn onnx_model(bytes: &[u8]) {
    let Ok(model) = onnx::decode_model(bytes, None, &LIMITS) else { return };
    let options = compiler::Options { max_memory: 1 << 20, limits: LIMITS, ..compiler::Options::default() };
    let _ = compiler::import_model(model, &options);
}

/// Any bytes are a tensor or an error, and a tensor has as many bytes as its shape says.
pub fn onnx_tensor(bytes: &[u8]) {
    let Ok((_, tensor)) = onnx::decode_tensor(bytes, None, &LIMITS) else { return };
    let elements: u64 = tensor.dims().iter().product();
    assert!(elements as usize <= tensor.bytes().len() * 2, "{elements} elements, {} bytes", tensor.bytes().len());
}

/// Any bytes are a program or an error, and what is loaded is an image or an error.
pub fn elf(bytes: &[u8]) {
    if let Ok(contents) = image::elf::load(bytes, &image::elf::Options::default()) {
        let _ = Image::new(contents);
    }
}

/// Any bytes are an image or an error; an image written and read again is the same.
pub fn image(bytes: &[u8]) {
    let Ok(image) = Image::from_bytes(bytes) else { return };
    let written = image.to_bytes().expect("an image that was read can be written");
    let again = Image::from_bytes(&written).expect("an image that was written can be read");
    assert!(again == image, "an image changed when it was written and read");
}

/// The files with this ending in a folder of the fixtures and its subfolders, as long as they are small.
fn fixtures(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    fn collect(folder: &Path, ending: &str, into: &mut Vec<Vec<u8>>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                collect(&path, ending, into);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                into.push(fs::read(&path).expect("a readable fixture"));
            }
        }
    }
    let mut files = Vec::new();
    collect(&in_repository(&format!("fixtures/{folder}")), ending, &mut files);
    files.retain(|file| file.len() <= 16 << 10);
    files
}

/// Models, good and bad.
fn models() -> Vec<Vec<u8>> {
    [fixtures("operators", "onnx"), fixtures("hostile", "onnx")].concat()
}

/// Tensors.
fn tensors() -> Vec<Vec<u8>> {
    fixtures("operators", "pb")
}

/// Programs: a random one, and one with everything a linker adds.
fn elves() -> Vec<Vec<u8>> {
    let program = crate::program::Program::random(1, &mut Random::new(0), &mut vec![0; isa::TABLE.len()]);
    vec![program.elf(), include_bytes!("../../fixtures/programs/crc32.elf").to_vec()]
}

/// Images of the programs.
fn images() -> Vec<Vec<u8>> {
    let image = |elf: Vec<u8>| {
        let contents = image::elf::load(&elf, &image::elf::Options::default()).expect("a program");
        Image::new(contents).expect("an image").to_bytes().expect("bytes")
    };
    elves().into_iter().map(image).collect()
}

/// Bytes that are close to some of the corpus.
fn mutant(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..1 + random.below(4) {
        mutate(&mut bytes, corpus, random);
    }
    bytes
}

/// Changes something.
fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let rest = bytes.len() - at;
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.bits() as u8),
        2 => drop(bytes.drain(at..at + random.below(rest.min(16) as u64 + 1) as usize)),
        // A number of some width that is special to some parser.
        3 => {
            let number = random.word().to_le_bytes();
            let width = rest.min(1 << random.below(4));
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        // A piece of another input.
        4 => {
            let other = random.pick(corpus);
            let from = random.below(other.len() as u64 + 1) as usize;
            let piece = &other[from..other.len().min(from + random.below(64) as usize)];
            bytes.splice(at..at, piece.iter().copied());
        }
        _ if rest > 0 => bytes[at] ^= 1 << random.below(8),
        _ => {}
    }
}

impl Target {
    /// Runs the corpus as it is, then mutations of it until the time is up; the seed decides which.
    ///
    /// # Errors
    /// With the first input that the target fails on.
    pub fn fuzz(&self, seed: u64, time: Duration) -> Result<u64, Vec<u8>> {
        let corpus = (self.corpus)();
        let mut random = Random::new(seed);
        let start = Instant::now();
        let mut runs = 0;
        let mut inputs = corpus.clone().into_iter();
        while runs < corpus.len() as u64 || start.elapsed() < time {
            let input = inputs.next().unwrap_or_else(|| mutant(&corpus, &mut random));
            if catch_unwind(|| (self.run)(&input)).is_err() {
                return Err(input);
            }
            runs += 1;
        }
        Ok(runs)
    }
}
