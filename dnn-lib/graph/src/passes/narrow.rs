//! Moves bytes instead of the floats that they stand for.
//!
//! Exporters quantize and dequantize around every operator, around those too that only move elements. Since one number
//! quantizes all elements of a tensor, it doesn't matter to them when they are moved:
//!
//! - A dequantized tensor that is moved is the moved tensor, dequantized.
//! - A moved tensor that is quantized is the quantized tensor, moved; so are several that are joined.
//! - A dequantized tensor that is quantized in the same way is the tensor itself.
//!
//! Each is done where it isn't more to compute: what repeats elements comes last, what leaves out some comes first. So
//! less is stored, and what is left between two products is often a function of a byte. Every bit stays.

use std::collections::HashMap;

use dnn_lib::operator::{DequantizeLinear, Identity, Operator, QuantizeLinear};
use dnn_lib::tensor::{DType, TensorType};

use crate::{Graph, Kind, Node, Tensor, TensorId};

/// Rewrites a graph. What is no longer needed stays: see [`dead`](super::dead).
pub fn narrow(graph: &mut Graph) {
    let mut reads = vec![0usize; graph.tensors.len()];
    graph.nodes.iter().for_each(|node| count(node, &mut reads));
    graph.outputs.iter().for_each(|id| reads[id.index()] += 1);
    let nodes = std::mem::take(&mut graph.nodes);
    graph.nodes = Narrowed::new(graph, &reads).list(nodes);
}

/// Counts how often tensors are read, by nodes and as results of regions.
fn count(node: &Node, reads: &mut [usize]) {
    node.inputs.iter().for_each(|id| reads[id.index()] += 1);
    for region in node.regions() {
        region.outputs.iter().for_each(|id| reads[id.index()] += 1);
        region.nodes.iter().for_each(|node| count(node, reads));
    }
}

/// The nodes of a list, rewritten so far.
struct Narrowed<'a> {
    graph: &'a mut Graph,
    reads: &'a [usize],
    nodes: Vec<Node>,
    /// The tensors that are dequantized.
    dequantized: HashMap<TensorId, Quantized>,
    /// The tensors that are moved or joined, with the place of the node, if they are read once.
    moved: HashMap<TensorId, usize>,
}

/// Through how many movements, one after the other, a tensor is quantized.
const MOST_MOVES: usize = 8;

/// A quantized tensor, and how it becomes floats.
#[derive(Clone)]
struct Quantized {
    tensor: TensorId,
    /// The scale, and perhaps the zero point: a number each.
    by: Vec<TensorId>,
    operator: DequantizeLinear,
}

impl<'a> Narrowed<'a> {
    fn new(graph: &'a mut Graph, reads: &'a [usize]) -> Self {
        Self { graph, reads, nodes: Vec::new(), dequantized: HashMap::new(), moved: HashMap::new() }
    }

    fn list(mut self, nodes: Vec<Node>) -> Vec<Node> {
        for mut node in nodes {
            match &mut node.kind {
                Kind::Operator(_) => {}
                Kind::If { then, otherwise } => {
                    for region in [then, otherwise] {
                        let nodes = std::mem::take(&mut region.nodes);
                        region.nodes = Narrowed::new(self.graph, self.reads).list(nodes);
                    }
                }
                Kind::Repeat(repeat) => {
                    let nodes = std::mem::take(&mut repeat.body.nodes);
                    repeat.body.nodes = Narrowed::new(self.graph, self.reads).list(nodes);
                }
            }
            self.node(node);
        }
        self.nodes
    }

    fn node(&mut self, node: Node) {
        let Kind::Operator(operator) = &node.kind else { return self.nodes.push(node) };
        match operator {
            Operator::DequantizeLinear(operator) => self.dequantize(node.clone(), *operator),
            Operator::QuantizeLinear(operator) => self.quantize(node.clone(), *operator),
            operator => match Movement::of(operator) {
                Some(movement) => self.moved(node, movement),
                None => self.nodes.push(node),
            },
        }
    }

    fn dequantize(&mut self, node: Node, operator: DequantizeLinear) {
        if let &[Some(output)] = &node.outputs[..]
            && let Some((&tensor, by)) = node.inputs.split_first()
            && operator.blocks.is_none()
            && !self.graph.tensor(tensor).ty.dtype.is_packed()
            && self.are_numbers(by)
        {
            self.dequantized.insert(output, Quantized { tensor, by: by.to_vec(), operator });
        }
        self.nodes.push(node);
    }

    fn moved(&mut self, node: Node, movement: Movement) {
        let found = node.inputs.first().and_then(|id| self.dequantized.get(id)).cloned();
        let outputs = || node.outputs.iter().flatten().copied();
        let fits = |found: &Quantized| outputs().all(|output| self.have_room(&found.by, output));
        match found.filter(|found| movement.can_come_first() && fits(found)) {
            Some(found) => self.before_floats(&node, &found),
            None => {
                if let &[Some(output)] = &node.outputs[..]
                    && movement.can_come_last()
                    && self.reads[output.index()] == 1
                {
                    self.moved.insert(output, self.nodes.len());
                }
                self.nodes.push(node);
            }
        }
    }

    /// Moves a quantized tensor, and dequantizes what comes of it.
    fn before_floats(&mut self, node: &Node, quantized: &Quantized) {
        let dtype = self.graph.tensor(quantized.tensor).ty.dtype;
        let bytes = node.outputs.iter().map(|output| output.map(|output| self.like(output, dtype)));
        let bytes: Vec<Option<TensorId>> = bytes.collect();
        self.nodes.push(Node { inputs: vec![quantized.tensor], outputs: bytes.clone(), ..node.clone() });
        for (output, bytes) in node.outputs.iter().zip(bytes) {
            if let (&Some(output), Some(tensor)) = (output, bytes) {
                let inputs = [&[tensor], &quantized.by[..]].concat();
                let kind = Kind::Operator(quantized.operator.into());
                let node = Node { name: node.name.clone(), kind, inputs, outputs: vec![Some(output)] };
                self.nodes.push(node);
                self.dequantized.insert(output, Quantized { tensor, ..quantized.clone() });
            }
        }
    }

