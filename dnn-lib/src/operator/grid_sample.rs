//! Images sampled at given points.

use crate::definition::{Affine, Builder, Coordinate, Source};
use crate::operator::error::{FLOATS, check_dtype, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Conversion, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// How an image is sampled between its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// The nearest pixel, the even one of two.
    Nearest,
    /// Two pixels along each dimension.
    Linear,
    /// Four pixels along each dimension, by a cubic convolution with the factor -3/4.
    Cubic,
}

/// What is outside of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Zeros.
    Zeros,
    /// The nearest pixel.
    Border,
    /// The image, mirrored at its border.
    Reflection,
}

/// An image sampled at points; inputs: X of the form [N, C, D1, ...], and the points [N, O1, ..., dimensions]
/// with coordinates from -1 to 1, that of the last dimension first.
///
/// Along the first dimension, it is the sum of the products of weights and of sums along the second, and so
/// on. The first product of a sum is rounded; each other one is a fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridSample {
    /// How it is sampled.
    pub sampling: Sampling,
    /// What is outside.
    pub outside: Outside,
    /// Whether -1 and 1 are the centres of the first and the last pixel, and not their outer edges.
    pub align_corners: bool,
}

/// Adds floats to a definition.
struct Floats<'a> {
    b: &'a mut Builder,
    ty: Type,
}

impl Floats<'_> {
    fn number(&mut self, x: f64) -> Value {
        match self.ty {
            Type::F64 => self.b.f64(x),
            _ => self.b.f32(x as f32),
        }
    }

    /// A coordinate that is outside of a range, mirrored into it.
    fn reflect(&mut self, x: Value, least: f64, most: f64) -> Value {
        let (low, high, length, half) =
            (self.number(least), self.number(most), self.number(most - least), self.number(0.5));
        let b = &mut *self.b;
        let distance = b.sub(x, low);
        let distance = b.abs(distance);
        let count = b.div(distance, length);
        let count = b.trunc(count);
        let whole = b.mul(count, length);
        let rest = b.sub(distance, whole);
        let halves = b.mul(count, half);
        let floor = b.floor(halves);
        let (even, forwards, backwards) = (b.eq(halves, floor), b.add(low, rest), b.sub(high, rest));
        let mirrored = b.select(even, forwards, backwards);
        let (below, above) = (b.lt(x, low), b.lt(high, x));
        let out = b.or(below, above);
        b.select(out, mirrored, x)
    }

    fn index(&mut self, x: Value) -> Value {
        self.b.convert(Conversion::FloatToInt, Type::I64, x)
    }

    /// The weights of the pixels around a place, by its distance from the pixel before it.
    fn weights(&mut self, sampling: Sampling, x: Value) -> Vec<Value> {
        let one = self.number(1.0);
        match sampling {
            Sampling::Nearest => vec![one],
            Sampling::Linear => vec![self.b.sub(one, x), x],
            Sampling::Cubic => {
                let two = self.number(2.0);
                let (before, after, far) = (self.b.add(x, one), self.b.sub(one, x), self.b.sub(two, x));
                vec![self.outer(before), self.inner(x), self.inner(after), self.outer(far)]
            }
        }
    }

    /// ((a * x - 5 a) * x + 8 a) * x - 4 a, of distances from 1 to 2.
    fn outer(&mut self, x: Value) -> Value {
        self.polynomial(x, [-0.75, 3.75, -6.0, 3.0])
    }

    /// ((a + 2) * x - (a + 3)) * x * x + 1, of distances up to 1.
    fn inner(&mut self, x: Value) -> Value {
        self.polynomial(x, [1.25, -2.25, 0.0, 1.0])
    }

    /// With fused multiply-adds, beginning with the highest power.
    fn polynomial(&mut self, x: Value, [first, rest @ ..]: [f64; 4]) -> Value {
        let mut value = self.number(first);
        for factor in rest {
            let factor = self.number(factor);
            value = self.b.fma(value, x, factor);
        }
        value
    }
}

/// The pixels along a dimension, with their weights.
type Pixels = Vec<(Value, Value)>;

