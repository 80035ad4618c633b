//! One machine step over any state, and its proof.
#![no_std]
