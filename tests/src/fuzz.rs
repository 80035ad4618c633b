//! Fuzz targets, and a small fuzzer that runs them briefly without any installation.
//!
//! A target is a function of bytes that panics if something is wrong. `tests/fuzz` passes the same functions
//! to libFuzzer. `tests/tests/fuzz_smoke.rs` runs them on mutations of the fixtures.

mod graph;
#[cfg(feature = "chain")]
mod job;
mod program;

use crate::backend::{ALL_BACKENDS, Backend, InterpreterBackend, JitBackend, Job, Registers, agree};
use crate::random::Random;
use crate::tools::in_repository;
use image::{Contents, Image, Segment};
use interpreter::{Arithmetic, Interpreter};
use isa::{Extensions, Format, TABLE};
use std::fs;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use step::{MachineProfile, Root, Status, WitnessError};

/// A function to be called with bytes, and a corpus to start from.
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
    Target { name: "compile", run: compile, corpus: models },
    Target { name: "graph", run: graph, corpus: graph::choices },
    Target { name: "program", run: program, corpus: program::programs },
    Target { name: "onnx_tensor", run: onnx_tensor, corpus: tensors },
    Target { name: "elf", run: elf, corpus: elves },
    Target { name: "image", run: image, corpus: images },
    Target { name: "witness", run: witness, corpus: witnesses },
    Target { name: "step", run: step, corpus: machines },
    Target { name: "jit", run: jit, corpus: machines },
    #[cfg(feature = "chain")]
    Target { name: "job", run: job, corpus: job::jobs },
];

pub use graph::graph;
#[cfg(feature = "chain")]
pub use job::job;
pub use program::program;

/// Small, so that a hostile size causes an error and not an hour of zeros.
const LIMITS: onnx::Limits = onnx::Limits { file: 1 << 20, tensor: 1 << 20 };

/// Any bytes are a model or an error, and any model is a graph or an error.
pub fn onnx_model(bytes: &[u8]) {
    let Ok(model) = onnx::decode_model(bytes, &LIMITS) else { return };
    let options = compiler::Options { max_memory: 1 << 20, limits: LIMITS, ..compiler::Options::default() };
    let _ = compiler::import_model(model, &options);
}

/// Any model with a graph becomes an image or an error, and the image runs to its end, since no compiled
/// program traps.
pub fn compile(bytes: &[u8]) {
    let Ok(model) = onnx::decode_model(bytes, &LIMITS) else { return };
    let options = compiler::Options { max_memory: 1 << 16, limits: LIMITS, ..compiler::Options::default() };
    let Ok(compiled) = compiler::compile_model(model, &options) else { return };
    let mut machine =
        InterpreterBackend(Arithmetic::Host).start(&Job::whole(&compiled.image)).expect("a machine");
    let outcome = machine.run(1 << 22);
    assert!(
        !matches!(outcome.status, Status::Trapped(_)),
        "{} after {} steps",
        outcome.status,
        outcome.steps
    );
}

/// Any bytes are a tensor or an error, and a tensor has as many bytes as its shape requires.
pub fn onnx_tensor(bytes: &[u8]) {
    let Ok((_, tensor)) = onnx::decode_tensor(bytes, &LIMITS) else { return };
    let elements: u64 = tensor.dims().iter().product();
    assert!(
        elements as usize <= tensor.bytes().len() * 2,
        "{elements} elements, {} bytes",
        tensor.bytes().len()
    );
}

/// Any bytes are a program or an error, and a loaded program is an image or an error.
pub fn elf(bytes: &[u8]) {
    if let Ok(image::elf::Program { contents, .. }) = image::elf::load(bytes, &image::elf::Options::default())
    {
        let _ = Image::new(contents);
    }
}

/// Any bytes are an image or an error, even if the hash of the metadata is made to match. Writing and reading
/// an image gives the same image. Even an unverified image can be run.
pub fn image(bytes: &[u8]) {
    reread(bytes);
    let mut bytes = bytes.to_vec();
    let Some((head, metadata)) = bytes.split_at_mut_checked(48) else { return };
    let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
    if let Some(metadata) = metadata.get(..length) {
        head[16..].copy_from_slice(&step::keccak(metadata).0);
        reread(&bytes);
    }
}

