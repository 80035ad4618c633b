//! Formulas that make floats or quantized numbers of sums of products of bytes, in one pass over sums that are still
//! in the cache:
//!
//! `y = f32(sum + integer) * factor + addend`, perhaps cut at 0, and then perhaps `y * scale` or `y / scale`, rounded,
//! saturated, and moved by a zero point.
//!
//! Each number in it is one for all sums, or one for each row or column of them.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

use dnn_lib::definition::{Definition, Load};
use dnn_lib::scalar::{BinaryOp, Const, Conversion, Expr, Type, Value, canonical32};
use dnn_lib::tensor::DType;

use crate::contraction::{Output, Quad};
use crate::engine::ending::Addend;
use crate::engine::formula::Formula;
use crate::engine::lanewise::{Lanewise, each, lanes};
use crate::engine::vector::{compiled, quantize};
use crate::isa::Level;

/// Such a formula.
#[derive(Debug)]
pub(super) struct Scaling {
    /// The integer, the factor, the addend, the scale and the zero point.
    numbers: [Number; NUMBERS],
    end: End,
}

const NUMBERS: usize = 5;

/// What is done to a scaled sum.
#[derive(Clone, Copy, Debug)]
struct End {
    cuts: bool,
    quantizes: Option<Quantizes>,
}

#[derive(Clone, Copy, Debug)]
struct Quantizes {
    divides: bool,
    range: [i32; 2],
}

/// A number that doesn't depend on the sum.
#[derive(Debug)]
enum Number {
    Const(u32),
    Load(Addend, DType),
    Of(BinaryOp, Type, Box<[Number; 2]>),
}

impl Scaling {
    /// `None` if a definition does anything else with its sum. `addend` is the matrix of a load's elements.
    pub(super) fn new(
        definition: &Definition,
        sum: Value,
        addend: impl Fn(&Load) -> Option<Addend>,
    ) -> Option<Self> {
        let stage = definition.stages.first()?;
        let formula = Formula { definition, steps: &stage.steps };
        let reader = Reader { formula, addend: &addend, left: Cell::new(MOST_READS) };
        let (zero, one, nothing) = (Number::Const(0), || Number::Const(ONE), Number::Const(NOTHING));
        let (quantizes, x, scale, zero) = match definition.output.dtype {
            DType::F32 => (None, stage.value, one(), zero),
            DType::U8 | DType::I8 => {
                let found = formula.quantization(stage.value)?;
                let zero = found.zero.map_or(Some(zero), |zero| reader.number(zero))?;
                let (divides, x, scale) = match formula.expr(found.number)? {
                    Expr::Binary(BinaryOp::Div, x, scale) => (true, *x, reader.number(*scale)?),
                    _ => match reader.split(BinaryOp::Mul, found.number) {
                        Some((x, scale)) => (false, x, scale),
                        None => (false, found.number, one()),
                    },
                };
                (Some(Quantizes { divides, range: [found.least, found.most] }), x, scale, zero)
            }
            _ => return None,
        };
        let (x, cuts) = formula.uncut(x).map_or((x, false), |x| (x, true));
        let (x, addend) = reader.split(BinaryOp::Add, x).unwrap_or((x, nothing));
        let (x, factor) = reader.split(BinaryOp::Mul, x).unwrap_or_else(|| (x, one()));
        let Expr::Convert(Conversion::IntToFloat, Type::F32, x) = *formula.expr(x)? else { return None };
        let (x, integer) = reader.split(BinaryOp::Add, x).unwrap_or((x, Number::Const(0)));
        let numbers = [integer, factor, addend, scale, zero];
        let along = numbers.iter().map(Number::along).collect::<Option<Vec<_>>>();
        (x == sum && along.is_some()).then_some(Self { numbers, end: End { cuts, quantizes } })
    }

    /// The formula's numbers for a matrix of sums, of these rows and columns, at some indices of the stack.
    ///
    /// # Safety
    ///
    /// The inputs are those of the definition, which has these rows and columns, and nothing writes to them for as
    /// long as this takes.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn at(
        &self,
        inputs: &[*const u8],
        indices: &[i64],
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Scaled<'_> {
        let numbers = self.numbers.each_ref().map(|number| {
            let along = number.along().unwrap_or(Along::All);
            // SAFETY: That of the caller.
            let bits = |[row, column]: [usize; 2]| unsafe { number.at(inputs, indices, [row, column]) };
            let bits = match along {
                Along::All => vec![bits([0, 0]); SAME],
                Along::Rows => rows.clone().map(|row| bits([row, 0])).collect(),
                Along::Columns => columns.clone().map(|column| bits([0, column])).collect(),
            };
            Numbers { along, bits }
        });
        Scaled { numbers, end: &self.end }
    }
}

