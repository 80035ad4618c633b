//! Kernels lowered for the machine.

mod lowering;
mod semantics;
mod steps;
