//! Reductions over whole dimensions.

use crate::definition::{Affine, Builder, Source};
use crate::math::Function;
use crate::operator::error::{
    FLOATS, check_not_empty, check_shape, comparable, numbers, resolve_axes, same_dtype,
};
use crate::operator::norm::{check_norm, root as root_of_powers, term};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{BinaryOp, Const, Expr, Ops, Type, Value};
use crate::tensor::{DType, TensorType, elements};

/// How a reduction is computed: its values are combined in 16 lanes.
struct Form {
    /// The element types.
    dtypes: fn() -> Vec<DType>,
    /// The result of no values.
    init: fn(&mut Builder, DType) -> Value,
    /// What combines them.
    op: fn(DType) -> BinaryOp,
    /// The value of an element.
    element: fn(&mut Builder, DType, Value) -> Value,
    /// The result, made of what all values give and of their number.
    result: fn(&mut Builder, DType, Value, u64) -> Value,
}

macro_rules! reductions {
    ($($(#[doc = $doc:literal])+ $name:ident = $form:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The axes; negative ones count from the end. `None` means all.
            pub axes: Option<Vec<i64>>,
            /// Whether reduced dimensions are kept with size 1.
            pub keep_dims: bool,
        }

        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                let dtype = same_dtype(inputs, &($form.dtypes)())?;
                let over = Over::new(&inputs[0].shape, self.axes.as_deref(), self.keep_dims)?;
                Ok(TensorType::new(dtype, over.output()))
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                let over = Over::new(&inputs[0].shape, self.axes.as_deref(), self.keep_dims)?;
                reduce(&stringify!($name).to_lowercase(), &$form, &over, inputs, output)
            }
        }
    )+};
}

const SUM: Form = Form { dtypes: numbers, init: zero, op: |_| BinaryOp::Add, element: same, result: total };

reductions! {
    /// The largest value: the least one that there is if there are none. A NaN if there is one.
    ReduceMax = Form { dtypes: comparable, init: lowest, op: larger, ..SUM };
    /// The smallest value: the largest one that there is if there are none. A NaN if there is one.
    ReduceMin = Form { dtypes: comparable, init: highest, op: smaller, ..SUM };
    /// The sum. Integers wrap.
    ReduceSum = SUM;
    /// The product. Integers wrap.
    ReduceProd = Form { init: one, op: |_| BinaryOp::Mul, ..SUM };
    /// The sum, divided by the count. A quotient of integers is rounded towards zero.
    ReduceMean = Form { result: mean, ..SUM };
    /// The sum of the values without their signs.
    ReduceL1 = Form { element: magnitude, ..SUM };
    /// The square root of the sum of the squares. That of integers is a binary64 root of the sum, towards
    /// zero.
    ReduceL2 = Form { element: square, result: root, ..SUM };
    /// The sum of the squares.
    ReduceSumSquare = Form { element: square, ..SUM };
    /// The logarithm of the sum.
    ReduceLogSum = Form { dtypes: || FLOATS.to_vec(), result: logarithm, ..SUM };
}

/// The dimensions of a reduction.
pub(super) struct Over {
    shape: Vec<u64>,
    reduced: Vec<bool>,
    keep_dims: bool,
}

impl Over {
    pub(super) fn new(shape: &[u64], axes: Option<&[i64]>, keep_dims: bool) -> Result<Self, Problem> {
        let rank = shape.len();
        let reduced = match axes {
            None => vec![true; rank],
            Some(axes) => {
                let axes = resolve_axes(axes, rank)?;
                (0..rank).map(|axis| axes.contains(&axis)).collect()
            }
        };
        Ok(Self { shape: shape.to_vec(), reduced, keep_dims })
    }

    /// The shape of the output.
    pub(super) fn output(&self) -> Vec<u64> {
        let sizes = self.shape.iter().zip(&self.reduced).filter_map(|(&size, reduced)| match reduced {
            false => Some(size),
            true => self.keep_dims.then_some(1),
        });
        sizes.collect()
    }

    /// The sizes of the reduced dimensions.
    pub(super) fn sizes(&self) -> Vec<u64> {
        self.shape.iter().zip(&self.reduced).filter(|(_, reduced)| **reduced).map(|(&size, _)| size).collect()
    }

