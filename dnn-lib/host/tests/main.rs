//! Definitions run in vectors give the bits of their meaning.

mod cases;
mod check;
mod formulas;
mod halves;
mod integers;
mod operations;
mod quantized;
mod random;
mod shared;
