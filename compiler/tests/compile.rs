//! Models become images that are complete, small, and the same every time.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use compiler::{Compiled, Options};
use image::{Image, Role};
use step::MachineProfile;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn compile(model: &Path) -> Compiled {
    compiler::compile(model, &Options::default())
        .unwrap_or_else(|error| panic!("{}: {error}", model.display()))
}

fn networks() -> [Compiled; 2] {
    ["mnist-mlp", "mnist-cnn"].map(|name| compile(&fixtures().join(name).join("model.onnx")))
}

fn elf(compiled: &Compiled) -> Vec<u8> {
    let mut bytes = Vec::new();
    compiled.write_elf(&mut bytes).unwrap();
    bytes
}

#[test]
fn an_elf_file_is_the_same_program() {
    for case in ["mnist-mlp", "mnist-cnn", "operators/add", "operators/add_int64"] {
        let compiled = compile(&fixtures().join(case).join("model.onnx"));
        let mut contents = image::elf::read(&elf(&compiled)).unwrap();
        let Compiled { image, .. } = &compiled;
        // Whoever reads an ELF file gives it memory at all its addresses, but here the code is above memory.
        let (extensions, code) = (contents.profile.extensions(), contents.profile.code_base());
        let (bits, size) = (image.profile.memory_bits(), contents.profile.code_size());
        contents.profile = MachineProfile::new(extensions, bits, code, size).unwrap();
        contents.sp = image.sp;
        let read = Image::new(contents).unwrap();
        assert_eq!(
            (read.code_root(), read.memory_root()),
            (image.code_root(), image.memory_root()),
            "{case}"
        );
        assert_eq!((read.profile, read.state()), (image.profile, image.state()), "{case}");
        assert_eq!((&read.symbols, &read.segments), (&image.symbols, &image.segments), "{case}");
    }
}

#[test]
fn every_operator_case_becomes_an_image() {
    let mut failures = Vec::new();
    for case in std::fs::read_dir(fixtures().join("operators")).unwrap() {
        let model = case.unwrap().path().join("model.onnx");
        let name = model.display().to_string();
        // Cases with open dimensions need shapes, and the message must say so.
        match compiler::compile(&model, &Options::default()) {
            Err(error) if model.exists() && !error.to_string().contains("--shape") => {
                failures.push(format!("{name}: {error}"));
            }
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_same_model_gives_the_same_bytes_in_any_folder_and_thread() {
    let model = fixtures().join("mnist-cnn/model.onnx");
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("another name.onnx");
    std::fs::copy(&model, &copy).unwrap();
    let first = compile(&model);
    let others = std::thread::scope(|scope| {
        let threads = [&model, &copy, &copy].map(|path| scope.spawn(|| compile(path)));
        threads.map(|thread| thread.join().unwrap())
    });
    for other in others {
        assert_eq!(elf(&first), elf(&other));
        assert_eq!(first.image.to_bytes().unwrap(), other.image.to_bytes().unwrap());
        assert_eq!(first.image.memory_root(), other.image.memory_root());
    }
}

#[test]
fn an_image_is_little_more_than_weights_and_code() {
    for compiled in networks() {
        let weights: usize = compiled.graph.constants().map(|(_, value)| value.len()).sum();
        let code = compiled.image.code.len();
        let limit = weights + code + (64 << 10);
        let image = compiled.image.to_bytes().unwrap().len();
        assert!(image <= limit, "image of {image} bytes, weights {weights}, code {code}");
        let elf = elf(&compiled).len();
        assert!(elf <= limit, "ELF of {elf} bytes, weights {weights}, code {code}");
    }
}

#[test]
fn inputs_and_outputs_are_subtrees() {
    for Compiled { image, .. } in networks() {
        for tensor in image.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Input | Role::Output))
        {
            let subtree = tensor.bytes.next_power_of_two().max(32);
            assert_eq!(tensor.address % subtree, 0, "{} at {:#x}", tensor.name, tensor.address);
        }
    }
}

#[test]
fn constants_are_the_bytes_of_the_model_until_they_are_those_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = (folder.path().join("model.onnx"), folder.path().join("model.opml"));
    std::fs::copy(fixtures().join("mnist-cnn/model.onnx"), &model).unwrap();
    let read = onnx::read_model(&model, &onnx::Limits::default()).unwrap();
    let files = read.files.clone();
    let before = compiler::import_model(read, &Options::default()).unwrap().graph;
    let compiled = compiler::compile_to(&path, &model, &Options::default(), &|_| {}).unwrap();
    assert_eq!(compiled.image, Image::read(&path).unwrap());
    assert_eq!(compiled.image.to_bytes().unwrap(), compile(&model).image.to_bytes().unwrap());
    let Compiled { image, graph, plan, .. } = compiled;
    let memory = image.memory().unwrap();
    let large = |value: &Bytes| value.len() > 1000;
    assert!(before.constants().any(|(_, value)| large(value)));
    for ((id, model), (_, stored)) in before.constants().zip(graph.constants()) {
        assert_eq!(memory.read(plan.address(id), model.len()).unwrap(), model);
        assert_eq!(model, stored);
        let inside = |all: &[u8], part: &Bytes| all.as_ptr_range().contains(&part.as_ptr());
        assert!(inside(&image.segments[0].bytes, stored), "{}", graph.tensor(id).name);
        assert!(!large(model) || inside(&files[0], model), "{}", graph.tensor(id).name);
    }
}