/// Reads an image, reads what it writes, and runs it unverified.
fn reread(bytes: &[u8]) {
    unverified(bytes);
    let Ok(image) = Image::from_bytes(bytes) else { return };
    let written = image.to_bytes().expect("an image that was read can be written");
    let again = Image::from_bytes(&written).expect("an image that was written can be read");
    assert!(again == image, "an image changed when it was written and read");
}

/// Opens an image and uses it in every way. Its nodes may be wrong, so roots may be too.
fn unverified(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("room");
    let Ok(image) = Image::open(file.path()) else { return };
    let Ok(mut machine) = Interpreter::new(&image) else { return };
    let verified = image.verify(|_| ()).is_ok();
    let before = machine.state_root();
    assert_eq!(before, image.state().root());
    let snapshot = machine.snapshot();
    machine.run(2000);
    let proved = machine.witness();
    assert!(proved.is_ok() || !verified, "{proved:?}");
    let after = machine.snapshot();
    machine.restore(&snapshot).expect("its own snapshot");
    assert!(machine.state_root() == before || !verified);
    machine.restore(&after).expect("its own snapshot");
}

/// A step with its only valid witness.
struct Step {
    profile: MachineProfile,
    before: Root,
    witness: Vec<u8>,
    after: Root,
}

/// Steps of many different instructions, from a random program and a linked one.
static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let mut steps = Vec::new();
    for image in images() {
        let image = Image::from_bytes(&image).expect("an image");
        let mut machine = InterpreterBackend(Arithmetic::Soft).start(&Job::whole(&image)).expect("a machine");
        // Blocks of the random program are short, and loops of the linked one are long.
        while machine.status() == Status::Running && steps.len() < 250 {
            let before = machine.state_root();
            let (witness, after) = machine.witness().expect("a witness of a live machine");
            steps.push(Step { profile: machine.profile(), before, witness, after });
            machine.run(1);
        }
    }
    steps
});

/// The first byte chooses a step. Only that step's witness may verify, and only to its state. Verifying never
/// panics, whatever state the bytes contain.
pub fn witness(bytes: &[u8]) {
    let Some((&choice, candidate)) = bytes.split_first() else { return };
    let step = &STEPS[usize::from(choice) % STEPS.len()];
    let verdict = step::verify(step.profile, candidate, step.before);
    if candidate == step.witness {
        assert_eq!(verdict, Ok(step.after), "the witness of a step");
    } else {
        assert!(verdict.is_err(), "another witness of the step was accepted: {verdict:?}");
    }
    // It may well be the witness of a step from another state.
    if let Err(WitnessError::State { found, .. }) = verdict {
        assert!(step::verify(step.profile, candidate, found).is_ok(), "another state's witness");
    }
}

/// The witnesses, each with its choice.
fn witnesses() -> Vec<Vec<u8>> {
    (0..=u8::MAX)
        .zip(STEPS.iter())
        .map(|(choice, step)| [&[choice], step.witness.as_slice()].concat())
        .collect()
}

/// log2 of the memory of a fuzzed machine.
const MEMORY_BITS: u8 = 14;
/// Where its code is: in the middle, so that it hides memory.
const CODE: u64 = 0x2000;
/// The maximum number of steps that it makes.
const STEP_LIMIT: u64 = 40;

/// A machine made from the bytes does the same on every backend. The first byte chooses extensions and
/// registers. The words of code follow.
pub fn step(bytes: &[u8]) {
    let Some((image, registers)) = machine_of(bytes) else { return };
    let (registers, output) = (Some(registers), (0, CODE));
    agree(ALL_BACKENDS, &Job { registers, limit: STEP_LIMIT, output, ..Job::whole(&image) });
}

/// Translated code does the same as the interpreter with software floats, in longer runs, and stops where it
/// should.
pub fn jit(bytes: &[u8]) {
    let Some((image, registers)) = machine_of(bytes) else { return };
    let (registers, output) = (Some(registers), (0, CODE));
    for limit in [2000, 1000 + u64::from(bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)))] {
        let backends: [&dyn Backend; 3] =
            [&InterpreterBackend(Arithmetic::Soft), &JitBackend(0), &JitBackend(200)];
        agree(&backends, &Job { registers, limit, output, ..Job::whole(&image) });
    }
}

