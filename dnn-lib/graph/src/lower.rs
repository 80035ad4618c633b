//! What a graph computes, as a list: a definition for each node, and which tensors share memory. Memory is
//! planned and the schedule is made from this list alone.
//!
//! Regions are gone. What is in one of an If has a guard, and what is in the one Repeat that is not written out
//! is the period of the schedule. What they carry are copies, most of which [`share`](crate::passes::share)
//! removes again.

use bytes::Bytes;
use dnn_lib::definition::{Builder, Definition, DefinitionError, Source};
use dnn_lib::operator::{Add, Meaning, Operator, OperatorError};
use dnn_lib::program::MOST_GUARDS;
use dnn_lib::scalar::{Ops, Type};
use dnn_lib::tensor::{DType, TensorType};

use crate::{Graph, Kind, Node, Region, Repeat, Tensor, TensorId};

/// Why a graph can't be lowered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LowerError {
    /// An operator was accepted but cannot be computed, which is an error in its definition.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A copy has no definition, which is an error in this library.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// There is a second Repeat, or one inside of a region. [`unroll`](crate::passes::unroll) writes them out.
    #[error("node `{node}` repeats its region, but a schedule has one period, outside of other regions")]
    Repeat {
        /// The node.
        node: String,
    },
    /// A node is inside of too many conditions.
    #[error("node `{node}` is an If inside of others: a node can wait for {MOST_GUARDS} conditions at most")]
    Depth {
        /// The node.
        node: String,
    },
}

/// The computed nodes of a graph.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Each after those whose outputs it reads, in the order of their phases.
    pub nodes: Vec<Computed>,
    /// How often the period is repeated, if there is one.
    pub times: u64,
    places: Vec<Place>,
}

/// A node that computes something.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The name of the node, or the names of several that became one: `conv1+relu1`.
    pub name: String,
    /// The name of the operator, or likewise: `Conv+Relu`.
    pub operator: String,
    /// What it computes.
    pub definition: Definition,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor that it writes.
    pub output: TensorId,
    /// It runs only if all of them hold.
    pub guards: Vec<Guard>,
    /// When it runs.
    pub phase: Phase,
    /// Whether it only copies its one input.
    pub copy: bool,
}

/// A boolean in memory that must be true, or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The boolean.
    pub tensor: TensorId,
    /// Its value.
    pub when: bool,
}

/// A part of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the period, or all of it if there is none.
    Before,
    /// What is repeated.
    Period,
    /// After the period.
    After,
}

/// Where a tensor is: inside of another one, or at the start of its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tensor whose memory it is.
    pub root: TensorId,
    /// The first byte in it.
    pub offset: u64,
}

impl Lowered {
    /// Where a tensor is. The root has memory of its own.
    pub fn place(&self, id: TensorId) -> Place {
        resolve(&self.places, id)
    }

    /// Puts a tensor into the memory of another.
    pub(crate) fn put(&mut self, id: TensorId, place: Place) {
        self.places[id.index()] = place;
    }

    /// The nodes of the period.
    pub fn period(&self) -> std::ops::Range<usize> {
        let start = self.nodes.partition_point(|node| node.phase < Phase::Period);
        start..self.nodes.partition_point(|node| node.phase <= Phase::Period)
    }

    /// The tensors that are in memory: inputs, outputs, what nodes read and write, and those whose memory
    /// these share.
    pub fn used<'a>(&self, graph: &'a Graph) -> impl Iterator<Item = TensorId> + use<'a> {
        let mut used = vec![false; graph.tensors.len()];
        let of_nodes = self.nodes.iter().flat_map(Computed::tensors);
        for id in graph.inputs.iter().chain(&graph.outputs).copied().chain(of_nodes) {
            used[id.index()] = true;
            used[self.place(id).root.index()] = true;
        }
        graph.ids().filter(move |id| used[id.index()])
    }
}

