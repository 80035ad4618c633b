//! The kernel language: small typed loop programs over the memory of one machine.
//!
//! A [`Kernel`] computes a range `[lo, hi)` of the units of one output tensor. A unit is usually one element.
//! Units are computed independently, so the bits are the same however a range is split. [`Builder`] makes
//! kernels, [`Kernel::eval`] runs them (the reference), and the compiler turns them into code.
//!
//! # Semantics
//!
//! Everything except memory access is total, and nothing depends on the host.
//!
//! * Integers wrap. Shift amounts are taken modulo the width. Division is RISC-V's: `x / 0` has all bits set,
//!   `x % 0` is `x`, and the overflowing `MIN / -1` is `MIN` with remainder 0.
//! * Floats are IEEE-754, rounded to nearest even, with subnormals. A multiplication and an addition are
//!   fused where the program says [`fma`](Builder::fma), and nowhere else. With a NaN, every comparison but
//!   `ne` is false.
//! * Conversions from float to integer truncate and saturate; a NaN gives 0.
//! * Elements of 16 bits that are floats are `F32` as values: a load is exact, a store rounds to nearest even.
//! * Memory is little-endian. Every access is aligned to its size and lies inside a tensor.
//! * A loop runs while `index < end`, compared as signed integers; its step is a positive constant.
//!
//! # The NaN rule
//!
//! **There is one NaN.** A NaN has no sign and no payload. It gets bits only where it is observed, by a float
//! [`store`](Builder::store) or a [`bitcast`](Builder::bitcast) to an integer, and these are always the
//! canonical ones (`0x7fc00000`, `0x7ff8000000000000`). Negation and `abs` of a NaN are the NaN. Hosts
//! produce different NaNs in arithmetic, so an implementation of the language canonicalizes them at these two
//! places, unless the value cannot be a NaN or can only be the canonical one.
//!
//! Kernels that only move data load and store integers of the same size, which keeps every bit.

mod builder;
mod display;
mod eval;
mod ir;
mod trips;

pub(crate) use builder::Head;
pub use builder::{BuildError, Builder};
pub use eval::{EvalError, Memory};
pub use ir::{Block, Kernel, Statement};

pub use crate::scalar::{BinaryOp, Comparison, Const, Conversion, Expr, Ops, Type, UnaryOp, Value};
pub use trips::Trips;