    /// The place of an element of the input, by the index of the output and those of the reduced dimensions.
    pub(super) fn place(&self, own: Vec<Affine>, along: &[Affine]) -> Vec<Affine> {
        let (mut own, mut along) = (own.into_iter(), along.iter().cloned());
        let mut at = Vec::new();
        for &reduced in &self.reduced {
            // A reduced dimension that is kept has size 1 in the output.
            let kept = if reduced && !self.keep_dims { None } else { own.next() };
            at.extend(if reduced { along.next() } else { kept });
        }
        at
    }
}

fn reduce(
    name: &str,
    form: &Form,
    over: &Over,
    inputs: &[TensorType],
    output: &TensorType,
) -> Result<Meaning, Problem> {
    let (dtype, sizes) = (output.dtype, over.sizes());
    let mut b = Builder::new(name, inputs, output);
    let init = (form.init)(&mut b, dtype);
    let all = b.in_lanes((form.op)(dtype), sizes.iter().copied(), init, |b, along| {
        let x = b.load(Source::Input(0), over.place(b.indices(), along));
        (form.element)(b, dtype, x)
    });
    let result = (form.result)(&mut b, dtype, all, elements(&sizes).unwrap_or(u64::MAX));
    Ok(b.finish(result)?.into())
}

/// The logarithm of the sum of e^x, as m + log(sum of e^(x - m)) with the maximum m, or 0 if that is
/// infinite. Both are in 16 lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceLogSumExp {
    /// The axes; negative ones count from the end. `None` means all.
    pub axes: Option<Vec<i64>>,
    /// Whether reduced dimensions are kept with size 1.
    pub keep_dims: bool,
}

impl Semantics for ReduceLogSumExp {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, FLOATS)?;
        let over = Over::new(&inputs[0].shape, self.axes.as_deref(), self.keep_dims)?;
        Ok(TensorType::new(dtype, over.output()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let over = Over::new(&inputs[0].shape, self.axes.as_deref(), self.keep_dims)?;
        let mut b = Builder::new("reducelogsumexp", inputs, output);
        let ty = Type::of(output.dtype);
        let least = lowest(&mut b, output.dtype);
        let max = b.in_lanes(BinaryOp::Max, over.sizes(), least, |b, along| {
            b.load(Source::Input(0), over.place(b.indices(), along))
        });
        let (infinity, none) = (b.real(ty, f64::INFINITY), b.real(ty, 0.0));
        let size = b.abs(max);
        let infinite = b.eq(size, infinity);
        let max = b.select(infinite, none, max);
        let max = b.stage(max);
        let (m, zero) = (b.of_row(max), b.real(ty, 0.0));
        let sum = b.in_lanes(BinaryOp::Add, over.sizes(), zero, |b, along| {
            let x = b.load(Source::Input(0), over.place(b.indices(), along));
            let x = b.sub(x, m);
            b.call(Function::Exp, x)
        });
        let log = b.call(Function::Log, sum);
        let result = b.add(m, log);
        Ok(b.finish(result)?.into())
    }
}

/// Whether the integers of a type have no sign.
fn is_unsigned(dtype: DType) -> bool {
    matches!(dtype, DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64)
}

/// The operation that gives the larger of two values.
pub(super) fn larger(dtype: DType) -> BinaryOp {
    if matches!(dtype, DType::U32 | DType::U64) { BinaryOp::MaxU } else { BinaryOp::Max }
}

/// The operation that gives the smaller of two values.
pub(super) fn smaller(dtype: DType) -> BinaryOp {
    if matches!(dtype, DType::U32 | DType::U64) { BinaryOp::MinU } else { BinaryOp::Min }
}

/// The least value of a type.
pub(super) fn lowest(b: &mut Builder, dtype: DType) -> Value {
    let least = if is_unsigned(dtype) { 0 } else { i64::MIN >> (64 - dtype.bits()) };
    extreme(b, dtype, f64::NEG_INFINITY, least)
}

