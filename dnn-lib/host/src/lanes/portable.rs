//! What every processor has: one float at a time, as far as the compiler finds no vectors.

use dnn_lib::math::Scalar as Portable;

use super::{Lanes, each, loops};

impl Lanes for Portable {
    const COUNT: usize = 1;

    #[inline(always)]
    fn load(self, from: &[f32]) -> f32 {
        from[0]
    }

    #[inline(always)]
    fn store(self, x: f32, to: &mut [f32]) {
        // By bits, because a compiler may drop float code that only changes one NaN into another.
        to[0] = if x.is_nan() { f32::from_bits(0x7fc0_0000) } else { x };
    }
}

fn run<const FUNCTION: usize>(lanes: Portable, x: &[f32], y: &mut [f32]) {
    each::<_, FUNCTION>(lanes, x, y);
}

loops!(Portable, run);
