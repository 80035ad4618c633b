//! Definitions: what an element of an operator's output *is*, apart from how it is computed.
//!
//! A [`Definition`] gives the element at an index as an expression over elements of the inputs, with the order
//! of its reductions. Schedulers make programs of it: loops for the machine ([`crate::schedule`]), vectors for
//! this computer. Since the order is part of the definition, and lanes, tiles and threads run over outputs,
//! all of them give the same bits. [`Definition::eval`] is the meaning; it is slow and exact.
//!
//! # Semantics
//!
//! * Operations are those of [`crate::scalar`], with the NaN rule of the [kernel language](crate::kernel).
//! * An element is loaded at coordinates, which are affine in the axes, or values. Affine coordinates are in
//!   range by construction: [`Definition::check`] proves it. A value out of range takes the nearest element.
//!   If a load gives another value for elements out of range, coordinates are free.
//! * A reduction takes the indices of its axes in row-major order. A window leaves out those outside. In
//!   [`Order::Lanes`], index number i goes to lane i mod 16, each lane starts with the initial value, and then
//!   lane j takes lanes j + 8, j + 4, j + 2 and j + 1 in turn.
//! * Stages are values that a row needs as a whole before its elements: the maximum and the sum of a softmax.
//!
//! A definition can come from a file of a stranger: [`Definition::check`] says whether it is one.

mod affine;
mod along;
mod builder;
mod check;
mod display;
mod eval;
mod fuse;
mod nested;
mod quantization;
mod shared;

use serde::{Deserialize, Serialize};

pub use affine::{Affine, Axis, Coordinate};
pub use builder::{Builder, Over};
pub use check::{DefinitionError, Fault};
pub use eval::InputError;
pub use fuse::keeps_bits;
pub use quantization::Quantization;
pub use shared::{Form, Shared};

use crate::math::Function;
use crate::scalar::{Expr, Type, Value};
use crate::tensor::TensorType;

/// The number of lanes of [`Order::Lanes`].
pub const LANES: usize = 16;

/// What the elements of a tensor are, given other tensors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Definition {
    /// What it computes, for people: the operator's name in lower case. Not unique.
    pub name: String,
    /// The tensors it reads.
    pub inputs: Vec<TensorType>,
    /// The tensor it defines.
    pub output: TensorType,
    /// The size of each axis: those of the output, then those of the reductions.
    pub axes: Vec<u64>,
    /// The axes of the output that run along a row, ascending. Without any, each element is a row.
    pub row: Vec<Axis>,
    /// The type of each value.
    pub types: Vec<Type>,
    /// What is computed for each row, in this order. The last one is the output.
    pub stages: Vec<Stage>,
}

/// Values of a row: one for each index of some of its axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// Those axes of the row that it has, ascending; none for one value a row. The output has all.
    pub axes: Vec<Axis>,
    /// How its element is computed.
    pub steps: Vec<Step>,
    /// The element.
    pub value: Value,
}

/// Defines values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// An operation.
    Let(Value, Expr),
    /// An elementary function of an `F32`.
    Call(Value, Function, Value),
    /// An index as an `I64`.
    Index(Value, Affine),
    /// An element.
    Load(Value, Load),
    /// A reduction.
    Reduce(Reduction),
}

/// An element of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// The tensor.
    pub from: Source,
    /// One coordinate for each of its dimensions.
    pub at: Vec<Coordinate>,
    /// The value if a coordinate is out of range.
    pub otherwise: Option<Value>,
}

/// Where an element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// An input, by its index.
    Input(u32),
    /// An earlier stage of the same row, by its index.
    Stage(u32),
}

/// A fold over axes of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reduction {
    /// Its axes, outermost first.
    pub ranges: Vec<Range>,
    /// The order.
    pub order: Order,
    /// The initial values.
    pub init: Vec<Value>,
    /// The values so far, defined in the body.
    pub carried: Vec<Value>,
    /// The body.
    #[serde(deserialize_with = "nested::read")]
    pub body: Vec<Step>,
    /// The next values, from the body.
    pub yields: Vec<Value>,
    /// The final values, defined after it.
    pub results: Vec<Value>,
}

