//! The operators of neural networks, and what becomes of them.
//!
//! An [`operator`] knows the shape of its output and its [`definition`]: what an element of the output is. A
//! scheduler makes a [`kernel`] of that, a small typed loop program ([`schedule`]), which the compiler turns
//! into code of the machine. This crate knows nothing about ONNX, files or hosts.
//!
//! ```
//! use dnn_lib::operator::{Add, Meaning, Operator};
//! use dnn_lib::tensor::{DType, TensorType};
//!
//! let inputs = [TensorType::new(DType::F32, [2, 3]), TensorType::new(DType::F32, [3])];
//! let add = Operator::from(Add);
//! assert_eq!(add.infer(&inputs)?, [TensorType::new(DType::F32, [2, 3])]);
//! let Some(Meaning::Computed(sum)) = add.define(&inputs, 0)? else { unreachable!("a sum is computed") };
//! println!("{sum}");
//! println!("{}", dnn_lib::schedule::guest(&sum)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod definition;
pub mod kernel;
pub mod layout;
pub mod math;
pub mod operator;
pub mod program;
pub mod scalar;
pub mod schedule;

pub use tensor;
