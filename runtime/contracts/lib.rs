//! The dispute game in Solidity: its sources, its bytecode, and the types of its calls, errors and events in
//! Rust.
//!
//! The types are generated from `src/Interfaces.sol`, which the contracts themselves import. The bytecode is
//! checked in, so playing a dispute needs no Solidity compiler; a test compares it with what the pinned
//! compiler generates.

mod convert;
pub mod cost;
mod position;

pub use alloy_primitives::{Address, B256, Bytes, U256};
pub use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface, SolValue};
pub use bindings::*;
pub use convert::{
    by_root, calldata, claims_root, error, error_name, error_text, function_name, machine, model, model_id,
    opening, program, program_hash, refusal, request_hash, resume, state, state_hash, stored, word, words,
};
use isa::Extensions;
pub use position::Position;

/// The types that `sol!` generates from the interfaces.
#[allow(missing_docs)]
mod bindings {
    alloy_sol_types::sol!(#![sol(all_derives)] "src/Interfaces.sol");
}

/// The contracts: file name and text. They also import `IStepVerifier.sol`, which the verifier's crate
/// generates.
pub const SOURCES: [(&str, &str); 8] = [
    ("DisputeGame.sol", include_str!("src/DisputeGame.sol")),
    ("ExampleConsumer.sol", include_str!("src/ExampleConsumer.sol")),
    ("InferenceService.sol", include_str!("src/InferenceService.sol")),
    ("Interfaces.sol", include_str!("src/Interfaces.sol")),
    ("Merkle.sol", include_str!("src/Merkle.sol")),
    ("ModelRegistry.sol", include_str!("src/ModelRegistry.sol")),
    ("Models.sol", include_str!("src/Models.sol")),
    ("OpenDisputes.sol", include_str!("src/OpenDisputes.sol")),
];

/// The forge cheatcodes that tests and scripts use: file name and text.
pub const CHEATCODES: (&str, &str) = ("Vm.sol", include_str!("test/Vm.sol"));

/// The contracts that can be deployed.
pub const DEPLOYABLE: [&str; 4] = ["ExampleConsumer", "InferenceService", "ModelRegistry", "OpenDisputes"];

/// The root that stands for "nothing": the memory after a big step that trapped or exceeded its bound, and
/// the output of such a run.
pub const VOID: B256 = B256::repeat_byte(0xff);

/// The creation code of `OpenDisputes`, without its argument, the registry's address.
#[must_use]
pub fn open_disputes() -> Vec<u8> {
    from_hex(include_str!("generated/OpenDisputes.hex"))
}

/// The creation code of `ModelRegistry` with its arguments: sets of extensions, and for each of them the hash
/// of its verifier's creation code.
#[must_use]
pub fn model_registry(verifiers: &[(Extensions, B256)]) -> Vec<u8> {
    let sets: Vec<u32> = verifiers.iter().map(|(extensions, _)| extensions.bits().into()).collect();
    let hashes: Vec<B256> = verifiers.iter().map(|&(_, hash)| hash).collect();
    [from_hex(include_str!("generated/ModelRegistry.hex")), (sets, hashes).abi_encode_params()].concat()
}

/// The creation code of `InferenceService` with its arguments.
#[must_use]
pub fn inference_service(registry: Address, terms: &Terms) -> Vec<u8> {
    service_from(from_hex(include_str!("generated/InferenceService.hex")), registry, terms)
}

/// The given creation code of a service with the arguments of `InferenceService`.
#[must_use]
pub fn service_from(code: Vec<u8>, registry: Address, terms: &Terms) -> Vec<u8> {
    [code, (registry, terms.clone()).abi_encode_params()].concat()
}

/// The creation code of `ExampleConsumer` with its argument.
#[must_use]
pub fn example_consumer(service: Address) -> Vec<u8> {
    [from_hex(include_str!("generated/ExampleConsumer.hex")), service.abi_encode()].concat()
}

/// The bytes of hexadecimal digits, which may be split into lines.
fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
