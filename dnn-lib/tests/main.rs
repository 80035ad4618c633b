//! Kernels, operators, and correctly rounded functions.

mod correct_rounding;
mod hostile;
mod kernel;
mod operators;
mod oracle;
mod schedule;
