//! The instruction set: one table, one semantics, written once.
#![no_std]
