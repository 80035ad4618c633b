//! Random graphs with regions, states, parts and joins.

use dnn_lib::operator::{
    Add, Concat, Flatten, Identity, MatMul, Mul, Operator, Relu, Softmax, Split, Transpose,
};
use dnn_lib::tensor::{DType, TensorType};
use graph::{BuildError, Builder, Graph, State, TensorId};

/// What the random choices say to build, as bytes that are used one after the other.
struct Choices {
    bytes: Vec<u8>,
    next: usize,
}

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        self.next += 1;
        usize::from(*self.bytes.get(self.next - 1).unwrap_or(&0)) % end
    }

    fn of(&mut self, ids: &[TensorId]) -> TensorId {
        // Late ones more often, so that there are chains.
        ids[ids.len() - 1 - self.below(ids.len()) * self.below(3) / 2]
    }
}

/// Tensors of one shape each: matrices, and booleans.
#[derive(Clone)]
struct Known {
    matrices: Vec<TensorId>,
    conditions: Vec<TensorId>,
}

const SHAPE: [u64; 2] = [4, 4];

fn grow(
    b: &mut Builder,
    choices: &mut Choices,
    known: &mut Known,
    nodes: usize,
    depth: usize,
) -> Result<(), BuildError> {
    let named = |b: &Builder| [0, 1].map(|output| format!("t{}.{output}", b.graph().tensors.len()));
    for _ in 0..nodes {
        let [x, y] = [0; 2].map(|_| choices.of(&known.matrices));
        let names = named(b);
        let mut one = |operator: Operator, inputs: &[TensorId]| {
            b.apply("n", operator, inputs, &names).map(|ids| ids[0])
        };
        let made = match choices.below(if depth < 2 { 13 } else { 10 }) {
            0 => one(Add.into(), &[x, y])?,
            1 => one(Mul.into(), &[x, y])?,
            2 => one(Relu.into(), &[x])?,
            3 => one(MatMul.into(), &[x, y])?,
            4 => one(Softmax { axis: 1 }.into(), &[x])?,
            5 => one(Transpose { perm: None }.into(), &[x])?,
            6 => one(Flatten { axis: 1 }.into(), &[x])?,
            7 => one(Identity.into(), &[x])?,
            8 => {
                // The second half of one and the first half of another, along a random axis.
                let axis = choices.below(2) as i64;
                let split =
                    |b: &mut Builder, x| b.apply("split", Split { axis, sizes: vec![2, 2] }, &[x], &names);
                let (first, second) = (split(b, x)?, split(b, y)?);
                b.apply("join", Concat { axis }, &[second[1], first[0]], &names)?[0]
            }
            9 => {
                // Several joined, one after the other, as a layer of a DenseNet does.
                let three = choices.of(&known.matrices);
                let both = b.apply("join", Concat { axis: 0 }, &[x, y], &names)?[0];
                let all = b.apply("join", Concat { axis: 0 }, &[x, y, three], &names)?[0];
                let split =
                    |b: &mut Builder, of, sizes| b.apply("split", Split { axis: 0, sizes }, &[of], &names);
                let (of_both, of_all) = (split(b, both, vec![3, 4, 1])?, split(b, all, vec![4, 4, 4])?);
                known.matrices.extend([of_both[1], of_all[2]]);
                of_all[1]
            }
            10 | 11 => {
                let condition = choices.of(&known.conditions);
                let (outside, inner) = (known.clone(), choices.below(4));
                let state = std::cell::RefCell::new((&mut *choices, outside));
                let region = |b: &mut Builder| {
                    let mut state = state.borrow_mut();
                    let (choices, outside) = &mut *state;
                    let mut known = outside.clone();
                    grow(b, choices, &mut known, inner, depth + 1)?;
                    Ok::<_, BuildError>(vec![choices.of(&known.matrices), choices.of(&known.matrices)])
                };
                let both = b.when("if", condition, region, region, &names)?;
                known.matrices.push(both[1]);
                both[0]
            }
            _ => {
                let times = [0, 1, 3, 16, 20][choices.below(5)];
                let conditional = choices.below(2) == 1;
                let (inner, condition) = (choices.below(4), choices.of(&known.conditions));
                let mut first = vec![x, y];
                if conditional {
                    first.insert(0, condition);
                }
                let outside = known.clone();
                let last = b.repeat(
                    "repeat",
                    (times, conditional),
                    &first,
                    |b, _, carried| {
                        let mut known = outside;
                        let carried = carried.to_vec();
                        let (matrices, go_on) = if conditional {
                            (&carried[1..], Some(carried[0]))
                        } else {
                            (&carried[..], None)
                        };
                        known.matrices.extend(matrices);
                        known.conditions.extend(go_on);
                        grow(b, choices, &mut known, inner, depth + 1)?;
                        let mut next = vec![choices.of(&known.matrices), choices.of(&known.matrices)];
                        if conditional {
                            next.insert(0, choices.of(&known.conditions));
                        }
                        Ok::<_, BuildError>(next)
                    },
                    &names,
                )?;
                let last = &last[usize::from(conditional)..];
                known.matrices.push(last[1]);
                last[0]
            }
        };
        known.matrices.push(made);
    }
    Ok(())
}

/// The graph that these bytes choose.
pub fn random_graph(bytes: Vec<u8>) -> Graph {
    let mut choices = Choices { bytes, next: 0 };
    let mut b = Builder::new("random", 1 << 20);
    let ty = || TensorType::new(DType::F32, SHAPE);
    let mut known = Known { matrices: Vec::new(), conditions: Vec::new() };
    for index in 0..3 {
        known.matrices.push(b.input(format!("x{index}"), ty()));
        known.conditions.push(b.input(format!("c{index}"), TensorType::new(DType::Bool, [1])));
    }
    let constant = (0..16u8).flat_map(|i| f32::from(i).to_le_bytes()).collect::<Vec<_>>();
    known.matrices.push(b.tensor("constant", ty(), Some(constant.into())));
    let nodes = 1 + choices.below(8);
    grow(&mut b, &mut choices, &mut known, nodes, 0).expect("a graph");
    for _ in 0..=choices.below(4) {
        let id = choices.of(&known.matrices);
        b.output(id);
    }
    let outputs = b.graph().outputs.len();
    let mut graph = b.finish();
    // Some outputs are the next values of inputs 0 and 4, which are matrices.
    let input = [0, 4];
    graph.states = (0..choices.below(3).min(outputs))
        .map(|index| State { input: input[index], output: index })
        .collect();
    graph
}

/// Inputs that are different for each tensor.
pub fn inputs(graph: &Graph) -> Vec<Vec<u8>> {
    let number = |at: usize| ((at * 37 % 61) as f32 - 30.0) / 16.0;
    let input = |(index, id): (usize, &TensorId)| match graph.tensor(*id).ty.dtype {
        DType::Bool => vec![(index / 2 % 2) as u8],
        _ => (0..16).flat_map(|at| number(at + 16 * index).to_le_bytes()).collect(),
    };
    graph.inputs.iter().enumerate().map(input).collect()
}