impl GridSample {
    /// The pixels around a normalized coordinate of a dimension of this size.
    fn pixels(&self, f: &mut Floats<'_>, point: Value, size: u64) -> Pixels {
        let (n, align) = (size as f64, self.align_corners);
        let (least, most) = if align { (0.0, n - 1.0) } else { (-0.5, n - 0.5) };
        let (one, half) = (f.number(1.0), f.number(0.5));
        let (count, last) = (f.number(n), f.number(n - 1.0));
        let from_start = f.b.add(point, one);
        let mut x = if align {
            let x = f.b.mul(from_start, half);
            f.b.mul(x, last)
        } else {
            let x = f.b.mul(from_start, count);
            let x = f.b.sub(x, one);
            f.b.mul(x, half)
        };
        if self.sampling == Sampling::Nearest {
            x = f.b.round(x);
        }
        match self.outside {
            // The pixels of a cubic convolution are cut off one by one.
            _ if self.sampling == Sampling::Cubic && self.outside == Outside::Border => {}
            Outside::Zeros => {}
            Outside::Border => {
                let (low, high, zero) = (f.number(least), f.number(most), f.number(0.0));
                let (below, above) = (f.b.lt(x, low), f.b.lt(high, x));
                x = f.b.select(below, zero, x);
                x = f.b.select(above, last, x);
            }
            Outside::Reflection => x = f.reflect(x, least, most),
        }
        let before = f.b.floor(x);
        let distance = f.b.sub(x, before);
        let weights = f.weights(self.sampling, distance);
        let start = match self.sampling {
            Sampling::Nearest => f.index(x),
            _ => f.index(before),
        };
        let first = if self.sampling == Sampling::Cubic { -1 } else { 0 };
        let mut pixels = Vec::new();
        for (number, weight) in (first..).zip(weights) {
            let mut index = f.b.add_const(start, number);
            if self.outside == Outside::Reflection {
                let float = f.b.convert(Conversion::IntToFloat, f.ty, index);
                let mirrored = f.reflect(float, least, most);
                index = f.index(mirrored);
            }
            pixels.push((index, weight));
        }
        pixels
    }

    /// The sum along a dimension and those after it.
    fn sum(&self, f: &mut Floats<'_>, pixels: &[Pixels], at: &mut Vec<Coordinate>) -> Value {
        let Some((own, rest)) = pixels.split_first() else {
            if self.outside == Outside::Zeros {
                let zero = f.number(0.0);
                return f.b.load_or(Source::Input(0), at.clone(), zero);
            }
            return f.b.load(Source::Input(0), at.clone());
        };
        let mut sum = None;
        for &(index, weight) in own {
            at.push(index.into());
            let x = self.sum(f, rest, at);
            at.pop();
            sum = Some(match sum {
                _ if self.sampling == Sampling::Nearest => x,
                None => f.b.mul(weight, x),
                Some(sum) => f.b.fma(weight, x, sum),
            });
        }
        sum.unwrap_or_else(|| f.number(0.0))
    }
}

impl Semantics for GridSample {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, FLOATS)?;
        let same = |dtype: &&DType| Type::of(**dtype) == Type::of(inputs[0].dtype);
        check_dtype(inputs, 1, &FLOATS.iter().filter(same).copied().collect::<Vec<_>>())?;
        let (x, grid) = (&inputs[0].shape, &inputs[1].shape);
        check_shape(inputs, 0, matches!(x.len(), 3..=5), || "must have the form [N, C, D1, ...]".to_owned())?;
        let rank = x.len() - 2;
        let right = grid.len() == rank + 2 && grid[0] == x[0] && grid[rank + 1] == rank as u64;
        check_shape(inputs, 1, right, || format!("must have the form [{}, O1, ..., {rank}]", x[0]))?;
        let shape = [&x[..2], &grid[1..=rank]].concat();
        let needed = !shape.contains(&0);
        check_shape(inputs, 0, !needed || !x.contains(&0), || "must not be empty".to_owned())?;
        Ok(TensorType::new(inputs[0].dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let mut b = Builder::new("gridsample", inputs, output);
        let own = b.indices();
        let rank = own.len() - 2;
        let mut f = Floats { b: &mut b, ty: Type::of(output.dtype) };
        let mut pixels = Vec::new();
        for axis in 0..rank {
            let coordinate = Affine::from((rank - 1 - axis) as i64);
            let at = [&own[..1], &own[2..], &[coordinate]].concat();
            let point = f.b.load(Source::Input(1), at);
            pixels.push(self.pixels(&mut f, point, inputs[0].shape[axis + 2]));
        }
        let mut at: Vec<Coordinate> = own[..2].iter().cloned().map(Into::into).collect();
        let y = self.sum(&mut f, &pixels, &mut at);
        Ok(b.finish(y)?.into())
    }
}