    fn quantize(&mut self, node: Node, operator: QuantizeLinear) {
        match (&node.outputs[..], node.inputs.split_first()) {
            (&[Some(output)], Some((&x, by)))
                if operator.blocks.is_none() && !operator.to.is_packed() && self.are_numbers(by) =>
            {
                self.quantized(&node.name, operator, [x, output], by, MOST_MOVES);
            }
            _ => self.nodes.push(node),
        }
    }

    /// Quantizes a tensor as another one: what it is made of, if it is only moved, up to so many times.
    fn quantized(
        &mut self,
        name: &str,
        operator: QuantizeLinear,
        [x, to]: [TensorId; 2],
        by: &[TensorId],
        most: usize,
    ) {
        let moved = self.moved.get(&x).map(|&place| self.nodes[place].clone());
        let fits = |moved: &Node| moved.inputs.iter().all(|&part| self.have_room(by, part));
        if let Some(moved) = moved.filter(|moved| most > 0 && fits(moved)) {
            let mut parts = Vec::new();
            for &part in &moved.inputs {
                let quantized = self.like(part, operator.to);
                self.quantized(name, operator, [part, quantized], by, most - 1);
                parts.push(quantized);
            }
            return self.nodes.push(Node { inputs: parts, outputs: vec![Some(to)], ..moved });
        }
        let before = self.dequantized.get(&x).filter(|before| self.inverts(before, operator, by));
        let (kind, inputs) = match before {
            Some(before) => (Identity.into(), vec![before.tensor]),
            None => (operator.into(), [&[x], by].concat()),
        };
        let kind = Kind::Operator(kind);
        self.nodes.push(Node { name: name.to_owned(), kind, inputs, outputs: vec![Some(to)] });
    }

    /// Whether a dequantized tensor that is quantized is the same again.
    ///
    /// With x = q - zero, it is round(fl(fl(x scale) / scale)). If nothing underflows or overflows, that is rounded
    /// twice by at most 2^-24 of it, so it is nearer to x than 1/2.
    fn inverts(&self, before: &Quantized, operator: QuantizeLinear, by: &[TensorId]) -> bool {
        let tensor = |id: TensorId| self.graph.tensor(id);
        let equal = |a: TensorId, b: TensorId| {
            let (a, b) = (tensor(a), tensor(b));
            a.ty.dtype == b.ty.dtype && a.value.is_some() && a.value == b.value
        };
        let same = before.by.len() == by.len() && before.by.iter().zip(by).all(|(&a, &b)| equal(a, b));
        let is_small = matches!(operator.to, DType::U8 | DType::I8 | DType::U16 | DType::I16);
        let Some(scale) = by.first().map(|&id| tensor(id)) else { return false };
        let scale = scale.value.as_deref().filter(|_| scale.ty.dtype == DType::F32);
        let scale = scale.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(f32::from_le_bytes);
        let ordinary = |scale: f32| (1e-20..1e20).contains(&scale.abs());
        same && is_small
            && tensor(before.tensor).ty.dtype == operator.to
            && before.operator.to == DType::F32
            && scale.is_some_and(ordinary)
    }

    /// Whether tensors are a number each.
    fn are_numbers(&self, ids: &[TensorId]) -> bool {
        ids.iter().all(|&id| self.graph.tensor(id).ty.elements() == Some(1))
    }

    /// Whether a tensor has as many dimensions as numbers have, so that they can be broadcast to it.
    fn have_room(&self, numbers: &[TensorId], tensor: TensorId) -> bool {
        let rank = |id: TensorId| self.graph.tensor(id).ty.shape.len();
        numbers.iter().all(|&number| rank(number) <= rank(tensor))
    }

    /// A new tensor that is like another one but for its type.
    fn like(&mut self, tensor: TensorId, dtype: DType) -> TensorId {
        let Tensor { name, ty, .. } = self.graph.tensor(tensor).clone();
        self.graph.add_tensor(Tensor { name, ty: TensorType::new(dtype, ty.shape), value: None })
    }
}

/// What an operator does that only moves elements.
#[derive(Clone, Copy, PartialEq)]
enum Movement {
    /// It repeats elements.
    Repeats,
    /// It leaves out elements, or gives them to several outputs.
    Parts,
    /// It has each element once.
    Orders,
    /// It has the elements of several tensors once.
    Joins,
}

impl Movement {
    fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::Expand(_) | Operator::Tile(_) => Some(Self::Repeats),
            Operator::Slice(_) | Operator::Split(_) => Some(Self::Parts),
            Operator::Flatten(_)
            | Operator::Identity(_)
            | Operator::Reshape(_)
            | Operator::Squeeze(_)
            | Operator::Transpose(_)
            | Operator::Unsqueeze(_) => Some(Self::Orders),
            Operator::Concat(_) => Some(Self::Joins),
            _ => None,
        }
    }

    /// Whether what it moves may be dequantized afterwards.
    fn can_come_first(self) -> bool {
        matches!(self, Self::Parts | Self::Orders)
    }

    /// Whether what it moves may be quantized before.
    fn can_come_last(self) -> bool {
        matches!(self, Self::Repeats | Self::Orders | Self::Joins)
    }
}