/// The machine and the registers made from bytes.
fn machine_of(bytes: &[u8]) -> Option<(Image, Registers)> {
    let (&choice, code) = bytes.split_first()?;
    let words: Vec<u32> =
        code.as_chunks::<4>().0.iter().take(64).map(|&word| legal(u32::from_le_bytes(word))).collect();
    let extensions = Extensions::ALL[Extensions::ALL.len() - 1 - usize::from(choice) % Extensions::ALL.len()];
    Some((small_image(extensions, &words), hostile_registers(&mut Random::new(choice.into()))))
}

/// Most words are not instructions, and most programs of random words would end at once. So one word in eight
/// stays unchanged, and the others become the most similar instruction of one of the table's entries.
fn legal(word: u32) -> u32 {
    if word >> 29 == 0 {
        return word;
    }
    let entry = &TABLE[(word >> 7) as usize % TABLE.len()];
    word & !entry.mask | entry.bits
}

/// An image of code only.
fn small_image(extensions: Extensions, words: &[u32]) -> Image {
    let mut code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    code.resize(code.len().next_multiple_of(32).max(32), 0);
    let profile = MachineProfile::new(extensions, MEMORY_BITS, CODE, code.len() as u64).expect("a machine");
    let data = (0..256u64).flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let contents = Contents {
        profile,
        entry: CODE,
        sp: 0,
        code: code.into(),
        segments: vec![Segment { address: 0, bytes: data }],
        tensors: Vec::new(),
        symbols: Vec::new(),
        schedule: Vec::new(),
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    Image::new(contents).expect("an image")
}

/// Registers that are addresses in memory and code, or near their ends, or any words. Floats of all kinds.
fn hostile_registers(random: &mut Random) -> Registers {
    let edges = [0, CODE - 8, CODE, CODE + 64, (1 << MEMORY_BITS) - 8, 1 << MEMORY_BITS, 93];
    let x = std::array::from_fn(|register| match (register, random.below(4)) {
        (0, _) => 0,
        (_, 0) => random.word(),
        (_, 1) => random.pick(&edges).wrapping_add(random.below(16)).wrapping_sub(8),
        (_, 2) => *random.pick(&edges),
        _ => 8 * random.below(1 << (MEMORY_BITS - 3)),
    });
    let f = std::array::from_fn(|_| match random.below(4) {
        0 => random.word(),
        1 => random.float(Format::F64),
        _ => random.float(Format::F32) | 0xffff_ffff << 32,
    });
    Registers { x, f }
}

/// Words of every entry of the table, in pieces.
fn machines() -> Vec<Vec<u8>> {
    let mut random = Random::new(0);
    let mut machine = |_| {
        let words = (0..32).flat_map(|_| {
            let entry = random.pick(TABLE);
            let word = entry.bits | random.bits() as u32 & !entry.mask;
            word.to_le_bytes()
        });
        let words: Vec<u8> = words.collect();
        [&[random.bits() as u8], words.as_slice()].concat()
    };
    (0..64).map(&mut machine).collect()
}

/// The small files with this ending in a folder of the fixtures and its subfolders.
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
        let contents = image::elf::load(&elf, &image::elf::Options::default()).expect("a program").contents;
        Image::new(contents).expect("an image").to_bytes().expect("bytes")
    };
    elves().into_iter().map(image).collect()
}

/// Bytes similar to some of the corpus.
fn mutant(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..1 + random.below(4) {
        mutate(&mut bytes, corpus, random);
    }
    bytes
}

/// Makes a change.
fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let rest = bytes.len() - at;
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.bits() as u8),
        2 => drop(bytes.drain(at..at + random.below(rest.min(16) as u64 + 1) as usize)),
        // A number of some width that parsers may treat specially.
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
    /// Runs the corpus unchanged, then mutations of it until the time is up. The seed determines them.
    ///
    /// # Errors
    /// With the first input on which the target fails.
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
