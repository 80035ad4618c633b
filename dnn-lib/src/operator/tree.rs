//! Ensembles of decision trees: which leaf an example comes to in each tree, and what its leaves say together.
//!
//! All trees are one table. Whatever a node asks, the importer turns it into `x[feature] <= threshold`, so a
//! step down a tree is the same few operations everywhere, and a walk takes as many steps as the deepest tree
//! has levels. In a leaf it stays where it is.

use crate::definition::{Affine, Builder, Coordinate, Over, Source};
use crate::operator::error::{check_attribute, check_dtype, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// The leaf that each example comes to in each tree, as an `i32` `[examples, trees]`; inputs: the examples
/// `[examples, features]`, `f32` or `f64`, and the table of nodes, unsigned integers of that size.
///
/// The table has a power of two of rows. The first ones are the roots, in order. What is in a row is in
/// [`TreeLeaves::COLUMNS`]. An index that is out of range takes the nearest feature; the number of a row counts
/// modulo the number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLeaves {
    /// The number of trees.
    pub trees: u64,
    /// The most steps from a root to a leaf.
    pub depth: u64,
}

impl TreeLeaves {
    /// The number of columns of the table. A row has the feature, the bits of the threshold, the row to go to if
    /// the feature is larger or a NaN (the next one otherwise), and, in a leaf, its number. A leaf has the
    /// threshold NaN and goes to itself.
    pub const COLUMNS: u64 = 4;
}

/// The columns of a row.
const FEATURE: i64 = 0;
const THRESHOLD: i64 = 1;
const NEXT: i64 = 2;
const LEAF: i64 = 3;

/// How the weights of leaves become one number, tree after tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum, with one accumulator from +0.
    Sum,
    /// The least, from infinity.
    Min,
    /// The largest, from minus infinity.
    Max,
}

/// What the leaves of groups of trees say together, `[examples, groups, targets]`; inputs: the leaves
/// `[examples, trees]`, those of a group side by side, and the weights of each leaf `[leaves, targets]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeScores {
    /// The number of groups.
    pub groups: u64,
    /// How weights become one.
    pub aggregate: Aggregate,
}

/// A word of the table that is an index.
fn index(b: &mut Builder, row: Value, column: i64) -> Value {
    let word = word(b, row, column);
    if b.ty(word) == Type::I64 { word } else { b.convert(Conversion::ZeroExtend, Type::I64, word) }
}

fn word(b: &mut Builder, row: Value, column: i64) -> Value {
    b.load(Source::Input(1), [row.into(), Coordinate::from(Affine::from(column))])
}

impl Semantics for TreeLeaves {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[DType::F32, DType::F64])?;
        check_dtype(inputs, 1, &[if inputs[0].dtype == DType::F32 { DType::U32 } else { DType::U64 }])?;
        let &[examples, features] = &inputs[0].shape[..] else {
            return Err(Problem::Shape {
                input: 0,
                found: inputs[0].shape.clone(),
                expected: "must have two dimensions: examples and features".to_owned(),
            });
        };
        check_shape(inputs, 0, features > 0, || "there must be a feature".to_owned())?;
        let fits = matches!(inputs[1].shape[..], [rows, Self::COLUMNS] if rows.is_power_of_two());
        check_shape(inputs, 1, fits, || format!("must be [a power of two, {}]", Self::COLUMNS))?;
        let rows = inputs[1].shape[0];
        check_attribute("trees", self.trees, self.trees <= rows, || format!("there are only {rows} nodes"))?;
        check_attribute("depth", self.depth, self.depth <= rows, || format!("there are only {rows} nodes"))?;
        Ok(TensorType::new(DType::I32, [examples, self.trees]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("treeleaves", inputs, output);
        let (example, root) = (b.at(0), b.index(b.at(1)));
        let last = inputs[1].shape[0] as i64 - 1;
        let in_table = |b: &mut Builder, row| {
            let last = b.i64(last);
            b.and(row, last)
        };
        let end = b.fold([Over::all(self.depth)], &[root], |b, _, row| {
            let row = in_table(b, row[0]);
            let feature = index(b, row, FEATURE);
            let x = b.load(Source::Input(0), [Coordinate::from(example.clone()), feature.into()]);
            let (threshold, next) = (word(b, row, THRESHOLD), index(b, row, NEXT));
            let threshold = b.bitcast(threshold);
            let holds = b.le(x, threshold);
            let step = b.convert(Conversion::FromBool, Type::I32, holds);
            let step = b.convert(Conversion::ZeroExtend, Type::I64, step);
            vec![b.add(next, step)]
        });
        let row = in_table(&mut b, end[0]);
        let leaf = word(&mut b, row, LEAF);
        let leaf =
            if b.ty(leaf) == Type::I32 { leaf } else { b.convert(Conversion::Truncate, Type::I32, leaf) };
        Ok(b.finish(leaf)?.into())
    }
}

impl Semantics for TreeScores {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[DType::I32])?;
        check_dtype(inputs, 1, &[DType::F32, DType::F64])?;
        let (leaves, weights) = (&inputs[0].shape, &inputs[1].shape);
        let fits = leaves.len() == 2 && self.groups > 0 && leaves[1].is_multiple_of(self.groups);
        check_shape(inputs, 0, fits, || format!("must be [examples, {} groups of trees]", self.groups))?;
        let fits = weights.len() == 2 && weights[0] > 0;
        check_shape(inputs, 1, fits, || "must be [leaves, targets], with a leaf at least".to_owned())?;
        Ok(TensorType::new(inputs[1].dtype, [leaves[0], self.groups, weights[1]]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let trees = inputs[0].shape[1] / self.groups;
        let (op, start) = match self.aggregate {
            Aggregate::Sum => (BinaryOp::Add, 0.0),
            Aggregate::Min => (BinaryOp::Min, f64::INFINITY),
            Aggregate::Max => (BinaryOp::Max, f64::NEG_INFINITY),
        };
        let mut b = Builder::new("treescores", inputs, output);
        let (example, group, target) = (b.at(0), b.at(1), b.at(2));
        let start = match output.dtype {
            DType::F64 => b.f64(start),
            _ => b.f32(start as f32),
        };
        let total = b.fold([Over::all(trees)], &[start], |b, tree, total| {
            let tree = group.clone() * trees as i64 + tree[0].clone();
            let leaf = b.load(Source::Input(0), [example.clone(), tree]);
            let leaf = b.convert(Conversion::SignExtend, Type::I64, leaf);
            let weight = b.load(Source::Input(1), [leaf.into(), Coordinate::from(target.clone())]);
            vec![b.binary(op, total[0], weight)]
        });
        Ok(b.finish(total[0])?.into())
    }
}