#[test]
fn no_file_is_left_if_a_model_does_not_become_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixtures().join("mnist-mlp/model.onnx");
    let options = Options { max_memory: 1000, ..Options::default() };
    compiler::compile_to(&folder.path().join("model.opml"), &model, &options, &|_| {}).unwrap_err();
    compiler::compile_to(folder.path(), &model, &Options::default(), &|_| {}).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_schedule_names_what_is_in_the_image() {
    for Compiled { image, schedule, .. } in networks() {
        assert_eq!(image.schedule.len(), schedule.steps.len());
        assert!(!image.schedule.is_empty());
        for step in &image.schedule {
            let symbol = &image.symbols[step.kernel as usize];
            assert!(image.profile.is_code(symbol.address), "{}", symbol.name);
            assert_eq!(step.arguments.last(), Some(&image.tensors[step.output as usize].address));
        }
        assert_eq!(image.entry, image.profile.code_base());
        assert_eq!(image.sp, image.profile.memory_size());
    }
}

#[test]
fn the_graph_of_the_bundled_cnn_reads_as_expected() {
    let [_, cnn] = networks();
    insta::assert_snapshot!(cnn.graph.to_string());
}

#[test]
fn the_schedule_of_the_bundled_mlp_reads_as_expected() {
    let [mlp, _] = networks();
    let lines = mlp.image.schedule.iter().map(|step| {
        let (kernel, output) =
            (&mlp.image.symbols[step.kernel as usize], &mlp.image.tensors[step.output as usize]);
        format!(
            "{} -> {} [{}, {}) {:x?} {}",
            kernel.name, output.name, step.lo, step.hi, step.arguments, step.node
        )
    });
    let memory = format!("memory 2^{}", mlp.image.profile.memory_bits());
    insta::assert_snapshot!([memory].into_iter().chain(lines).collect::<Vec<_>>().join("\n"));
}

#[test]
fn progress_goes_through_all_phases_and_kernels() {
    use compiler::Phase::{self, Hashing, Importing, Kernels, Linking, Reading};
    let phases = std::cell::RefCell::new(Vec::<Phase>::new());
    let model = fixtures().join("mnist-cnn/model.onnx");
    let progress = |phase| phases.borrow_mut().push(phase);
    let compiled = compiler::compile_with_progress(&model, &Options::default(), &progress).unwrap();
    let total = compiled.schedule.definitions.len();
    let kernels = (0..total).map(|done| Kernels { done, total });
    let bytes = compiled.graph.constants().map(|(_, value)| value.len() as u64).sum();
    let expected =
        [Reading, Importing].into_iter().chain(kernels).chain([Linking, Hashing { done: 0, total: bytes }]);
    let expected: Vec<Phase> = expected.chain([Hashing { done: bytes, total: bytes }]).collect();
    assert_eq!(phases.into_inner(), expected);
}
