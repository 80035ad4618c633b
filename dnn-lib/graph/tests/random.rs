//! What random graphs are lowered to computes what they compute, with every pass and without.

use dnn_lib::operator::{
    Add, Concat, DequantizeLinear, Mul, Operator, QuantizeLinear, Sigmoid, Split, Transpose,
};
use dnn_lib::tensor::{DType, TensorType};
use graph::lower::{Lowered, Phase, lower};
use graph::passes::unroll::UnrollError;
use graph::passes::{dead, fuse, narrow, outputs, repeat, share, unroll};
use graph::{BuildError, Builder, Graph, TensorId, reference};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::graphs::{inputs, random_graph};

/// Memory as it is before a run: constants in place, everything else strange.
struct Memory<'a> {
    graph: &'a Graph,
    lowered: &'a Lowered,
    bytes: Vec<Vec<u8>>,
}

impl Memory<'_> {
    fn size(&self, id: TensorId) -> usize {
        self.graph.tensor(id).ty.bytes().expect("a size") as usize
    }

    fn read(&self, id: TensorId) -> Vec<u8> {
        let place = self.lowered.place(id);
        self.bytes[place.root.index()][place.offset as usize..][..self.size(id)].to_vec()
    }

    fn write(&mut self, id: TensorId, bytes: &[u8]) {
        let (place, size) = (self.lowered.place(id), self.size(id));
        self.bytes[place.root.index()][place.offset as usize..][..size].copy_from_slice(bytes);
    }
}

/// Runs what a graph was lowered to.
fn run(graph: &Graph, lowered: &Lowered, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let fill = |tensor: &graph::Tensor| vec![0xa5; tensor.ty.bytes().expect("a size") as usize];
    let mut memory = Memory { graph, lowered, bytes: graph.tensors.iter().map(fill).collect() };
    graph.constants().for_each(|(id, value)| memory.write(id, value));
    for (id, tensor) in graph.ids().zip(&graph.tensors) {
        // Those that lowering adds are not in the graph's nodes.
        tensor.value.iter().for_each(|value| memory.write(id, value));
    }
    graph.inputs.iter().zip(inputs).for_each(|(&id, input)| memory.write(id, input));
    let phase = |phase| lowered.nodes.iter().filter(move |node| node.phase == phase);
    let times = if lowered.period().is_empty() { 0 } else { lowered.times };
    let period = (0..times).flat_map(|_| phase(Phase::Period));
    for node in phase(Phase::Before).chain(period).chain(phase(Phase::After)) {
        if node.guards.iter().all(|guard| (memory.read(guard.tensor)[0] != 0) == guard.when) {
            let inputs: Vec<Vec<u8>> = node.inputs.iter().map(|&id| memory.read(id)).collect();
            let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let output = node.definition.eval(&inputs).expect("a value");
            let own = node.guards.iter().any(|guard| together(&memory, guard.tensor, node.output));
            assert!(!own, "{} writes its guard", node.name);
            // A kernel writes while it reads.
            let overlap = node.inputs.iter().any(|&id| together(&memory, id, node.output));
            assert!(!overlap, "{} writes what it reads", node.name);
            memory.write(node.output, &output);
        }
    }
    graph.outputs.iter().map(|&id| memory.read(id)).collect()
}

/// Whether two tensors have bytes in common.
fn together(memory: &Memory<'_>, a: TensorId, b: TensorId) -> bool {
    let range = |id| {
        let place = memory.lowered.place(id);
        (place.root, place.offset..place.offset + memory.size(id) as u64)
    };
    let ((a, x), (b, y)) = (range(a), range(b));
    a == b && x.start < y.end && y.start < x.end
}