/// The bits of 1, by which a number may be multiplied without a change.
const ONE: u32 = 1.0f32.to_bits();
/// Those of -0, which may be added.
const NOTHING: u32 = (-0.0f32).to_bits();

/// How many values are looked at for numbers. Of a value that is used twice by one that is used twice, and so on, there
/// would be very many.
const MOST_READS: u32 = 64;

/// Reads numbers of a formula.
struct Reader<'a, A> {
    formula: Formula<'a>,
    addend: &'a A,
    /// How many values may still be looked at.
    left: Cell<u32>,
}

impl<A: Fn(&Load) -> Option<Addend>> Reader<'_, A> {
    /// An operation on a value and a number, in any order.
    fn split(&self, wanted: BinaryOp, value: Value) -> Option<(Value, Number)> {
        let Expr::Binary(op, a, b) = *self.formula.expr(value)? else { return None };
        let found = self.number(b).map(|number| (a, number));
        found.or_else(|| Some((b, self.number(a)?))).filter(|_| op == wanted)
    }

    fn number(&self, value: Value) -> Option<Number> {
        self.left.set(self.left.get().checked_sub(1)?);
        if let Some((load, input)) = self.formula.load(value) {
            let dtype = self.formula.definition.inputs[input as usize].dtype;
            let known = matches!(dtype, DType::F32 | DType::I32 | DType::U8 | DType::I8);
            return known.then_some(Number::Load((self.addend)(load)?, dtype));
        }
        match *self.formula.expr(value)? {
            Expr::Const(Const::F32(bits)) => Some(Number::Const(bits)),
            Expr::Const(Const::I32(number)) => Some(Number::Const(number.cast_unsigned())),
            Expr::Binary(op, a, b) => {
                let ty = self.formula.definition.ty(value);
                let small = matches!(ty, Type::F32 | Type::I32);
                small.then_some(Number::Of(op, ty, Box::new([self.number(a)?, self.number(b)?])))
            }
            _ => None,
        }
    }
}

/// Along what a number changes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Along {
    All,
    Rows,
    Columns,
}

impl Number {
    /// `None` if it changes along both.
    fn along(&self) -> Option<Along> {
        match self {
            Self::Const(_) => Some(Along::All),
            Self::Load(addend, _) => match addend.strides {
                [0, 0] => Some(Along::All),
                [_, 0] => Some(Along::Rows),
                [0, _] => Some(Along::Columns),
                _ => None,
            },
            Self::Of(_, _, numbers) => match numbers.each_ref().map(Self::along) {
                [Some(Along::All), along] | [along, Some(Along::All)] => along,
                [Some(a), Some(b)] if a == b => Some(a),
                _ => None,
            },
        }
    }

    /// Its bits for a row and a column.
    ///
    /// # Safety
    ///
    /// That of [`Scaling::at`], for this row and column.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn at(&self, inputs: &[*const u8], indices: &[i64], [row, column]: [usize; 2]) -> u32 {
        match self {
            Self::Const(bits) => *bits,
            Self::Load(addend, dtype) => {
                let place = addend.start.at(indices) as isize
                    + (row * addend.strides[0] + column * addend.strides[1]) as isize;
                let from = inputs[addend.input].wrapping_offset(place * dtype.size() as isize);
                // SAFETY: the definition loads this element for this row and column.
                unsafe {
                    match dtype {
                        DType::U8 => from.read().into(),
                        DType::I8 => i32::from(from.cast::<i8>().read()).cast_unsigned(),
                        _ => from.cast::<u32>().read(),
                    }
                }
            }
            Self::Of(op, ty, numbers) => {
                // SAFETY: That of the caller.
                let [a, b] =
                    numbers.each_ref().map(|number| unsafe { number.at(inputs, indices, [row, column]) });
                op.eval(*ty, a.into(), b.into()) as u32
            }
        }
    }
}

/// How many lanes a number has that is the same in all.
const SAME: usize = 16;

/// A number for a matrix of sums.
#[derive(Debug)]
struct Numbers {
    along: Along,
    /// [`SAME`] times the same, or one for each row or column.
    bits: Vec<u32>,
}

/// A formula with its numbers for a matrix of sums.
#[derive(Debug)]
pub(super) struct Scaled<'a> {
    numbers: [Numbers; NUMBERS],
    end: &'a End,
}

