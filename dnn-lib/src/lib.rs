//! The DNN kernels and the operator table.
//!
//! A kernel is written once, as a small typed loop program ([`kernel`]). The compiler turns it into guest and
//! host code. An [`operator`] knows the shape of its output and the kernel that computes it. This crate knows
//! nothing about ONNX, files or hosts.
//!
//! ```
//! use dnn_lib::operator::{Add, Lowering, Operator};
//! use dnn_lib::tensor::{DType, TensorType};
//!
//! let inputs = [TensorType::new(DType::F32, [2, 3]), TensorType::new(DType::F32, [3])];
//! let add = Operator::from(Add);
//! assert_eq!(add.infer(&inputs)?, [TensorType::new(DType::F32, [2, 3])]);
//! let Lowering::Kernels(kernels) = add.lower(&inputs)? else { unreachable!("a sum is computed") };
//! println!("{}", kernels[0]);
//! # Ok::<(), dnn_lib::operator::OperatorError>(())
//! ```

pub mod definition;
pub mod kernel;
pub mod layout;
pub mod math;
pub mod operator;
mod reduction;
pub mod scalar;
pub mod schedule;

pub use tensor;
