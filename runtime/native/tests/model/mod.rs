//! Models made by hand: definitions over tensors, with guards and a period, linked into an image.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::collections::HashMap;

use codegen::Target;
use codegen::link::{self, Linkable, Part};
use dnn_lib::definition::{Builder, Definition};
use dnn_lib::program::{Guard, Node, Program};
use dnn_lib::scalar::{Comparison, Conversion, Ops, Type, Value};
use dnn_lib::schedule;
use dnn_lib::tensor::{DType, TensorType};
use image::{BigStep, Contents, Interface, Period, Region, Role, Section, Segment, Tensor};
use step::MachineProfile;

/// A model under construction.
#[derive(Clone, Default)]
pub struct Model {
    /// What it computes.
    pub program: Program,
    /// The tensors. Each is alone in an aligned power of two of bytes.
    pub tensors: Vec<Tensor>,
    /// The big steps that are repeated.
    pub period: Option<Period>,
    /// The big steps.
    parts: Vec<Part>,
    segments: Vec<Segment>,
    known: HashMap<Definition, u32>,
    end: u64,
}

impl Model {
    /// A tensor, perhaps with a value from the start.
    pub fn tensor(&mut self, role: Role, ty: &TensorType, value: Option<Vec<u8>>) -> u32 {
        let (bytes, number) = (ty.bytes().expect("a size"), self.tensors.len());
        let size = bytes.next_power_of_two().max(32);
        let address = self.end.next_multiple_of(size);
        self.end = address + size;
        if let Some(bytes) = value {
            self.segments.push(Segment { address, bytes: bytes.into() });
        }
        let (name, shape) = (format!("t{number}"), ty.shape.clone());
        self.tensors.push(Tensor { name, role, dtype: ty.dtype, shape, address, bytes });
        number as u32
    }

    /// A node of so many big steps, or fewer if it has fewer units. Returns its first big step.
    pub fn node(
        &mut self,
        definition: &Definition,
        inputs: &[u32],
        output: u32,
        guards: &[(u32, bool)],
        big_steps: u64,
    ) -> u32 {
        let node = self.program.nodes.len() as u32;
        let count = self.program.definitions.len() as u32;
        let number = *self.known.entry(definition.clone()).or_insert(count);
        if number == count {
            self.program.definitions.push(definition.clone());
        }
        let guards = guards.iter().map(|&(tensor, when)| Guard { tensor, when }).collect();
        self.program.nodes.push(Node { definition: number, inputs: inputs.to_vec(), output, guards });
        let (units, first) = (schedule::units(definition), self.parts.len());
        let big_steps = big_steps.min(units);
        for part in 0..big_steps {
            let border = |part: u64| units * part / big_steps;
            self.program.steps.push(node);
            self.parts.push(Part { node: node as usize, lo: border(part), hi: border(part + 1) });
        }
        first as u32
    }

    /// The big steps from one on become the period.
    pub fn repeat(&mut self, start: u32, least: u64, most: u64) {
        self.period = Some(Period { start, count: self.parts.len() as u32 - start, least, most });
    }

    /// The bytes of memory.
    pub fn memory(&self) -> u64 {
        (self.end + link::STACK_BYTES).next_power_of_two()
    }

    /// The image's contents.
    pub fn contents(&self) -> Contents {
        let target = Target::guest().expect("a target");
        let kernel = |definition| {
            Linkable::new(&schedule::guest(definition).expect("a kernel"), &target).expect("code")
        };
        let kernels: Vec<Linkable> = self.program.definitions.iter().map(kernel).collect();
        let address = |tensor: u32| self.tensors[tensor as usize].address;
        let node = |node: &Node| link::Node {
            addresses: node.inputs.iter().chain([&node.output]).map(|&tensor| address(tensor)).collect(),
            kernel: node.definition as usize,
            guards: node
                .guards
                .iter()
                .map(|guard| link::Guard { address: address(guard.tensor), when: guard.when })
                .collect(),
        };
        let nodes: Vec<link::Node> = self.program.nodes.iter().map(node).collect();
        let period = self.period.map(|period| link::Period {
            start: period.start as usize,
            count: period.count as usize,
            times: period.most,
        });
        let memory = self.memory();
        let text = link::text(memory, &kernels, &nodes, &self.parts, period).expect("a program");
        let profile = MachineProfile::new(
            text.extensions().expect("instructions"),
            memory.ilog2() as u8,
            text.address,
            text.bytes.len() as u64,
        );
        let big_step = |(part, entry): (&Part, &link::Entry)| {
            let (node, linked) = (&self.program.nodes[part.node], &nodes[part.node]);
            BigStep {
                kernel: text.kernel(linked.kernel).expect("a kernel"),
                operator: self.program.definition(node).name.clone(),
                node: format!("node{}", part.node),
                output: node.output,
                lo: part.lo,
                hi: part.hi,
                arguments: linked.addresses.clone(),
                entry: entry.address,
                bound: entry.bound,
            }
        };
        let region = |tensor: &Tensor| Region {
            address: tensor.address,
            bits: tensor.bytes.next_power_of_two().max(32).ilog2() as u8,
        };
        let regions = |role| self.tensors.iter().filter(|tensor| tensor.role == role).map(region).collect();
        Contents {
            profile: profile.expect("a machine"),
            entry: text.address,
            sp: memory,
            segments: self.segments.clone(),
            tensors: self.tensors.clone(),
            schedule: self.parts.iter().zip(&text.entries).map(big_step).collect(),
            period: self.period,
            interface: Some(Interface {
                inputs: regions(Role::Input),
                outputs: regions(Role::Output),
                scratch_bits: link::STACK_BITS,
                bound: text.bound,
            }),
            sections: vec![Section::program(self.program.to_bytes().expect("bytes"))],
            code: text.bytes.clone().into(),
            symbols: text.symbols,
        }
    }
}