/// The largest value of a type.
pub(super) fn highest(b: &mut Builder, dtype: DType) -> Value {
    let most = match dtype {
        DType::Bool => 1,
        _ if is_unsigned(dtype) => (u64::MAX >> (64 - dtype.bits())).cast_signed(),
        _ => i64::MAX >> (64 - dtype.bits()),
    };
    extreme(b, dtype, f64::INFINITY, most)
}

fn extreme(b: &mut Builder, dtype: DType, float: f64, integer: i64) -> Value {
    b.define(Expr::Const(match Type::of(dtype) {
        Type::F32 => Const::F32((float as f32).to_bits()),
        Type::F64 => Const::F64(float.to_bits()),
        Type::I64 => Const::I64(integer),
        Type::I32 | Type::Bool => Const::I32(integer as i32),
    }))
}

fn zero(b: &mut Builder, dtype: DType) -> Value {
    b.number(Type::of(dtype), 0)
}

fn one(b: &mut Builder, dtype: DType) -> Value {
    b.number(Type::of(dtype), 1)
}

fn same(_: &mut Builder, _: DType, x: Value) -> Value {
    x
}

fn total(_: &mut Builder, _: DType, all: Value, _: u64) -> Value {
    all
}

fn magnitude(b: &mut Builder, dtype: DType, x: Value) -> Value {
    if is_unsigned(dtype) { x } else { b.abs(x) }
}

fn square(b: &mut Builder, _: DType, x: Value) -> Value {
    b.mul(x, x)
}

fn mean(b: &mut Builder, dtype: DType, sum: Value, count: u64) -> Value {
    let ty = Type::of(dtype);
    let count = b.number(ty, count as i64);
    match ty {
        _ if ty.is_float() => b.div(sum, count),
        _ if is_unsigned(dtype) => b.div_u(sum, count),
        _ => b.div_s(sum, count),
    }
}

fn logarithm(b: &mut Builder, _: DType, sum: Value, _: u64) -> Value {
    b.call(Function::Log, sum)
}

fn root(b: &mut Builder, dtype: DType, sum: Value, _: u64) -> Value {
    let ty = Type::of(dtype);
    if ty.is_float() {
        return b.sqrt(sum);
    }
    // The sum has wrapped, as an integer of the type in which it is computed.
    let own = if is_unsigned(dtype) { [DType::U32, DType::U64] } else { [DType::I32, DType::I64] };
    let own = own[usize::from(ty == Type::I64)];
    let wide = b.cast(own, DType::F64, sum);
    let root = b.sqrt(wide);
    b.saturate(DType::F64, dtype, root)
}

/// The reduction over all dimensions but the first two, which are kept.
fn spatial(inputs: &[TensorType]) -> Result<Vec<i64>, Problem> {
    let rank = inputs[0].shape.len();
    check_shape(inputs, 0, rank >= 3, || "must have the form [N, C, D1, ...]".to_owned())?;
    Ok((2..rank as i64).collect())
}

macro_rules! global {
    ($($(#[doc = $doc:literal])+ $name:ident = $reduce:ident of $dtypes:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                same_dtype(inputs, $dtypes)?;
                $reduce { axes: Some(spatial(inputs)?), keep_dims: true }.infer(inputs)
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                $reduce { axes: Some(spatial(inputs)?), keep_dims: true }.define(inputs, output)
            }
        }
    )+};
}

global! {
    /// The mean over all dimensions but the first two, which are kept; summed as in [`ReduceMean`].
    GlobalAveragePool = ReduceMean of FLOATS;
    /// The largest value of all dimensions but the first two, which are kept.
    GlobalMaxPool = ReduceMax of FLOATS;
}

/// The norm of all dimensions but the first two, which are kept, in 16 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalLpPool {
    /// The power of which the root is taken in the end.
    pub p: i64,
}

impl Semantics for GlobalLpPool {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        same_dtype(inputs, FLOATS)?;
        check_norm(self.p)?;
        ReduceL2 { axes: Some(spatial(inputs)?), keep_dims: true }.infer(inputs)
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let over = Over::new(&inputs[0].shape, Some(&spatial(inputs)?), true)?;
        let mut b = Builder::new("globallppool", inputs, output);
        let init = zero(&mut b, output.dtype);
        let sum = b.in_lanes(BinaryOp::Add, over.sizes(), init, |b, along| {
            let x = b.load(Source::Input(0), over.place(b.indices(), along));
            term(b, x, self.p)
        });
        let norm = root_of_powers(&mut b, sum, self.p);
        Ok(b.finish(norm)?.into())
    }
}

