//! MaxPool and AveragePool.

use dnn_lib::operator::{AveragePool, MaxPool, Padding, Window};
use proptest::prelude::*;

use super::{Tensor, assert_same, indices, run, tensor};

#[derive(Clone, Debug)]
struct Case {
    x: Tensor,
    kernel: Vec<u64>,
    window: Window,
    ceil_mode: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let axis = (1..=4u64, 1..=3u64, 1..=2u64, 0..=5u64).prop_flat_map(|(kernel, stride, dilation, extra)| {
        let pad = 0..kernel;
        (Just((kernel, stride, dilation, extra)), (pad.clone(), pad))
    });
    (1..=2u64, 1..=3u64, prop::collection::vec(axis, 1..=2), any::<bool>()).prop_flat_map(
        |(batch, channels, axes, ceil_mode)| {
            let mut shape = vec![batch, channels];
            shape.extend(axes.iter().map(|&((kernel, _, dilation, extra), pad)| {
                ((kernel - 1) * dilation + 1 + extra).saturating_sub(pad.0 + pad.1).max(1)
            }));
            let window = Window {
                strides: axes.iter().map(|axis| axis.0.1).collect(),
                dilations: axes.iter().map(|axis| axis.0.2).collect(),
                padding: Padding::Explicit(axes.iter().map(|axis| axis.1).collect()),
            };
            let kernel: Vec<u64> = axes.iter().map(|axis| axis.0.0).collect();
            tensor(shape).prop_map(move |x| Case {
                x,
                kernel: kernel.clone(),
                window: window.clone(),
                ceil_mode,
            })
        },
    )
}

/// The kind of a window position.
#[derive(PartialEq)]
enum Position {
    Inside(Vec<u64>),
    Padding,
    Outside,
}

impl Case {
    fn pad(&self, axis: usize) -> (u64, u64) {
        let Padding::Explicit(pads) = &self.window.padding else { panic!("explicit padding") };
        pads[axis]
    }

    fn output(&self) -> Vec<u64> {
        let mut shape = self.x.shape[..2].to_vec();
        for axis in 0..self.kernel.len() {
            let (pad, stride) = (self.pad(axis), self.window.strides[axis]);
            let size = self.x.shape[axis + 2];
            let last = size + pad.0 + pad.1 - ((self.kernel[axis] - 1) * self.window.dilations[axis] + 1);
            // Windows start at 0, stride, ... as long as they fit. With ceil_mode there may be one more, if
            // it starts in the input.
            let mut starts: Vec<u64> = (0..=last).step_by(stride as usize).collect();
            if self.ceil_mode && !last.is_multiple_of(stride) && starts.len() as u64 * stride < size + pad.0 {
                starts.push(starts.len() as u64 * stride);
            }
            if self.ceil_mode {
                starts.retain(|&start| start < size + pad.0);
            }
            shape.push(starts.len() as u64);
        }
        shape
    }

    fn position(&self, i: &[u64], k: &[u64]) -> Position {
        let mut at = i[..2].to_vec();
        let mut padding = false;
        for axis in 0..k.len() {
            let (pad, size) = (self.pad(axis), self.x.shape[axis + 2]);
            let padded = i[axis + 2] * self.window.strides[axis] + k[axis] * self.window.dilations[axis];
            if padded >= pad.0 + size + pad.1 {
                return Position::Outside;
            }
            padding |= padded < pad.0 || padded >= pad.0 + size;
            at.push(padded.wrapping_sub(pad.0));
        }
        if padding { Position::Padding } else { Position::Inside(at) }
    }

    fn positions(&self, i: &[u64]) -> Vec<Position> {
        indices(&self.kernel).map(|k| self.position(i, &k)).collect()
    }

    fn inside(&self, i: &[u64]) -> Vec<f32> {
        let inside = |position| match position {
            Position::Inside(at) => Some(self.x.at(&at)),
            _ => None,
        };
        self.positions(i).into_iter().filter_map(inside).collect()
    }
}

proptest! {
    #[test]
    fn max_pool_is_exact(case in case()) {
        let right = Tensor::from_fn(&case.output(), |i| {
            let window = case.inside(i);
            if window.iter().any(|x| x.is_nan()) {
                return f32::NAN;
            }
            // Of +0 and -0, the first.
            window.into_iter().fold(f32::NEG_INFINITY, |most, x| if x > most { x } else { most })
        });
        let Case { x, kernel, window, ceil_mode } = case;
        assert_same(&run(MaxPool { kernel, window, ceil_mode, column_major: false }, &[&x]), &right);
    }

    #[test]
    fn average_pool_is_exact(case in case(), count_include_pad in any::<bool>()) {
        let right = Tensor::from_fn(&case.output(), |i| {
            let counted = |position: &&Position| match position {
                Position::Inside(_) => true,
                Position::Padding => count_include_pad,
                Position::Outside => false,
            };
            let count = case.positions(i).iter().filter(counted).count();
            case.inside(i).into_iter().fold(0.0, |sum, x| sum + x) / count as f32
        });
        let Case { x, kernel, window, ceil_mode } = case;
        assert_same(&run(AveragePool { kernel, window, ceil_mode, count_include_pad }, &[&x]), &right);
    }
}

/// The largest element at each corner of its window, which reveals a window that is too short or too long by
/// one.
#[test]
fn a_window_ends_where_it_should() {
    let pool = MaxPool {
        kernel: vec![2],
        window: Window { strides: vec![2], ..Window::default() },
        ceil_mode: true,
        column_major: false,
    };
    let x = Tensor::new([1, 1, 5], vec![1.0, 2.0, 4.0, 3.0, 5.0]);
    assert_eq!(run(pool, &[&x]).data, [2.0, 4.0, 5.0]);
}
