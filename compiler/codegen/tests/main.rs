//! Kernels lowered for the machine and for the host.

mod lowering;
mod semantics;
mod steps;