/// An axis of a reduction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The axis; [`Definition::axes`] has its size.
    pub axis: Axis,
    /// If given, only indices whose position is in the window count.
    pub window: Option<Window>,
}

/// The positions of an axis of a reduction: `start + step * index`, which count in `0..size`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The position of index 0.
    pub start: Affine,
    /// The distance between positions, at least 1.
    pub step: u64,
    /// The end of the positions that count.
    pub size: u64,
}

impl Window {
    /// The position of an index.
    pub fn position(&self, axis: Axis) -> Affine {
        self.start.clone() + Affine::from(axis) * self.step as i64
    }
}

/// In which order a reduction combines its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// One after the other.
    Ascending,
    /// In sixteen lanes. The body ends with one operation on the value so far and another value, which also
    /// combines the lanes. There are no windows.
    Lanes,
}

impl Step {
    /// The values that it defines, without those inside of it.
    pub fn defined(&self) -> Vec<Value> {
        match self {
            Self::Let(value, _) | Self::Call(value, ..) | Self::Index(value, _) | Self::Load(value, _) => {
                vec![*value]
            }
            Self::Reduce(reduction) => reduction.results.clone(),
        }
    }

    /// The values that it uses directly, without those used inside of it.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Self::Let(_, expr) => expr.operands(),
            Self::Call(_, _, x) => vec![*x],
            Self::Index(..) => vec![],
            Self::Load(_, load) => {
                let values = load.at.iter().filter_map(|coordinate| match coordinate {
                    Coordinate::Value(value) => Some(*value),
                    Coordinate::Affine(_) => None,
                });
                values.chain(load.otherwise).collect()
            }
            Self::Reduce(reduction) => reduction.init.clone(),
        }
    }
}

impl Definition {
    /// The axes of the output.
    pub fn output_axes(&self) -> impl Iterator<Item = Axis> + use<> {
        (0..self.output.shape.len() as u32).map(Axis)
    }

    /// The axes of the output that number the rows.
    pub fn outer(&self) -> Vec<Axis> {
        self.output_axes().filter(|axis| !self.row.contains(axis)).collect()
    }

    /// The size of an axis.
    pub fn size(&self, axis: Axis) -> u64 {
        self.axes[axis.index()]
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> Type {
        self.types[value.index()]
    }

    /// The stage of the output.
    pub fn last(&self) -> &Stage {
        &self.stages[self.stages.len() - 1]
    }

    /// The type of the elements of a source, and its shape.
    pub fn shape(&self, source: Source) -> Vec<u64> {
        match source {
            Source::Input(index) => self.inputs[index as usize].shape.clone(),
            Source::Stage(index) => {
                self.stages[index as usize].axes.iter().map(|&axis| self.size(axis)).collect()
            }
        }
    }

    /// About how many steps the evaluator takes for the whole output.
    pub fn work(&self) -> u64 {
        let count = |axes: &[Axis]| axes.iter().map(|&axis| self.size(axis)).fold(1, u64::saturating_mul);
        let stage = |stage: &Stage| count(&stage.axes).saturating_mul(self.work_of(&stage.steps));
        let row = self.stages.iter().map(stage).fold(0, u64::saturating_add);
        count(&self.outer()).saturating_mul(row)
    }

    fn work_of(&self, steps: &[Step]) -> u64 {
        let work = |step: &Step| match step {
            Step::Reduce(reduction) => {
                // An empty axis inside of a long one is looked for at each index of that one.
                let sizes = reduction.ranges.iter().map(|range| self.size(range.axis).max(1));
                sizes.fold(self.work_of(&reduction.body), u64::saturating_mul)
            }
            Step::Call(..) => 32,
            _ => 1,
        };
        steps.iter().map(work).fold(1, u64::saturating_add)
    }
}
