//! Elements that are replaced at places that another tensor names.
//!
//! An element of the output looks for the updates that hit it, in their order. A row of n elements shares the
//! m updates that may hit it, so it takes n + m steps; but halves that are combined take n * m, since they are
//! rounded once, after all updates. A negative index counts from the end. An update whose index is out of range
//! hits nothing.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{check_shape, numbers, resolve_axis};
use crate::operator::gather::{check, from_the_end};
use crate::operator::reduction::{larger, smaller};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Comparison, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// What an update does to the element that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It replaces the element. Of several, the last does.
    Replace,
    /// It is added.
    Add,
    /// It is multiplied.
    Mul,
    /// The larger of both stays.
    Max,
    /// The smaller of both stays.
    Min,
}

/// One update for each index, along an axis and at its own place along the others; inputs: data, indices,
/// updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterElements {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// What an update does.
    pub update: Update,
}

/// Slices of updates, by tuples of indices that are the last dimension of input 1; inputs: data, indices,
/// updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterND {
    /// What an update does.
    pub update: Update,
}

impl Update {
    /// The operation, if there is one.
    fn op(self, dtype: DType) -> Option<BinaryOp> {
        match self {
            Self::Replace => None,
            Self::Add => Some(BinaryOp::Add),
            Self::Mul => Some(BinaryOp::Mul),
            Self::Max => Some(larger(dtype)),
            Self::Min => Some(smaller(dtype)),
        }
    }

    /// Checks the inputs but for their shapes.
    fn check(self, inputs: &[TensorType]) -> Result<(), Problem> {
        check(inputs)?;
        let (dtype, found) = (inputs[0].dtype, inputs[2].dtype);
        if self != Self::Replace && !numbers().contains(&dtype) {
            return Err(Problem::DType { input: 0, found: dtype, expected: numbers() });
        }
        if found != dtype {
            return Err(Problem::DType { input: 2, found, expected: vec![dtype] });
        }
        Ok(())
    }

    /// A tensor as its definition sees it.
    fn seen(self, ty: &TensorType) -> TensorType {
        if self == Self::Replace { ty.as_integers() } else { ty.clone() }
    }

    /// The element after an update, if that hits it.
    fn apply(self, b: &mut Builder, dtype: DType, hit: Value, element: Value, update: Value) -> Value {
        let updated = match self.op(dtype) {
            Some(op) => b.binary(op, element, update),
            None => update,
        };
        b.select(hit, updated, element)
    }
}

impl Semantics for ScatterElements {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.update.check(inputs)?;
        let (data, indices) = (&inputs[0].shape, &inputs[1].shape);
        let axis = resolve_axis(self.axis, data.len())?;
        let fits = indices.len() == data.len()
            && (0..data.len()).all(|other| other == axis || indices[other] <= data[other]);
        check_shape(inputs, 1, fits, || format!("must be at most {data:?}, but for axis {axis}"))?;
        check_shape(inputs, 2, inputs[2].shape == *indices, || {
            format!("must be {indices:?}, as the indices")
        })?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if inputs[1].elements() == Some(0) {
            return Ok(Meaning::View { offset: 0 });
        }
        let axis = resolve_axis(self.axis, output.shape.len())?;
        let types = [self.update.seen(&inputs[0]), inputs[1].clone(), self.update.seen(&inputs[2])];
        let mut b = Builder::new("scatterelements", &types, &self.update.seen(output));
        b.rows_along([axis]);
        let zero = b.number(Type::of(types[2].dtype), 0);
        let (data, own) = (b.broadcast(0), b.index(b.at(axis)));
        // Where there are no indices, none hits.
        let nowhere = b.number(Type::of(inputs[1].dtype), -1 - output.shape[axis] as i64);
        let whole = (0..output.shape.len())
            .all(|other| other == axis || inputs[1].shape[other] == output.shape[other]);
        let result = b.fold([Over::all(inputs[1].shape[axis])], &[data], |b, k, so_far| {
            let mut at = b.indices();
            at[axis] = k[0].clone();
            let (index, update) = if whole {
                (b.load(Source::Input(1), at.clone()), b.load(Source::Input(2), at))
            } else {
                (b.load_or(Source::Input(1), at.clone(), nowhere), b.load_or(Source::Input(2), at, zero))
            };
            let index = from_the_end(b, index, output.shape[axis]);
            let hit = b.eq(index, own);
            vec![self.update.apply(b, output.dtype, hit, so_far[0], update)]
        });
        Ok(b.finish(result[0])?.into())
    }
}

impl ScatterND {
    /// The number of indices in a tuple.
    fn tuple(&self, inputs: &[TensorType]) -> Result<usize, Problem> {
        let (data, indices, updates) = (&inputs[0].shape, &inputs[1].shape, &inputs[2].shape);
        let last = indices.last().copied().unwrap_or(0);
        check_shape(inputs, 1, last >= 1 && last <= data.len() as u64, || {
            format!("must end with 1 to {}, as many indices as the data has dimensions", data.len())
        })?;
        let right = [&indices[..indices.len() - 1], &data[last as usize..]].concat();
        check_shape(inputs, 2, *updates == right, || format!("must be {right:?}"))?;
        Ok(last as usize)
    }
}

impl Semantics for ScatterND {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        self.update.check(inputs)?;
        self.tuple(inputs)?;
        Ok(inputs[0].clone())
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        if inputs[1].elements() == Some(0) {
            return Ok(Meaning::View { offset: 0 });
        }
        // The same bytes: a list of tuples, and a list of slices.
        let (tuple, update) = (self.tuple(inputs)?, self.update);
        let outer = &output.shape[..tuple];
        let (slices, size): (u64, u64) = (outer.iter().product(), output.shape[tuple..].iter().product());
        let count = inputs[1].elements().unwrap_or(0) / tuple as u64;
        let types = [
            update.seen(&TensorType::new(output.dtype, [slices, size])),
            TensorType::new(inputs[1].dtype, [count, tuple as u64]),
            update.seen(&TensorType::new(output.dtype, [count, size])),
        ];
        let mut b = Builder::new("scatternd", &types, &types[0]);
        b.rows_along([0]);
        let (data, own) = (b.broadcast(0), b.index(b.at(0)));
        let all = b.fold([Over::all(count)], &[data], |b, k, so_far| {
            let slice = slice(b, &k[0], outer);
            let hit = b.eq(slice, own);
            let value = b.load(Source::Input(2), [k[0].clone(), b.at(1)]);
            vec![self.update.apply(b, output.dtype, hit, so_far[0], value)]
        });
        Ok(b.finish(all[0])?.into())
    }
}

/// The slice that a tuple of indices names, or -1 if one of them is out of range.
fn slice(b: &mut Builder, number: &Affine, sizes: &[u64]) -> Value {
    let (zero, nowhere) = (b.i64(0), b.i64(-1));
    let (mut slice, mut exists) = (zero, None);
    for (axis, &size) in sizes.iter().enumerate() {
        let index = b.load(Source::Input(1), [number.clone(), Affine::from(axis as i64)]);
        let index = from_the_end(b, index, size);
        let size = b.i64(size as i64);
        let inside = b.compare(Comparison::LtU, index, size);
        exists = Some(exists.map_or(inside, |exists| b.and(exists, inside)));
        slice = b.mul(slice, size);
        slice = b.add(slice, index);
    }
    exists.map_or(slice, |exists| b.select(exists, slice, nowhere))
}