/// Where the largest value is along an axis, as an `i64`. A NaN is larger than all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMax {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// Whether the dimension is kept with size 1.
    pub keep_dims: bool,
    /// Whether the last of equal values is meant, and not the first.
    pub last: bool,
}

/// Where the smallest value is along an axis, as an `i64`. A NaN is smaller than all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMin {
    /// The axis; a negative one counts from the end.
    pub axis: i64,
    /// Whether the dimension is kept with size 1.
    pub keep_dims: bool,
    /// Whether the last of equal values is meant, and not the first.
    pub last: bool,
}

/// Whether the first value is larger than the second. A NaN is larger than all numbers.
pub(super) fn is_larger(b: &mut Builder, dtype: DType, first: Value, second: Value) -> Value {
    match dtype {
        DType::U32 | DType::U64 => b.lt_u(second, first),
        _ if !Type::of(dtype).is_float() => b.lt(second, first),
        _ => {
            // What is not less or equal is larger, or one of the two is a NaN.
            let not_more = b.le(first, second);
            let (number, more) = (b.eq(second, second), b.not(not_more));
            b.and(number, more)
        }
    }
}

/// Whether the first value is smaller than the second. A NaN is smaller than all numbers.
pub(super) fn is_smaller(b: &mut Builder, dtype: DType, first: Value, second: Value) -> Value {
    match dtype {
        DType::U32 | DType::U64 => b.lt_u(first, second),
        _ if !Type::of(dtype).is_float() => b.lt(first, second),
        _ => {
            let not_less = b.le(second, first);
            let (number, less) = (b.eq(second, second), b.not(not_less));
            b.and(number, less)
        }
    }
}

/// Whether one value goes before another.
pub(super) type Before = fn(&mut Builder, DType, Value, Value) -> Value;

/// The index of what goes before all others among some values: the first of equal ones, or the last.
pub(super) fn first_of(
    b: &mut Builder,
    dtype: DType,
    count: u64,
    (before, last): (Before, bool),
    load: impl Fn(&mut Builder, &Affine) -> Value,
) -> Value {
    let (best, index) = (load(b, &Affine::from(0)), b.i64(0));
    let found = b.fold([crate::definition::Over::all(count)], &[best, index], |b, at, so_far| {
        let (x, own) = (load(b, &at[0]), b.index(at[0].clone()));
        let better = if last {
            let worse = before(b, dtype, so_far[0], x);
            b.not(worse)
        } else {
            before(b, dtype, x, so_far[0])
        };
        vec![b.select(better, x, so_far[0]), b.select(better, own, so_far[1])]
    });
    found[1]
}

macro_rules! places {
    ($($name:ident: $before:expr;)+) => {$(
        impl Semantics for $name {
            fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
                same_dtype(inputs, &comparable())?;
                let over = Over::new(&inputs[0].shape, Some(&[self.axis]), self.keep_dims)?;
                let needed = !over.output().contains(&0);
                let axis = over.reduced.iter().position(|&reduced| reduced).unwrap_or(0);
                check_not_empty(inputs, 0, axis, needed)?;
                Ok(TensorType::new(DType::I64, over.output()))
            }

            fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
                let over = Over::new(&inputs[0].shape, Some(&[self.axis]), self.keep_dims)?;
                let mut b = Builder::new(&stringify!($name).to_lowercase(), inputs, output);
                let order: (Before, bool) = ($before, self.last);
                let index = first_of(&mut b, inputs[0].dtype, over.sizes()[0], order, |b, along| {
                    b.load(Source::Input(0), over.place(b.indices(), std::slice::from_ref(along)))
                });
                Ok(b.finish(index)?.into())
            }
        }
    )+};
}

places! {
    ArgMax: is_larger;
    ArgMin: is_smaller;
}
