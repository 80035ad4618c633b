//! The guarantees of the memory plan, on every bundled model: tensors in use at the same time don't overlap,
//! whatever is proven as a whole is a subtree, and the tree has no unnecessary level.

use std::ops::Range;
use std::path::{Path, PathBuf};

use compiler::graph::TensorId;
use compiler::plan::STACK_BYTES;
use compiler::{Compiled, Options};

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

/// A tensor's memory and the big steps during which it must keep its contents.
struct Use {
    tensor: TensorId,
    /// Whether a kernel writes it. A view is not written.
    written: bool,
    memory: Range<u64>,
    steps: Range<usize>,
}

/// What the schedule reads and writes. A tensor lives from the step that writes it to the last one that reads
/// it. Inputs, outputs and constants live all the time.
fn uses(Compiled { graph, plan, schedule, .. }: &Compiled) -> Vec<Use> {
    let end = schedule.steps.len();
    graph
        .ids()
        .filter_map(|id| {
            let reads = |step: &compiler::schedule::BigStep| {
                // A view is read by its address.
                step.inputs.iter().any(|&input| plan.address(input) == plan.address(id))
            };
            let always =
                graph.inputs.contains(&id) || graph.outputs.contains(&id) || graph.tensor(id).value.is_some();
            let written = schedule.steps.iter().position(|step| step.output == id);
            let steps = match written {
                _ if always => 0..end,
                None => return None,
                Some(first) => {
                    // Until something else is written there.
                    let next = schedule.steps[first + 1..]
                        .iter()
                        .position(|step| plan.address(step.output) == plan.address(id))
                        .map_or(end, |offset| first + 1 + offset);
                    let last =
                        (first..next).rev().find(|&step| reads(&schedule.steps[step])).unwrap_or(first);
                    first..last + 1
                }
            };
            let size = graph.tensor(id).ty.bytes()?;
            let start = plan.address(id);
            let unused = always
                && graph.tensor(id).value.is_some()
                && !graph.constants().any(|(other, _)| other == id);
            (size > 0 && !unused).then(|| Use {
                tensor: id,
                written: written.is_some(),
                memory: start..start + size,
                steps,
            })
        })
        .collect()
}

fn overlap<T: PartialOrd>(a: &Range<T>, b: &Range<T>) -> bool {
    a.start < b.end && b.start < a.end
}

#[test]
fn nothing_in_use_at_the_same_time_overlaps() {
    for (model, compiled) in compiled() {
        let uses = uses(&compiled);
        for (index, a) in uses.iter().enumerate() {
            for b in &uses[..index] {
                let [one, other] = [a, b].map(|u| compiled.graph.tensor(u.tensor));
                let equal = one.value.is_some() && one.value == other.value;
                let view = a.memory == b.memory && !(a.written && b.written);
                let clash = overlap(&a.memory, &b.memory) && overlap(&a.steps, &b.steps) && !equal && !view;
                assert!(!clash, "{model}: {} and {} overlap", one.name, other.name);
            }
        }
    }
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

#[test]
fn inputs_and_outputs_are_aligned_powers_of_two() {
    for (model, Compiled { graph, plan, .. }) in compiled() {
        for &id in graph.inputs.iter().chain(&graph.outputs) {
            let size = graph.tensor(id).ty.bytes().unwrap().next_power_of_two().max(32);
            assert_eq!(plan.address(id) % size, 0, "{model}: {}", graph.tensor(id).name);
        }
    }
}

#[test]
fn regions_hold_all_inputs_or_all_outputs_and_nothing_else() {
    for (model, Compiled { graph, plan, image, .. }) in compiled() {
        let interface = image.interface.unwrap();
        assert_eq!((interface.input, interface.output), (plan.input, plan.output));
        assert_eq!(1u64 << interface.scratch_bits, STACK_BYTES);
        let scratch = plan.memory_size() - STACK_BYTES..plan.memory_size();
        for (region, own) in [(plan.input, &graph.inputs), (plan.output, &graph.outputs)] {
            let region = region.range().unwrap();
            assert!(region.end - region.start >= 64 && !overlap(&region, &scratch), "{model}");
            // A view of an output is at the output's address.
            let own: Vec<u64> = own.iter().map(|&id| plan.address(id)).collect();
            let used = graph.used();
            for id in graph.ids().filter(|id| used[id.index()]) {
                let (start, size) = (plan.address(id), graph.tensor(id).ty.bytes().unwrap());
                let inside = region.start <= start && start + size <= region.end;
                let right =
                    if own.contains(&start) { inside } else { !overlap(&region, &(start..start + size)) };
                assert!(right || size == 0, "{model}: {} and the region {region:x?}", graph.tensor(id).name);
            }
        }
    }
}
