//! The DNN kernels and the operator table.
//!
//! A kernel is written once, as a small typed loop program ([`kernel`]); the compiler turns it into guest and host
//! code. This crate knows nothing of ONNX, files or hosts.

pub mod kernel;
pub mod layout;
mod math;
pub mod operator;
mod reduction;
pub mod tensor;
