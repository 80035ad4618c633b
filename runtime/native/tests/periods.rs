//! Programs with guards and a period: native memory and the machine's have the same root after every big step,
//! for every number of repetitions and of threads, and so have whole runs. What isn't what the code does is
//! refused.

mod model;

use dnn_lib::definition::{Affine, Builder, Definition, Source};
use dnn_lib::operator::{MatMul, Meaning, Operator, Softmax};
use dnn_lib::program::{Guard, Program};
use dnn_lib::scalar::{Comparison, Conversion, Ops, Type};
use dnn_lib::tensor::{DType, TensorType};
use image::{Contents, Image, Period, Role, Section};
use interpreter::Interpreter;
use jit::Jit;
use native::{Native, NativeError, Run};
use step::{Root, Status};

use model::{Model, SIZE, copy, counted, counter, elementwise, inputs};

fn slices(inputs: &[Vec<u8>]) -> Vec<&[u8]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// The roots at all boundaries of a run in one thread, each compared with the machine's.
fn roots(native: &Native, image: &Image, inputs: &[Vec<u8>]) -> Vec<Root> {
    let scratch = image.interface.as_ref().expect("an interface").scratch_bits;
    let mut run = Run::new(native, image, &slices(inputs)).expect("a run");
    let mut roots = vec![run.memory_root_at(0).expect("a root")];
    for big_step in 0..native.big_steps() {
        let step = &image.schedule[native.index(big_step).expect("a big step") as usize];
        let mut machine = run.machine().expect("memory").expect("a big step");
        let outcome = machine.run(step.bound);
        let what = || format!("big step {big_step}, {}: {outcome:?}, bound {}", step.node, step.bound);
        assert_eq!(outcome.status, Status::Exited, "{}", what());
        machine.memory_mut().clear(image.profile.memory_size() - 1, scratch.into());
        roots.push(run.memory_root_at(big_step + 1).expect("a root"));
        assert_eq!(machine.state().memory_root, roots[roots.len() - 1], "{}", what());
    }
    assert!(run.machine().expect("memory").is_none());
    roots
}

/// The memory at the end of a whole run in the machine, which repeats the period most often, and its steps.
fn whole(image: &Image, inputs: &[Vec<u8>]) -> (Root, u64) {
    let interface = image.interface.as_ref().expect("an interface");
    let given: Vec<_> =
        image.tensors.iter().filter(|tensor| tensor.role == Role::Input).zip(inputs).collect();
    let mut machine = Interpreter::new(image).expect("memory");
    let mut jit = Jit::new(image).expect("a machine").with_threshold(2);
    for (tensor, input) in given {
        machine.write_memory(tensor.address, input).expect("inside");
        jit.write_memory(tensor.address, input).expect("inside");
    }
    let outcome = machine.run(interface.bound);
    assert_eq!(outcome.status, Status::Exited, "{outcome:?}, bound {}", interface.bound);
    assert_eq!(jit.run(interface.bound).status, Status::Exited);
    assert_eq!(machine.state_root(), jit.state_root());
    machine.memory_mut().clear(image.profile.memory_size() - 1, interface.scratch_bits.into());
    (machine.state().memory_root, outcome.steps)
}

/// Runs an image in every way.
fn check(image: &Image, inputs: &[Vec<u8>]) {
    let one = Native::of(image, 1).expect("native code");
    let shape = image.shape();
    for repetitions in [shape.least, shape.least.midpoint(shape.most), shape.most] {
        let native = one.repeated(repetitions).expect("a number of repetitions");
        let roots = roots(&native, image, inputs);
        for threads in [1, 2, 3] {
            let native =
                Native::of(image, threads).expect("native code").repeated(repetitions).expect("so many");
            let mut run = Run::new(&native, image, &slices(inputs)).expect("a run");
            run.outputs().expect("outputs");
            assert_eq!(run.memory().root(), roots[roots.len() - 1], "{threads} threads");
            // In strides, the first of which goes back to the start; then over ends of repetitions.
            for stride in [3, 7] {
                for boundary in (0..roots.len()).step_by(stride) {
                    let root = run.memory_root_at(boundary as u64).expect("a root");
                    assert_eq!(root, roots[boundary], "{threads} threads, {boundary}");
                }
            }
        }
        if repetitions == shape.most {
            assert_eq!(whole(image, inputs).0, roots[roots.len() - 1]);
        }
    }
}

