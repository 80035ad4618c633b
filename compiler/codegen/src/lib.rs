//! Kernels into machine code by Cranelift.
