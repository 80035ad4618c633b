//! Images made of their windows.

use crate::definition::{Builder, Coordinate, Over, Source};
use crate::operator::error::{check_attribute, check_shape, numbers, same_dtype};
use crate::operator::window::Axis;
use crate::operator::{Meaning, Problem, Semantics, Window};
use crate::scalar::{Ops, Type};
use crate::tensor::{TensorType, elements};

/// Every pixel is the sum of all elements of windows that lie on it: with one accumulator from +0, in the
/// order of the window's positions. The input has the form [N, C * positions, windows].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Col2Im {
    /// The size of the image.
    pub image: Vec<u64>,
    /// The size of a window.
    pub block: Vec<u64>,
    /// How the window moves.
    pub window: Window,
}

impl Col2Im {
    fn axes(&self, inputs: &[TensorType]) -> Result<Vec<Axis>, Problem> {
        let axes = self.window.axes(&self.image, &self.block, false)?;
        let product =
            |size: fn(&Axis) -> u64| elements(&axes.iter().map(size).collect::<Vec<_>>()).unwrap_or(u64::MAX);
        let (positions, windows) = (product(|axis| axis.kernel), product(|axis| axis.output));
        check_attribute("block_shape", &self.block, !axes.is_empty(), || "must not be empty".to_owned())?;
        let shape = &inputs[0].shape;
        let right = shape.len() == 3 && shape[1].is_multiple_of(positions) && shape[2] == windows;
        check_shape(inputs, 0, right, || format!("must have the form [N, C * {positions}, {windows}]"))?;
        Ok(axes)
    }
}

impl Semantics for Col2Im {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &numbers())?;
        let axes = self.axes(inputs)?;
        let positions: u64 = axes.iter().map(|axis| axis.kernel).product();
        let shape = &inputs[0].shape;
        Ok(TensorType::new(dtype, [&[shape[0], shape[1] / positions], &self.image[..]].concat()))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let axes = self.axes(inputs)?;
        let sizes = axes.iter().map(|axis| axis.kernel).chain(axes.iter().map(|axis| axis.output));
        let seen: Vec<u64> = output.shape[..2].iter().copied().chain(sizes).collect();
        let mut b = Builder::new("col2im", &[TensorType::new(output.dtype, seen)], output);
        let zero = b.number(Type::of(output.dtype), 0);
        let over: Vec<Over> = axes.iter().map(|axis| Over::all(axis.kernel)).collect();
        let sum = b.fold(over, &[zero], |b, k, sum| {
            let own = b.indices();
            let mut at: Vec<Coordinate> = own[..2].iter().chain(k).cloned().map(Into::into).collect();
            for ((axis, own), k) in axes.iter().zip(&own[2..]).zip(k) {
                // The place in the padded image at which the window begins.
                let place = own.clone() + axis.pad.0 as i64 - k.clone() * axis.dilation as i64;
                at.push(if axis.stride == 1 {
                    place.into()
                } else {
                    let (place, stride, none) = (b.index(place), b.i64(axis.stride as i64), b.i64(-1));
                    let (number, rest, first) = (b.div_s(place, stride), b.rem_s(place, stride), b.i64(0));
                    let (begins, inside) = (b.eq(rest, first), b.le(first, place));
                    let there = b.and(begins, inside);
                    b.select(there, number, none).into()
                });
            }
            let x = b.load_or(Source::Input(0), at, zero);
            vec![b.add(sum[0], x)]
        });
        Ok(b.finish(sum[0])?.into())
    }
}