impl Computed {
    /// The tensors that it reads.
    pub fn reads(&self) -> impl Iterator<Item = TensorId> {
        self.inputs.iter().copied().chain(self.guards.iter().map(|guard| guard.tensor))
    }

    /// The tensors that it reads and writes.
    pub fn tensors(&self) -> impl Iterator<Item = TensorId> {
        self.reads().chain([self.output])
    }
}

fn resolve(places: &[Place], id: TensorId) -> Place {
    let mut place = Place { root: id, offset: 0 };
    loop {
        let next = places[place.root.index()];
        if next.root == place.root {
            return place;
        }
        place = Place { root: next.root, offset: place.offset + next.offset };
    }
}

/// Lowers a graph, whose outputs are [apart](crate::passes::outputs) from each other. Views and what has no
/// elements are not computed. Tensors are added for what is carried.
pub fn lower(graph: &mut Graph) -> Result<Lowered, LowerError> {
    let places = graph.ids().map(|root| Place { root, offset: 0 }).collect();
    let lowered = Lowered { nodes: Vec::new(), times: 0, places };
    let Graph { tensors, nodes, inputs, outputs, states, .. } = graph;
    let mut lowering = Lowering { tensors, lowered, guards: Vec::new(), phase: Phase::Before };
    lowering.nodes(nodes)?;
    let states: Vec<(TensorId, TensorId)> =
        states.iter().map(|state| (inputs[state.input], outputs[state.output])).collect();
    lowering.outputs(inputs, outputs, &states)?;
    Ok(lowering.lowered)
}

struct Lowering<'a> {
    tensors: &'a mut Vec<Tensor>,
    lowered: Lowered,
    guards: Vec<Guard>,
    phase: Phase,
}

