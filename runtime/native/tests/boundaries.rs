//! Native memory and the machine's memory have the same root after every big step, and no big step takes more
//! steps than its bound. Tested for the bundled networks and every operator case, for several budgets and
//! numbers of threads, with ordinary inputs and with all kinds of floats.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compiler::{Compiled, Options};
use dnn_lib::program::Program;
use dnn_lib::schedule;
use dnn_lib::tensor::{DType, TensorType};
use image::{Contents, Image, Role, Section};
use interpreter::Interpreter;
use isa::Extensions;
use native::{Native, NativeError, Run};
use onnx::Limits;
use step::{MachineProfile, Root, Status};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures().join("operators")).expect("fixtures/operators");
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    cases.sort();
    cases
}

fn inputs(case: &Path) -> Vec<onnx::Tensor> {
    (0..)
        .map(|index| case.join(format!("test_data_set_0/input_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &Limits::default()).expect("a tensor").1)
        .collect()
}

/// A model with the inputs that come with it, which determine its open dimensions.
fn compile(case: &Path, budget: Option<u64>) -> (Compiled, Vec<Vec<u8>>) {
    let (model, inputs) = (case.join("model.onnx"), inputs(case));
    let declared = onnx::read_model(&model, &Limits::default()).expect("a model").graph;
    let initializer = |name: &str| declared.initializers.iter().any(|initializer| initializer.name == name);
    let open = declared.inputs.iter().filter(|value| !initializer(&value.name)).zip(&inputs);
    let shapes = open.map(|(value, input)| (value.name.clone(), input.dims().to_vec())).collect();
    let options = Options { shapes, budget, ..Options::default() };
    let compiled =
        compiler::compile(&model, &options).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    (compiled, inputs.iter().map(|input| input.bytes().to_vec()).collect())
}

fn slices(inputs: &[Vec<u8>]) -> Vec<&[u8]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// Bounds and actual steps, summed by kernel.
#[derive(Default)]
struct Report(BTreeMap<String, (u64, u64, f64)>);

impl Report {
    fn add(&mut self, kernel: &str, steps: u64, bound: u64) {
        let name = kernel.rsplit_once('_').map_or(kernel, |(name, _)| name);
        let (all_steps, all_bounds, worst) = self.0.entry(name.to_owned()).or_default();
        *all_steps += steps;
        *all_bounds += bound;
        *worst = worst.max(bound as f64 / steps as f64);
    }

    fn print(&self, title: &str) {
        println!("{title}\n{:<16} {:>12} {:>12} {:>7} {:>7}", "kernel", "steps", "bounds", "ratio", "worst");
        for (name, (steps, bound, worst)) in &self.0 {
            let ratio = *bound as f64 / *steps as f64;
            println!("{name:<16} {steps:>12} {bound:>12} {ratio:>7.3} {worst:>7.3}");
        }
    }

    fn ratio(&self, name: &str) -> f64 {
        self.0.get(name).map_or(0.0, |&(steps, bound, _)| bound as f64 / steps as f64)
    }
}

/// Runs every big step natively and in the machine. Returns the memory roots at all boundaries.
fn roots(compiled: &Compiled, inputs: &[Vec<u8>], report: &mut Report) -> Vec<Root> {
    let image = &compiled.image;
    let scratch = image.interface.as_ref().expect("an interface").scratch_bits;
    let native = Native::of(&compiled.image, 1).expect("native code");
    let mut run = Run::new(&native, image, &slices(inputs)).expect("a run");
    let mut roots = vec![run.memory_root_at(0).expect("a root")];
    for (index, step) in image.schedule.iter().enumerate() {
        let mut machine = run.machine().expect("memory").expect("a big step");
        assert_eq!(machine.state().memory_root, roots[index]);
        let outcome = machine.run(step.bound);
        let what = || format!("big step {index}, node {}: {outcome:?}, bound {}", step.node, step.bound);
        assert_eq!(outcome.status, Status::Exited, "{}", what());
        report.add(&image.symbols[step.kernel as usize].name, outcome.steps, step.bound);
        machine.memory_mut().clear(image.profile.memory_size() - 1, scratch.into());
        roots.push(run.memory_root_at(index as u64 + 1).expect("a root"));
        assert_eq!(machine.state().memory_root, roots[index + 1], "{}", what());
        assert_eq!(machine.state().code_root, image.code_root());
    }
    roots
}

/// Runs the program as a whole in the machine. Returns the memory root at the end and the outputs.
fn single_phase(compiled: &Compiled, inputs: &[Vec<u8>]) -> (Root, Vec<Vec<u8>>) {
    let image = &compiled.image;
    let interface = image.interface.as_ref().expect("an interface");
    let mut machine = Interpreter::new(image).expect("memory");
    let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    for (tensor, input) in tensors(Role::Input).zip(inputs) {
        machine.write_memory(tensor.address, input).expect("inside");
    }
    let outcome = machine.run(interface.bound);
    assert_eq!(outcome.status, Status::Exited, "{outcome:?}, bound {}", interface.bound);
    let read = |tensor: &image::Tensor| {
        machine.read_memory(tensor.address, tensor.bytes as usize).map(<[u8]>::to_vec)
    };
    let outputs = tensors(Role::Output).map(|tensor| read(tensor).expect("inside")).collect();
    machine.memory_mut().clear(image.profile.memory_size() - 1, interface.scratch_bits.into());
    (machine.state().memory_root, outputs)
}

/// All checks of one model, one budget and some inputs.
fn check(compiled: &Compiled, inputs: &[Vec<u8>], report: &mut Report) {
    let roots = roots(compiled, inputs, report);
    let (end, outputs) = single_phase(compiled, inputs);
    assert_eq!(roots.last(), Some(&end));
    for threads in [1, 2, 4] {
        let native = Native::of(&compiled.image, threads).expect("native code");
        let mut run = Run::new(&native, &compiled.image, &slices(inputs)).expect("a run");
        assert_eq!(run.outputs().expect("outputs"), outputs, "{threads} threads");
        let found = run.output_roots().expect("roots");
        let interface = compiled.image.interface.as_ref().expect("an interface");
        let root = |region: &image::Region| run.memory().subtree(region.address, region.bits.into());
        assert_eq!(found, interface.outputs.iter().map(root).collect::<Vec<_>>());
        assert_eq!(run.memory().root(), end, "{threads} threads");
        // In strides, the first of which goes back to the start.
        for boundary in (0..roots.len()).step_by(1 + roots.len() / 7) {
            let at = boundary as u64;
            assert_eq!(
                run.memory_root_at(at).expect("a root"),
                roots[boundary],
                "{threads} threads, {boundary}"
            );
        }
    }
}

/// Floats of all kinds in turn, as bytes. Other types stay unchanged.
fn special(dtype: DType, bytes: &[u8], first: usize) -> Vec<u8> {
    const F32: [u32; 16] = [
        0x7fc0_0000,
        0x7f80_0001,
        0xffc1_2345,
        0xff80_dead,
        0x7f80_0000,
        0xff80_0000,
        0,
        0x8000_0000,
        1,
        0x8000_0001,
        0x007f_ffff,
        0x0080_0000,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x3f80_0000,
        0xc2ae_ac50,
    ];
    const F64: [u64; 8] = [
        0x7ff8 << 48,
        0xfff0_0000_0000_0001,
        0x7ff0 << 48,
        0xfff0 << 48,
        1,
        1 << 63,
        0x7fef << 48,
        0x3ff0 << 48,
    ];
    match dtype {
        DType::F32 => (0..bytes.len() / 4).flat_map(|i| F32[(first + i) % 16].to_le_bytes()).collect(),
        DType::F64 => (0..bytes.len() / 8).flat_map(|i| F64[(first + i) % 8].to_le_bytes()).collect(),
        _ => bytes.to_vec(),
    }
}

/// The inputs with floats of all kinds in them.
fn special_inputs(compiled: &Compiled, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let tensors = compiled.image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    tensors
        .zip(inputs)
        .zip(0..)
        .map(|((tensor, input), index)| special(tensor.dtype, input, index * 5))
        .collect()
}

#[test]
fn networks() {
    for (network, budgets) in
        [("mnist-mlp", [None, Some(300), Some(20_000)]), ("mnist-cnn", [None, Some(200_000), Some(50_000)])]
    {
        for budget in budgets {
            let (compiled, inputs) = compile(&fixtures().join(network), budget);
            let mut report = Report::default();
            check(&compiled, &inputs, &mut report);
            report
                .print(&format!("{network}, budget {budget:?}, {} big steps", compiled.image.schedule.len()));
            for kernel in ["matmul", "gemm", "conv"] {
                assert!(report.ratio(kernel) <= 2.0, "the bound of {kernel} is too loose");
            }
            let fits = |step: &image::BigStep| {
                budget.is_none_or(|budget| step.bound <= budget || step.hi - step.lo == 1)
            };
            assert!(compiled.image.schedule.iter().all(fits), "a big step is beyond the budget");
        }
    }
}

#[test]
fn networks_on_floats_of_every_kind() {
    for network in ["mnist-mlp", "mnist-cnn"] {
        let (compiled, inputs) = compile(&fixtures().join(network), Some(500_000));
        let inputs = special_inputs(&compiled, &inputs);
        check(&compiled, &inputs, &mut Report::default());
    }
}

#[test]
fn operator_cases() {
    let mut report = Report::default();
    let cases = cases();
    assert!(cases.len() > 150, "{} cases", cases.len());
    for case in cases {
        println!("{}", case.display());
        for budget in [None, Some(300)] {
            let (compiled, inputs) = compile(&case, budget);
            // Many big steps of the larger cases are alike.
            let few = compiled.image.schedule.len() <= 64;
            for inputs in [special_inputs(&compiled, &inputs), inputs] {
                if few {
                    check(&compiled, &inputs, &mut report);
                }
            }
        }
    }
    report.print("operator cases");
}

/// Runs a big step over memory in which only its inputs are right. All other bytes have one value.
fn poisoned(compiled: &Compiled, native: &Native, run: &mut Run, index: usize, poison: u8) -> Vec<u8> {
    let (graph, plan, step) = (&compiled.graph, &compiled.plan, &compiled.schedule.steps[index]);
    let bits = plan.memory_bits;
    let mut memory = memory::Memory::new(bits).expect("memory");
    memory.bytes_mut().fill(poison);
    for &input in &step.inputs {
        let (address, size) = (plan.address(input), graph.tensor(input).ty.bytes().expect("a size") as usize);
        let bytes = run.memory().read(address, size).expect("inside").to_vec();
        memory.write(address, &bytes).expect("inside");
    }
    native.run_range(&mut memory, index as u64..index as u64 + 1).expect("a run");
    memory.read(0, 1 << bits).expect("all of it").to_vec()
}

/// The assumption of `unsafe`: a kernel touches only its tensors, and writes only the elements of its units.
#[test]
fn big_steps_read_their_inputs_and_write_their_output_only() {
    for case in cases() {
        for budget in [None, Some(300)] {
            let (compiled, inputs) = compile(&case, budget);
            let native = Native::of(&compiled.image, 1).expect("native code");
            let mut run = Run::new(&native, &compiled.image, &slices(&inputs)).expect("a run");
            for (index, step) in compiled.schedule.steps.iter().enumerate().take(40) {
                run.run_to(index as u64).expect("a run");
                let [a, b] = [0x5a, 0xc3].map(|poison| poisoned(&compiled, &native, &mut run, index, poison));
                let kernel =
                    schedule::guest(&compiled.schedule.definitions[step.definition]).expect("a kernel");
                let bytes = kernel.output.bytes().expect("a size");
                let output = compiled.plan.address(step.output)..compiled.plan.address(step.output) + bytes;
                let written = |at: u64| !(a[at as usize] == 0x5a && b[at as usize] == 0xc3);
                for at in (0..a.len() as u64).filter(|&at| written(at)) {
                    // An input or an element of the output must not depend on what surrounds it.
                    assert_eq!(
                        a[at as usize],
                        b[at as usize],
                        "{}: big step {index} at {at:#x}",
                        case.display()
                    );
                }
                let units = (step.lo..step.hi).map(|unit| kernel.unit(unit));
                let elements: u64 =
                    units.map(|unit| unit.iter().map(|range| range.end - range.start).product::<u64>()).sum();
                let count = output.filter(|&at| written(at)).count() as u64;
                assert_eq!(
                    count,
                    elements * kernel.output.dtype.size(),
                    "{}: big step {index}",
                    case.display()
                );
            }
        }
    }
}

#[test]
fn a_split_is_of_equal_ranges_in_order() {
    let (whole, _) = compile(&fixtures().join("mnist-cnn"), None);
    let (split, _) = compile(&fixtures().join("mnist-cnn"), Some(20_000));
    let mut steps = split.schedule.steps.iter().peekable();
    for node in &whole.schedule.steps {
        let mut end = 0;
        let mut lengths = Vec::new();
        while let Some(step) = steps.next_if(|step| step.place == node.place) {
            assert_eq!(step.lo, end);
            lengths.push(step.hi - step.lo);
            end = step.hi;
        }
        assert_eq!(end, node.hi);
        let (least, most) = (lengths.iter().min().expect("a range"), lengths.iter().max().expect("a range"));
        assert!(most - least <= 1, "{lengths:?}");
    }
    assert_eq!(steps.next(), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (compiled, inputs) = compile(&fixtures().join("mnist-mlp"), None);
    let native = Native::of(&compiled.image, 1).expect("native code");
    let refused =
        |inputs: &[&[u8]]| Run::new(&native, &compiled.image, inputs).err().map(|error| error.to_string());
    assert_eq!(
        refused(&[]).as_deref(),
        Some("input 0 is 0 bytes long; the model has 1 inputs, and this one takes 3136")
    );
    assert!(refused(&[&inputs[0], &[1]]).is_some());
    assert!(refused(&[&inputs[0][1..]]).is_some());

    let (other, _) = compile(&fixtures().join("mnist-mlp"), Some(2_000));
    assert!(matches!(Run::new(&native, &other.image, &slices(&inputs)), Err(NativeError::OtherImage { .. })));

    let mut run = Run::new(&native, &compiled.image, &slices(&inputs)).expect("a run");
    let end = native.big_steps();
    assert!(matches!(run.run_to(end + 1), Err(NativeError::Boundary { .. })));
    let mut small = memory::Memory::new(13).expect("memory");
    assert!(matches!(native.run(&mut small), Err(NativeError::MemorySize { expected: 17, found: 13 })));
    run.run_to(end).expect("a run");
    assert!(run.machine().expect("memory").is_none());
}

/// An image with another program.
fn with(image: &Image, program: &Program) -> Image {
    let mut contents = Contents::clone(image);
    contents.sections = vec![Section::program(program.to_bytes().expect("bytes"))];
    Image::new(contents).expect("an image")
}

#[test]
fn a_program_that_is_not_its_codes_is_not_run() {
    let (compiled, _) = compile(&fixtures().join("mnist-mlp"), None);
    let image = &compiled.image;
    let types: Vec<TensorType> =
        image.tensors.iter().map(|tensor| TensorType::new(tensor.dtype, tensor.shape.clone())).collect();
    let program = Program::read(image.section(Section::PROGRAM).expect("a program"), &types).expect("good");
    assert!(Native::of(&with(image, &program), 1).is_ok());
    let refused = |change: &dyn Fn(&mut Program)| {
        let mut changed = program.clone();
        change(&mut changed);
        Native::of(&with(image, &changed), 1).err().map(|error| error.to_string()).expect("refused")
    };
    let other_code = NativeError::OtherCode.to_string();
    // Another meaning: the bias alone in the place of what the ReLU selects, or other weights.
    let relu =
        program.definitions.iter().position(|definition| definition.name == "gemm+relu").expect("a relu");
    let doubled = |changed: &mut Program| {
        let stage = changed.definitions[relu].stages.last_mut().expect("a stage");
        let loaded = stage.steps.iter().find_map(|step| match step {
            dnn_lib::definition::Step::Load(value, _) => Some(*value),
            _ => None,
        });
        stage.value = loaded.expect("a load");
    };
    assert_eq!(refused(&doubled), other_code);
    let gemms: Vec<usize> =
        (0..program.nodes.len()).filter(|&node| program.nodes[node].inputs.len() == 3).collect();
    assert_eq!(
        refused(&|changed| changed.nodes[gemms[0]].definition = changed.nodes[gemms[1]].definition),
        format!(
            "the image's program is refused: node {}: an input has another size in its definition",
            gemms[0]
        )
    );
    assert!(
        refused(&|changed| changed.steps.truncate(1)).contains("the last big step names none after node 1")
    );
    assert!(
        refused(&|changed| changed.nodes[0].output = 10_000)
            .contains("node 0 names tensor 10000, but there are")
    );
    assert!(
        refused(&|changed| changed.nodes[0].output = changed.nodes[0].inputs[0]).contains("another size")
    );
    assert!(
        refused(&|changed| changed.definitions[relu].axes[0] = 7).contains("the first axes are the output's")
    );
}

/// The code of an image does what its program says only where it was made to be, on the machine that it was
/// made for, and over the memory that contracts begin with.
#[test]
fn the_same_code_on_another_machine_is_not_run() {
    let (compiled, _) = compile(&fixtures().join("mnist-mlp"), None);
    let refused = |change: &dyn Fn(&mut Contents)| {
        let mut contents = Contents::clone(&compiled.image);
        change(&mut contents);
        let image = Image::new(contents).expect("an image");
        Native::of(&image, 1).err().map(|error| error.to_string()).expect("refused")
    };
    let profile = |contents: &mut Contents, extensions, base: u64| {
        let old = contents.profile;
        contents.profile =
            MachineProfile::new(extensions, old.memory_bits(), base, old.code_size()).expect("a machine");
    };
    let other_code = NativeError::OtherCode.to_string();
    // The entries are some instructions later.
    let moved = |contents: &mut Contents| {
        profile(contents, contents.profile.extensions(), contents.profile.code_base() - 32);
    };
    assert_eq!(refused(&moved), other_code);
    assert_eq!(
        refused(&|contents| profile(contents, Extensions::IM, contents.profile.code_base())),
        other_code
    );
    assert_eq!(refused(&|contents| contents.sp = 4096), other_code);
    let interface = |contents: &mut Contents| contents.interface.clone().expect("an interface");
    let bound = |contents: &mut Contents| {
        contents.interface = Some(image::Interface { bound: 1, ..interface(contents) });
    };
    assert_eq!(refused(&bound), other_code);
    // Scratch memory counts as zero between big steps.
    for scratch_bits in [5, 13] {
        let scratch = |contents: &mut Contents| {
            contents.interface = Some(image::Interface { scratch_bits, ..interface(contents) });
        };
        assert!(refused(&scratch).ends_with("its scratch memory has another size than its code uses"));
    }
    let segment = |contents: &mut Contents, address| {
        contents.segments.push(image::Segment { address, bytes: vec![1].into() });
        contents.segments.sort_by_key(|segment| segment.address);
    };
    let top = compiled.image.profile.memory_size() - 1;
    assert!(refused(&|contents| segment(contents, top)).ends_with("it has constants in the scratch memory"));
}

/// Big steps of a node run at the same time, and what is in scratch memory is another thing on the machine.
#[test]
fn big_steps_that_meet_and_tensors_in_scratch_are_refused() {
    let (compiled, _) = compile(&fixtures().join("mnist-mlp"), Some(20_000));
    let refused = |change: &dyn Fn(&mut Contents)| {
        let mut contents = Contents::clone(&compiled.image);
        change(&mut contents);
        let image = Image::new(contents).expect("an image");
        Native::of(&image, 1).err().map(|error| error.to_string()).expect("refused")
    };
    let schedule = &compiled.image.schedule;
    let second = (1..schedule.len()).find(|&step| schedule[step].lo > 0).expect("a node of two big steps");
    assert!(
        refused(&|contents| contents.schedule[second].lo -= 1).ends_with("big steps with units in common")
    );
    for role in [Role::Activation, Role::Constant] {
        let in_scratch = |contents: &mut Contents| {
            let top = contents.profile.memory_size();
            let tensor =
                contents.tensors.iter_mut().find(|tensor| tensor.role == role && tensor.bytes <= 4096);
            let tensor = tensor.expect("a small tensor");
            tensor.address = (top - tensor.bytes) & !63;
        };
        assert!(refused(&in_scratch).ends_with("a tensor in the scratch memory"), "{role:?}");
    }
}
