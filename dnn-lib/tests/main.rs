//! Kernels, operators, and the functions that are correctly rounded.

mod correct_rounding;
mod kernel;
mod operators;
mod oracle;
