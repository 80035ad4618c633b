//! The DNN kernels and the operator table.