#[test]
fn a_counter_stops_when_its_guard_says_so() {
    let first: Vec<f32> = (0..SIZE).map(|x| x as f32 - 7.5).collect();
    for (least, most) in [(1, 1), (1, 6), (4, 4)] {
        let image = Image::new(counter(least, most).contents()).expect("an image");
        for end in [1, 3, 4, 100] {
            let inputs = inputs(&first, end);
            check(&image, &inputs);
            for repetitions in least..=most {
                let native = Native::of(&image, 1).expect("native code").repeated(repetitions).expect("good");
                let outputs = Run::new(&native, &image, &slices(&inputs)).expect("a run").outputs();
                let right: Vec<u8> =
                    counted(&first, end, repetitions).iter().flat_map(|x| x.to_le_bytes()).collect();
                assert_eq!(outputs.expect("outputs"), [right], "to {end}, {repetitions} times");
            }
        }
    }
}

#[test]
fn the_bound_of_a_whole_run_counts_repetitions() {
    // How much the bounds of kernels are above their steps is the same in each repetition.
    let spare = |most| {
        let image = Image::new(counter(1, most).contents()).expect("an image");
        let bound = image.interface.as_ref().expect("an interface").bound;
        let steps = |end| whole(&image, &inputs(&[0.0; SIZE as usize], end)).1;
        let (all, few) = (steps(100), steps(1));
        assert!(few < all || most == 1, "{few}, {all}");
        bound - all
    };
    let [one, two, nine] = [1, 2, 9].map(spare);
    assert_eq!((nine - two) % 7, 0);
    assert_eq!(two - one, (nine - two) / 7);
}

#[test]
fn a_run_of_very_many_repetitions_can_be_begun() {
    const MOST: u64 = 1 << 36;
    let image = Image::new(counter(1, MOST).contents()).expect("an image");
    let native = Native::of(&image, 1).expect("native code");
    // Two of the prologue, one of the epilogue.
    assert_eq!(native.big_steps(), 3 + 8 * MOST);
    assert_eq!(native.index(2 + 8 * 12_345_678 + 5), Some(7));
    assert_eq!(native.index(native.big_steps() - 1), Some(10));
    assert_eq!(native.index(native.big_steps()), None);
    let mut run = Run::new(&native, &image, &slices(&inputs(&[1.0; SIZE as usize], 5))).expect("a run");
    run.run_to(2 + 8 * 1000).expect("a run");
    let few = native.repeated(1000).expect("so many");
    let mut other = Run::new(&few, &image, &slices(&inputs(&[1.0; SIZE as usize], 5))).expect("a run");
    assert_eq!(run.memory().root(), other.memory_root_at(few.big_steps() - 1).expect("a root"));
    for repetitions in [0, MOST + 1, u64::MAX] {
        let error = native.repeated(repetitions).err();
        assert!(
            matches!(error, Some(NativeError::Repetitions { found, least: 1, most: MOST }) if found == repetitions)
        );
    }
    let error = run.run_to(u64::MAX).unwrap_err();
    assert!(matches!(error, NativeError::Boundary { to: u64::MAX, .. }));
    let mut memory = image.memory().expect("memory");
    let backwards = native.run_range(&mut memory, std::ops::Range { start: 5, end: 4 });
    assert!(matches!(backwards, Err(NativeError::Boundary { .. })));
}

/// Enough work in a level for several threads: products with weights that change, and with weights that don't.
#[test]
fn threads_share_the_work_of_a_repetition() {
    const SIZE: u64 = 96;
    let ty = TensorType::new(DType::F32, [SIZE, SIZE]);
    let bytes = |seed| floats(&mut Numbers(seed), SIZE * SIZE);
    let mut model = Model::default();
    let input = model.tensor(Role::Input, &ty, None);
    let output = model.tensor(Role::Output, &ty, None);
    let weights = model.tensor(Role::Constant, &ty, Some(bytes(1)));
    let changing = model.tensor(Role::Activation, &ty, Some(bytes(2)));
    let [a, b, c] = [(); 3].map(|()| model.tensor(Role::Activation, &ty, None));
    let guard = model.tensor(Role::Activation, &TensorType::new(DType::Bool, []), Some(vec![1]));
    let (product, softmax) = (computed(MatMul), computed_one(Softmax { axis: 1 }, &ty));
    let product = product(&[ty.clone(), ty.clone()]);
    model.node(&copy(&ty), &[input], a, &[], 1);
    let start = model.node(&product, &[a, weights], b, &[], 2);
    model.node(&product, &[a, changing], c, &[(guard, true)], 3);
    model.node(&softmax, &[b], a, &[], 1);
    model.node(&softmax, &[c], changing, &[(guard, true)], 1);
    model.repeat(start, 1, 3);
    model.node(&product, &[a, changing], output, &[], 1);
    check(&Image::new(model.contents()).expect("an image"), &[bytes(3)]);
}

fn computed(operator: impl Into<Operator>) -> impl Fn(&[TensorType]) -> Definition {
    let operator = operator.into();
    move |inputs| match operator.define(inputs, 0).expect("types that fit") {
        Some(Meaning::Computed(definition)) => definition,
        other => panic!("{other:?}"),
    }
}