impl Scaled<'_> {
    /// The bytes of a result.
    pub(super) fn bytes(&self) -> usize {
        if self.end.quantizes.is_some() { 1 } else { size_of::<f32>() }
    }

    /// Writes the results of some sums, whose rows and columns count as those of the numbers do. The first result goes
    /// to `to`, and the others as far from it as their sums are from the first one.
    ///
    /// # Safety
    ///
    /// Nothing else accesses the results, which there is room for, and which are apart from the sums.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run(&self, level: Level, mut sums: Output<'_, Quad>, to: *mut u8) {
        let (rows, columns, stride) = (sums.rows(), sums.columns(), sums.stride());
        let start = sums.start().cast_const();
        // A column without gaps is like a row.
        let turns = columns.len() == 1 && stride == 1;
        let (across, lines, count) = if turns {
            (Along::Rows, 0..1, rows.len())
        } else {
            (Along::Columns, rows.clone(), columns.len())
        };
        let first = if turns { rows.start } else { columns.start };
        if rows.is_empty() || count == 0 {
            return;
        }
        let mut same = [[0; SAME]; NUMBERS];
        for (place, line) in lines.enumerate() {
            let mut from = [(same[0].as_ptr(), 0); NUMBERS];
            for ((from, numbers), same) in from.iter_mut().zip(&self.numbers).zip(&mut same) {
                let along = numbers.along;
                *from = if along == Along::All {
                    (numbers.bits.as_ptr(), 0)
                } else if along == across {
                    (numbers.bits[first..first + count].as_ptr(), usize::MAX)
                } else {
                    same.fill(numbers.bits[if turns { columns.start } else { line }]);
                    (same.as_ptr(), 0)
                };
            }
            let row = Row { count, sums: start.wrapping_add(place * stride), from };
            let to = to.wrapping_add(place * stride * self.bytes());
            // SAFETY: the sums are in the window, and the results where their places are; of each number there are as
            // many as there are sums, or 16.
            unsafe { scale(level, *self.end, row, to) }
        }
    }
}

/// Sums side by side, and the formula's numbers for them: where they are, and which bits of a lane's number say which
/// one is the lane's.
#[derive(Clone, Copy)]
struct Row {
    count: usize,
    sums: *const Quad,
    from: [(*const u32, usize); NUMBERS],
}

/// What is computed for each sum of a row: a function of it and the numbers.
struct Results<F, R>(Row, F, PhantomData<R>);

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
impl<R: Copy + Default, F: Fn(i32, [u32; NUMBERS]) -> R> Lanewise for Results<F, R> {
    type To = R;

    #[inline(always)]
    unsafe fn compute<const COUNT: usize>(&self, at: usize) -> [R; COUNT] {
        let Row { sums, from: [a, b, c, d, e], .. } = self.0;
        // SAFETY: That of `scale`.
        let (sums, a, b, c, d, e) = unsafe {
            (
                lanes::<i32, COUNT>(sums.cast(), at),
                lanes::<u32, COUNT>(a.0.cast(), at & a.1),
                lanes::<u32, COUNT>(b.0.cast(), at & b.1),
                lanes::<u32, COUNT>(c.0.cast(), at & c.1),
                lanes::<u32, COUNT>(d.0.cast(), at & d.1),
                lanes::<u32, COUNT>(e.0.cast(), at & e.1),
            )
        };
        let mut results = [R::default(); COUNT];
        for (lane, result) in results.iter_mut().enumerate() {
            *result = (self.1)(sums[lane], [a[lane], b[lane], c[lane], d[lane], e[lane]]);
        }
        results
    }
}

/// A sum as a float.
#[inline(always)]
fn scaled(sum: i32, [integer, factor, addend, ..]: [u32; NUMBERS], cuts: bool) -> f32 {
    let float = sum.wrapping_add(integer.cast_signed()) as f32;
    let x = float * f32::from_bits(factor) + f32::from_bits(addend);
    if cuts && x <= 0.0 { 0.0 } else { x }
}

/// # Safety
///
/// That of [`scale`].
#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn each_sum(end: End, row: Row, to: *mut u8) {
    macro_rules! results {
        ($f:expr) => {
            // SAFETY: That of the caller.
            unsafe { each(row.count, to, &Results(row, $f, PhantomData)) }
        };
    }
    macro_rules! ends {
        ($cuts:literal) => {
            match end.quantizes {
                None => results!(|sum, numbers| canonical32(scaled(sum, numbers, $cuts).to_bits())),
                Some(Quantizes { divides: true, range }) => results!(|sum, numbers| {
                    let x = scaled(sum, numbers, $cuts) / f32::from_bits(numbers[3]);
                    quantize(x, numbers[4], range) as u8
                }),
                Some(Quantizes { divides: false, range }) => results!(|sum, numbers| {
                    let x = scaled(sum, numbers, $cuts) * f32::from_bits(numbers[3]);
                    quantize(x, numbers[4], range) as u8
                }),
            }
        };
    }
    if end.cuts { ends!(true) } else { ends!(false) }
}

compiled! {
    /// Computes the results of the sums of a row.
    ///
    /// # Safety
    ///
    /// There are `count` sums, of each number as many, or 16 if it has no bits, and room for as many results, which
    /// nothing else accesses.
    unsafe fn scale(end: End, row: Row, to: *mut u8) = each_sum;
}
