//! The guarantees of the memory plan, on every bundled model: tensors in use at the same time don't overlap,
//! whatever is proven as a whole is a subtree, and the tree has no unnecessary level.

use std::ops::Range;
use std::path::{Path, PathBuf};

use compiler::plan::STACK_BYTES;
use compiler::{Compiled, Options};
use dnn_lib::operator::{Concat, Identity, Operator, Split, Transpose};
use dnn_lib::tensor::{DType, TensorType};
use graph::{Builder, Graph, TensorId, reference};
use image::{Interface, MOST_REGIONS, Role};
use interpreter::Interpreter;
use proptest::prelude::*;
use proptest::sample::Index;
use step::Status;

fn models() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let operators = std::fs::read_dir(fixtures.join("operators")).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<PathBuf> = operators
        .chain(["mnist-mlp", "mnist-cnn"].map(|name| fixtures.join(name)))
        .map(|p| p.join("model.onnx"))
        .collect();
    models.retain(|model| model.exists());
    models.sort();
    models
}

fn compiled() -> impl Iterator<Item = (String, Compiled)> {
    // Models with open dimensions are left out.
    models().into_iter().filter_map(|model| {
        let compiled = compiler::compile(&model, &Options::default()).ok()?;
        Some((model.display().to_string(), compiled))
    })
}

/// The memory of a tensor and of all that is in it, and the big steps during which it must keep its contents.
struct Use {
    tensor: TensorId,
    memory: Range<u64>,
    steps: Range<usize>,
}

/// What the schedule reads and writes. Memory is in use from the first step that writes it to the last one that
/// reads it. Inputs, outputs and constants are in use all the time.
fn uses(Compiled { graph, plan, schedule, .. }: &Compiled) -> Vec<Use> {
    let end = schedule.steps.len();
    let constants: Vec<TensorId> = graph.constants().map(|(id, _)| id).collect();
    let memory = |root: TensorId| {
        let here = |id: TensorId| plan.roots[id.index()] == root;
        let written = schedule.steps.iter().position(|step| here(step.output));
        let read = schedule.steps.iter().rposition(|step| step.inputs.iter().any(|&id| here(id)));
        let always = [&graph.inputs, &graph.outputs, &constants].iter().any(|ids| ids.contains(&root));
        let steps = if always { 0..end } else { written?..read.max(written)? + 1 };
        let (start, size) = (plan.address(root), graph.tensor(root).ty.bytes()?);
        (size > 0).then(|| Use { tensor: root, memory: start..start + size, steps })
    };
    graph.ids().filter(|id| plan.roots[id.index()] == *id).filter_map(memory).collect()
}

fn overlap<T: PartialOrd>(a: &Range<T>, b: &Range<T>) -> bool {
    a.start < b.end && b.start < a.end
}

fn check_uses(model: &str, compiled: &Compiled) {
    let uses = uses(compiled);
    for (index, a) in uses.iter().enumerate() {
        for b in &uses[..index] {
            let [one, other] = [a, b].map(|u| compiled.graph.tensor(u.tensor));
            let equal = one.value.is_some() && one.value == other.value;
            let state = compiled.graph.states.iter().any(|state| {
                [compiled.graph.inputs[state.input], compiled.graph.outputs[state.output]]
                    == [a.tensor, b.tensor]
            });
            let clash = overlap(&a.memory, &b.memory) && overlap(&a.steps, &b.steps) && !equal && !state;
            assert!(!clash, "{model}: {} and {} overlap", one.name, other.name);
        }
    }
    for id in compiled.graph.ids() {
        let (plan, root) = (&compiled.plan, compiled.plan.roots[id.index()]);
        let range =
            |id| plan.address(id)..plan.address(id) + compiled.graph.tensor(id).ty.bytes().expect("a size");
        let inside = range(root).start <= range(id).start && range(id).end <= range(root).end;
        assert!(inside, "{model}: {} is not all in its memory", compiled.graph.tensor(id).name);
    }
}

#[test]
fn nothing_in_use_at_the_same_time_overlaps() {
    compiled().for_each(|(model, compiled)| check_uses(&model, &compiled));
}

#[test]
fn everything_lies_below_the_stack_and_the_memory_is_no_larger_than_it_must_be() {
    for (model, compiled) in compiled() {
        let used = uses(&compiled).iter().map(|u| u.memory.end).max().unwrap_or(0) + STACK_BYTES;
        let size = compiled.plan.memory_size();
        assert!(used <= size, "{model}: {used} of {size} bytes");
    }
    let mlp = compiled().find(|(model, _)| model.contains("mnist-mlp")).unwrap().1;
    assert_eq!(mlp.plan.memory_bits, 17, "63 KB of weights, 4 KB of input and 4 KB of stack");
}