pub fn execute(graph: &Graph, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    reference::execute(graph, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("the reference")
}

/// Whether a graph computes this after every pass.
pub fn check(graph: &Graph, inputs: &[Vec<u8>], expected: &[Vec<u8>]) -> Result<(), TestCaseError> {
    prop_assert_eq!(graph.verify(), Ok(()), "{}", graph);
    prop_assert_eq!(execute(graph, inputs), expected, "{}", graph);
    let mut unrolled = match unroll::unroll(graph.clone(), 1 << 20) {
        Err(UnrollError::TooMany { .. }) => return Ok(()),
        unrolled => unrolled.expect("a graph"),
    };
    prop_assert_eq!(unrolled.verify(), Ok(()), "{}\n{}", graph, unrolled);
    prop_assert_eq!(execute(&unrolled, inputs), expected, "unrolled\n{}", unrolled);
    narrow::narrow(&mut unrolled);
    prop_assert_eq!(unrolled.verify(), Ok(()), "{}\n{}", graph, unrolled);
    prop_assert_eq!(execute(&unrolled, inputs), expected, "narrowed\n{}", unrolled);
    dead::remove(&mut unrolled);
    outputs::separate(&mut unrolled);
    prop_assert_eq!(unrolled.verify(), Ok(()), "{}", unrolled);
    prop_assert_eq!(execute(&unrolled, inputs), expected, "{}", unrolled);

    let plain = lower(&mut unrolled).expect("one period");
    prop_assert_eq!(run(&unrolled, &plain, inputs), expected, "lowered\n{}", unrolled);
    let shared = share::share(&unrolled, plain.clone());
    prop_assert_eq!(run(&unrolled, &shared, inputs), expected, "shared\n{}", unrolled);
    let fused = fuse::fuse(&unrolled, plain);
    prop_assert_eq!(run(&unrolled, &fused, inputs), expected, "fused\n{}", unrolled);
    let both = fuse::fuse(&unrolled, shared);
    prop_assert_eq!(run(&unrolled, &both, inputs), expected, "shared and fused\n{}", unrolled);
    Ok(())
}

/// Whether written out or a period, a repetition knows its number.
#[test]
fn repetitions_are_numbered() {
    for times in [0u64, 1, 7, 16, 100] {
        let mut b = Builder::new("sum", 1 << 20);
        let first = b.input("first", TensorType::new(DType::I64, []));
        let body =
            |b: &mut Builder, number, carried: &[TensorId]| b.apply("add", Add, &[carried[0], number], &[]);
        let last = b.repeat::<BuildError>("repeat", (times, false), &[first], body, &[]).expect("a graph");
        b.output(last[0]);
        let sum = 1000 + times * times.saturating_sub(1) / 2;
        let [given, expected] = [1000, sum].map(|number| vec![number.to_le_bytes().to_vec()]);
        check(&b.finish(), &given, &expected).expect("the same");
    }
}

/// A condition that is false from the start, after some time, or never. Nothing runs again once it is.
#[test]
fn repetitions_end_with_their_condition() {
    let mut b = Builder::new("until", 1 << 20);
    let flags = b.input("flags", TensorType::new(DType::Bool, [30]));
    let first = b.input("first", TensorType::new(DType::I64, []));
    let turn = |b: &mut Builder, flags| {
        let parts = b.apply("cut", Split { axis: 0, sizes: vec![1, 29] }, &[flags], &[])?;
        Ok::<_, BuildError>((parts[0], b.apply("turn", Concat { axis: 0 }, &[parts[1], parts[0]], &[])?[0]))
    };
    let (condition, rest) = turn(&mut b, flags).expect("a graph");
    let body = |b: &mut Builder, number, carried: &[TensorId]| {
        let (next, rest) = turn(b, carried[1])?;
        Ok::<_, BuildError>(vec![next, rest, b.apply("add", Add, &[carried[2], number], &[])?[0]])
    };
    let last = b.repeat("repeat", (25, true), &[condition, rest, first], body, &[]).expect("a graph");
    last.into_iter().for_each(|id| b.output(id));
    let graph = b.finish();
    for end in [0u64, 1, 2, 17, 24, 25, 30] {
        // Any byte but 0 is true, and stays the byte that it is.
        let flags = (0..30u8).map(|at| if u64::from(at) < end || at > 26 { 1 + at % 3 } else { 0 }).collect();
        let inputs = [flags, 5u64.to_le_bytes().to_vec()];
        let runs = end.min(25);
        let expected = execute(&graph, &inputs);
        assert_eq!(expected[2], (5 + runs * runs.saturating_sub(1) / 2).to_le_bytes());
        check(&graph, &inputs, &expected).expect("the same");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn what_a_graph_is_lowered_to_computes_the_same(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        let graph = random_graph(bytes);
        let inputs = inputs(&graph);
        check(&graph, &inputs, &execute(&graph, &inputs))?;
    }

    #[test]
    fn one_run_is_many(bytes in prop::collection::vec(any::<u8>(), 0..100), times in 1u64..20) {
        let graph = random_graph(bytes);
        let (first, mut next, mut outputs) = (inputs(&graph), inputs(&graph), Vec::new());
        for _ in 0..times {
            outputs = execute(&graph, &next);
            graph.states.iter().for_each(|state| next[state.input].clone_from(&outputs[state.output]));
        }
        check(&repeat::repeat(graph, times), &first, &outputs)?;
    }
}

/// Bytes are dequantized by all that read the floats, if all can, and only then.
#[test]
fn bytes_are_dequantized_where_they_are_read() {
    let ty = TensorType::new(DType::U8, [3, 50]);
    for (is_output, turned) in [(false, false), (true, false), (false, true)] {
        let mut b = Builder::new("quantized", 1 << 20);
        let x = b.input("x", ty.clone());
        let [scale, zero] = [("scale", DType::F32), ("zero", DType::U8)]
            .map(|(name, dtype)| b.input(name, TensorType::new(dtype, [])));
        let mut apply = |operator: Operator, inputs: &[TensorId]| {
            b.apply("node", operator, inputs, &[]).expect("a node")[0]
        };
        let quantize = || Operator::from(QuantizeLinear { to: DType::U8, blocks: None });
        let dequantize = || Operator::from(DequantizeLinear { to: DType::F32, blocks: None });
        let floats = apply(dequantize(), &[x, scale, zero]);
        let sigmoid = apply(Sigmoid.into(), &[floats]);
        let sigmoid = apply(quantize(), &[sigmoid, scale, zero]);
        let sigmoid = apply(dequantize(), &[sigmoid, scale, zero]);
        let product = apply(Mul.into(), &[floats, sigmoid]);
        let product = apply(quantize(), &[product, scale, zero]);
        let other = turned.then(|| apply(Transpose { perm: None }.into(), &[floats]));
        b.output(product);
        other.into_iter().chain(is_output.then_some(floats)).for_each(|id| b.output(id));
        let graph = b.finish();

        let bytes: Vec<u8> = (0..150).map(|i| (i * 7) as u8).collect();
        let inputs = vec![bytes, 0.037f32.to_le_bytes().to_vec(), vec![131]];
        check(&graph, &inputs, &execute(&graph, &inputs)).expect("the same");
        let mut graph = graph;
        let lowered = lower(&mut graph).expect("one period");
        let fused = fuse::fuse(&graph, lowered);
        let operators: Vec<&str> = fused.nodes.iter().map(|node| node.operator.as_str()).collect();
        // Together they are a function of a byte, so what is quantized between them isn't stored.
        let again =
            "DequantizeLinear+Sigmoid+QuantizeLinear+DequantizeLinear+DequantizeLinear+Mul+QuantizeLinear";
        let all = !is_output && !turned;
        assert_eq!(operators == [again], all, "{operators:?}");
        assert_eq!(operators.contains(&"DequantizeLinear"), !all, "{operators:?}");
    }
}