fn computed_one(operator: impl Into<Operator>, input: &TensorType) -> Definition {
    computed(operator)(std::slice::from_ref(input))
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

fn floats(numbers: &mut Numbers, count: u64) -> Vec<u8> {
    (0..count).flat_map(|_| ((numbers.below(65) as f32 - 32.0) / 16.0).to_le_bytes()).collect()
}

/// A random program: nodes that read and write a few tensors again and again, with random guards, cut into
/// random big steps, some of which are repeated.
fn random(seed: u64) -> (Model, Vec<Vec<u8>>) {
    const SIZE: u64 = 40;
    let mut numbers = Numbers(seed);
    let (matrix, flag) = (TensorType::new(DType::F32, [SIZE, SIZE]), TensorType::new(DType::Bool, [1]));
    let two = [matrix.clone(), matrix.clone()];
    let blend = elementwise("blend", &two, &matrix, |b, x| {
        let half = b.f32(-0.5);
        b.fma(x[0], half, x[1])
    });
    let differs = {
        let mut b = Builder::new("differs", &two, &flag);
        let [x, y] = [0, 1].map(|input| b.load(Source::Input(input), [2, 3].map(Affine::from)));
        let less = b.compare(Comparison::Lt, x, y);
        let less = b.convert(Conversion::FromBool, Type::I32, less);
        b.finish(less).expect("a definition")
    };
    let not = elementwise("not", std::slice::from_ref(&flag), &flag, |b, x| {
        let zero = b.i32(0);
        let not = b.eq(x[0], zero);
        b.convert(Conversion::FromBool, Type::I32, not)
    });
    let matrices = [blend, computed(MatMul)(&two)];
    let single = [copy(&matrix), computed_one(Softmax { axis: 1 }, &matrix)];

    let mut model = Model::default();
    let inputs: Vec<u32> = (0..2).map(|_| model.tensor(Role::Input, &matrix, None)).collect();
    let outputs: Vec<u32> = (0..2).map(|_| model.tensor(Role::Output, &matrix, None)).collect();
    let given = |role, model: &mut Model, numbers: &mut Numbers| {
        model.tensor(role, &matrix, Some(floats(numbers, SIZE * SIZE)))
    };
    let constants: Vec<u32> = (0..2).map(|_| given(Role::Constant, &mut model, &mut numbers)).collect();
    let states: Vec<u32> = (0..3).map(|_| given(Role::Activation, &mut model, &mut numbers)).collect();
    // Any byte but zero is true.
    let flags: Vec<u32> = (0..3)
        .map(|_| model.tensor(Role::Activation, &flag, Some(vec![numbers.pick(&[0, 1, 0x80])])))
        .collect();
    let written = [&outputs[..], &states[..]].concat();
    let read = [&inputs[..], &constants[..], &written[..]].concat();
    for _ in 0..3 + numbers.below(8) {
        let guards = numbers.pick(&[0, 0, 1, 1, 1, 2]);
        let guards: Vec<(u32, bool)> =
            (0..guards).map(|_| (numbers.pick(&flags), numbers.below(2) == 1)).collect();
        let is_flag = numbers.below(5) < 2;
        let output = numbers.pick(if is_flag { &flags } else { &written });
        if guards.iter().any(|guard| guard.0 == output) {
            continue;
        }
        let apart: Vec<u32> = read.iter().copied().filter(|&tensor| tensor != output).collect();
        let operands = [numbers.pick(&apart), numbers.pick(&apart)];
        let other = [numbers.pick(&flags)];
        let (definition, operands) = match numbers.below(2) {
            0 if is_flag && other[0] != output => (&not, &other[..]),
            _ if is_flag => (&differs, &operands[..]),
            0 => (&matrices[numbers.below(2) as usize], &operands[..]),
            _ => (&single[numbers.below(2) as usize], &operands[..1]),
        };
        model.node(definition, operands, output, &guards, 1 + numbers.below(3));
    }
    let big_steps = model.program.steps.len() as u64;
    if big_steps > 0 && numbers.below(8) > 0 {
        let start = numbers.below(big_steps);
        let count = 1 + numbers.below(big_steps - start);
        let most = 1 + numbers.below(4);
        let least = 1 + numbers.below(most);
        model.period = Some(Period { start: start as u32, count: count as u32, least, most });
    }
    let inputs = inputs.iter().map(|_| floats(&mut numbers, SIZE * SIZE)).collect();
    (model, inputs)
}

#[test]
fn random_programs() {
    let mut skipped = 0;
    for seed in 0..40 {
        let (model, inputs) = random(seed);
        if model.program.steps.is_empty() {
            continue;
        }
        println!("seed {seed}: {:?}, {:?}", model.period, model.program.nodes);
        let image = Image::new(model.contents()).expect("an image");
        check(&image, &inputs);
        skipped += u64::from(whole(&image, &inputs).1 * 5 < image.interface.as_ref().expect("one").bound * 4);
    }
    assert!(skipped > 10, "only {skipped} programs skip anything");
}

fn refused(contents: Contents) -> String {
    let image = Image::new(contents).expect("an image");
    Native::of(&image, 1).err().map(|error| error.to_string()).expect("refused")
}

/// The code is that of one period; the image or its program says another.
#[test]
fn a_period_or_a_guard_that_is_not_the_codes_is_refused() {
    let model = counter(2, 5);
    assert!(Native::of(&Image::new(model.contents()).expect("an image"), 1).is_ok());
    let other_code = NativeError::OtherCode.to_string();
    let right = model.period.expect("a period");
    for period in [
        Some(Period { most: 4, ..right }),
        Some(Period { most: 6, ..right }),
        Some(Period { start: right.start + 1, count: right.count - 1, ..right }),
        Some(Period { start: right.start - 1, ..right }),
        Some(Period { count: right.count + 1, ..right }),
        None,
    ] {
        assert_eq!(refused(Contents { period, ..model.contents() }), other_code, "{period:?}");
    }
    // How few repetitions there may be is not in the code.
    let least = Contents { period: Some(Period { least: 5, ..right }), ..model.contents() };
    assert!(Native::of(&Image::new(least).expect("an image"), 1).is_ok());
    // The bound of the whole run counts them.
    let mut contents = model.contents();
    contents.interface.as_mut().expect("an interface").bound -= 1;
    assert_eq!(refused(contents), other_code);

    let with = |change: &dyn Fn(&mut Program)| {
        let mut program = model.program.clone();
        change(&mut program);
        let sections = vec![Section::program(program.to_bytes().expect("bytes"))];
        refused(Contents { sections, ..model.contents() })
    };
    let guarded = (0..).find(|&node: &usize| !model.program.nodes[node].guards.is_empty()).expect("a guard");
    assert_eq!(with(&|program| program.nodes[guarded].guards[0].when = true), other_code);
    assert_eq!(with(&|program| program.nodes[guarded].guards.clear()), other_code);
    let guard = model.program.nodes[guarded].guards[0];
    assert_eq!(with(&|program| program.nodes[guarded + 1].guards.push(guard)), other_code);
    assert_eq!(with(&|program| program.nodes[guarded].guards.push(guard)), other_code);
    // The other flag.
    assert_eq!(with(&|program| program.nodes[guarded].guards[0].tensor -= 1), other_code);
}

#[test]
fn guards_that_are_none_are_refused() {
    let model = counter(1, 2);
    let guarded = (0..).find(|&node: &usize| !model.program.nodes[node].guards.is_empty()).expect("a guard");
    let done = model.program.nodes[guarded].guards[0].tensor as usize;
    let with = |change: &dyn Fn(&mut Model)| {
        let mut changed = model.clone();
        change(&mut changed);
        refused(changed.contents())
    };
    let node = format!("the image's program is refused: node {guarded}");
    let guards =
        |change: &dyn Fn(&mut Vec<Guard>)| with(&|model| change(&mut model.program.nodes[guarded].guards));
    let also = |tensor| guards(&|guards| guards.push(Guard { tensor, when: true }));
    assert_eq!(also(0), format!("{node}: a guard is not a single boolean"));
    assert_eq!(also(1), format!("{node}: a guard is not a single boolean"));
    let many = |count| guards(&|guards| guards.resize(count, guards[0]));
    assert_eq!(
        many(9),
        "the image's program is refused: the program has 9 guards of a node; at most 8 are allowed"
    );
    let stops = model.program.nodes.len() - 3;
    let own = with(&|model| {
        let node = &mut model.program.nodes[stops];
        node.guards[0].tensor = node.output;
    });
    assert_eq!(own, format!("the image's program is refused: node {stops}: it writes its own guard"));
    // Another name for its output's byte.
    let alias = with(&|model| {
        let node = &mut model.program.nodes[stops];
        let output = model.tensors[node.output as usize].clone();
        node.guards[0].tensor = model.tensors.len() as u32;
        model.tensors.push(output);
    });
    assert_eq!(
        alias,
        format!("the image's program is refused: node {stops} has an output over its inputs or guards")
    );
    // The linker takes the address of any tensor.
    let scratch = with(&|model| model.tensors[done].address = model.memory() - 1);
    assert_eq!(scratch, format!("{node} has a tensor in the scratch memory"));
}
