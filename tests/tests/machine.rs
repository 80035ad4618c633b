//! The machine and the compiler against their oracles. `./test core` runs these tests, which need neither a
//! node nor solc.

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