/// A definition of elements from those at the same place in the inputs.
pub fn elementwise(
    name: &str,
    inputs: &[TensorType],
    output: &TensorType,
    element: impl FnOnce(&mut Builder, &[Value]) -> Value,
) -> Definition {
    let mut b = Builder::new(name, inputs, output);
    let values: Vec<Value> = (0..inputs.len()).map(|input| b.broadcast(input)).collect();
    let value = element(&mut b, &values);
    b.finish(value).expect("a definition")
}

/// A definition of a tensor that equals another.
pub fn copy(ty: &TensorType) -> Definition {
    elementwise("copy", std::slice::from_ref(ty), ty, |_, x| x[0])
}

/// The size of the state that [`counter`] computes.
pub const SIZE: u64 = 6000;

/// A model that repeats `x = x / 2 + count` between `least` and `most` times on a state, but stops as soon as
/// it has counted to its input; the state begins with its other input. Each output is a copy of the state.
pub fn counter(least: u64, most: u64) -> Model {
    counter_of(SIZE, least, most)
}

/// The same on a state of another size.
pub fn counter_of(size: u64, least: u64, most: u64) -> Model {
    let (state, number, flag) = (
        TensorType::new(DType::F32, [size]),
        TensorType::new(DType::I32, [1]),
        TensorType::new(DType::Bool, [1]),
    );
    let mut model = Model::default();
    let [end, first] = [&number, &state].map(|ty| model.tensor(Role::Input, ty, None));
    let output = model.tensor(Role::Output, &state, None);
    let [count, next] = [(); 2].map(|()| model.tensor(Role::Activation, &number, None));
    let [x, y] = [(); 2].map(|()| model.tensor(Role::Activation, &state, None));
    let [stop, done] = [(); 2].map(|()| model.tensor(Role::Activation, &flag, None));
    let increment = elementwise("increment", std::slice::from_ref(&number), &number, |b, x| {
        let one = b.i32(1);
        b.add(x[0], one)
    });
    let update = elementwise("update", &[state.clone(), number.clone()], &state, |b, x| {
        let (half, count) = (b.f32(0.5), b.convert(Conversion::IntToFloat, Type::F32, x[1]));
        b.fma(x[0], half, count)
    });
    let ends = [number.clone(), number.clone()];
    let ends = elementwise("ends", &ends, &flag, |b, x| {
        let ends = b.compare(Comparison::Le, x[1], x[0]);
        b.convert(Conversion::FromBool, Type::I32, ends)
    });
    let going_on = [(done, false)];
    model.node(&copy(&state), &[first], x, &[], 2);
    let start = model.node(&increment, &[count], next, &going_on, 1);
    model.node(&copy(&number), &[next], count, &[], 1);
    model.node(&update, &[x, count], y, &going_on, 3);
    model.node(&copy(&state), &[y], x, &going_on, 1);
    model.node(&ends, &[count, end], stop, &going_on, 1);
    model.node(&copy(&flag), &[stop], done, &[], 1);
    model.repeat(start, least, most);
    model.node(&copy(&state), &[x], output, &[], 1);
    model
}

/// The output of [`counter`].
pub fn counted(first: &[f32], end: i32, repetitions: u64) -> Vec<f32> {
    let times = (1..=repetitions as i32).take(end.max(1) as usize);
    let turn = |x: Vec<f32>, count: i32| x.iter().map(|x| x.mul_add(0.5, count as f32)).collect();
    times.fold(first.to_vec(), turn)
}

/// The inputs of [`counter`].
pub fn inputs(first: &[f32], end: i32) -> Vec<Vec<u8>> {
    vec![end.to_le_bytes().to_vec(), first.iter().flat_map(|x| x.to_le_bytes()).collect()]
}