/// Each input and output is alone in an aligned power of two of bytes, and they ascend in the order of the
/// model.
fn check_parts(model: &str, Compiled { graph, plan, schedule, image, .. }: &Compiled) {
    let Some(Interface { inputs, outputs, scratch_bits, .. }) = &image.interface else {
        assert!(graph.inputs.is_empty(), "{model} has no interface");
        return;
    };
    assert_eq!((inputs, outputs, 1 << scratch_bits), (&plan.inputs, &plan.outputs, STACK_BYTES), "{model}");
    let of_steps = schedule.steps.iter().flat_map(|step| step.inputs.iter().chain([&step.output]));
    let used: Vec<TensorId> = graph.inputs.iter().chain(&graph.outputs).chain(of_steps).copied().collect();
    for (regions, ids) in [(inputs, &graph.inputs), (outputs, &graph.outputs)] {
        assert!(regions.is_sorted_by_key(|region| region.address), "{model}: {regions:x?}");
        assert_eq!(regions.len(), ids.len(), "{model}");
        for (region, &id) in regions.iter().zip(ids) {
            let ty = &graph.tensor(id).ty;
            let size = ty.bytes().unwrap().next_power_of_two().max(32);
            let range = region.range().expect("aligned");
            assert_eq!(
                range,
                plan.address(id)..plan.address(id) + size,
                "{model}: {}",
                graph.tensor(id).name
            );
            assert!(range.end <= plan.memory_size() - STACK_BYTES, "{model}");
            let own = |other: TensorId| plan.roots[other.index()] == id;
            for &other in &used {
                let start = plan.address(other);
                let apart = !overlap(&range, &(start..start + graph.tensor(other).ty.bytes().unwrap()));
                assert!(apart || own(other), "{model}: {} in {region:x?}", graph.tensor(other).name);
            }
        }
    }
}

#[test]
fn each_input_and_output_is_a_part_of_memory() {
    compiled().for_each(|(model, compiled)| check_parts(&model, &compiled));
}

/// Small tensors through views, copies, parts and joins. Any of them are outputs, some of them twice.
fn arbitrary_graph() -> impl Strategy<Value = Graph> {
    let sizes = prop::collection::vec(0u64..100, 1..6);
    let nodes = prop::collection::vec((any::<Index>(), any::<Index>(), 0..4), 0..8);
    let outputs = prop::collection::vec(any::<Index>(), 1..8);
    (sizes, nodes, outputs).prop_map(|(sizes, nodes, outputs)| {
        let mut b = Builder::new("", 1 << 30);
        let name = |b: &Builder| format!("t{}", b.graph().tensors.len());
        let ty = |size| TensorType::new(DType::I16, [size]);
        let mut ids: Vec<TensorId> = sizes.into_iter().map(|size| b.input(name(&b), ty(size))).collect();
        ids.push(b.tensor(name(&b), ty(3), Some(vec![1, 2, 3, 4, 5, 6].into())));
        for (first, second, kind) in nodes {
            let (first, second) = (*first.get(&ids), *second.get(&ids));
            let size = b.graph().tensor(first).ty.shape[0];
            let (operator, inputs) = match kind {
                0 => (Operator::from(Identity), vec![first]),
                1 => (Operator::from(Transpose { perm: Some(vec![0]) }), vec![first]),
                2 => (Operator::from(Split { axis: 0, sizes: vec![size / 3, size - size / 3] }), vec![first]),
                _ => (Operator::from(Concat { axis: 0 }), vec![first, second]),
            };
            let names = [0, 1].map(|output| format!("{}.{output}", name(&b)));
            ids.extend(b.apply("", operator, &inputs, &names).expect("a node"));
        }
        outputs.iter().for_each(|index| b.output(*index.get(&ids)));
        b.finish()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_graph_has_a_part_for_each_input_and_output(graph in arbitrary_graph()) {
        let compiled = compiler::compile_graph(graph.clone(), &Options::default()).expect("an image");
        check_parts("", &compiled);
        check_uses("", &compiled);
        let image = &compiled.image;
        let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
        let fill = |t: &image::Tensor| (0..t.bytes).map(|at| (at * 7 + t.address / 32) as u8).collect();
        let inputs: Vec<Vec<u8>> = tensors(Role::Input).map(fill).collect();
        let mut machine = Interpreter::new(image).expect("memory");
        for (tensor, input) in tensors(Role::Input).zip(&inputs) {
            machine.write_memory(tensor.address, input).expect("inside");
        }
        prop_assert_eq!(machine.run(u64::MAX).status, Status::Exited);
        let read = |tensor: &image::Tensor| machine.read_memory(tensor.address, tensor.bytes as usize);
        let found: Option<Vec<&[u8]>> = tensors(Role::Output).map(read).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = reference::execute(&graph, &inputs).expect("the reference");
        prop_assert_eq!(found.expect("inside"), expected);
    }
}

#[test]
fn a_model_with_too_many_tensors_or_none_can_be_run_but_not_disputed() {
    let compile = |inputs: usize, outputs: usize| {
        let mut b = Builder::new("", 1 << 30);
        let ty = TensorType::new(DType::I8, [1]);
        for _ in 0..inputs {
            b.input("", ty.clone());
        }
        for _ in 0..outputs {
            let constant = b.tensor("", ty.clone(), Some(vec![1].into()));
            b.output(constant);
        }
        let compiled = compiler::compile_graph(b.finish(), &Options::default()).expect("an image");
        let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(compiled.image.interface.is_some(), warnings.is_empty());
        warnings
    };
    assert_eq!(compile(MOST_REGIONS, MOST_REGIONS), [""; 0]);
    let rest = "it can be run but not registered or disputed, for which a model has 1 to 64";
    assert_eq!(compile(0, 1), [format!("the model has 0 inputs: {rest}")]);
    let [inputs, outputs] = ["inputs", "outputs"].map(|what| format!("the model has 65 {what}: {rest}"));
    assert_eq!(compile(65, 65), [inputs, outputs]);
}
