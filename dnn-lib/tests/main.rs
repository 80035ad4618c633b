//! Kernels, operators, and correctly rounded functions.

mod correct_rounding;
mod doubles;
mod hostile;
mod kernel;
mod operators;
mod oracle;
mod schedule;