impl Lowering<'_> {
    fn ty(&self, id: TensorId) -> &TensorType {
        &self.tensors[id.index()].ty
    }

    /// Another tensor, with memory of its own.
    fn tensor(&mut self, name: String, ty: TensorType, value: Option<Bytes>) -> TensorId {
        let id = TensorId(u32::try_from(self.tensors.len()).unwrap_or(u32::MAX));
        self.tensors.push(Tensor { name, ty, value });
        self.lowered.places.push(Place { root: id, offset: 0 });
        id
    }

    /// Another tensor of the same type.
    fn like(&mut self, id: TensorId) -> TensorId {
        let Tensor { name, ty, .. } = self.tensors[id.index()].clone();
        self.tensor(name, ty, None)
    }

    fn view(&mut self, id: TensorId, of: TensorId, offset: u64) {
        self.lowered.put(id, Place { root: of, offset });
    }

    fn compute(
        &mut self,
        name: &str,
        operator: &str,
        definition: Definition,
        inputs: &[TensorId],
        output: TensorId,
    ) {
        self.lowered.nodes.push(Computed {
            name: name.to_owned(),
            operator: operator.to_owned(),
            definition,
            inputs: inputs.to_vec(),
            output,
            guards: self.guards.clone(),
            phase: self.phase,
            copy: false,
        });
    }

    /// Copies the elements of one tensor to another, unless they are there already.
    fn copy(&mut self, name: &str, from: TensorId, to: TensorId) -> Result<(), LowerError> {
        let ty = self.ty(to);
        let Some(elements) = ty.elements().filter(|&elements| elements > 0) else { return Ok(()) };
        if self.lowered.place(from) != self.lowered.place(to) {
            let moved = TensorType::new(ty.dtype.as_integer(), [elements]);
            let mut b = Builder::new("copy", std::slice::from_ref(&moved), &moved);
            let value = b.load(Source::Input(0), b.indices());
            let definition = b.finish(value)?;
            self.compute(name, "Copy", definition, &[from], to);
            self.lowered.nodes.last_mut().into_iter().for_each(|node| node.copy = true);
        }
        Ok(())
    }

    /// The next value of a condition, computed in any case: if it doesn't hold any more, what would come next was
    /// not computed, and it stays as it is. Any byte but 0 is true.
    fn next(&mut self, name: &str, condition: TensorId, next: TensorId) -> Result<TensorId, LowerError> {
        let types = [condition, next].map(|id| self.ty(id).clone());
        let mut b = Builder::new("next", &types, &types[0]);
        let (old, new, zero) = (b.broadcast(0), b.broadcast(1), b.number(Type::of(DType::Bool), 0));
        let holds = b.ne(old, zero);
        let value = b.select(holds, new, old);
        let (definition, output) = (b.finish(value)?, self.like(condition));
        let guards = std::mem::take(&mut self.guards);
        self.compute(name, "Next", definition, &[condition, next], output);
        self.guards = guards;
        Ok(output)
    }

    /// Copies several tensors at once: none of them sees the new value of another.
    fn assign(&mut self, name: &str, pairs: &[(TensorId, TensorId)]) -> Result<(), LowerError> {
        let mut safe = Vec::new();
        for &(from, to) in pairs {
            let root = self.lowered.place(from).root;
            let changed =
                pairs.iter().any(|&(_, other)| other != to && self.lowered.place(other).root == root);
            let held = if changed { self.like(from) } else { from };
            if changed {
                self.copy(name, from, held)?;
            }
            safe.push((held, to));
        }
        safe.into_iter().try_for_each(|(from, to)| self.copy(name, from, to))
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<(), LowerError> {
        nodes.iter().try_for_each(|node| match &node.kind {
            Kind::Operator(operator) => self.operator(node, operator),
            Kind::If { then, otherwise } => {
                self.branch(node, then, true)?;
                self.branch(node, otherwise, false)
            }
            Kind::Repeat(repeat) => self.repeat(node, repeat),
        })
    }

    fn operator(&mut self, node: &Node, operator: &Operator) -> Result<(), LowerError> {
        let types: Vec<TensorType> = node.inputs.iter().map(|&id| self.ty(id).clone()).collect();
        for (index, output) in node.outputs.iter().enumerate() {
            let &Some(output) = output else { continue };
            match operator.define(&types, index)? {
                None => {}
                Some(Meaning::View { offset }) => self.view(output, node.inputs[0], offset),
                Some(Meaning::Joined) => self.join(node, output)?,
                Some(Meaning::Computed(definition)) => {
                    self.compute(&node.name, operator.name(), definition, &node.inputs, output);
                }
            }
        }
        Ok(())
    }

    /// Copies each input to its place in the output.
    fn join(&mut self, node: &Node, output: TensorId) -> Result<(), LowerError> {
        let mut offset = 0;
        for &input in &node.inputs {
            let part = self.like(input);
            self.view(part, output, offset);
            self.copy(&node.name, input, part)?;
            offset += self.ty(input).bytes().unwrap_or(0);
        }
        Ok(())
    }

    /// One region of an If.
    fn branch(&mut self, node: &Node, region: &Region, when: bool) -> Result<(), LowerError> {
        if self.guards.len() == MOST_GUARDS {
            return Err(LowerError::Depth { node: node.name.clone() });
        }
        self.guards.push(Guard { tensor: node.inputs[0], when });
        self.nodes(&region.nodes)?;
        for (&from, &to) in region.outputs.iter().zip(&node.outputs) {
            to.map_or(Ok(()), |to| self.copy(&node.name, from, to))?;
        }
        self.guards.pop();
        Ok(())
    }

    /// The period: what is carried has a place of its own, which holds the first value before the period and
    /// the last one after it.
    fn repeat(
        &mut self,
        node: &Node,
        Repeat { times, conditional, body }: &Repeat,
    ) -> Result<(), LowerError> {
        if self.phase != Phase::Before || !self.guards.is_empty() {
            return Err(LowerError::Repeat { node: node.name.clone() });
        }
        if *times == 0 {
            let pairs = node.outputs.iter().zip(&node.inputs);
            pairs.for_each(|(output, &from)| output.iter().for_each(|&output| self.view(output, from, 0)));
            return Ok(());
        }
        let (number, carried) = (body.inputs[0], &body.inputs[1..]);
        let scalar = |number: i64| Some(Bytes::copy_from_slice(&number.to_le_bytes()));
        let ty = self.ty(number).clone();
        let [zero, one] = [0, 1].map(|of| self.tensor(of.to_string(), ty.clone(), scalar(of)));
        let numbered = body.nodes.iter().flat_map(Node::tensors).chain(body.outputs.iter().copied());
        let numbered = numbered.into_iter().any(|id| id == number);
        if numbered {
            self.copy(&node.name, zero, number)?;
        }
        for (&from, &to) in node.inputs.iter().zip(carried) {
            self.copy(&node.name, from, to)?;
        }
        (self.phase, self.lowered.times) = (Phase::Period, *times);
        self.guards.extend(conditional.then(|| Guard { tensor: carried[0], when: true }));
        self.nodes(&body.nodes)?;
        let mut pairs: Vec<_> = body.outputs.iter().copied().zip(carried.iter().copied()).collect();
        let mut condition = None;
        if *conditional {
            let (next, old) = pairs.remove(0);
            condition = Some((self.next(&node.name, old, next)?, old));
        }
        if numbered {
            let next = self.like(number);
            if let Some(Meaning::Computed(sum)) = Operator::from(Add).define(&[ty.clone(), ty], 0)? {
                self.compute(&node.name, "Add", sum, &[number, one], next);
            }
            pairs.insert(0, (next, number));
        }
        self.assign(&node.name, &pairs)?;
        // The others wait for the condition, so it changes last, whether it holds or not.
        self.guards.clear();
        condition.map_or(Ok(()), |(next, old)| self.copy(&node.name, next, old))?;
        self.phase = Phase::After;
        for (&output, &from) in node.outputs.iter().zip(carried) {
            output.into_iter().for_each(|output| self.view(output, from, 0));
        }
        Ok(())
    }

    /// Gives every output memory that is its alone, or that of the state whose next value it is.
    fn outputs(
        &mut self,
        inputs: &[TensorId],
        outputs: &[TensorId],
        states: &[(TensorId, TensorId)],
    ) -> Result<(), LowerError> {
        let mut pairs = Vec::new();
        for &(input, output) in states {
            pairs.push((self.rename(output), output));
            self.view(output, input, 0);
        }
        for &output in outputs.iter().filter(|&id| states.iter().all(|(_, output)| output != id)) {
            let place = self.lowered.place(output);
            if place.root == output {
                continue;
            }
            let whole = place.offset == 0 && self.ty(place.root).bytes() == self.ty(output).bytes();
            let fixed = self.tensors[place.root.index()].value.is_some()
                || inputs.contains(&place.root)
                || outputs.contains(&place.root);
            if whole && !fixed {
                // The memory is called by the output's name.
                self.view(output, output, 0);
                self.view(place.root, output, 0);
            } else {
                let from = self.rename(output);
                let name = format!("copy of {}", self.tensors[output.index()].name);
                self.copy(&name, from, output)?;
            }
        }
        self.assign("next state", &pairs)
    }

    /// Another tensor that is everything that this one was. The tensor itself gets new memory.
    fn rename(&mut self, id: TensorId) -> TensorId {
        let other = self.like(id);
        let place = self.lowered.places[id.index()];
        if place.root != id {
            self.view(other, place.root, place.offset);
        }
        let to = |place: &mut TensorId| {
            if *place == id {
                *place = other
            }
        };
        for node in &mut self.lowered.nodes {
            node.inputs.iter_mut().chain([&mut node.output]).for_each(to);
            node.guards.iter_mut().map(|guard| &mut guard.tensor).for_each(to);
        }
        self.lowered.places.iter_mut().filter(|place| place.root == id).for_each(|place| place.root = other);
        self.view(id, id, 0);
        other
    }
}
