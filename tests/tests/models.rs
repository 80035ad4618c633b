//! The bundled networks and the operator cases as images. All backends agree to the bit, the networks'
//! outputs are close to onnxruntime's and to float64 arithmetic, and their roots don't change.

use compiler::{Compiled, Options, compile_model};
use image::{Image, Role};
use onnx::{Attribute, Limits, Model};
use opml_tests::backend::{
    ALL_BACKENDS, Backend, Ending, FlatBackend, Input, InterpreterBackend, Job, agree,
};
use opml_tests::tools::in_repository;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use step::Status;

/// The networks, and the suffix of the digits' files for each.
const NETWORKS: [(&str, &str); 2] = [("mnist-mlp", "flat.npy"), ("mnist-cnn", "npy")];

/// The tolerance against another implementation's output.
const TOLERANCE: f64 = 1e-5;

/// The numbers in a little-endian .npy file, and their bytes. The array follows the header, whose length is
/// at byte 8 (NEP 1).
fn npy(path: &Path) -> (Vec<f64>, Vec<u8>) {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = String::from_utf8_lossy(&file[10..data]);
    let bytes = file[data..].to_vec();
    let numbers = if header.contains("<f8") {
        bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect()
    } else {
        f32s(&bytes)
    };
    (numbers, bytes)
}

/// Bytes as f32.
fn f32s(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect()
}

fn read(network: &str) -> Model {
    let path = in_repository(&format!("fixtures/{network}/model.onnx"));
    onnx::read_model(&path, &Limits::default()).unwrap_or_else(|error| panic!("{network}: {error}"))
}

fn compiled(model: Model) -> Compiled {
    let options = Options::default();
    compile_model(model, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// A digit's grey levels.
fn digit(digit: u32, ending: &str) -> Vec<u8> {
    npy(&in_repository(&format!("fixtures/digits/{digit}.{ending}"))).1
}

/// Runs an image with these inputs on these backends. Returns its first output.
fn run(backends: &[&dyn Backend], image: &Image, inputs: &[&[u8]]) -> Ending {
    let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    let inputs: Vec<Input> =
        tensors(Role::Input).zip(inputs).map(|(tensor, &bytes)| (tensor.address, bytes.to_vec())).collect();
    let output = tensors(Role::Output).next().map_or((0, 0), |tensor| (tensor.address, tensor.bytes));
    let ending = agree(backends, &Job { inputs: &inputs, output, ..Job::whole(image) });
    assert_eq!(ending.state.status, Status::Exited);
    ending
}

/// The maximum distance of a network's output for a digit from the two stored outputs.
fn distance(network: &str, digit: u32, answer: &[f64]) -> f64 {
    let distance = |kind| {
        let path = in_repository(&format!("fixtures/{network}/expected/{digit}.{kind}.npy"));
        let (expected, _) = npy(&path);
        assert_eq!(expected.len(), answer.len(), "{}", path.display());
        answer.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    f64::max(distance("onnxruntime"), distance("float64"))
}

/// The class with the highest score.
fn best(answer: &[f64]) -> u32 {
    let best = answer.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(digit, _)| digit as u32)
}

/// The backends that are fast enough for millions of steps.
fn quick() -> [&'static dyn Backend; 2] {
    use interpreter::Arithmetic::{Host, Soft};
    [&InterpreterBackend(Host), &InterpreterBackend(Soft)]
}

#[test]
fn networks_answer_as_expected_and_keep_their_roots() {
    let mut report = String::new();
    for (network, ending) in NETWORKS {
        let image = compiled(read(network)).image;
        writeln!(report, "{network}\n  code   {}\n  memory {}", image.code_root(), image.memory_root())
            .unwrap();
        for label in 0..10 {
            let end = run(&quick(), &image, &[&digit(label, ending)]);
            let answer = f32s(&end.output);
            let distance = distance(network, label, &answer);
            assert!(distance < TOLERANCE, "{network} on {label}: {distance:e} from the stored answers");
            assert_eq!(best(&answer), label, "{network}: {answer:?}");
            writeln!(report, "  {label}      {} after {} steps", end.state.root(), end.steps).unwrap();
        }
    }
    insta::assert_snapshot!(report);
}

#[test]
fn the_step_without_hashes_computes_the_same() {
    let image = compiled(read("mnist-mlp")).image;
    let [host, _] = quick();
    run(&[host, &FlatBackend], &image, &[&digit(3, "flat.npy")]);
}

#[test]
fn a_pool_window_that_is_off_by_one_is_noticed() {
    let mut model = read("mnist-cnn");
    let pools = model.graph.nodes.iter_mut().filter(|node| node.operator == "MaxPool");
    // 28 rows with one row of padding above still make 14 windows of two, each one row higher than it should
    // be.
    let moved = pools
        .map(|pool| pool.attributes.insert("pads".to_owned(), Attribute::Ints(vec![1, 1, 0, 0])))
        .count();
    assert!(moved > 0, "the network has no pool");
    let image = compiled(model).image;
    let [host, _] = quick();
    let worst = (0..10).map(|label| {
        distance("mnist-cnn", label, &f32s(&run(&[host], &image, &[&digit(label, "npy")]).output))
    });
    assert!(worst.fold(0.0, f64::max) > TOLERANCE);
}

/// The folders of the operator cases.
fn cases() -> Vec<PathBuf> {
    let folder = in_repository("fixtures/operators");
    let entries = fs::read_dir(&folder).expect("fixtures/operators");
    let mut cases: Vec<_> =
        entries.map(|entry| entry.expect("a folder").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// A case's image and inputs. Its open dimensions are those of the inputs.
fn case(folder: &Path) -> (Image, Vec<Vec<u8>>) {
    let limits = Limits::default();
    let model = onnx::read_model(&folder.join("model.onnx"), &limits).expect("a model");
    let inputs = (0..).map(|index| folder.join(format!("test_data_set_0/input_{index}.pb")));
    let inputs = inputs
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &limits).expect("a tensor").1);
    let inputs: Vec<_> = inputs.collect();
    let constant = |name: &str| model.graph.initializers.iter().any(|initializer| initializer.name == name);
    let open = model.graph.inputs.iter().filter(|value| !constant(&value.name));
    let shapes =
        open.zip(&inputs).map(|(value, input)| (value.name.clone(), input.dims().to_vec())).collect();
    let options = Options { shapes, ..Options::default() };
    let compiled = compile_model(model, &options);
    let image = compiled.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).image;
    (image, inputs.into_iter().map(|input| input.bytes().to_vec()).collect())
}

#[test]
fn all_backends_agree_on_every_operator_case() {
    let cases = cases();
    assert!(cases.len() > 200, "{} cases", cases.len());
    for folder in cases {
        let (image, inputs) = case(&folder);
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        run(&quick(), &image, &inputs);
    }
}

#[test]
fn every_step_of_a_small_network_verifies() {
    let (image, inputs) = case(&in_repository("fixtures/operators/relu"));
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let ending = run(ALL_BACKENDS, &image, &inputs);
    assert!(ending.steps > 100, "{} steps", ending.steps);
}
