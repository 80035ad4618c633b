//! The benchmark programs: C programs in two builds, and models compiled by opml.

use compiler::{Compiled, Options};
use dnn_lib::operator::{Conv, MatMul, Operator, Padding, Relu, Window};
use dnn_lib::tensor::{DType, TensorType};
use graph::{Builder, Graph, TensorId};
use image::{Image, Role};
use opml_tests::guest::{Build, EMPTY, GUESTS, Guest};
use opml_tests::random::Random;
use opml_tests::tools::{in_repository, write_executable};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Where programs are linked: at low addresses, for machines with little memory.
const ORIGIN: u64 = 0x1_0000;

/// A program for every machine.
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its build.
    pub build: &'static str,
    /// The program for opml's machines.
    pub image: Image,
    /// The inputs, written into memory before the first step.
    pub inputs: Vec<(u64, Vec<u8>)>,
    /// The program as a file.
    pub elf: Vec<u8>,
    /// The program as an executable file.
    pub executable: PathBuf,
    /// The program for this computer: a file, or a model's kernels.
    pub native: Native,
    /// How often it runs in one round, always from its start.
    pub repeat: usize,
    /// The folder of the executables.
    _folder: TempDir,
}

/// A program for this computer.
pub enum Native {
    /// Compiled by gcc.
    Executable(PathBuf),
    /// Compiled by opml, run in one thread.
    Model(Arc<native::Native>),
}

/// All programs, grouped by their build.
pub fn all() -> Vec<Program> {
    let soft = GUESTS.iter().map(|guest| c(guest, false));
    let hard = GUESTS.iter().filter(|guest| guest.floats).map(|guest| c(guest, true));
    soft.chain(hard).chain(models()).collect()
}

/// The program that does nothing.
pub fn empty() -> Program {
    c(&EMPTY, false)
}

fn c(guest: &Guest, floats: bool) -> Program {
    let size = guest.sizes[usize::from(floats)];
    let build = Build { floats, optimisation: "-O2", fused: false, origin: ORIGIN };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (executable, native) = (folder.path().join("program"), folder.path().join("native"));
    let elf = guest.compile(build, size);
    write_executable(&executable, &elf);
    guest.compile_natively(floats, size, &native);
    Program {
        name: guest.name.to_owned(),
        build: if floats { "C, rv64imfd" } else { "C, rv64im" },
        image: load(&elf),
        inputs: Vec::new(),
        elf,
        executable,
        native: Native::Executable(native),
        repeat: 1,
        _folder: folder,
    }
}

fn load(elf: &[u8]) -> Image {
    let contents =
        image::elf::load(elf, &image::elf::Options::default()).expect("a program that loads").contents;
    Image::new(contents).expect("an image")
}

/// Models: the bundled networks, repeated since they are short, and two larger ones.
fn models() -> Vec<Program> {
    let bundled = |folder: &str| {
        let model = in_repository(&format!("fixtures/{folder}/model.onnx"));
        compiler::compile(&model, &Options::default()).expect("a model that compiles")
    };
    let made = |graph| compiler::compile_graph(graph, &Options::default()).expect("a graph that compiles");
    vec![
        model("MNIST MLP", bundled("mnist-mlp"), 100),
        model("MNIST CNN", bundled("mnist-cnn"), 20),
        model("two convolutions", made(convolutions()), 1),
        model("matrix product", made(product()), 1),
    ]
}

fn model(name: &str, compiled: Compiled, repeat: usize) -> Program {
    let native =
        Native::Model(Arc::new(native::Native::of(&compiled.image, 1).expect("kernels for this host")));
    let mut elf = Vec::new();
    compiled.write_elf(&mut elf).expect("an ELF file");
    let image = compiled.image;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let executable = folder.path().join("program");
    write_executable(&executable, &elf);
    let mut random = Random::new(1);
    let inputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    let inputs = inputs.map(|tensor| (tensor.address, floats(tensor.bytes / 4, &mut random))).collect();
    let build = "model, rv64imfd";
    let name = name.to_owned();
    Program { name, build, image, inputs, elf, executable, native, repeat, _folder: folder }
}

/// Floats between -1/8 and 1/8, as bytes.
fn floats(count: u64, random: &mut Random) -> Vec<u8> {
    let float = |_| (random.below(1 << 16) as f32 - 32768.0) / 262_144.0;
    (0..count).map(float).flat_map(f32::to_le_bytes).collect()
}

/// Two convolutions with a ReLU between them.
fn convolutions() -> Graph {
    let mut b = Builder::new("", 1 << 30);
    let padding = Padding::Explicit(vec![(1, 1); 2]);
    let conv = Conv { window: Window { padding, ..Window::default() }, group: 1 };
    let input = b.input("x", TensorType::new(DType::F32, [1, 64, 32, 32]));
    let [first, second] = ["w1", "w2"].map(|name| weights(&mut b, name, [64, 64, 3, 3]));
    let mut node =
        |operator: Operator, inputs: &[TensorId]| b.apply("", operator, inputs, &[]).expect("a node")[0];
    let convolved = node(conv.clone().into(), &[input, first]);
    let positive = node(Relu.into(), &[convolved]);
    let output = node(conv.into(), &[positive, second]);
    b.output(output);
    b.finish()
}

/// A matrix times a constant matrix.
fn product() -> Graph {
    let mut b = Builder::new("", 1 << 30);
    let input = b.input("x", TensorType::new(DType::F32, [640, 640]));
    let weights = weights(&mut b, "w", [640, 640]);
    let output = b.apply("", MatMul, &[input, weights], &[]).expect("a node")[0];
    b.output(output);
    b.finish()
}

/// Constant floats.
fn weights<const RANK: usize>(b: &mut Builder, name: &str, shape: [u64; RANK]) -> TensorId {
    let value = floats(shape.iter().product(), &mut Random::new(2)).into();
    b.tensor(name, TensorType::new(DType::F32, shape), Some(value))
}
