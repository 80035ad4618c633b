//! Tests that use an EVM: verifiers, games, contracts.

mod adding;
mod contracts;
mod disputes;
mod evm;
mod gas;
mod generated_docs;
mod period;
mod service;
mod simulation;
mod verifier_source;
