//! Random graphs with regions, states, parts and joins have the same results natively, in the machine, and by
//! the reference.

#[path = "../../../dnn-lib/graph/tests/graphs.rs"]
mod graphs;

use compiler::Options;
use graph::reference;
use image::Role;
use interpreter::Interpreter;
use native::{Native, Run};
use step::Status;

#[test]
fn regions_are_the_same_everywhere() {
    let (mut periods, mut guarded) = (0, 0);
    for seed in 0..60u64 {
        // What looks random and has few zeros.
        let byte = |at: u64| ((seed * 160 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        let graph = graphs::random_graph((0..100).map(byte).collect());
        let inputs = graphs::inputs(&graph);
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = reference::execute(&graph, &slices).expect("the reference");
        let budget = (seed % 3 == 0).then_some(500);
        let options = Options { budget, fuse: seed % 2 == 0, ..Options::default() };
        let compiled = compiler::compile_graph(graph, &options).expect("an image");
        let image = &compiled.image;
        periods += usize::from(image.period.is_some());
        guarded += usize::from(compiled.schedule.steps.iter().any(|step| !step.guards.is_empty()));

        let tensors = |role| image.tensors.iter().filter(move |tensor| tensor.role == role);
        let interface = image.interface.as_ref().expect("an interface");
        let mut machine = Interpreter::new(image).expect("memory");
        for (tensor, input) in tensors(Role::Input).zip(&inputs) {
            machine.write_memory(tensor.address, input).expect("inside");
        }
        assert_eq!(machine.run(interface.bound).status, Status::Exited, "{seed}");
        let read = |tensor: &image::Tensor| machine.read_memory(tensor.address, tensor.bytes as usize);
        let found: Vec<&[u8]> = tensors(Role::Output).map(|tensor| read(tensor).expect("inside")).collect();
        assert_eq!(found, expected, "{seed}\n{}", compiled.graph);
        machine.memory_mut().clear(image.profile.memory_size() - 1, interface.scratch_bits.into());
        for threads in [1, 2] {
            let native = Native::of(image, threads).expect("native code");
            let mut run = Run::new(&native, image, &slices).expect("a run");
            assert_eq!(run.outputs().expect("outputs"), expected, "{seed}\n{}", compiled.graph);
            let end = native.big_steps();
            assert_eq!(run.memory_root_at(end).expect("a root"), machine.state().memory_root, "{seed}");
        }
    }
    assert!(periods > 3 && guarded > 20, "{periods} have a period, {guarded} have guards");
}
