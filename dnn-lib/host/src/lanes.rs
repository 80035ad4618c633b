//! Elementary functions in vector registers.
//!
//! A vector is a domain of [`Arithmetic`], so the text of a function is that of the guest's code. `Lanes` adds
//! how vectors are loaded and stored.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod several;

use dnn_lib::math::{Arithmetic, Function};

use crate::Isa;
#[cfg(target_arch = "x86_64")]
use crate::isa::Level;
#[cfg(target_arch = "x86_64")]
use {avx2::Avx2, avx512::Avx512};

use dnn_lib::math::Scalar as Portable;

/// Vectors of floats. A value of such a type is the proof that its instructions can be executed.
///
/// The methods are inlined, and their instructions with them, if the caller is compiled for these instructions:
/// see [`apply`].
pub(crate) trait Lanes: Arithmetic + Copy {
    /// The number of floats in a vector.
    const COUNT: usize;

    /// The first floats of a slice, which has enough of them.
    fn load(self, from: &[f32]) -> Self::F32;

    /// Writes the floats to the start of a slice, which has room for them. A NaN becomes the canonical one.
    fn store(self, x: Self::F32, to: &mut [f32]);
}

/// `y[i] = function(x[i])`, correctly rounded. A NaN gives the canonical one.
///
/// Elements that only one of the slices has are left alone.
pub fn apply(isa: Isa, function: Function, x: &[f32], y: &mut [f32]) {
    match isa.level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Vnni => avx512::LOOPS[function as usize](Avx512::new(isa), x, y),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::LOOPS[function as usize](Avx2::new(isa), x, y),
        _ => portable::LOOPS[function as usize](Portable, x, y),
    }
}

/// Like [`apply`], with the results in the place of the arguments.
pub fn apply_in_place(isa: Isa, function: Function, x: &mut [f32]) {
    let mut arguments = [0.0; 1024];
    for results in x.chunks_mut(arguments.len()) {
        let arguments = &mut arguments[..results.len()];
        arguments.copy_from_slice(results);
        apply(isa, function, arguments, results);
    }
}

/// A loop over vectors with the function that has this number, whose code is then a constant of the loop.
type Loop<L> = fn(L, &[f32], &mut [f32]);

/// The body of such a loop. The last vector may have fewer floats than others, in a place of their own, so that
/// there is one copy of the function's code.
#[inline(always)]
fn each<L: Lanes, const FUNCTION: usize>(mut lanes: L, x: &[f32], y: &mut [f32]) {
    let function = const { Function::ALL[FUNCTION] };
    let count = x.len().min(y.len());
    let mut padded = [0.0; 64];
    for start in (0..count).step_by(L::COUNT) {
        let end = start + L::COUNT;
        let whole = end <= count;
        if !whole {
            padded[..count - start].copy_from_slice(&x[start..count]);
        }
        let from = if whole { &x[start..end] } else { &padded[..L::COUNT] };
        let result = lanes.load(from);
        let result = function.apply(&mut lanes, result);
        lanes.store(result, if whole { &mut y[start..end] } else { &mut padded[..L::COUNT] });
        if !whole {
            y[start..count].copy_from_slice(&padded[..count - start]);
        }
    }
}

/// The functions that models call most, the first ones, are computed for so many vectors at once that no
/// instruction waits for another. For others that would be too much code.
#[cfg(target_arch = "x86_64")]
const fn is_frequent(function: usize) -> bool {
    function <= Function::Erf as usize
}

/// A constant with a loop for each function, by its number.
macro_rules! loops {
    ($lanes:ty, $run:ident) => {
        super::loops!($lanes, $run: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20);
    };
    ($lanes:ty, $run:ident: $($number:literal)+) => {
        pub(super) const LOOPS: [super::Loop<$lanes>; dnn_lib::math::Function::ALL.len()] =
            [$($run::<$number>),+];
    };
}
use loops;

/// Methods that are an instruction each.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($($(#[$attribute:meta])* $name:ident($($x:ident: $from:ty),*) -> $to:ident = $body:expr;)+) => {$(
        #[inline(always)]
        #[expect(unsafe_code, reason = "vector instructions")]
        fn $name(&mut self, $($x: $from),*) -> Self::$to {
            // SAFETY: the processor has the instructions, or there would be no `self`.
            unsafe { $body }
        }
    )+};
}
#[cfg(target_arch = "x86_64")]
use instructions;

#[cfg(test)]
mod tests;
