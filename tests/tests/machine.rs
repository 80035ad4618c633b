//! The machine and the compiler against their oracles. Needs neither a node nor solc: `./test core` runs it.

mod disassembly;
mod fuzz_smoke;
mod jit;
mod models;
mod programs;
mod proofs;
mod qemu;
mod replay;
mod softfloat;
mod workspace;
